"""Whether a newer statement replaces an older one: the same said of the same subject, with another value. Pure.

Meant to miss rather than to err: what is replaced leaves the current view. Both statements must be word for word the
same but for one value behind a verb of state (is, lives in, is set to ...), or for "no longer" or "not" before it. A
value is a number, a date, a time or a name. Verbs that may hold of many things at once (visited, likes, uses) and
changes in the subject (Chapter 1, Chapter 2) never count. Knows no synonyms, and nothing of who said it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import takewhile

MAX_WORDS = 40
"""Longer texts say more than one thing."""

_MAX_VALUE = 4
_WORD = re.compile(r"\d+(?:[.,:/-]\d+)*[%\w]*|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_CUES = frozenset(["now", "currently", "already", "instead", "anymore"])
_DENIALS = frozenset(["not", "no", "longer", "never"])
_STATES = frozenset(
    [
        "is",
        "are",
        "lives",
        "live",
        "works",
        "costs",
        "weighs",
        "resides",
        "starts",
        "begins",
        "ends",
        "expires",
        "equals",
        "moved",
        "switched",
        "changed",
    ]
)
_JOINTS = frozenset(
    [
        "in",
        "at",
        "on",
        "to",
        "from",
        "by",
        "until",
        "due",
        "set",
        "called",
        "named",
        "scheduled",
        "the",
        "about",
        "around",
    ]
)
"""What may stand between the verb and the value: "is due on Friday", but not "is friends with Ann"."""

_TIMES = frozenset(
    [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "noon",
        "midnight",
        "am",
        "pm",
        "today",
        "tomorrow",
    ]
)


def replaces(newer: str, older: str) -> bool:
    """Whether `newer` gives another value for what `older` states."""
    new, old = _words(newer), _words(older)
    if min(len(new), len(old)) < 3 or max(len(new), len(old)) > MAX_WORDS or "?" in newer + older:
        return False
    return _denied(new, old) or _other_value(new, old)


def _words(text: str) -> list[str]:
    spelled_out = text.replace("n't", " not").replace("n\u2019t", " not")
    return [word for word in _WORD.findall(spelled_out) if word.casefold() not in _CUES]


def _denied(new: Sequence[str], old: Sequence[str]) -> bool:
    """Whether one says the other with a denial, and nothing else differs."""
    plain_new, plain_old = _undenied(new), _undenied(old)
    one_denies = (len(plain_new) < len(new)) is not (len(plain_old) < len(old))
    return one_denies and plain_new == plain_old


def _undenied(words: Sequence[str]) -> list[str]:
    return [word.casefold() for word in words if word.casefold() not in _DENIALS]


def _other_value(new: Sequence[str], old: Sequence[str]) -> bool:
    """Whether one run of words differs, behind a verb of state, and is a value of the same kind in both."""
    lower_new, lower_old = [word.casefold() for word in new], [word.casefold() for word in old]
    changes = [
        op for op in SequenceMatcher(None, lower_old, lower_new, autojunk=False).get_opcodes() if op[0] != "equal"
    ]
    if len(changes) != 1 or changes[0][0] != "replace":
        return False
    _, start, end, new_start, new_end = changes[0]
    kinds = _kind(old[start:end]), _kind(new[new_start:new_end])
    return kinds[0] is not None and kinds[0] == kinds[1] and _states(lower_old[:start])


def _states(before: Sequence[str]) -> bool:
    """Whether a subject and then a verb of state stand before the value, with nothing but joints and dates between."""
    behind = takewhile(lambda word: word not in _STATES, reversed(before))
    between = list(behind)
    verb = len(before) - len(between) - 1
    return verb >= 1 and all(word in _JOINTS or word in _TIMES for word in between)


def _kind(value: Sequence[str]) -> str | None:
    """What sort of value the words are: a number, a time or a name; None for anything else."""
    if not 1 <= len(value) <= _MAX_VALUE:
        return None
    if all(word[0].isdigit() or word.casefold() in _TIMES for word in value):
        return "time" if any(word.casefold() in _TIMES for word in value) else "number"
    return "name" if all(word[0].isupper() and word.casefold() not in _TIMES for word in value) else None
