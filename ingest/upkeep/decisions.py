"""Lists what the service decided by itself about memories and texts, and takes it back.

Writes decide which facts are replaced or contested, and which texts are rejected. Upkeep decides what is merged,
promoted or forgotten, which can be undone for UNDO_DAYS. What was undone is not decided again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ingest.screening.submission import Submission, draft_of
from ingest.upkeep.planners import UNDO_DAYS
from ingest.writing.pipeline import Ingestor
from memtypes.model.errors import Conflict, NotFound
from memtypes.model.filters import Absent, AnyOf, Compare, Not, Op
from memtypes.model.memory import LinkType, Memory, State
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import Prospective
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.ports.memory_store import Listing, MemoryStore
from memtypes.ports.rejections import RejectedText

MAX_READ = 10_000
"""Memories that a list of decisions looks at: the newest."""

_PAGE = 500
_CURRENT: dict[str, Any] = {"valid_to": None, "state": str(State.CURRENT), "state_reason": None}


class DecisionKind(StrEnum):
    """What was decided about a memory or a text."""

    REPLACED = "replaced"
    CONTESTED = "contested"
    MERGED = "merged"
    PROMOTED = "promoted"
    FORGOTTEN = "forgotten"
    REJECTED = "rejected"


_JOBS = {"promote": DecisionKind.PROMOTED, "forget": DecisionKind.FORGOTTEN, "compact": DecisionKind.MERGED}


@dataclass(frozen=True, slots=True)
class DecidedText:
    """A decision about the memory or rejected text `id`. by: id of the memory that replaced it or took it in."""

    id: str
    kind: DecisionKind
    at: datetime
    reason: str
    content: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """The automatic decisions about memories and texts."""

    store: MemoryStore
    ingestor: Ingestor
    clock: Clock

    async def latest(self, scope: Scope, kind: DecisionKind | None, limit: int) -> list[DecidedText]:
        """The newest decisions of a kind (None: all), at most `limit`, newest first."""
        now, states = self.clock(), (str(State.REPLACED), str(State.CONTESTED))
        decided = AnyOf((Compare("state", Op.ANY, states), Not(Absent("upkeep.job"))))
        listed = self.store.list_all(scope, Listing(filter=decided, limit=_PAGE), most=MAX_READ)
        texts = [text async for memory in listed if (text := _decided(memory.at(now))) is not None]
        rejections = self.ingestor.rejections
        if rejections is not None and kind in (None, DecisionKind.REJECTED):
            rejected = await rejections.latest(scope, limit)
            texts += [_rejected(text) for text in rejected if _is_reachable(scope, text)]
        wanted = (text for text in texts if kind in (None, text.kind))
        return sorted(wanted, key=lambda text: (-text.at.timestamp(), text.id))[:limit]

    async def undo(self, scope: Scope, memory_id: str) -> list[str]:
        """Take back a merge, a promotion, forgetting or a rejection; return the ids of what is in the view again.

        Of a promoted fact these are the events that it was made of. A memory that was forgotten is pinned, so that it
        is not forgotten again. Raises NotFound for an unknown id, and Conflict if there is nothing to undo.
        """
        async with self.ingestor.locks.of(scope):
            memory = (await self.store.get(scope, [memory_id])).get(memory_id)
            if memory is not None:
                changes, restored = await self._taken_back(scope, memory.at(self.clock()))
                await self.store.patch(scope, changes)
                return restored
        return [await self._store_rejected(scope, memory_id)]

    async def _taken_back(self, scope: Scope, memory: Memory) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """The payload fields that undo what upkeep decided about `memory`, by id, and the ids to return."""
        now, mark = self.clock(), memory.upkeep
        if mark is None or mark.undone or mark.at < now - timedelta(days=UNDO_DAYS):
            raise Conflict(f"upkeep decided nothing about memory {memory.id} in the last {UNDO_DAYS} days")
        if mark.job == "compact":
            return await self._parted(scope, memory)
        if mark.job == "forget":
            back = {} if memory.superseded_by else _CURRENT
            return {memory.id: {**back, "upkeep": None, "pinned": True, "updated_at": rfc3339(now)}}, [memory.id]
        undone = {
            "upkeep": mark.model_copy(update={"undone": True}).model_dump(mode="json"),
            "updated_at": rfc3339(now),
        }
        if isinstance(memory, Prospective):
            return {memory.id: {"visibility": str(Visibility.SESSION), **undone}}, [memory.id]
        sources = [link.to for link in memory.links if link.type is LinkType.DERIVED_FROM]
        # The fact stays, out of the view, because its links keep its events from being promoted again.
        end = {"valid_to": rfc3339(now), "state": str(State.REPLACED), "state_reason": "its promotion was undone"}
        return {memory.id: {**end, **undone}}, sources

    async def _parted(self, scope: Scope, memory: Memory) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Undo a merge, by the id of the merged memory or, for all merged into it, of the one that stayed."""
        into = _into(memory)
        best_id = into or memory.id
        merged_ids = [memory.id] if into else [link.to for link in memory.links]
        known = await self.store.get(scope, [best_id, *merged_ids])
        merged = [known[each] for each in merged_ids if each in known and _into(known[each]) == best_id]
        if not merged:
            raise Conflict(f"no memory is merged into {memory.id} any more")
        at = rfc3339(self.clock())
        changes = {each.id: {**_CURRENT, "upkeep": None, "updated_at": at} for each in merged}
        if best_id in known:
            changes[best_id] = {**_without_evidence(known[best_id], merged), "updated_at": at}
        return changes, [each.id for each in merged]

    async def _store_rejected(self, scope: Scope, rejected_id: str) -> str:
        """Store a rejected text as a memory after all; return its id. Raises NotFound."""
        rejections = self.ingestor.rejections
        text = None if rejections is None else await rejections.get(scope, rejected_id)
        if text is None or rejections is None or not _is_reachable(scope, text):
            raise NotFound(f"there is no memory and no rejected text {rejected_id}")
        outcome = await self.ingestor.write_one(scope, Submission(draft_of(text.fields)))
        if outcome.id is None:
            raise Conflict(f"the text was rejected again: {outcome.reason}")
        await rejections.remove(scope, rejected_id)
        return outcome.id


