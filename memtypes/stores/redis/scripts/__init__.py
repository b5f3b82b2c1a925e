"""The Lua scripts of the Redis stores. Each runs atomically in one round trip; all its keys are in
one cluster slot.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TypeAlias

Argument: TypeAlias = str | bytes | int | float | None
"""An argument of a script; None is sent as an empty text."""


class Script:
    """A Lua script, and the SHA-1 by which a server runs the script once it has cached it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(cls, *names: str) -> Script:
        """Load the script NAME.lua. Several names are joined to one script: files with shared
        functions come first.
        """
        folder = resources.files(__package__)
        return cls(
            "".join(folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)
        )
