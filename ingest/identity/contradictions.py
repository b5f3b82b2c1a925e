"""Finds facts that a newer fact replaces because it states another value for the same thing. Pure.

Designed to miss rather than to err, since a replaced fact leaves the current view. Values of which there may be several
at once (visited, likes, supports), changes in the subject (Chapter 1, Chapter 2) and values of different kinds never
count. Of synonyms, only the verbs that `extraction.statements` groups into one relation are known.

A replaced fact is ended, never removed: it keeps its text, and `as_of` an earlier time still finds it. A fact that
arrives late takes its place between those that are there, and may be stored as ended. Only facts that the whole
namespace sees take part; a pinned fact is replaced only by its caller.

A fact is stored with links to those that it replaces before these are ended. If the process dies in between, the next
write of the same fact completes the work (`possibly_replaced`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ingest.identity.states import States
from ingest.screening.extraction.statements import (
    ARTICLES,
    FUNCTION_WORDS,
    MAX_WORDS,
    NUMBER_WORDS,
    SINGLE_VALUED,
    SWITCH_VERBS,
    TIME_WORDS,
    Statement,
    read_statement,
    without_denials,
    words_of,
)
from memtypes.model.memory import LinkType, Memory, first_line
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.semantic import Semantic

MAX_CHARACTERS = 2_000
"""Longer texts are not compared: they have too many words, or are no sentences."""

REASON = "the same subject and attribute with another value"

_MAX_VALUE_WORDS = 5
_MAX_PLAIN_WORDS = 3


@dataclass(slots=True)
class Timeline:
    """Facts, each valid until a newer one replaces it. states: the facts, and what changes in them."""

    now: datetime
    states: States
    _parsed: dict[str, ParsedFact] = field(default_factory=dict)

    def add(self, newer: Memory, near: Sequence[Memory]) -> None:
        """Add `newer`: end the facts in `near` that it replaces; end it if a later one replaces it."""
        facts = self.states.memories
        facts[newer.id] = newer
        if not takes_part(newer):
            return
        others = [facts.setdefault(fact.id, fact) for fact in near if fact.id != newer.id]
        for old in others:
            if self._replaces(newer, old):
                self.states.replace(old.id, newer.id, REASON)
        later = [fact for fact in others if fact.valid_from > newer.valid_from and self._replaces(fact, newer)]
        if later:
            first = min(later, key=lambda fact: (fact.valid_from, fact.id))
            self.states.replace(newer.id, first.id, REASON)

    def replaced_by(self, memory_id: str) -> list[str]:
        """The ids of the facts that `memory_id` has replaced."""
        return [
            fact.id
            for fact in self.states.memories.values()
            if fact.id in self.states.changed and fact.superseded_by == memory_id
        ]

    def _replaces(self, newer: Memory, old: Memory) -> bool:
        """Whether `newer` states another value than `old` for the same concept, and begins no earlier."""
        if not may_be_replaced(old, newer, self.now) or _concept(old) != _concept(newer):
            return False
        return replaces(self._parse(newer), self._parse(old))

    def _parse(self, fact: Memory) -> ParsedFact:
        if fact.id not in self._parsed:
            self._parsed[fact.id] = ParsedFact.of(fact.content)
        return self._parsed[fact.id]


def place_facts(arriving: Sequence[Memory], near: Mapping[str, Sequence[Memory]], now: datetime) -> Timeline:
    """The timeline with `arriving` added in order. near: stored facts to compare with, by arriving id."""
    timeline = Timeline(now, States(now))
    for fact in arriving:
        timeline.add(fact, near.get(fact.id, ()))
    return timeline


def judge_again(states: States, fact_id: str, others: Sequence[Memory]) -> None:
    """Decide anew which of `others` the fact replaces, as if it were stated now; older ones end where it begins."""
    fact = states.memories[fact_id]
    Timeline(states.now, states).add(fact.model_copy(update={"valid_from": states.now}), others)
    for old in others:
        judged = states.memories[old.id]
        if judged.superseded_by == fact_id and judged.valid_from <= fact.valid_from:
            states.memories[old.id] = judged.model_copy(update={"valid_to": fact.valid_from})
    states.memories[fact_id] = states.memories[fact_id].model_copy(update={"valid_from": fact.valid_from})


def may_be_replaced(old: Memory, newer: Memory, now: datetime) -> bool:
    """Whether the times and kinds of both facts allow `newer` to replace `old`; their texts are not compared.

    A fact that has ended is replaced only by one that begins before its end and arrived late.
    """
    if old.id == newer.id or old.pinned or old.valid_from > newer.valid_from:
        return False
    if not (takes_part(old) and takes_part(newer)):
        return False
    ended = old.valid_to is not None and (old.superseded_by is None or old.valid_to <= newer.valid_from)
    expired = any(fact.expires_at is not None and fact.expires_at <= now for fact in (old, newer))
    return not ended and not expired


def possibly_replaced(memories: Sequence[Memory]) -> dict[str, list[str]]:
    """Ids of the facts that each of `memories` links to as contradicted, by its own id; only facts with such links."""
    return {
        memory.id: ids
        for memory in memories
        if takes_part(memory) and (ids := [link.to for link in memory.links if link.type is LinkType.CONTRADICTS])
    }


def takes_part(memory: Memory) -> bool:
    """Whether `memory` can replace or be replaced: a fact that the whole namespace sees."""
    return memory.type is MemoryType.SEMANTIC and memory.visibility is Visibility.NAMESPACE


def _concept(memory: Memory) -> str | None:
    """The concept that the caller gave; None if it was derived from the content."""
    if not isinstance(memory, Semantic) or memory.concept == first_line(memory.content):
        return None
    return memory.concept


@dataclass(frozen=True, slots=True)
class ParsedFact:
    """The text of a fact, parsed once to be compared with many.

    asks: whether it has a question mark. words: case-folded. denied: whether it has a negation. bare: its words without
    negation and articles; None if they are too few or too many to compare. stated: its statement, if recognised.
    """

    asks: bool
    words: tuple[str, ...]
    denied: bool
    bare: tuple[str, ...] | None
    stated: Statement | None

    @classmethod
    def of(cls, text: str) -> ParsedFact:
        """`text` parsed; a long text as if it were empty."""
        if len(text) > MAX_CHARACTERS:
            return cls(asks=False, words=(), denied=False, bare=None, stated=None)
        words = words_of(text)
        rest, denied = without_denials(words)
        bare = tuple(word for word in rest if word not in ARTICLES) if 2 <= len(rest) <= MAX_WORDS else None
        return cls("?" in text, tuple(word.casefold() for word in words), denied, bare, read_statement(text))


def replaces(newer: ParsedFact, older: ParsedFact) -> bool:
    """Whether `newer` contradicts `older`: it negates it, tells of a switch from its value, or states another value."""
    if newer.asks or older.asks:
        return False
    negated = newer.denied is not older.denied and newer.bare is not None and newer.bare == older.bare
    if negated or _leaves(newer, older):
        return True
    return newer.stated is not None and older.stated is not None and _has_other_value(newer.stated, older.stated)


def _leaves(newer: ParsedFact, older: ParsedFact) -> bool:
    """Whether `newer` tells of a switch "from ... to ..." away from the value that `older` states.

    "We switched the shop from MySQL to Postgres" replaces "We use MySQL for the shop", whose other words it has.
    """
    new, stated = newer.words, older.stated
    if stated is None or len(new) > MAX_WORDS or SWITCH_VERBS.isdisjoint(new):
        return False
    if "from" not in new or "to" not in new[new.index("from") :]:
        return False
    start = new.index("from") + 1
    left = [word for word in new[start : new.index("to", start)] if word not in ARTICLES]
    value = [word.casefold() for word in stated.value if word.casefold() not in ARTICLES]
    others = {*stated.subject, *value[len(left) :]} - FUNCTION_WORDS
    return bool(left) and value[: len(left)] == left and others <= set(new)


def _has_other_value(new: Statement, old: Statement) -> bool:
    """Whether both state a relation of the same subject with different values, of which only one can hold."""
    relations = new.relations & old.relations
    role = _role(new, relations)
    if not relations or new.subject != old.subject or role != _role(old, relations) or role == {"on"}:
        return False
    new_value, old_value, tail = _differing(new.value, old.value)
    kind = None if new_value == old_value else _kind(new_value)
    return kind is not None and kind == _kind(old_value) and _is_single(kind, relations, new, tail)


def _role(statement: Statement, relations: frozenset[str]) -> set[str]:
    """The prepositions that define the value's role: "works at" and "works as" state different things.

    One may work on several things at a time, so that role never counts.
    """
    defining = {"as", "at", "for", "in", "on"} if "work" in relations else {"called", "named"}
    return defining & set(statement.connectors)


def _differing(new: Sequence[str], old: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """The parts of two values before their common ending, and that ending; a shared noun before a number is dropped."""
    size = 0
    while size < min(len(new), len(old)) and new[-1 - size].casefold() == old[-1 - size].casefold():
        size += 1
    tail = [word.casefold() for word in new[len(new) - size :]]
    if size == min(len(new), len(old)):
        return list(new), list(old), []
    new_part, old_part = list(new[: len(new) - size]), list(old[: len(old) - size])
    if (
        new_part
        and old_part
        and new_part[0].islower()
        and new_part[0] == old_part[0]
        and new_part[0] not in NUMBER_WORDS
    ):
        new_part, old_part = new_part[1:], old_part[1:]
        return (new_part, old_part, tail) if _kind(new_part) == "number" else ([], [], tail)
    return new_part, old_part, tail


def _kind(value: Sequence[str]) -> str | None:
    """The kind of a value: "number", "time", "name" or "word"; None for anything else."""
    words = [word for word in value if word.casefold() not in ARTICLES]
    if not 1 <= len(words) <= _MAX_VALUE_WORDS:
        return None
    if all(word[0].isdigit() or word.casefold() in TIME_WORDS | NUMBER_WORDS for word in words):
        return "time" if any(word.casefold() in TIME_WORDS for word in words) else "number"
    if all(word != word.lower() or word[0].isdigit() for word in words) and words[0].casefold() not in TIME_WORDS:
        return "name"
    return "word" if len(words) <= _MAX_PLAIN_WORDS and all(word.islower() for word in words) else None


def _is_single(kind: str, relations: frozenset[str], new: Statement, tail: Sequence[str]) -> bool:
    """Whether the subject has one value of this kind at a time."""
    if "have" in relations:
        return kind == "number" and bool(tail)
    if "prefer" in relations:
        return kind in ("word", "name") and bool(tail)
    if "use" in relations:
        return kind != "word" and (new.updated or tail[:1] == ["as"])
    if kind in ("number", "time"):
        return True
    if "be" in relations and not set(new.connectors) - ARTICLES:
        return bool(SINGLE_VALUED & set(new.subject))
    return kind == "name" or bool({"as", "called", "named", "set"} & set(new.connectors))
