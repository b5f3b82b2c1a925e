"""Splits a text into parts: its sentences, the reasons stated in its questions, and the steps of a list. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memtypes.words import Words, read_words

_SENTENCE = re.compile(r"[^.!?\n\u3002\uff01\uff1f]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?\u3002\uff01\uff1f]?")
_CLAUSE_MARKS = frozenset(",;\u2013\u2014-")
_NUMBER = re.compile(r"(?:^|\s)(?P<number>\d{1,2})[.)]\s+")
_BULLET = re.compile(r"(?m)^\s*[-*\u2022]\s+(?P<step>\S.*)$")
_NEXT_SENTENCE = re.compile(r"[.!?]\s+(?=[A-Z])")

MAX_READ = 20_000
"""Maximum number of characters of a text that are searched for steps."""

MAX_STEPS = 200


def sentences_in(text: str) -> Iterator[str]:
    """The sentences of `text`, as written. A period within a number or a name does not end a sentence."""
    return (sentence for match in _SENTENCE.finditer(text) if (sentence := match[0].strip()))


def reasons_in(sentence: str) -> Iterator[str]:
    """The clauses of a question that say why it is asked, without their conjunction; none if `sentence` is no question.

    "Since we're on Postgres 15, can I use MERGE?" gives "we're on Postgres 15".
    """
    if not sentence.endswith(("?", "\uff1f")):
        return
    words = read_words(sentence)
    marks = [at for at in range(len(words.tokens)) if _ends_clause(words, at)]
    for start, end in zip([0, *(mark + 1 for mark in marks)], [*marks, len(words.tokens) - 1], strict=True):
        reason = words.after("cause", start)
        if start < reason < end:
            yield words.span(reason, end)


def _ends_clause(words: Words, at: int) -> bool:
    """Whether the token at index `at` separates clauses: it is a comma, or a dash between blanks."""
    token = words.tokens[at]
    dash = token.text in "\u2013\u2014-" and token.glued
    return token.kind == "mark" and token.text in _CLAUSE_MARKS and not dash


def steps_in(text: str) -> list[str]:
    """The steps numbered 1, 2, 3 ... in `text`, or its bulleted lines if no step is numbered; [] if fewer than two."""
    text = text[:MAX_READ]
    steps = _numbered(text) or [match["step"].strip() for match in _BULLET.finditer(text)]
    return steps[:MAX_STEPS] if len(steps) >= 2 else []


def _numbered(text: str) -> list[str]:
    """The texts of the steps numbered 1, 2, 3 ...; the last step is cut at the end of its line or first sentence."""
    marks: list[re.Match[str]] = []
    for match in _NUMBER.finditer(text):
        if int(match["number"]) == len(marks) + 1:
            marks.append(match)
    if not marks:
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    steps = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    return [*steps[:-1], _NEXT_SENTENCE.split(steps[-1].partition("\n")[0])[0].strip()]
