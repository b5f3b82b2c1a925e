"""Finds facts that a newer fact replaces or contests because it gives another value for the same
thing. Pure.

`identity.judgement` compares the texts. This module decides which facts are compared, by their
times, tags, metadata and concepts (titles that callers give to facts). Facts with other concepts,
without a common tag, or with different words under the same metadata key, are about different
things. A fact of another agent, with other metadata, with some other tags, or with a concept that
only one has, never replaces a fact, but may contest it.

A replaced fact is ended, never removed: it keeps its text, and a query `as_of` an earlier time
still finds it. Two contested facts both stay, linked to each other; so do a pinned fact and a newer
one that would replace it. A fact that arrives late takes its place in time between the stored
facts, so it may have ended when it is stored. Only facts that the whole namespace sees replace or
contest each other.

A new fact is stored with links to the facts that it replaces, and these are ended afterwards. If
the process dies in between, the next write of the same fact completes the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ingest.identity.duplicates import differ_in_identity
from ingest.identity.evidence import Statement
from ingest.identity.judgement import Relation, Verdict, update_model
from ingest.identity.neighbours import Neighbour
from ingest.identity.states import States
from memtypes.model.memory import CURRENT_AGAIN, Memory, first_line
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.semantic import Semantic

REPLACED = "the same sentence with another value"
CONTESTED = "the newer one seems to give another value"

MAX_CHARACTERS = 500
"""Maximum length of compared texts. Longer texts, such as abstracts, state many things and
contradict nothing.
"""

MAX_CONTESTED = 3
"""Maximum number of facts that one fact contests: those with the strongest evidence."""

UNKNOWN_COSINE = 0.9
"""Cosine assumed for two facts found by a link, not by a search: typical of one sentence with two
values.
"""

_SCOPE_WORD = 40


@dataclass(slots=True)
class Timeline:
    """Decides which facts each added fact replaces or contests. states: the facts and the changes
    of their states.
    """

    states: States
    _parsed: dict[str, Statement] = field(default_factory=dict)

    def add(self, newer: Memory, near: Sequence[Neighbour]) -> None:
        """Add `newer`, a fact or event; end the facts that it replaces, and mark those that it
        contests.

        near: stored facts similar to `newer`. If one was replaced before, the current fact of its
        chain is compared, too. If a fact that begins later than `newer` replaces it, `newer` is
        ended and contests nothing.
        """
        facts = self.states.memories
        facts[newer.id] = newer
        if newer.type is not MemoryType.EPISODIC and not is_public_fact(newer):
            return
        comparable = (
            fact for fact in near if fact.memory.id != newer.id and is_public_fact(fact.memory)
        )
        similar = {fact.memory.id: fact for fact in comparable}
        compared = [
            Neighbour(facts.setdefault(fact_id, fact.memory), fact.cosine)
            for fact_id, fact in similar.items()
        ]
        ends = {end.id: end for fact_id in similar for end in [*self.states.chain(fact_id)][-1:]}
        compared += [
            Neighbour(end, None) for end in ends.values() if end.id not in {*similar, newer.id}
        ]
        verdicts = {fact.memory.id: self.verdict(newer, fact) for fact in compared}
        same_form = [
            fact.memory
            for fact in compared
            if verdicts[fact.memory.id].relation is Relation.REPLACES
        ]
        for fact in same_form:
            if fact.valid_from <= newer.valid_from:
                self.states.replace(fact.id, newer.id, REPLACED)
        if later := [fact for fact in same_form if fact.valid_from > newer.valid_from]:
            first = min(later, key=lambda fact: (fact.valid_from, fact.id))
            self.states.replace(newer.id, first.id, REPLACED)
            return
        contested = [
            fact_id
            for fact_id, verdict in verdicts.items()
            if verdict.relation is Relation.CONTESTS
        ]
        for fact_id in sorted(
            contested, key=lambda fact_id: (-verdicts[fact_id].strength, fact_id)
        )[:MAX_CONTESTED]:
            self.states.contest(newer.id, fact_id, CONTESTED, round(verdicts[fact_id].strength, 3))

    def verdict(self, arriving: Memory, near: Neighbour) -> Verdict:
        """How `arriving` affects the fact `near`; or how `near` affects `arriving`, if it became
        valid later.
        """
        newer = arriving
        older = near.memory
        if older.valid_from > newer.valid_from:
            newer, older = older, newer
        if (
            not may_be_replaced(older, newer, self.states.now)
            or differ_in_identity(newer, older)
            or max(len(newer.content), len(older.content)) > MAX_CHARACTERS
            or _is_other_scope(newer, older)
        ):
            return Verdict(Relation.UNRELATED, 0.0)
        cosine = UNKNOWN_COSINE if near.cosine is None else near.cosine
        verdict = update_model().judge(self._parse(newer), self._parse(older), cosine)
        restated_since = older.restated_at is not None and older.restated_at > newer.valid_from
        stays = (
            older.pinned
            or restated_since
            or not (is_public_fact(newer) and _is_same_scope(newer, older))
        )
        if verdict.relation is Relation.REPLACES and stays:
            return Verdict(Relation.CONTESTS, verdict.strength)
        return verdict

    def _parse(self, fact: Memory) -> Statement:
        if fact.id not in self._parsed:
            self._parsed[fact.id] = Statement.of(fact.content)
        return self._parsed[fact.id]


def place_facts(
    arriving: Sequence[Memory], near: Mapping[str, Sequence[Neighbour]], states: States
) -> None:
    """Compare each fact of `arriving` with the facts `near` it, and record in `states` which are
    replaced or contested.

    near: the facts to compare with, by the id of the arriving fact.
    """
    timeline = Timeline(states)
    for fact in arriving:
        timeline.add(fact, near.get(fact.id, ()))


def judge_again(
    states: States, fact_id: str, linked: Sequence[Memory], similar: Sequence[Neighbour]
) -> None:
    """Record in `states` which facts the fact `fact_id` replaces or contests after its text was
    edited.

    It is judged as the newest, whatever its `valid_from`. linked: facts that it contradicted
    before; those that it replaces end at its `valid_from`, or now if theirs is later. similar:
    other facts; those that it replaces end now.
    """
    fact = states.memories[fact_id]
    ids = {other.id for other in linked}
    near = [
        *(Neighbour(other, None) for other in linked),
        *(other for other in similar if other.memory.id not in ids),
    ]
    Timeline(states).add(fact.model_copy(update={"valid_from": states.now}), near)
    for old in linked:
        judged = states.memories[old.id]
        if judged.superseded_by == fact_id and judged.valid_from <= fact.valid_from:
            states.memories[old.id] = judged.model_copy(update={"valid_to": fact.valid_from})
    states.memories[fact_id] = states.memories[fact_id].model_copy(
        update={"valid_from": fact.valid_from}
    )


def contradict(newer: Memory, older: Memory, now: datetime) -> bool:
    """Whether `newer` would replace or contest the fact `older` if `older` were current."""
    current = Neighbour(older.model_copy(update=CURRENT_AGAIN), None)
    return Timeline(States(now)).verdict(newer, current).relation is not Relation.UNRELATED


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
    public_event = newer.type is MemoryType.EPISODIC and newer.visibility is Visibility.NAMESPACE
    if not (is_public_fact(old) and (public_event or is_public_fact(newer))):
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