def _is_reachable(scope: Scope, text: RejectedText) -> bool:
    """Whether the caller may see a rejected text: a working item of another agent is hidden from a bound key."""
    return text.fields.get("type") != MemoryType.WORKING or scope.reaches(text.fields.get("agent_id"))


def _into(memory: Memory) -> str | None:
    return memory.upkeep.into if memory.upkeep is not None else None


def _without_evidence(memory: Memory, merged: Sequence[Memory]) -> dict[str, Any]:
    """The payload fields that take the evidence of `merged` from `memory`, and mark them as other statements."""
    brought = {session for each in merged for session in each.source_sessions}
    ids = {each.id for each in merged}
    links = [link.model_copy(update={"strength": 0.0}) if link.to in ids else link for link in memory.links]
    return {
        "evidence_count": max(1, memory.evidence_count - sum(each.evidence_count for each in merged)),
        "access_count": max(0, memory.access_count - sum(each.access_count for each in merged)),
        "source_sessions": [
            session for session in memory.source_sessions if session not in brought or session == memory.session_id
        ],
        "links": [link.model_dump(mode="json") for link in links],
    }


def _decided(memory: Memory) -> DecidedText | None:
    """The decision about `memory`; None for one that others were merged into, and one that is as it was."""
    mark = memory.upkeep
    if mark is not None and mark.undone:
        return None
    if mark is not None and (mark.ended or mark.job == "promote"):
        return DecidedText(memory.id, _JOBS[mark.job], mark.at, mark.reason, memory.content, mark.into)
    if memory.state is State.CURRENT:
        return None
    at, reason = memory.valid_to or memory.updated_at, memory.state_reason or ""
    return DecidedText(memory.id, DecisionKind(str(memory.state)), at, reason, memory.content, memory.superseded_by)


def _rejected(text: RejectedText) -> DecidedText:
    return DecidedText(text.id, DecisionKind.REJECTED, text.at, text.reason, str(text.fields["content"]))
