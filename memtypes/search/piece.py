"""One memory as a context shows it, and why its tokens can be counted once, at write.

Every piece of a context ends with a newline, and begins with "-", "#" or "<". The pretokenisers of cl100k_base and
o200k_base never join across such a border, so the tokens of a context are exactly the sum of the tokens of its pieces
(held by a property test). The count of a memory's piece is stored with it, and a budget is filled without tokenising.
"""

from __future__ import annotations

import re

from memtypes.model.memory import Memory

_FENCE_TAG = re.compile(r"<(?=/?(?:working_)?memor)", re.IGNORECASE)
_OPENING = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
"""Stands for "<" where recalled text would otherwise read as the tag that ends it."""


def bullet(text: str) -> str:
    """`text` as one entry of a list: "- " before it, its further lines indented, so that it can't leave its entry."""
    lines = (_FENCE_TAG.sub(_OPENING, text) if "<" in text else text).splitlines() or [""]
    if len(lines) == 1:
        return f"- {lines[0].strip()}\n"
    return "- " + "\n".join([lines[0].strip(), *(f"  {line.rstrip()}" for line in lines[1:] if line.strip())]) + "\n"


def piece(memory: Memory) -> str:
    """The entry of `memory` in a context."""
    return bullet(memory.line())
