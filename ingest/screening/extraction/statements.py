"""One sentence as subject, relation and value: "The port is now 8080" says be(port) = 8080, as of now. Pure.

Reads short plain statements and nothing else: what it does not recognise is None. Relations are those that hold one
value at a time (lives in, works as, is set to); what may hold of many at once (likes, speaks, supports) is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.screening.extraction.state_words import (
    ARTICLES,
    CHANGED,
    CUES,
    DENIALS,
    JOINTS,
    MOVES,
    PASSIVE,
    STATES,
    SUPPORT,
)

MAX_WORDS = 40
"""Longer texts say more than one thing."""

_WORD = re.compile(r"\d+(?:[.,:/-]\d+)*[%\w]*|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*\d*")
_NOT = re.compile(r"n['\u2019]t\b")


@dataclass(frozen=True, slots=True)
class Statement:
    """families: of the relation. joints: the words between its verb and the value. updated: it says that this is new.

    subject and joints are case-folded; value and words are as written, without cues.
    """

    subject: tuple[str, ...]
    families: frozenset[str]
    joints: tuple[str, ...]
    value: tuple[str, ...]
    updated: bool
    words: tuple[str, ...]


def words_of(text: str) -> list[str]:
    """The words and numbers of `text`, with "n't" as a word of its own."""
    return _WORD.findall(_NOT.sub(" not", text))


def undenied(words: Sequence[str]) -> tuple[list[str], bool]:
    """`words` case-folded without denials and what supports them, and whether there were any.

    A verb's ending goes with them ("does not like", "likes"), so every word is compared without a last s.
    """
    folded = [word.casefold() for word in words]
    denied = any(word in DENIALS for word in folded)
    dropped = DENIALS | SUPPORT | CUES if denied else DENIALS | CUES
    return [word.removesuffix("s") for word in folded if word not in dropped], denied


def read_statement(text: str) -> Statement | None:
    """What `text` states; None for a question, a long text, and what names no state."""
    said = words_of(text)
    words = tuple(word for word in said if word.casefold() not in CUES)
    if "?" in text or not 3 <= len(words) <= MAX_WORDS:
        return None
    folded = [word.casefold() for word in words]
    found = next((one for place in range(1, len(words)) if (one := _relation(folded, place)) is not None), None)
    if found is None:
        return None
    verb, start, families, updated = found
    value = next((at for at in range(start, len(words)) if folded[at] not in JOINTS), len(words))
    subject = tuple(word for word in folded[:verb] if word not in ARTICLES)
    if not subject or value == len(words):
        return None
    cued = updated or len(words) < len(said)
    return Statement(subject, families, tuple(folded[start:value]), words[value:], cued, words)


def _relation(folded: Sequence[str], place: int) -> tuple[int, int, frozenset[str], bool] | None:
    """The relation whose verb stands at `place`: its place, where its rest begins, its families, and if it is news."""
    end = next(at for at in range(place, len(folded) + 1) if at == len(folded) or folded[at] not in PASSIVE)
    if end > place and end < len(folded) and folded[end] in CHANGED and "to" in folded[end:]:
        return place, folded.index("to", end), frozenset(["be"]), True
    verb = folded[place]
    if verb in MOVES:
        return (place, folded.index("to", place), MOVES[verb], True) if "to" in folded[place:] else None
    return (place, place + 1, frozenset([STATES[verb]]), False) if verb in STATES else None
