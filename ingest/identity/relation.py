"""Says what a new statement does to another: restate, replace or contest it, or nothing. Pure.

`Relations.between` is the one place where a write asks this, for memories of every type. Today a
memory of any type may restate another of its type in the same words (`duplicates.restates`), a fact
may replace or contest a fact, and a task that is told again with another date replaces the earlier
one (`new_dates`). An event does neither: it stays true, and what it states is stored as a fact.
`judgement` compares the texts of facts; this module decides which facts are compared, by their
times, tags, metadata and concepts (titles that callers give to facts). Facts with other concepts,
without a common tag, or with different words under the same metadata key, are about different
things. A fact of another agent, with other metadata, with some other tags, or with a concept that
only one has, or of clearly lower confidence, never replaces a fact, but may contest it. Only facts
that the whole namespace sees replace or contest each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ingest.identity.duplicates import (
    StatementKey,
    differ_in_identity,
    has_ended,
    is_public,
    restates,
    undated_statement,
)
from ingest.identity.judgement import Relation, Verdict, update_model
from ingest.identity.new_dates import has_new_date
from ingest.identity.spelling import same_but_for_spelling
from ingest.identity.stored import Neighbour
from ingest.identity.update_evidence import Statement
from memtypes.model.memory import CURRENT_AGAIN, Memory, first_line
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import Prospective
from memtypes.model.semantic import Semantic

MAX_CHARACTERS = 500
"""Maximum length of compared texts. Longer texts, such as abstracts, state many things and
contradict nothing.
"""

UNKNOWN_COSINE = 0.9
"""Cosine assumed for two facts found by a link, not by a search: typical of one sentence with two
values.
"""

_SCOPE_WORD = 40


LESS_SURE = 0.25
"""Difference of confidence from which a fact is too unsure to replace another one."""

UNRELATED = Verdict(Relation.UNRELATED, 0.0)


@dataclass(slots=True)
class Relations:
    """Relations between statements at the time `now`. Each text is read once."""

    now: datetime
    _parsed: dict[str, Statement] = field(default_factory=dict)
    _statements: dict[tuple[str, str], StatementKey] = field(default_factory=dict)

    def between(self, newer: Memory, near: Neighbour) -> Verdict:
        """What the statement `newer` does to the memory `near`.

        If `near` became valid later than `newer`, a verdict that one fact replaces the other means
        that `near` replaces `newer`.
        """
        if restates(newer, near.memory, self.statement):
            return Verdict(Relation.RESTATES, 1.0)
        if isinstance(newer, Prospective):
            return self._move(newer, near.memory)
        return self._update(newer, near)

    def _move(self, arriving: Prospective, near: Memory) -> Verdict:
        if not isinstance(near, Prospective) or near.superseded_by is not None:
            return UNRELATED
        older, newer = sorted((near, arriving), key=lambda task: task.created_at)
        tasks = (older, newer)
        may_be_one = (
            older.id != newer.id
            and all(is_public(task) and not has_ended(task, self.now) for task in tasks)
            and all(len(task.content) <= MAX_CHARACTERS for task in tasks)
            and not _is_other_scope(newer, older)
        )
        if may_be_one and not older.pinned and has_new_date(newer, older):
            return Verdict(Relation.REPLACES, 1.0)
        return UNRELATED

    def _update(self, arriving: Memory, near: Neighbour) -> Verdict:
        newer = arriving
        older = near.memory
        if older.valid_from > newer.valid_from:
            newer, older = older, newer
        if (
            not may_be_replaced(older, newer, self.now)
            or differ_in_identity(newer, older)
            or max(len(newer.content), len(older.content)) > MAX_CHARACTERS
            or _is_other_scope(newer, older)
            or same_but_for_spelling(newer.content, older.content)
        ):
            return UNRELATED
        cosine = UNKNOWN_COSINE if near.cosine is None else near.cosine
        verdict = update_model().judge(self._parse(newer), self._parse(older), cosine)
        restated_since = older.restated_at is not None and older.restated_at > newer.valid_from
        stays = (
            older.pinned
            or restated_since
            or _is_less_sure(newer, older)
            or not _is_same_scope(newer, older)
        )
        if verdict.relation is Relation.REPLACES and stays:
            return Verdict(Relation.CONTESTS, verdict.strength)
        return verdict

    def statement(self, memory: Memory) -> StatementKey:
        """The statement that a memory makes, a task without its due time."""
        key = (memory.id, memory.content_hash)
        if key not in self._statements:
            self._statements[key] = undated_statement(memory)
        return self._statements[key]

    def _parse(self, fact: Memory) -> Statement:
        if fact.id not in self._parsed:
            self._parsed[fact.id] = Statement.from_text(fact.content)
        return self._parsed[fact.id]


def contradict(newer: Memory, older: Memory, now: datetime) -> bool:
    """Whether `newer` would replace or contest the fact `older` if `older` were current."""
    current = Neighbour(older.model_copy(update=CURRENT_AGAIN), None)
    verdict = Relations(now).between(newer, current)
    return verdict.relation in (Relation.REPLACES, Relation.CONTESTS)


def _is_other_scope(newer: Memory, older: Memory) -> bool:
    """Whether two facts are about different things, by their concepts, tags, or short texts under
    one metadata key.
    """
    new_tags = _tags(newer)
    old_tags = _tags(older)
    if new_tags and old_tags and new_tags.isdisjoint(old_tags):
        return True
    concepts = {_concept(newer), _concept(older)} - {None}
    shared = newer.metadata.keys() & older.metadata.keys()
    values = ((newer.metadata[key], older.metadata[key]) for key in shared)
    return len(concepts) > 1 or any(
        new != old and _is_scope(new) and _is_scope(old) for new, old in values
    )


def _is_less_sure(newer: Memory, older: Memory) -> bool:
    """Whether `newer` is a rumour beside `older`: said once, with a clearly lower confidence."""
    if not (isinstance(newer, Semantic) and isinstance(older, Semantic)):
        return False
    return newer.evidence_count == 1 and older.confidence - newer.confidence >= LESS_SURE


def _is_scope(value: object) -> bool:
    """Whether a metadata value can name what a fact is about: a short text, but no number, time or
    address.
    """
    return (
        isinstance(value, str)
        and len(value) <= _SCOPE_WORD
        and not value[:4].isdigit()
        and "/" not in value
    )


def _is_same_scope(newer: Memory, older: Memory) -> bool:
    """Whether both facts have the same agent and concept, the tags of one among those of the other,
    and equal metadata.

    Only metadata keys that both facts have are compared. If one fact has no tags, tags are not
    compared.
    """
    shared = newer.metadata.keys() & older.metadata.keys()
    new_tags = _tags(newer)
    old_tags = _tags(older)
    return (
        (newer.agent_id, _concept(newer)) == (older.agent_id, _concept(older))
        and (new_tags <= old_tags or old_tags <= new_tags)
        and all(newer.metadata[key] == older.metadata[key] for key in shared)
    )


def _tags(memory: Memory) -> set[str]:
    return {tag.casefold() for tag in memory.tags}


def may_be_replaced(old: Memory, newer: Memory, now: datetime) -> bool:
    """Whether `newer` may replace `old` by their times, types and visibility; their texts are not
    compared.

    If `old` was replaced before, it may be replaced again by a fact that arrives late and begins
    before `old` ended. A fact that has expired, or was ended without being replaced, is never
    replaced.
    """
    if old.id == newer.id or old.valid_from > newer.valid_from:
        return False
    if not (is_public_fact(old) and is_public_fact(newer)):
        return False
    ended = old.valid_to is not None and (
        old.superseded_by is None or old.valid_to <= newer.valid_from
    )
    expired = any(fact.expires_at is not None and fact.expires_at <= now for fact in (old, newer))
    return not ended and not expired


def is_public_fact(memory: Memory) -> bool:
    """Whether `memory` is a fact that the whole namespace sees; only such facts replace others or
    are replaced.
    """
    return memory.type is MemoryType.SEMANTIC and memory.visibility is Visibility.NAMESPACE


def _concept(memory: Memory) -> str | None:
    """The concept (title) of a fact in lower case; None if it is only the first line of its
    content.
    """
    if not isinstance(memory, Semantic) or memory.concept == first_line(memory.content):
        return None
    return memory.concept and memory.concept.casefold()
