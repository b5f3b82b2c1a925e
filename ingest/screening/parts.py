"""Sentences of a text, and the steps of a list in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SENTENCE = re.compile(r"[^.!?\n\u3002\uff01\uff1f]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?\u3002\uff01\uff1f]?")
_NUMBER = re.compile(r"(?:^|\s)(?P<number>\d{1,2})[.)]\s+")
_BULLET = re.compile(r"(?m)^\s*[-*\u2022]\s+(?P<step>\S.*)$")
_NEXT_SENTENCE = re.compile(r"[.!?]\s+(?=[A-Z])")

MAX_READ = 20_000
"""Characters that are searched for steps."""

MAX_STEPS = 200


def sentences_in(text: str) -> Iterator[str]:
    """The sentences of `text`, as written. A period within a number or a name ends none."""
    return (sentence for match in _SENTENCE.finditer(text) if (sentence := match[0].strip()))


def steps_in(text: str) -> list[str]:
    """The steps numbered 1, 2, 3 ... in `text`, or else its bulleted lines; empty with less than two."""
    text = text[:MAX_READ]
    steps = _numbered(text) or [match["step"].strip() for match in _BULLET.finditer(text)]
    return steps[:MAX_STEPS] if len(steps) >= 2 else []


def _numbered(text: str) -> list[str]:
    """The numbered steps; the last one ends with its line or sentence."""
    marks: list[re.Match[str]] = []
    for match in _NUMBER.finditer(text):
        if int(match["number"]) == len(marks) + 1:
            marks.append(match)
    if not marks:
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    steps = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    return [*steps[:-1], _NEXT_SENTENCE.split(steps[-1].partition("\n")[0])[0].strip()]
