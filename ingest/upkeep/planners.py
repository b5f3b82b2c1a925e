"""What each upkeep job would do: memories and a clock in, a plan out. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from ingest.identity.duplicates import MAX_SESSIONS, has_ended
from memtypes.model.episodic import Episodic
from memtypes.model.ids import normalise
from memtypes.model.memory import MAX_LINKS, MAX_TAGS, Flag, Link, LinkType, Memory, Model, Number, Whole
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import OPEN, Prospective
from memtypes.model.scope import Name
from memtypes.model.semantic import Category, SemanticDraft
from memtypes.model.times import rfc3339
from memtypes.model.types import AnyDraft
from memtypes.model.working import Working

MAX_DAYS = 36_500
MAX_KEPT = 10_000_000

FULL_CONFIDENCE = 5
"""Number of source sessions from which a promoted fact has confidence 1."""

_WORD = re.compile(r"\w+")
_ARTICLES = frozenset({"a", "an", "the"})


class UpkeepJob(StrEnum):
    """The upkeep jobs; each is planned by a function of this module."""

    PROMOTE = "promote"
    FORGET = "forget"
    EXPIRE = "expire"
    COMPACT = "compact"


Days = Annotated[Whole, Field(ge=1, le=MAX_DAYS)]


class JobRequest(Model):
    """The options of a job.

    namespace: None for all of the tenant's. dry_run: only report what would be done. types: which memories; None for
    all. promote: min_sessions, min_uses. forget: max_age_days, inactive_days, keep_top (of each type in a namespace),
    none of which applies unless it is set. compact: similarity. expire: expired_days, for which expired memories are
    kept to answer questions about the past.
    """

    namespace: Name | None = None
    dry_run: Flag = True
    types: list[MemoryType] | None = Field(default=None, min_length=1, max_length=len(MemoryType))
    min_sessions: Annotated[Whole, Field(ge=2, le=1_000)] = 3
    min_uses: Annotated[Whole, Field(ge=2, le=1_000)] = 3
    max_age_days: Days | None = None
    inactive_days: Days | None = None
    keep_top: Annotated[Whole, Field(ge=0, le=MAX_KEPT)] | None = None
    expired_days: Annotated[Whole, Field(ge=0, le=MAX_DAYS)] = 0
    similarity: Annotated[Number, Field(ge=0.5, le=1.0)] = 0.97


@dataclass(frozen=True, slots=True)
class Promotion:
    """A new fact, and the ids of the events that it is derived from."""

    draft: AnyDraft
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpkeepPlan:
    """What a job would do in one namespace: ids to remove, payload fields to change by id, facts to create."""

    removed: tuple[str, ...] = ()
    changed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    created: tuple[Promotion, ...] = ()

    @property
    def ids(self) -> list[str]:
        """Ids of all memories that are removed, changed or promoted, each once."""
        promoted = (source for promotion in self.created for source in promotion.sources)
        return list(dict.fromkeys([*self.removed, *self.changed, *promoted]))

    @property
    def counts(self) -> dict[str, int]:
        """How many are removed, changed and created ("made")."""
        return {"removed": len(self.removed), "changed": len(self.changed), "made": len(self.created)}


def promotions(memories: Sequence[Memory], request: JobRequest, now: datetime) -> UpkeepPlan:
    """Plan to make facts of events seen in enough sessions, and to show recurring intentions to all sessions.

    An event from which a fact is derived is not promoted again.
    """
    promoted = {link.to for memory in memories for link in memory.links if link.type is LinkType.DERIVED_FROM}
    current = [memory for memory in memories if not has_ended(memory, now)]
    events = _same_content(memory for memory in current if isinstance(memory, Episodic))
    facts = [
        _fact(group)
        for group in events
        if len(_sessions(group)) >= request.min_sessions and not _ids(group) <= promoted
    ]
    open_intentions = (memory for memory in current if isinstance(memory, Prospective) and memory.status in OPEN)
    changed = {
        group[0].id: {"visibility": str(Visibility.NAMESPACE), "updated_at": rfc3339(now)}
        for group in _same_content(open_intentions)
        if uses(group) >= request.min_uses and all(memory.visibility is Visibility.SESSION for memory in group)
    }
    return UpkeepPlan(changed=changed, created=tuple(facts))


def uses(group: Sequence[Memory]) -> int:
    """How often an intention recurred: the times it was stated, or the most accesses of one of its memories."""
    return max(sum(memory.evidence_count for memory in group), *(memory.access_count for memory in group))


def forgettings(memories: Sequence[Memory], request: JobRequest, now: datetime) -> UpkeepPlan:
    """Plan to remove memories that are too old, unused for too long or not among the best of their type.

    Pinned memories and open intentions stay.

    The best are the most important, then the most used, then the newest; pinned ones count among them.
    """
    removed: set[str] = set()
    removable = [memory for memory in memories if _is_removable(memory)]
    if request.max_age_days is not None:
        oldest = now - timedelta(days=request.max_age_days)
        removed |= {memory.id for memory in removable if memory.created_at < oldest}
    if request.inactive_days is not None:
        idle = now - timedelta(days=request.inactive_days)
        removed |= {memory.id for memory in removable if _last_use(memory) < idle}
    if request.keep_top is not None:
        removed |= _ids(removable) & _below_top(memories, request.keep_top)
    return UpkeepPlan(removed=tuple(sorted(removed)))


def expiries(memories: Sequence[Memory], request: JobRequest, now: datetime) -> UpkeepPlan:
    """Plan to remove memories that expired `expired_days` ago, except pinned ones and cleared working items."""
    limit = expiry_limit(request, now)
    removed = [
        memory.id
        for memory in memories
        if memory.expires_at is not None and memory.expires_at <= limit and not _survives_expiry(memory)
    ]
    return UpkeepPlan(removed=tuple(sorted(removed)))


def expiry_limit(request: JobRequest, now: datetime) -> datetime:
    """Time up to which a memory must have expired for the expire job to remove it."""
    return now - timedelta(days=request.expired_days)


def compactions(
    memories: Sequence[Memory],
    neighbours: Mapping[str, Sequence[tuple[str, float]]],
    request: JobRequest,
    now: datetime,
) -> UpkeepPlan:
    """Plan to merge near-duplicates into the best of them, which gets their evidence.

    neighbours: for each id the nearest ids with their cosines. A memory is merged only into one that it is near itself,
    so a chain of near-duplicates never merges texts that differ. The words must be the same too: "Monday" is as near to
    "Tuesday" as a repetition is.
    """
    by_id = {memory.id: memory for memory in memories if _is_removable(memory) and not has_ended(memory, now)}
    merged_into: dict[str, str] = {}
    repetitions: dict[str, list[Memory]] = defaultdict(list)
    for memory in sorted(by_id.values(), key=_best_first):
        if memory.id in merged_into:
            continue
        for other, cosine in sorted(neighbours.get(memory.id, ()), key=lambda pair: (-pair[1], pair[0])):
            repeated = by_id.get(other)
            free = other not in merged_into and other not in repetitions and other != memory.id
            if repeated and free and cosine >= request.similarity and _merge_key(memory) == _merge_key(repeated):
                merged_into[other] = memory.id
                repetitions[memory.id].append(repeated)
    changed = {best: _merged_fields(by_id[best], repeated, now) for best, repeated in repetitions.items()}
    return UpkeepPlan(removed=tuple(sorted(merged_into)), changed=changed)


def _same_content(memories: Iterable[Memory]) -> list[list[Memory]]:
    """`memories` grouped by content, the newest first in each group; groups in the order of their lowest ids."""
    groups: dict[str, list[Memory]] = defaultdict(list)
    for memory in memories:
        groups[normalise(memory.content)].append(memory)
    ordered = [
        sorted(group, key=lambda memory: (-memory.created_at.timestamp(), memory.id)) for group in groups.values()
    ]
    return sorted(ordered, key=lambda group: min(memory.id for memory in group))


def _fact(group: Sequence[Memory]) -> Promotion:
    newest, ids, sessions = group[0], tuple(sorted(_ids(group))), _sessions(group)
    draft = SemanticDraft(
        type=MemoryType.SEMANTIC,
        content=newest.content,
        category=Category.PATTERN,
        confidence=min(1.0, len(sessions) / FULL_CONFIDENCE),
        importance=max(memory.importance for memory in group),
        tags=list(dict.fromkeys(tag for memory in group for tag in memory.tags))[:MAX_TAGS],
        source_sessions=sessions[:MAX_SESSIONS],
        evidence_count=sum(memory.evidence_count for memory in group),
        links=[Link(to=source, type=LinkType.DERIVED_FROM) for source in ids[:MAX_LINKS]],
        created_at=min(memory.created_at for memory in group),
        visibility=Visibility.NAMESPACE,
    )
    return Promotion(draft, ids)


def _merged_fields(memory: Memory, repeated: Sequence[Memory], now: datetime) -> dict[str, Any]:
    return {
        "evidence_count": memory.evidence_count + sum(other.evidence_count for other in repeated),
        "source_sessions": _sessions([memory, *repeated])[:MAX_SESSIONS],
        "access_count": memory.access_count + sum(other.access_count for other in repeated),
        "updated_at": rfc3339(now),
    }


def _merge_key(memory: Memory) -> tuple[object, ...]:
    """What two memories must share to be merged: type, private session, day and speaker of an event, and words."""
    private = memory.session_id if memory.visibility is Visibility.SESSION else None
    day = memory.created_at.date() if isinstance(memory, Episodic) else None
    words = tuple(word for word in _WORD.findall(memory.content.casefold()) if word not in _ARTICLES)
    return (memory.type, private, day, getattr(memory, "speaker", None), words)


def _ids(memories: Iterable[Memory]) -> set[str]:
    return {memory.id for memory in memories}


def _sessions(memories: Iterable[Memory]) -> list[str]:
    """The source sessions of all `memories`, each once."""
    return list(dict.fromkeys(session for memory in memories for session in memory.source_sessions))


def _is_removable(memory: Memory) -> bool:
    return not memory.pinned and not (isinstance(memory, Prospective) and memory.status in OPEN)


def _survives_expiry(memory: Memory) -> bool:
    return memory.pinned or (isinstance(memory, Working) and memory.cleared_at is not None)


def _last_use(memory: Memory) -> datetime:
    return max(memory.accessed_at or memory.created_at, memory.created_at)


def _below_top(memories: Sequence[Memory], keep: int) -> set[str]:
    by_type: dict[MemoryType, list[Memory]] = defaultdict(list)
    for memory in memories:
        by_type[memory.type].append(memory)
    return {memory.id for group in by_type.values() for memory in sorted(group, key=_best_first)[keep:]}


def _best_first(memory: Memory) -> tuple[bool, int, int, float, str]:
    return (not memory.pinned, -memory.importance, -memory.access_count, -memory.created_at.timestamp(), memory.id)
