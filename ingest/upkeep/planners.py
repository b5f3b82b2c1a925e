"""Which memories a job is about: memories and a clock in, a plan out. Pure; the property tests are about these."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ingest.upkeep.plan import JobRequest, Plan, Promotion
from memtypes.model.episodic import Episodic
from memtypes.model.ids import normalise
from memtypes.model.memory import MAX_LINKS, Link, LinkType, Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import OPEN, Prospective
from memtypes.model.semantic import Category, SemanticDraft
from memtypes.model.times import rfc3339
from memtypes.model.working import Working

FULL_CONFIDENCE = 5
"""Sessions from which a promoted statement is as sure as it gets."""

MAX_SESSIONS = 1_000


_WORD = re.compile(r"\w+")
_ARTICLES = frozenset({"a", "an", "the"})


def promotions(memories: Sequence[Memory], request: JobRequest, now: datetime) -> Plan:
    """Events that were seen in enough sessions as facts; intentions that keep coming back shown to all sessions.

    An event that a fact is derived from already is not promoted again.
    """
    known = {link.id for memory in memories for link in memory.links if link.type is LinkType.DERIVED_FROM}
    current = [memory for memory in memories if _is_current(memory, now)]
    events = _alike(one for one in current if isinstance(one, Episodic))
    made = [_fact(group) for group in events if _sessions(group) >= request.min_sessions and not _ids(group) <= known]
    intentions = _alike(one for one in current if isinstance(one, Prospective) and one.status in OPEN)
    changed = {
        group[0].id: {"visibility": str(Visibility.NAMESPACE), "updated_at": rfc3339(now)}
        for group in intentions
        if uses(group) >= request.min_uses and all(one.visibility is Visibility.SESSION for one in group)
    }
    return Plan(changed=changed, made=tuple(made))


def _alike(memories: Iterable[Memory]) -> list[list[Memory]]:
    """The memories by what they say, the newest first in each group; groups in the order of their first ids."""
    groups: dict[str, list[Memory]] = defaultdict(list)
    for memory in memories:
        groups[normalise(memory.content)].append(memory)
    ordered = [sorted(group, key=lambda one: (-one.created_at.timestamp(), one.id)) for group in groups.values()]
    return sorted(ordered, key=lambda group: min(one.id for one in group))


def _ids(group: Sequence[Memory]) -> set[str]:
    return {one.id for one in group}


def _sessions(group: Sequence[Memory]) -> int:
    return len({session for one in group for session in one.source_sessions})


def uses(group: Sequence[Memory]) -> int:
    """How often an intention came up: how often it was stated, or how often one of its memories was used."""
    return max(sum(one.evidence_count for one in group), *(one.access_count for one in group))


def _fact(group: Sequence[Memory]) -> Promotion:
    sessions = list(dict.fromkeys(session for one in group for session in one.source_sessions))
    newest, ids = group[0], tuple(sorted(_ids(group)))
    draft = SemanticDraft(
        type=MemoryType.SEMANTIC,
        content=newest.content,
        category=Category.PATTERN,
        confidence=min(1.0, len(sessions) / FULL_CONFIDENCE),
        importance=max(one.importance for one in group),
        tags=list(dict.fromkeys(tag for one in group for tag in one.tags))[:64],
        source_sessions=sessions[:MAX_SESSIONS],
        evidence_count=sum(one.evidence_count for one in group),
        links=[Link(type=LinkType.DERIVED_FROM, id=one) for one in ids[:MAX_LINKS]],
        created_at=min(one.created_at for one in group),
        visibility=Visibility.NAMESPACE,
    )
    return Promotion(draft, ids)


def forgettings(memories: Sequence[Memory], request: JobRequest, now: datetime) -> Plan:
    """What is too old, too long unused, or beyond the best of its type. What is pinned or still to be done stays.

    The best are the most important, then the most used, then the newest; what is pinned counts among them.
    """
    chosen: set[str] = set()
    mortal = [memory for memory in memories if _may_go(memory)]
    if request.max_age_days is not None:
        oldest = now - timedelta(days=request.max_age_days)
        chosen |= {one.id for one in mortal if one.created_at < oldest}
    if request.inactive_days is not None:
        idle = now - timedelta(days=request.inactive_days)
        chosen |= {one.id for one in mortal if _last_use(one) < idle}
    if request.keep_top is not None:
        chosen |= _ids(mortal) & _beyond(memories, request.keep_top)
    return Plan(removed=tuple(sorted(chosen)))


def _may_go(memory: Memory) -> bool:
    return not memory.pinned and not (isinstance(memory, Prospective) and memory.status in OPEN)


def _last_use(memory: Memory) -> datetime:
    return max(memory.accessed_at or memory.created_at, memory.created_at)


def _beyond(memories: Sequence[Memory], keep: int) -> set[str]:
    by_type: dict[MemoryType, list[Memory]] = defaultdict(list)
    for memory in memories:
        by_type[memory.type].append(memory)
    return {one.id for group in by_type.values() for one in sorted(group, key=_worth)[keep:]}


def _worth(memory: Memory) -> tuple[bool, int, int, float, str]:
    """The best first."""
    return (not memory.pinned, -memory.importance, -memory.access_count, -memory.created_at.timestamp(), memory.id)


def expiries(memories: Sequence[Memory], request: JobRequest, now: datetime) -> Plan:
    """What expired long enough ago and is not pinned. Cleared working items stay: they record what was done."""
    last = last_expiry(request, now)
    gone = [one.id for one in memories if one.expires_at is not None and one.expires_at <= last and not _kept(one)]
    return Plan(removed=tuple(sorted(gone)))


def last_expiry(request: JobRequest, now: datetime) -> datetime:
    """What expired at this time or before is to go."""
    return now - timedelta(days=request.expired_days)


def _kept(memory: Memory) -> bool:
    return memory.pinned or (isinstance(memory, Working) and memory.cleared_at is not None)


def compactions(
    memories: Sequence[Memory], likeness: Mapping[str, Sequence[tuple[str, float]]], request: JobRequest, now: datetime
) -> Plan:
    """Near-duplicates merged into the best of them, which gets their evidence and a link to each.

    likeness: for each id those that are like it, with the cosine. Each is merged directly into one that it is like
    itself, so a chain of near-duplicates never glues unlike texts; and their words must be the same, as
    "Monday" is as near to "Tuesday" as a repetition is.
    """
    by_id = {one.id: one for one in memories if _may_go(one) and _is_current(one, now)}
    absorbed: dict[str, str] = {}
    evidence: dict[str, list[Memory]] = defaultdict(list)
    for memory in sorted(by_id.values(), key=_worth):
        if memory.id in absorbed:
            continue
        for other, cosine in sorted(likeness.get(memory.id, ()), key=lambda pair: (-pair[1], pair[0])):
            repeated = by_id.get(other)
            free = other not in absorbed and other not in evidence and other != memory.id
            if repeated and free and cosine >= request.similarity and may_merge(memory, repeated):
                absorbed[other] = memory.id
                evidence[memory.id].append(repeated)
    changed = {one: _merged(by_id[one], repeats, now) for one, repeats in evidence.items()}
    return Plan(removed=tuple(sorted(absorbed)), changed=changed)


def may_merge(one: Memory, other: Memory) -> bool:
    """Whether two like memories may be one: of the same kind, for the same eyes, in the same words but for articles."""
    return _nature(one) == _nature(other)


def _nature(memory: Memory) -> tuple[object, ...]:
    private = memory.session_id if memory.visibility is Visibility.SESSION else None
    day = memory.created_at.date() if isinstance(memory, Episodic) else None
    words = tuple(word for word in _WORD.findall(memory.content.casefold()) if word not in _ARTICLES)
    return (memory.type, private, day, getattr(memory, "speaker", None), words)


def _merged(memory: Memory, repeats: Sequence[Memory], now: datetime) -> dict[str, Any]:
    sessions = [session for one in (memory, *repeats) for session in one.source_sessions]
    return {
        "evidence_count": memory.evidence_count + sum(one.evidence_count for one in repeats),
        "source_sessions": list(dict.fromkeys(sessions))[:MAX_SESSIONS],
        "access_count": memory.access_count + sum(one.access_count for one in repeats),
        "updated_at": rfc3339(now),
    }


def _is_current(memory: Memory, now: datetime) -> bool:
    return not any(end is not None and end <= now for end in (memory.valid_to, memory.expires_at))
