"""The Lua scripts of the stores on Redis. Each runs atomically in one round trip; its keys are in one cluster slot."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TypeAlias

Argument: TypeAlias = str | bytes | int | float


class Script:
    """A Lua script and its SHA-1, by which the server caches it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(cls, *names: str) -> Script:
        """Return the script in NAME.lua. Several files are joined to one script: name shared functions first."""
        folder = resources.files(__package__)
        return cls("".join(folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names))
