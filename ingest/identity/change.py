"""Whether a newer statement replaces an older one: the same said of the same subject, with another value. Pure.

Meant to miss rather than to err: what is replaced leaves the current view. What may hold of many things at once
(visited, likes, supports), changes in the subject (Chapter 1, Chapter 2) and values of different kinds never count.
Knows nothing of who said it, and of synonyms only the verbs that `statements` takes for one relation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.screening.extraction.state_words import ARTICLES, GLUE, LEAVING, NUMBERS, TIMES, UNIQUE
from ingest.screening.extraction.statements import MAX_WORDS, Statement, read_statement, undenied, words_of

MAX_CHARACTERS = 2_000
"""Longer texts are not read: they have more words than can be compared, or are no sentences."""

_MAX_VALUE = 5
_MAX_WORD = 3


@dataclass(frozen=True, slots=True)
class Saying:
    """A text as it is compared with many others, read once.

    words: case-folded. denied: whether it denies something; bare: its words without what denies and articles, None
    where they are too few or too many to compare. stated: what it states.
    """

    asks: bool
    words: tuple[str, ...]
    denied: bool
    bare: tuple[str, ...] | None
    stated: Statement | None

    @classmethod
    def of(cls, text: str) -> Saying:
        """`text`, read; nothing of a long one."""
        if len(text) > MAX_CHARACTERS:
            return cls(asks=False, words=(), denied=False, bare=None, stated=None)
        words = words_of(text)
        rest, denied = undenied(words)
        bare = tuple(word for word in rest if word not in ARTICLES) if 2 <= len(rest) <= MAX_WORDS else None
        return cls("?" in text, tuple(word.casefold() for word in words), denied, bare, read_statement(text))


def replaces(newer: Saying, older: Saying) -> bool:
    """Whether `newer` gives another value for what `older` states."""
    if newer.asks or older.asks:
        return False
    if _denies(newer, older) or _leaves(newer, older):
        return True
    return newer.stated is not None and older.stated is not None and _other_value(newer.stated, older.stated)


def _denies(newer: Saying, older: Saying) -> bool:
    """Whether one says the other with a denial, and nothing else differs."""
    return newer.denied is not older.denied and newer.bare is not None and newer.bare == older.bare


def _leaves(newer: Saying, older: Saying) -> bool:
    """Whether `newer` says that something went from one thing to another, and `older` states the one that it left.

    "We switched the shop from MySQL to Postgres" leaves "We use MySQL for the shop": its other words are all there.
    """
    new, stated = newer.words, older.stated
    if stated is None or len(new) > MAX_WORDS or LEAVING.isdisjoint(new):
        return False
    if "from" not in new or "to" not in new[new.index("from") :]:
        return False
    start = new.index("from") + 1
    left = [word for word in new[start : new.index("to", start)] if word not in ARTICLES]
    value = [word.casefold() for word in stated.value if word.casefold() not in ARTICLES]
    others = {*stated.subject, *value[len(left) :]} - GLUE
    return bool(left) and value[: len(left)] == left and others <= set(new)


def _other_value(new: Statement, old: Statement) -> bool:
    """Whether one value differs, is of the same kind in both, and is one that the subject has one of."""
    families = new.families & old.families
    role = _role(new, families)
    if not families or new.subject != old.subject or role != _role(old, families) or role == {"on"}:
        return False
    new_value, old_value, tail = _differing(new.value, old.value)
    kind = None if new_value == old_value else _kind(new_value)
    return kind is not None and kind == _kind(old_value) and _holds_one(kind, families, new, tail)


def _role(statement: Statement, families: frozenset[str]) -> set[str]:
    """The joints that tell what the value is of the subject: "works at" and "works as" say different things.

    What somebody works on may be many things, so this role never counts.
    """
    telling = {"as", "at", "for", "in", "on"} if "work" in families else {"called", "named"}
    return telling & set(statement.joints)


def _differing(new: Sequence[str], old: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """What differs of two values, and the words that both end with; a shared noun before a number goes, too."""
    size = 0
    while size < min(len(new), len(old)) and new[-1 - size].casefold() == old[-1 - size].casefold():
        size += 1
    tail = [word.casefold() for word in new[len(new) - size :]]
    if size == min(len(new), len(old)):
        return list(new), list(old), []
    mine, other = list(new[: len(new) - size]), list(old[: len(old) - size])
    if mine and other and mine[0].islower() and mine[0] == other[0] and mine[0] not in NUMBERS:
        mine, other = mine[1:], other[1:]
        return (mine, other, tail) if _kind(mine) == "number" else ([], [], tail)
    return mine, other, tail


def _kind(value: Sequence[str]) -> str | None:
    """What sort of value the words are: a number, a time, a name or a plain word; None for anything else."""
    said = [word for word in value if word.casefold() not in ARTICLES]
    if not 1 <= len(said) <= _MAX_VALUE:
        return None
    if all(word[0].isdigit() or word.casefold() in TIMES | NUMBERS for word in said):
        return "time" if any(word.casefold() in TIMES for word in said) else "number"
    if all(word != word.lower() or word[0].isdigit() for word in said) and said[0].casefold() not in TIMES:
        return "name"
    return "word" if len(said) <= _MAX_WORD and all(word.islower() for word in said) else None


def _holds_one(kind: str, families: frozenset[str], new: Statement, tail: Sequence[str]) -> bool:
    """Whether the subject has one such value at a time."""
    if "have" in families:
        return kind == "number" and bool(tail)
    if "prefer" in families:
        return kind in ("word", "name") and bool(tail)
    if "use" in families:
        return kind != "word" and (new.updated or tail[:1] == ["as"])
    if kind in ("number", "time"):
        return True
    if "be" in families and not set(new.joints) - ARTICLES:
        return bool(UNIQUE & set(new.subject))
    return kind == "name" or bool({"as", "called", "named", "set"} & set(new.joints))
