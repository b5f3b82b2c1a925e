"""One sign by which a text's own words tell its type."""

from __future__ import annotations

import re
from dataclasses import dataclass

from memtypes.model.policy import MemoryType


@dataclass(frozen=True, slots=True)
class Rule:
    """A text in which `pattern` is found speaks for `type` with `weight`."""

    type: MemoryType
    weight: float
    pattern: re.Pattern[str]
    reason: str
