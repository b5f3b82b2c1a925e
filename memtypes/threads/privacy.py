"""What a policy's own patterns take out of a turn. RE2 matches in linear time, whatever the pattern."""

from __future__ import annotations

from collections.abc import Sequence

import re2

MAX_PATTERN = 1_000
REDACTED = "[redacted]"


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


def redact(text: str, patterns: Sequence[str]) -> str:
    """`text` with what the patterns match replaced."""
    for pattern in patterns:
        text = str(re2.sub(pattern, REDACTED, text))
    return text
