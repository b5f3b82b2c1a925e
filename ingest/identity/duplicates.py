"""What to keep when the same statement arrives again: pure decisions over memories, without a store.

Two drafts with the same id are the same statement in the same scope. The first one keeps its fields; each repetition
adds its evidence and its session. A write that is merely sent again adds nothing: it is known by a source that names
the same place (file and line, or thread and turns). A memory that is over (expired, done, cleared) does not swallow the
same statement made anew: the new one takes its place and keeps its evidence. One that was replaced keeps its time, and
what is said anew is a memory of its own.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from memtypes.model.ids import normalise
from memtypes.model.memory import Memory
from memtypes.model.prospective import OPEN, Prospective
from memtypes.model.times import rfc3339
from memtypes.model.working import Working

MAX_SESSIONS = 1_000

SAME_WRITE = "already stored from the same place"
SAME_CONTENT = "same content"
SAME_WORDS = "same words in other case or spacing"
SAME_SAYING = "same words but for punctuation, articles or contractions"


@dataclass(frozen=True, slots=True)
class Insert:
    """A memory to keep with the vectors of the draft at `index`."""

    index: int
    memory: Memory


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one draft. merged: None when it is stored, else the reason why it was merged into `id`."""

    id: str
    merged: str | None = None


@dataclass(slots=True)
class Plan:
    """What to write for a piece, and the verdict on each of its drafts, in order."""

    inserts: dict[str, Insert] = field(default_factory=dict)
    patches: dict[str, dict[str, Any]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)


def plan_writes(arriving: Sequence[Memory], stored: Mapping[str, Memory], now: datetime) -> Plan:
    """The plan for `arriving`, in order, where `stored` holds what the store has under their ids."""
    plan = Plan()
    current = dict(stored)
    resent = {memory.id for memory in arriving if memory.id in stored and same_place(stored[memory.id], memory)}
    ids = {memory.id for memory in arriving}
    for index, memory in enumerate(arriving):
        kept = current.get(memory.id)
        if memory.id in resent:
            plan.verdicts.append(Verdict(memory.id, merged=SAME_WRITE))
        elif kept is None or (is_over(kept, now) and not is_over(memory, now) and not stays_over(kept, memory, ids)):
            current[memory.id] = renewed = memory if kept is None else _with_evidence(memory, kept)
            plan.inserts[memory.id] = Insert(index, renewed)
            plan.verdicts.append(Verdict(memory.id))
        else:
            current[memory.id] = merged = _merged(kept, memory, now)
            _record(plan, merged)
            plan.verdicts.append(Verdict(memory.id, merged=_likeness(kept, memory)))
    return plan


def _likeness(kept: Memory, repeated: Memory) -> str:
    if kept.content_hash == repeated.content_hash:
        return SAME_CONTENT
    folded = (normalise(one.content).casefold() for one in (kept, repeated))
    return SAME_WORDS if next(folded) == next(folded) else SAME_SAYING


def _record(plan: Plan, merged: Memory) -> None:
    if merged.id in plan.inserts:
        plan.inserts[merged.id] = Insert(plan.inserts[merged.id].index, merged)
        return
    plan.patches[merged.id] = {
        "evidence_count": merged.evidence_count,
        "source_sessions": merged.source_sessions,
        "updated_at": rfc3339(merged.updated_at),
    }


def same_place(one: Memory, other: Memory) -> bool:
    """Whether both come from the same line of the same file, or the same turns of the same thread."""
    if one.source is None or other.source is None:
        return False
    first, second = one.source, other.source
    if first.file is not None and first.line is not None:
        return (first.file, first.line) == (second.file, second.line)
    if first.thread_id is not None and first.turns:
        return (first.thread_id, first.turns) == (second.thread_id, second.turns)
    return False


def is_over(memory: Memory, now: datetime) -> bool:
    """Whether `memory` has left the current view at `now`, so that the same statement made anew is news."""
    if any(end is not None and end <= now for end in (memory.valid_to, memory.expires_at)):
        return True
    if isinstance(memory, Prospective):
        return memory.status not in OPEN
    return isinstance(memory, Working) and memory.cleared_at is not None


def stays_over(kept: Memory, again: Memory, arriving: Container[str]) -> bool:
    """Whether `again` says nothing new, though `kept` was replaced: it is from before, or comes with its successor.

    arriving: the ids that come together; a batch that is sent again ends as it did.
    """
    if kept.superseded_by is None or kept.valid_to is None:
        return False
    return again.valid_from < kept.valid_to or kept.superseded_by in arriving


def comes_back(kept: Memory, again: Memory, arriving: Container[str]) -> bool:
    """Whether `again` holds anew after `kept`, which was replaced: each then keeps a time of its own."""
    if kept.superseded_by is None or kept.valid_to is None or stays_over(kept, again, arriving):
        return False
    return kept.valid_from < kept.valid_to


def _merged(kept: Memory, repeated: Memory, now: datetime) -> Memory:
    return _with_evidence(kept, repeated).model_copy(update={"updated_at": now})


def _with_evidence(memory: Memory, other: Memory) -> Memory:
    """`memory` with the evidence of `other` added to its own."""
    sessions = list(dict.fromkeys([*memory.source_sessions, *other.source_sessions]))
    return memory.model_copy(
        update={
            "evidence_count": memory.evidence_count + other.evidence_count,
            "source_sessions": sessions[:MAX_SESSIONS],
        }
    )
