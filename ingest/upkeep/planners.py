"""Plans which memories each upkeep job would promote, forget, expire or merge. Nothing is read or
written here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import heapify, heappop, heappush
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from ingest.identity.duplicates import (
    differ_in_identity,
    has_ended,
    is_public,
    same_statement,
)
from ingest.identity.merging import (
    MAX_SESSIONS,
    changed_fields,
    joined,
    joined_links,
    joined_metadata,
    with_evidence,
)
from ingest.identity.paraphrases import differ, says_the_same
from ingest.identity.spelling import IsWord, same_but_for_spelling, slips
from memtypes.model.episodic import Episodic
from memtypes.model.errors import InvalidRequest
from memtypes.model.ids import normalise
from memtypes.model.memory import (
    CURRENT_AGAIN,
    MAX_LINKS,
    MAX_TAGS,
    Flag,
    Link,
    LinkType,
    Memory,
    Number,
    State,
    StrictModel,
    Whole,
)
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import OPEN, Prospective
from memtypes.model.scope import Name
from memtypes.model.semantic import Category, Semantic, SemanticDraft
from memtypes.model.times import rfc3339
from memtypes.model.working import Working

MAX_DAYS = 36_500
MAX_KEPT = 10_000_000

FULL_CONFIDENCE = 5
"""Number of source sessions from which a promoted fact has confidence 1."""

UNDO_DAYS = 30
"""Number of days for which a merge, a promotion or forgetting can be undone."""

EXPIRED = "expired, or forgotten or merged long ago"
MERGED = "the same statement"
SAME_SPELLING = "the same statement in another spelling"

_SPELLED = (MemoryType.EPISODIC, MemoryType.SEMANTIC)
"""Types whose texts may be merged if only their spelling differs. In a procedure a single letter
may matter.
"""

Nearest: TypeAlias = Mapping[str, Sequence[tuple[str, float]]]
"""For each memory id, the ids of the nearest memories, each with its cosine."""


class UpkeepJob(StrEnum):
    """The upkeep jobs: promote, forget, expire and compact (merge near-duplicates)."""

    PROMOTE = "promote"
    FORGET = "forget"
    EXPIRE = "expire"
    COMPACT = "compact"


Days = Annotated[Whole, Field(ge=1, le=MAX_DAYS)]


class JobRequest(StrictModel):
    """The options of an upkeep job. One that only a certain job has is annotated with this job.

    namespace: None for all namespaces of the tenant. dry_run: only report what would be done.
    types: of memories; None for all. min_sessions: sessions in which an event must occur to become
    a fact. max_age_days, inactive_days, keep_top (memories that are kept of each type in a
    namespace): each applies only if it is set.
    similarity: minimum cosine at which memories are merged. expired_days: days for which expired
    memories are kept to answer questions about the past; None for those of the service's settings.
    """

    namespace: Name | None = None
    dry_run: Flag = True
    types: list[MemoryType] | None = Field(default=None, min_length=1, max_length=len(MemoryType))
    min_sessions: Annotated[Whole, Field(ge=2, le=1_000), UpkeepJob.PROMOTE] = 3
    max_age_days: Annotated[Days | None, UpkeepJob.FORGET] = None
    inactive_days: Annotated[Days | None, UpkeepJob.FORGET] = None
    keep_top: Annotated[Annotated[Whole, Field(ge=0, le=MAX_KEPT)] | None, UpkeepJob.FORGET] = None
    expired_days: Annotated[Annotated[Whole, Field(ge=0, le=MAX_DAYS)] | None, UpkeepJob.EXPIRE] = (
        None
    )
    similarity: Annotated[Number, Field(ge=0.5, le=1.0), UpkeepJob.COMPACT] = 0.97

    def check_for(self, job: UpkeepJob) -> None:
        """Raise InvalidRequest if an option of another job than `job` is set."""
        for name, info in type(self).model_fields.items():
            job_of_option = next(
                (mark for mark in info.metadata if isinstance(mark, UpkeepJob)), job
            )
            if (
                job_of_option is not job
                and name in self.model_fields_set
                and getattr(self, name) is not None
            ):
                raise InvalidRequest(f"is an option of {job_of_option}, not of {job}", path=name)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A fact to store. sources: ids of the events that it is made of. reason: why they become a
    fact.
    """

    draft: SemanticDraft
    sources: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class UpkeepPlan:
    """The changes that a job would make.

    removed: why each memory is deleted, by id. changed: fields to set in a memory, by id; among
    them `upkeep`, which tells which job made the change and why. created: the facts to write.
    made_of: for a changed fact, the ids of the memories whose sessions it gets.
    """

    removed: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    created: tuple[Promotion, ...] = ()
    made_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def still_valid(
        self, planned: Mapping[str, Memory], stored: Mapping[str, Memory]
    ) -> UpkeepPlan:
        """The plan without the steps for memories that were changed or deleted since, and those
        that depend on them.
        """
        merged_into = {
            memory_id: str(fields["upkeep"]["into"]) for memory_id, fields in self.changed.items()
        }
        stale = {
            memory_id
            for memory_id in self.concerned
            if memory_id not in stored
            or stored[memory_id].updated_at != planned[memory_id].updated_at
        }
        stale |= {
            fact_id for fact_id, sources in self.made_of.items() if not stale.isdisjoint(sources)
        }
        stale |= {merged_into[memory_id] for memory_id in stale & merged_into.keys()}
        stale |= {memory_id for memory_id, best in merged_into.items() if best in stale}
        return replace(
            self,
            removed={
                memory_id: reason
                for memory_id, reason in self.removed.items()
                if memory_id not in stale
            },
            changed={
                memory_id: fields
                for memory_id, fields in self.changed.items()
                if memory_id not in stale
            },
            created=tuple(
                promotion for promotion in self.created if stale.isdisjoint(promotion.sources)
            ),
        )

    @property
    def concerned(self) -> set[str]:
        """The ids of all memories on which the plan depends."""
        return set(self.reasons).union(*self.made_of.values())

    @property
    def reasons(self) -> dict[str, str]:
        """By memory id, the reason for which it is removed, changed or promoted."""
        return {
            **self.removed,
            **{
                memory_id: str(fields["upkeep"]["reason"])
                for memory_id, fields in self.changed.items()
            },
            **{
                source: promotion.reason
                for promotion in self.created
                for source in promotion.sources
            },
        }

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of memories that are "removed" (deleted or ended), "changed" in another way, and
        "made" (created).
        """
        ended = sum("state" in fields for fields in self.changed.values())
        changed = len(self.changed) - ended
        return {"removed": len(self.removed) + ended, "changed": changed, "made": len(self.created)}


def promotions(
    memories: Sequence[Memory], neighbours: Nearest, request: JobRequest, now: datetime
) -> UpkeepPlan:
    """Plan to store as facts what was said in enough sessions.

    Statements that say the same in other words count together. If one of them is a fact already, it
    gets the sessions of the others, and other facts among them are merged into it. What a session
    said for itself alone never counts, because the whole namespace sees a fact. An event from which
    a fact was made is not promoted again, and neither is a fact about which upkeep has decided
    before. neighbours: ids and cosines by id.
    """
    promoted = {
        link.to
        for memory in memories
        for link in memory.links
        if link.type is LinkType.DERIVED_FROM
    }
    statements = [
        memory
        for memory in memories
        if is_public(memory) and not has_ended(memory, now) and memory.id not in promoted
    ]
    rivals = _rivals(memories)
    created: list[Promotion] = []
    changed: dict[str, Mapping[str, Any]] = {}
    made_of: dict[str, tuple[str, ...]] = {}
    for similar in same_meaning(statements, neighbours):
        # Two wordings of one thing may have been taken for a contradiction when they were written
        ids = {memory.id for memory in similar}
        group = [
            memory
            for memory in similar
            if memory.state is not State.CONTESTED or rivals[memory.id] <= ids
        ]
        facts = sorted(
            (memory for memory in group if isinstance(memory, Semantic)), key=_best_first
        )
        if len(_sessions(group)) < request.min_sessions:
            continue
        if not facts:
            created.append(_promotion(group))
        elif all(fact.upkeep is None for fact in facts):
            others = [
                memory
                for memory in group
                if memory is not facts[0] and not (memory in facts and memory.pinned)
            ]
            raised = _raised(facts[0], others, now)
            changed |= raised
            if raised:
                made_of[facts[0].id] = tuple(memory.id for memory in others)
    return UpkeepPlan(changed=changed, created=tuple(created), made_of=made_of)


def _rivals(memories: Sequence[Memory]) -> Mapping[str, set[str]]:
    """For each memory id, the ids of the memories that contradict it."""
    rivals: dict[str, set[str]] = defaultdict(set)
    for memory in memories:
        for link in memory.links:
            if link.type is LinkType.CONTRADICTS:
                rivals[memory.id].add(link.to)
                rivals[link.to].add(memory.id)
    return rivals


def same_meaning(memories: Sequence[Memory], neighbours: Nearest) -> list[list[Memory]]:
    """Groups of `memories` that say the same as the first one of the group, perhaps in other words,
    and of which no two differ.

    The groups of most sessions are formed first; of as many, that around the newest memory.
    """
    newest_first = sorted(memories, key=lambda memory: (-memory.created_at.timestamp(), memory.id))
    alike = _alike(newest_first, neighbours)
    grouped: set[str] = set()

    def around(memory: Memory) -> list[Memory]:
        others = [other for other in alike[memory.id] if other.id not in grouped]
        return _without_differing(memory, others)

    groups: list[list[Memory]] = []
    # A group that is formed takes members from the others, which are counted again when it is
    # their turn
    waiting = [
        (-len(_sessions(around(memory))), place) for place, memory in enumerate(newest_first)
    ]
    heapify(waiting)
    while waiting:
        count, place = heappop(waiting)
        memory = newest_first[place]
        if memory.id in grouped:
            continue
        group = around(memory)
        sessions = len(_sessions(group))
        if sessions < -count:
            heappush(waiting, (-sessions, place))
            continue
        grouped |= {member.id for member in group}
        groups.append(group)
    return groups


def _alike(memories: Sequence[Memory], neighbours: Nearest) -> dict[str, list[Memory]]:
    """For each memory id, the other memories that say the same, the nearest first."""
    by_id = {memory.id: memory for memory in memories}
    by_text: dict[str, list[str]] = defaultdict(list)
    for memory in memories:
        by_text[normalise(memory.content)].append(memory.id)
    alike: dict[str, list[Memory]] = {}
    for memory in memories:
        cosines = dict.fromkeys(by_text[normalise(memory.content)], 1.0)
        for other_id, cosine in neighbours.get(memory.id, ()):
            other = by_id.get(other_id)
            if other and says_the_same(memory.content, other.content, cosine):
                cosines.setdefault(other_id, cosine)
        others = [by_id[other] for other in sorted(cosines, key=lambda other: -cosines[other])]
        alike[memory.id] = [
            other
            for other in others
            if other is not memory and not differ_in_identity(memory, other)
        ]
    return alike


def _without_differing(memory: Memory, others: Sequence[Memory]) -> list[Memory]:
    """`memory`, and those of `others` that differ from none before them."""
    group = [memory]
    texts = {normalise(memory.content)}
    for other in others:
        text = normalise(other.content)
        if text in texts or not any(differ(text, known) for known in texts):
            group.append(other)
            texts.add(text)
    return group


def forgettings(memories: Sequence[Memory], request: JobRequest, now: datetime) -> UpkeepPlan:
    """Plan to forget memories that are too old, unused for too long or below the top `keep_top` of
    their type.

    The top memories are the pinned ones, then the most important, most used and newest. Searches do
    not find forgotten memories, which are deleted UNDO_DAYS later. Pinned memories and open
    intentions are never forgotten. If a fact is forgotten, the facts that it had replaced are
    forgotten too; otherwise they would become current again.
    """
    removable = {memory.id: memory for memory in memories if _is_removable(memory)}
    reasons: dict[str, str] = {}
    if request.keep_top is not None:
        worst = removable.keys() & _below_top(memories, request.keep_top, now)
        reasons |= dict.fromkeys(worst, f"not among the {request.keep_top} best of its type")
    if request.inactive_days is not None:
        idle = now - timedelta(days=request.inactive_days)
        unused = (
            memory.id
            for memory in removable.values()
            if max(memory.created_at, memory.accessed_at or memory.created_at) < idle
        )
        reasons |= dict.fromkeys(unused, f"not used for {request.inactive_days} days")
    if request.max_age_days is not None:
        oldest = now - timedelta(days=request.max_age_days)
        old = (memory.id for memory in removable.values() if memory.created_at < oldest)
        reasons |= dict.fromkeys(old, f"older than {request.max_age_days} days")
    while earlier := {
        memory.id: reasons[memory.superseded_by]
        for memory in removable.values()
        if memory.superseded_by in reasons and memory.id not in reasons
    }:
        reasons |= earlier
    changed = {
        memory_id: _end_fields(removable[memory_id], "forget", now, reasons[memory_id])
        for memory_id in sorted(reasons)
    }
    return UpkeepPlan(changed=changed)


def expiries(memories: Sequence[Memory], request: JobRequest, now: datetime) -> UpkeepPlan:
    """Plan to delete memories that expired at least `expired_days` ago, and those forgotten
    UNDO_DAYS ago or before.

    Merged memories count as forgotten. Pinned memories and cleared working items are not deleted
    when they expire.
    """
    limit = now - timedelta(days=request.expired_days or 0)
    undo_limit = now - timedelta(days=UNDO_DAYS)
    cleared = {
        memory.id
        for memory in memories
        if isinstance(memory, Working) and memory.cleared_at is not None
    }
    removed = {
        memory.id: EXPIRED
        for memory in sorted(memories, key=lambda memory: memory.id)
        if (
            memory.expires_at is not None
            and memory.expires_at <= limit
            and not (memory.pinned or memory.id in cleared)
        )
        or (memory.upkeep is not None and memory.ended_by_upkeep and memory.upkeep.at <= undo_limit)
    }
    return UpkeepPlan(removed=removed)


def compactions(
    memories: Sequence[Memory],
    neighbours: Nearest,
    request: JobRequest,
    now: datetime,
    is_word: IsWord | None = None,
) -> UpkeepPlan:
    """Plan to merge near-duplicates into the best memory among them, and to add up how often each
    was stated.

    Texts are compared by the same test as in writes, so `-5` is not `5` and `tar -c` is not `tar
    -C`. Facts and events are also merged, whatever their cosine, if they are the same but for
    spelling; then one without slips is the best. is_word: see `same_but_for_spelling`. Each memory
    is compared with the one that it is merged into, so a chain of near-duplicates
    never merges texts that differ. Two memories whose merge was undone are not merged again.
    neighbours: ids and cosines by id.
    """
    by_id = {
        memory.id: memory
        for memory in memories
        if _is_removable(memory) and not has_ended(memory, now)
    }
    merged_into: dict[str, str] = {}
    repetitions: dict[str, list[Memory]] = defaultdict(list)
    for memory in sorted(by_id.values(), key=_best_first):
        if memory.id in merged_into:
            continue
        for other, cosine in sorted(
            neighbours.get(memory.id, ()), key=lambda pair: (-pair[1], pair[0])
        ):
            repeated = by_id.get(other)
            free = other not in merged_into and other not in repetitions and other != memory.id
            is_near = cosine >= request.similarity
            if not (repeated and free and _are_one(memory, repeated, is_word, is_near=is_near)):
                continue
            best = memory
            if memory.id not in repetitions and _has_slips(memory, repeated, is_word):
                best, repeated = repeated, memory
            merged_into[repeated.id] = best.id
            repetitions[best.id].append(repeated)
            if best is not memory:
                break
    changed = {
        best_id: _merged_fields(by_id[best_id], merged, now)
        for best_id, merged in repetitions.items()
    }
    for repeated_id, best_id in sorted(merged_into.items()):
        memory = by_id[repeated_id]
        reason = _merge_reason(memory, by_id[best_id])
        changed[repeated_id] = _end_fields(memory, "compact", now, reason, best_id)
    return UpkeepPlan(changed=changed)


def _are_one(memory: Memory, other: Memory, is_word: IsWord | None, *, is_near: bool) -> bool:
    """Whether two memories may be merged. is_near: whether their vectors are near enough to compare
    their statements.
    """
    same_day = (
        not isinstance(memory, Episodic) or memory.created_at.date() == other.created_at.date()
    )
    if not same_day or memory.visibility is not other.visibility:
        return False
    if differ_in_identity(memory, other):
        return False
    if is_near and same_statement(memory, other):
        return True
    same_circumstances = (
        memory.type is other.type
        and memory.type in _SPELLED
        and memory.identity()[1:] == other.identity()[1:]  # such as the speaker
    )
    return same_circumstances and same_but_for_spelling(memory.content, other.content, is_word)


def _has_slips(memory: Memory, other: Memory, is_word: IsWord | None) -> bool:
    if is_word is None:
        return False
    slips_of_other = slips(other.content, memory.content, is_word)
    return slips(memory.content, other.content, is_word) > slips_of_other


def _merge_reason(memory: Memory, best: Memory) -> str:
    return f"{MERGED if same_statement(memory, best) else SAME_SPELLING} as {best.id}"


def _promotion(group: Sequence[Memory]) -> Promotion:
    newest = group[0]
    ids = tuple(sorted(memory.id for memory in group))
    sessions = _sessions(group)
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
    return Promotion(draft, ids, _promotion_reason(group))


def _promotion_reason(group: Sequence[Memory]) -> str:
    return f"said in {len(_sessions(group))} sessions"


def _raised(fact: Memory, others: Sequence[Memory], now: datetime) -> dict[str, dict[str, Any]]:
    """The fields to change, by id, so that `fact` gets the sessions of `others`, which say the
    same, and the facts among these are merged into it. {} if it has the sessions already.
    """
    added = [name for name in _sessions(others) if name not in fact.source_sessions]
    if not added:
        return {}
    links = [
        Link(
            to=other.id,
            type=LinkType.REINFORCES if isinstance(other, Semantic) else LinkType.DERIVED_FROM,
        )
        for other in others
    ]
    reason = _promotion_reason([fact, *others])
    fields = mark("promote", now, reason)
    fields["upkeep"]["added"] = added
    changed = {
        fact.id: fields
        | {
            "evidence_count": fact.evidence_count + len(added),
            "source_sessions": [*fact.source_sessions, *added][:MAX_SESSIONS],
            "links": [link.model_dump(mode="json") for link in joined_links(links, fact.links)],
        }
    }
    for other in others:
        if isinstance(other, Semantic):
            ended = f"{reason}, also as {fact.id}"
            changed[other.id] = _end_fields(other, "promote", now, ended, fact.id)
    return changed


def mark(job: str, now: datetime, reason: str, into: str | None = None) -> dict[str, Any]:
    """The payload fields that record which job changed a memory, when and why. into: id that it was
    merged into.
    """
    at = rfc3339(now)
    return {"upkeep": {"job": job, "at": at, "reason": reason, "into": into}, "updated_at": at}


def _end_fields(
    memory: Memory, job: str, now: datetime, reason: str, into: str | None = None
) -> dict[str, Any]:
    """The payload fields that end `memory` and record the job (`mark`); only the record if it had
    ended before.
    """
    end = {
        **CURRENT_AGAIN,
        "valid_to": rfc3339(now),
        "state": str(State.REPLACED),
        "state_reason": reason,
    }
    return mark(job, now, reason, into) | ({} if has_ended(memory, now) else end)


def _merged_fields(memory: Memory, repeated: Sequence[Memory], now: datetime) -> dict[str, Any]:
    """The fields to change in `memory` when `repeated` are merged into it. Newer metadata replaces
    older.
    """
    merged = memory
    for other in sorted(repeated, key=lambda memory: (memory.created_at, memory.id)):
        fields = joined(merged, other) | with_evidence(merged, other)
        if other.created_at < memory.created_at:
            fields["metadata"] = joined_metadata(other.metadata, merged.metadata)
        merged = merged.model_copy(
            update=fields | {"access_count": merged.access_count + other.access_count}
        )
    links = [*memory.links, *(Link(to=other.id, type=LinkType.REINFORCES) for other in repeated)]
    merged = merged.model_copy(update={"links": joined_links(links, merged.links)})
    changed = changed_fields(memory, merged)
    reason = f"{len(repeated)} memories with the same statement were merged into it"
    return merged.model_dump(mode="json", include=set(changed)) | mark("compact", now, reason)


def _sessions(memories: Iterable[Memory]) -> list[str]:
    """The distinct sessions in which `memories` were said."""
    return list(dict.fromkeys(name for memory in memories for name in memory.source_sessions))


def _is_removable(memory: Memory) -> bool:
    if memory.pinned or memory.state is State.CONTESTED or memory.ended_by_upkeep:
        return False
    return not (isinstance(memory, Prospective) and memory.status in OPEN)


def _below_top(memories: Sequence[Memory], keep: int, now: datetime) -> set[str]:
    by_type: dict[MemoryType, list[Memory]] = defaultdict(list)
    for memory in memories:
        if not has_ended(memory, now):
            by_type[memory.type].append(memory)
    return {
        memory.id for group in by_type.values() for memory in sorted(group, key=_best_first)[keep:]
    }


def _best_first(memory: Memory) -> tuple[bool, int, int, float, str]:
    return (
        not memory.pinned,
        -memory.importance,
        -memory.access_count,
        -memory.created_at.timestamp(),
        memory.id,
    )
