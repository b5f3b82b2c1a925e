"""What a policy's own patterns take out of a turn. RE2 matches in linear time, whatever the pattern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import re2

from memtypes.ports.redaction import Cleaned

MAX_PATTERN = 1_000
REDACTED = "[redacted]"
KIND = "policy"
"""The kind under which a policy's own patterns are counted."""


def checked_pattern(pattern: str) -> str:
    """`pattern` itself when RE2 takes it and it can't match nothing."""
    if not 1 <= len(pattern) <= MAX_PATTERN:
        raise ValueError(f"a pattern must have 1 to {MAX_PATTERN} characters, has {len(pattern)}")
    try:
        compiled = re2.compile(pattern)
    except re2.error as error:
        raise ValueError(f"{pattern!r} is no pattern that RE2 takes: {error}") from error
    if compiled.match(""):
        raise ValueError(f"{pattern!r} must not match the empty text")
    return pattern


def redacted(value: Any, patterns: Sequence[str]) -> Cleaned:
    """`value`, any JSON, with what the patterns match in its texts replaced."""
    counts: Counter[str] = Counter()

    def clean(one: Any) -> Any:
        match one:
            case str():
                return text(one)
            case list():
                return [clean(inner) for inner in one]
            case dict():
                return {text(name): clean(inner) for name, inner in one.items()}
            case _:
                return one

    def text(one: str) -> str:
        for pattern in patterns:
            one, times = re2.subn(pattern, REDACTED, one)
            counts[KIND] += times
        return one

    return Cleaned(clean(value), +counts)
