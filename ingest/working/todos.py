"""The life of working memory: made by hand or with a to-do, cleared by hand or when the to-do is done.

The embedded copy is written first, with the same end as the item: whoever dies before the item lives leaves a copy that
expires by itself. After that the item leads and its copy follows (see `ingest.working.sync`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ingest.working.sync import Copies
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.model.errors import InvalidRequest, RemembrancerError
from memtypes.model.filters import Absent, Compare, Filter, Not, Op, all_of
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.model.working import ContextType, LiveDraft, Working, WorkingScope
from memtypes.ports.memory_store import Listing, MemoryStore
from memtypes.ports.working import ItemSelection, LiveItem, LiveItemStore

TTL_S = 300
COMPLEX_STEPS = 5
"""A to-do that took more steps than this is worth keeping as a procedure."""

FOREVER = timedelta(days=3_650)
MAX_SESSIONS = 100_000

MAX_CLEARED = 500
"""Cleared items that are listed, the newest."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NewItem:
    """A working item as it is asked for."""

    content: str
    todo_id: str | None = None
    context_type: ContextType = ContextType.TASK_CONTEXT
    lasts: WorkingScope = WorkingScope.TASK
    priority: int = 3
    ttl: timedelta = field(default=timedelta(seconds=TTL_S))


@dataclass(frozen=True, slots=True)
class Made:
    """An item that lives. redactions: what was taken out of what was asked, by kind."""

    item: Working
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completed:
    """What the end of a to-do did: items cleared, and the procedure that was learnt from it, if any.

    redactions: what was taken out of its steps, by kind.
    """

    cleared: int
    procedural_id: str | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkingMemory:
    """Makes, lists and clears live items. Every scope names a session."""

    items: LiveItemStore
    copies: Copies
    ingestor: Ingestor
    store: MemoryStore
    clock: Clock

    async def create(self, scope: Scope, new: NewItem) -> Made:
        """The item, alive; the same one again where the session has it already. Raises InvalidRequest."""
        now = self.clock()
        draft = LiveDraft(
            type=MemoryType.WORKING,
            content=new.content,
            session_id=scope.session_id,
            agent_id=scope.agent_id,
            expires_at=_whole_ms(now + new.ttl),
            todo_id=new.todo_id,
            context_type=new.context_type,
            scope=new.lasts,
            priority=new.priority,
        )
        outcome = await self.ingestor.write_one(scope, draft)
        if outcome.status is WriteStatus.REJECTED or not isinstance(outcome.memory, Working):
            raise InvalidRequest(f"not kept: {outcome.reason}", path="content")
        item = outcome.memory.model_copy(
            update={
                **_asked(draft),
                "updated_at": now,
                "accessed_at": None,
                "cleared_at": None,
                "live": True,
                "fence": 0,
            }
        )
        await self.items.put(scope, LiveItem(item, new.ttl))
        if outcome.status is WriteStatus.MERGED:
            await self._follow(scope)
        return Made(item, outcome.redactions)

    async def listed(self, scope: Scope, todo_id: str | None, *, cleared: bool) -> list[Working]:
        """The items that live now, oldest first, and on request those that were cleared."""
        now = self.clock()
        entries = await self.items.items(scope)
        found = {one.memory.id: one.memory for one in entries if not one.is_over(now)}
        if cleared:
            unswept = {one.memory.id: one.memory for one in entries if one.memory.cleared_at is not None}
            kept = await self._copies(scope, Not(Absent("cleared_at")), MAX_CLEARED)
            found = {one.id: one for one in kept} | unswept | found
        wanted = (one for one in found.values() if todo_id in (None, one.todo_id))
        return sorted(wanted, key=lambda one: (one.created_at, one.id))

    async def clear(self, scope: Scope, which: ItemSelection) -> int:
        """How many were cleared. Their copies are kept and say so."""
        cleared = await self.items.clear(scope, which, self.clock())
        if cleared:
            await self._follow(scope)
        return len(cleared)

    async def forget(self, scope: Scope, memory_id: str | None = None) -> None:
        """Take what is about to be deleted out of live state: one item, a session's, or those of the namespace."""
        now = self.clock()
        sessions = await self.items.due_sessions(scope, now + FOREVER, MAX_SESSIONS)
        for session in [scope.session_id] if scope.session_id else sessions:
            within = replace(scope, session_id=session)
            await self.items.clear(within, ItemSelection(id=memory_id), now)
            await self.copies.bring_into_step(within)

    async def complete(self, scope: Scope, todo_id: str, steps: Sequence[str]) -> Completed:
        """What the end of the to-do did. The procedure comes first: asking again after a failure adds nothing."""
        learnt = await self._learn(scope, todo_id, steps) if len(steps) > COMPLEX_STEPS else None
        cleared = await self.clear(scope, ItemSelection(todo_id=todo_id))
        return Completed(cleared) if learnt is None else Completed(cleared, learnt.id, learnt.redactions)

    async def _learn(self, scope: Scope, todo_id: str, steps: Sequence[str]) -> WriteOutcome:
        alive = await self.listed(scope, todo_id, cleared=False)
        about = alive or await self._copies(scope, Compare("todo_id", Op.EQ, todo_id), 1)
        goal = about[0].content if about else todo_id
        draft = ProceduralDraft(
            type=MemoryType.PROCEDURAL,
            content=goal,
            session_id=scope.session_id,
            agent_id=scope.agent_id,
            steps=list(steps),
        )
        return await self.ingestor.write_one(scope, draft)

    async def _copies(self, scope: Scope, where: Filter, limit: int) -> list[Working]:
        session = Compare("session_id", Op.EQ, scope.session_id)
        page = await self.store.page(scope, Listing((MemoryType.WORKING,), all_of(session, where), limit))
        return [one for one in page.memories if isinstance(one, Working)]

    async def _follow(self, scope: Scope) -> None:
        """Let the copies say so at once; if they can't, the next sweep lets them."""
        try:
            await self.copies.bring_into_step(scope)
        except RemembrancerError as error:
            _log.warning("copies of working memory follow with the next sweep: %s", error)


def _whole_ms(instant: datetime) -> datetime:
    """`instant` as live state keeps it, so that it is the same when the item is read again."""
    return instant.replace(microsecond=instant.microsecond // 1_000 * 1_000)


def _asked(draft: LiveDraft) -> dict[str, object]:
    """What holds for the item even where the same words were kept before."""
    return {name: getattr(draft, name) for name in ("context_type", "scope", "priority", "expires_at", "agent_id")}
