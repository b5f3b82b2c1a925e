"""What a text holds besides what happened: requests for later and ways to do something, cut out as they stand. Pure.

Meant to miss rather than to cut wrongly: a request names itself, and a way to do something says what for and gives two
steps or more. The whole text stays an event; a part is another memory of another type.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
_ASKS = re.compile(
    r"\b(?:remind (?:me|us)\b|(?:set|make|add|create) (?:me )?(?:an? )?(?:new )?reminder\b"
    r"|(?:do not|don't) let me forget\b"
    r"|(?:do not|don't) forget to\b|^to-?do:|(?<!you )(?<!he )(?<!she )(?<!they )remember to\b"
    r"|i (?:need|have|must) to remember to\b|note to self\b"
    r"|erinnere? mich\b|nicht vergessen\b|recu[ée]rda(?:me|nos)\b|no olvides\b|rappelle[sz]?[- ]moi\b|n'oublie"
    r"|忘れないで|リマインド)",
    re.IGNORECASE,
)
_NOT_FOR_LATER = re.compile(
    r"\bremind me (?:what|who|which|how|why|where|when (?:did|was|is|were)|of what)\b", re.IGNORECASE
)
_PHRASES = r"(?:be (?:honest|fair|clear|sure)|sum up|whom|my|your|his|her|our|their|each|this|that|the|an?|me|us|you)\b"
"""What "to" begins besides a purpose: "To be honest, ...", "To my surprise, ..."."""

_LEAD = re.compile(
    r"(?:^|(?<=[.!?]\s)|(?<=\n))[^\S\n]*(?:here(?:'s| is) )?"
    r"(?:(?:in order )?to|how (?:to|we|i)|(?:the )?steps (?:to|for)) (?P<what>(?!PHRASES)[^.!?:\n]{2,80}):".replace(
        "PHRASES", _PHRASES
    ),
    re.IGNORECASE,
)
_IN_TURN = re.compile(
    r"(?:in order )?to (?P<what>(?!PHRASES)[^.!?:,\n]{2,80}), (?:you )?(?:first )?"
    r"(?P<steps>[^.!?\n]+\bthen\b[^.!?\n]+)[.!]?".replace("PHRASES", _PHRASES),
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?:^|\s)(?P<number>\d{1,2})[.)]\s+")
_BULLET = re.compile(r"\s*[-*\u2022]\s+(?P<step>\S.*)")
_NEXT_SENTENCE = re.compile(r"[.!?]\s+(?=[A-Z])")
_THEN = re.compile(r",?\s*(?:and )?\bthen\b\s*|,\s+", re.IGNORECASE)

MAX_LISTS = 100
"""Beginnings of lists in one text that are followed up."""

MAX_LIST = 20_000
"""Characters of a list that are read."""


@dataclass(frozen=True, slots=True)
class HowTo:
    """A way to do something. text: as it stands; name: what for."""

    text: str
    name: str
    steps: tuple[str, ...]


def requests_in(text: str) -> list[str]:
    """The sentences of `text` that ask to be reminded of something later."""
    return [one for one in sentences_in(text) if _ASKS.search(one) and not _NOT_FOR_LATER.search(one)]


def howtos_in(text: str) -> list[HowTo]:
    """The ways to do something that `text` gives, in steps."""
    return [*_listed(text), *_told(text)]


def sentences_in(text: str) -> Iterator[str]:
    """The sentences of `text`, as they stand."""
    return (sentence for found in _SENTENCE.finditer(text) if (sentence := found[0].strip()))


def _listed(text: str) -> Iterator[HowTo]:
    """Those that are lists: "To deploy: 1. build 2. push", or a line a step."""
    for lead in itertools.islice(_LEAD.finditer(text), MAX_LISTS):
        rest = text[lead.end() : lead.end() + MAX_LIST]
        steps = _numbered(rest) or _bullets(rest)
        if len(steps) >= 2:
            end = rest.index(steps[-1], sum(map(len, steps[:-1]))) + len(steps[-1])
            yield HowTo((lead[0] + rest[:end]).strip(), lead["what"].strip(), tuple(steps))


def _numbered(rest: str) -> list[str]:
    """The steps numbered 1, 2, 3 ... at the beginning of `rest`; the last one ends with its line or sentence."""
    marks: list[re.Match[str]] = []
    for found in _NUMBER.finditer(rest):
        if int(found["number"]) == len(marks) + 1:
            marks.append(found)
    if not marks or rest[: marks[0].start()].strip():
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(rest)]
    steps = [rest[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    return [*steps[:-1], _NEXT_SENTENCE.split(steps[-1].partition("\n")[0])[0].strip()]


def _bullets(rest: str) -> list[str]:
    """The lines with a bullet at the beginning of `rest`."""
    steps = []
    for line in rest.strip("\n ").split("\n"):
        found = _BULLET.fullmatch(line)
        if found is None:
            break
        steps.append(found["step"].strip())
    return steps


def _told(text: str) -> Iterator[HowTo]:
    """Those that are a sentence: "To deploy, build the image, then push it"."""
    for sentence in sentences_in(text):
        found = _IN_TURN.fullmatch(sentence)
        if found is not None and not _ASKS.search(sentence):
            yield HowTo(sentence, found["what"].strip(), tuple(filter(None, _THEN.split(found["steps"]))))
