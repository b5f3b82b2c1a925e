"""The scripts of threads, each with what they share before it."""

from __future__ import annotations

from importlib import resources

from memtypes.stores.redis.connection.client import Script


def thread_script(name: str) -> Script:
    """The script in `scripts/thread_NAME.lua`."""
    return Script(_text("common") + _text(name))


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("scripts", f"thread_{name}.lua").read_text(encoding="utf-8")
