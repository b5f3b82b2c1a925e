"""Lists what the service decided by itself about memories and texts, and undoes such decisions.
What callers retracted or opened again is listed with it, because it is undone in the same way.

When texts are written, the service decides which facts they replace or contest, which texts repeat
a memory in other words and are merged into it, which tasks they end, move or reopen, which
appointments are over, and which texts are rejected. Upkeep (background
jobs) decides which memories are merged, promoted or forgotten; these decisions can be undone for
UNDO_DAYS. An undone decision is not made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ingest.identity.acts import latest_act, undone
from ingest.identity.duplicates import has_ended
from ingest.screening.submission import Submission, draft_of
from ingest.upkeep.planners import UNDO_DAYS
from ingest.writing.changes import existing_memory, is_retracted
from ingest.writing.pipeline import Ingestor
from ingest.writing.writer import ScopeLocks
from memtypes.model.errors import Conflict, NotFound
from memtypes.model.filters import Absent, All, AnyOf, Compare, Filter, Not, Op
from memtypes.model.memory import (
    CURRENT_AGAIN,
    PAST,
    Link,
    LinkType,
    Memory,
    State,
    UpkeepMark,
    first_line,
)
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import BY_TIME, CLOSED, OPEN, Prospective, Status, TaskChange
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.ports.memory_store import Listing, MemoryStore
from memtypes.ports.rejections import RejectedText

MAX_READ = 10_000
"""Maximum number of memories, the newest, among which decisions are looked for."""

_PAGE = 500
_DAYS = (1, 30, 700_000)
"""Periods, in days, whose decisions are read: a longer one only if the shorter ones have too
few.
"""


class DecisionKind(StrEnum):
    """The kinds of decisions that the service makes by itself about memories and texts."""

    REPLACED = "replaced"
    RETRACTED = "retracted"
    CONTESTED = "contested"
    MERGED = "merged"
    PROMOTED = "promoted"
    FORGOTTEN = "forgotten"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    ENDED = "ended"
    SAID_ENDED = "said_ended"
    MOVED = "moved"
    REOPENED = "reopened"


_KINDS = {
    TaskChange.DONE: DecisionKind.ENDED,
    TaskChange.CANCELLED: DecisionKind.ENDED,
    TaskChange.MOVED: DecisionKind.MOVED,
    TaskChange.REOPENED: DecisionKind.REOPENED,
}

_STATES = {
    State.REPLACED: DecisionKind.REPLACED,
    State.WRONG: DecisionKind.RETRACTED,
    State.CONTESTED: DecisionKind.CONTESTED,
}

_JOBS = {
    "promote": DecisionKind.PROMOTED,
    "forget": DecisionKind.FORGOTTEN,
    "compact": DecisionKind.MERGED,
}


def _with_status(statuses: Iterable[Status]) -> Filter:
    return Compare("status", Op.ANY, tuple(sorted(map(str, statuses))))


_SUPERSEDED = All((Not(Absent("valid_to")), Not(Absent("superseded_by"))))

_FILTERS: dict[DecisionKind, Filter] = {
    DecisionKind.REPLACED: _SUPERSEDED,
    DecisionKind.RETRACTED: All(
        (Not(Absent("valid_to")), Compare("state", Op.EQ, str(State.WRONG)))
    ),
    DecisionKind.CONTESTED: All(
        (Not(Absent("links.to")), Compare("state", Op.EQ, str(State.CONTESTED)))
    ),
    DecisionKind.MERGED: AnyOf(
        (Compare("upkeep.job", Op.EQ, "compact"), Not(Absent("rewordings.id")))
    ),
    DecisionKind.PROMOTED: Compare("upkeep.job", Op.EQ, "promote"),
    DecisionKind.FORGOTTEN: Compare("upkeep.job", Op.EQ, "forget"),
    DecisionKind.LAPSED: All(
        (_with_status(OPEN | {Status.LAPSED}), Not(Absent("lapses_at")))  # by time alone
    ),
    DecisionKind.ENDED: All((_with_status(CLOSED), Not(Absent("ended.at")))),
    DecisionKind.SAID_ENDED: All((_with_status(OPEN), Not(Absent("said.at")))),
    DecisionKind.MOVED: AnyOf(
        (
            All((_with_status(Status), Not(Absent("history")))),
            All((_with_status(Status), _SUPERSEDED)),
        )
    ),
    DecisionKind.REOPENED: All((_with_status(Status), Not(Absent("history")))),
}
"""By kind of decision, the condition that such memories meet. Each has an indexed field, which is
checked first.
"""


@dataclass(frozen=True, slots=True)
class DecidedText:
    """A decision about the memory or rejected text with this `id`, and the text itself (`content`).

    at: when it was decided; of what a text did to a task, when it was said. by: id of the memory
    that replaced or contests the text, into which it was merged, or that ended the task; otherwise
    None. by_content: the text of that memory, if it still exists.
    """

    id: str
    kind: DecisionKind
    at: datetime
    reason: str
    content: str
    by: str | None = None
    by_content: str | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """Lists and undoes the automatic decisions about memories and texts."""

    store: MemoryStore
    ingestor: Ingestor
    clock: Clock
    _storing: ScopeLocks = field(default_factory=ScopeLocks, init=False)

    async def latest(
        self, scope: Scope, kind: DecisionKind | None, limit: int
    ) -> list[DecidedText]:
        """The newest decisions of `kind`, or of all kinds if it is None; at most `limit`, newest
        first.
        """
        kinds = [kind] if kind else list(DecisionKind)
        now = self.clock()
        texts = list[DecidedText]()
        by_kind = AnyOf(
            tuple(_FILTERS[decision_kind] for decision_kind in kinds if decision_kind in _FILTERS)
        )
        for days in _DAYS:
            since = now - timedelta(days=days)
            times = ("updated_at", "valid_to", "upkeep.at", "rewordings.at", "lapses_at")
            recent = AnyOf(tuple(Compare(time, Op.GTE, since) for time in times))
            listed = self.store.list_all(
                scope, Listing(filter=All((by_kind, recent)), limit=_PAGE), most=MAX_READ
            )
            decided = [text async for memory in listed for text in _decisions_about(memory.at(now))]
            texts = [text for text in decided if text.kind in kinds and text.at >= since]
            if len(texts) >= limit:
                break
        if (rejections := self.ingestor.rejections) is not None and DecisionKind.REJECTED in kinds:
            texts += [
                DecidedText(
                    text.id,
                    DecisionKind.REJECTED,
                    text.at,
                    text.reason,
                    str(text.fields["content"]),
                )
                for text in await rejections.latest(scope, limit)
                if _is_reachable(scope, text)
            ]
        newest = sorted(texts, key=lambda text: (-text.at.timestamp(), text.id))[:limit]
        ids = sorted({text.by for text in newest if text.by is not None})
        deciding = await self.store.get(scope, ids) if ids else {}
        return [
            text
            if text.by is None or text.by not in deciding
            else replace(text, by_content=deciding[text.by].content)
            for text in newest
        ]

    async def undo(self, scope: Scope, memory_id: str) -> list[str]:
        """Undo the decision about a memory, or about a text that was rejected or merged, with this
        id.

        Returns the ids of the memories that searches find again; for a promoted fact, the events
        that it was made of. A forgotten memory is pinned, so that it is not forgotten again. An
        appointment that has lapsed, or a task that a text has ended, is open again. A replaced or
        contested fact becomes current, and so does the fact that contradicts it. One that a caller
        retracted is replaced if another fact has taken its place. A rejected text,
        or one merged as a repetition in other words, is stored as a memory by itself. Raises
        NotFound for an unknown id, and Conflict if there is nothing to undo.
        """
        async with self.ingestor.locks.lock(scope):
            memory = (await self.store.get(scope, [memory_id])).get(memory_id)
            now = self.clock()
            if memory is not None and not _by_write(memory.at(now)):
                changes, restored = await self._undo_fields(scope, memory.at(now))
                now = self.clock()
                memories = await self.store.get(scope, list(changes))
                await self.ingestor.editor.state_writer.update(scope, memories, now, changes)
                # The due time of a task is a part of the text that is embedded.
                await self.ingestor.editor.embed_changed(scope, {memory_id: memory})
                stored = await self.store.get(scope, restored)
                return [
                    key
                    for key in restored
                    if key in stored and not has_ended(stored[key].at(now), now)
                ]
        if memory is not None:
            editor = self.ingestor.editor
            undo = editor.accept if is_retracted(memory) else editor.part
            back = await undo(scope, memory_id)
            return [] if has_ended(back, self.clock()) else [back.id]
        # A text that is stored twice would count as evidence twice
        async with self._storing.lock(scope):
            return [
                await self._store_wording(scope, memory_id)
                or await self._store_rejected(scope, memory_id)
            ]

    async def _undo_fields(
        self, scope: Scope, memory: Memory
    ) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Changes, by memory id, that undo upkeep's decision about `memory`, and the ids that
        become current again.

        Raises Conflict if there is no such decision, or if it is older than UNDO_DAYS.
        """
        now = self.clock()
        if isinstance(memory, Prospective):
            if memory.status is Status.LAPSED:
                fields: dict[str, Any] = {"status": Status.PENDING, "lapses_at": None}
                return {memory.id: self._dumped(memory, fields, now)}, [memory.id]
            if undo_fields := await self._undo_act(scope, memory):
                return {memory.id: self._dumped(memory, undo_fields, now)}, [memory.id]
        mark = memory.upkeep
        if mark is None or mark.undone or mark.at < now - timedelta(days=UNDO_DAYS):
            raise Conflict(
                f"memory {memory.id} has no decision of upkeep from the last {UNDO_DAYS} "
                "days to undo"
            )
        if mark.job == "compact":
            return await self._unmerge_fields(scope, memory)
        if mark.job == "promote":
            return await self._unpromote_fields(scope, memory, mark)
        # Otherwise it had ended before it was forgotten
        back = CURRENT_AGAIN if memory.valid_to == mark.at else {}
        return {memory.id: {**back, "upkeep": None, "pinned": True, "updated_at": rfc3339(now)}}, [
            memory.id
        ]

    async def _undo_act(self, scope: Scope, task: Prospective) -> dict[str, Any] | None:
        """Fields that undo the latest thing that a text did to `task`; None if none did anything.

        The text never acts on the task again, so its hash is kept.
        """
        act = latest_act(task)
        if act is None:
            return None
        text = act.text
        if act.by is not None:
            by = (await self.store.get(scope, [act.by])).get(act.by)
            text = None if by is None else by.content
        return undone(task, text)

    def _dumped(self, task: Prospective, fields: dict[str, Any], now: datetime) -> dict[str, Any]:
        """The payload fields to write to set `fields` of `task`, with its new token count."""
        changed = task.model_copy(update={**fields, "updated_at": now})
        changed = changed.model_copy(update={"tokens": self.ingestor.count_tokens(changed)})
        return changed.model_dump(mode="json", include={*fields, "updated_at", "tokens"})

    async def _unpromote_fields(
        self, scope: Scope, memory: Memory, mark: UpkeepMark
    ) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Changes and ids as in `_undo_fields`, to undo the promotion of `memory`."""
        if mark.added or mark.into:
            return await self._take_back_sessions(scope, memory)
        now = rfc3339(self.clock())
        undone = {
            "upkeep": mark.model_copy(update={"undone": True}).model_dump(mode="json"),
            "updated_at": now,
        }
        # Earlier versions promoted tasks, too
        if isinstance(memory, Prospective):
            return {memory.id: {"visibility": str(Visibility.SESSION), **undone}}, [memory.id]
        sources = [link.to for link in memory.links if link.type is LinkType.DERIVED_FROM]
        # The fact stays, out of the view, because its links keep its events from being promoted
        # again.
        end = {
            "valid_to": now,
            "state": str(State.REPLACED),
            "state_reason": "its promotion was undone",
        }
        return {memory.id: {**end, **undone}}, sources

    async def _take_back_sessions(
        self, scope: Scope, memory: Memory
    ) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Changes and ids as in `_undo_fields`, to take back the sessions that a fact got by a
        promotion. memory: the fact, or a fact that was merged into it.

        Raises Conflict if the fact is gone or its promotion was undone.
        """
        best_id = _merged_into(memory) or memory.id
        best = (await self.store.get(scope, [best_id])).get(best_id)
        mark = None if best is None else best.upkeep
        if best is None or mark is None or mark.undone:
            raise Conflict(f"the promotion of {best_id} was undone, or it was deleted")
        sources = await self.store.get(scope, [link.to for link in best.links])
        merged = [other for other in sources.values() if _merged_into(other) == best_id]
        at = rfc3339(self.clock())
        changes: dict[str, dict[str, Any]] = {
            other.id: {**CURRENT_AGAIN, "upkeep": None, "updated_at": at} for other in merged
        }
        undone = mark.model_copy(update={"undone": True})
        sessions = [name for name in best.source_sessions if name not in mark.added]
        changes[best_id] = {
            "evidence_count": max(1, best.evidence_count - len(mark.added)),
            "source_sessions": sessions,
            "links": [
                (
                    link.model_copy(update={"strength": 0.0})
                    if link.type in (LinkType.DERIVED_FROM, LinkType.REINFORCES)
                    else link
                ).model_dump(mode="json")
                for link in best.links
            ],
            "upkeep": undone.model_dump(mode="json"),
            "updated_at": at,
        }
        return changes, [best_id, *(other.id for other in merged)]

    async def _unmerge_fields(
        self, scope: Scope, memory: Memory
    ) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Changes and ids as in `_undo_fields`, to undo a merge of `memory` into another one, or of
        others into it.
        """
        into = _merged_into(memory)
        best_id = into or memory.id
        merged_ids = [memory.id] if into else [link.to for link in memory.links]
        stored = await self.store.get(scope, [best_id, *merged_ids])
        duplicates = [
            stored[key]
            for key in merged_ids
            if key in stored and _merged_into(stored[key]) == best_id
        ]
        if not duplicates:
            raise Conflict(
                f"no memory is merged into {memory.id}: they were separated or deleted; "
                "nothing is to undo"
            )
        at = rfc3339(self.clock())
        changes = {
            duplicate.id: {**CURRENT_AGAIN, "upkeep": None, "updated_at": at}
            for duplicate in duplicates
        }
        if best_id in stored:
            changes[best_id] = {**_without_evidence(stored[best_id], duplicates), "updated_at": at}
        return changes, [duplicate.id for duplicate in duplicates]

    async def _store_wording(self, scope: Scope, wording_id: str) -> str | None:
        page = await self.store.page(
            scope, Listing(filter=Compare("rewordings.id", Op.EQ, wording_id), limit=1)
        )
        if not page.memories:
            return None
        memory = page.memories[0]
        wording = next(rewording for rewording in memory.rewordings if rewording.id == wording_id)
        names = {
            "type",
            "agent_id",
            "importance",
            "tags",
            "metadata",
            "expires_at",
            *memory.own_fields,
        }
        if memory.title_field and getattr(memory, memory.title_field) == first_line(memory.content):
            names.remove(memory.title_field)
        fields = memory.model_dump(
            mode="json", include=names - {"evidence_count", "source_sessions"}
        )
        fields |= {
            "content": wording.content,
            "session_id": wording.session_id,
            "created_at": wording.at,
        }
        separate = Link(to=memory.id, type=LinkType.REINFORCES, strength=0.0)
        outcome = await self.ingestor.write_one(
            scope, Submission(draft_of({**fields, "links": [separate]}))
        )
        if outcome.id is None or outcome.memory is None:
            raise Conflict(f"the text was not stored: {outcome.reason}")
        async with self.ingestor.locks.lock(scope):
            memory = await existing_memory(self.store, scope, memory.id)
            remaining = [
                text.model_dump(mode="json") for text in memory.rewordings if text.id != wording_id
            ]
            change = {**_without_evidence(memory, [outcome.memory]), "rewordings": remaining}
            await self.store.patch(
                scope, {memory.id: {**change, "updated_at": rfc3339(self.clock())}}
            )
        return outcome.id

    async def _store_rejected(self, scope: Scope, rejected_id: str) -> str:
        rejections = self.ingestor.rejections
        text = None if rejections is None else await rejections.get(scope, rejected_id)
        if text is None or rejections is None or not _is_reachable(scope, text):
            raise NotFound(
                f"there is no memory and no rejected text {rejected_id}; rejected texts expire"
            )
        outcome = await self.ingestor.write_one(scope, Submission(draft_of(text.fields)))
        if outcome.id is None:
            raise Conflict(f"the text was rejected again: {outcome.reason}")
        await rejections.remove(scope, [rejected_id])
        return outcome.id

    async def discard_rejected(self, scope: Scope, kind: MemoryType | None) -> None:
        """Remove rejected texts of the scope's session that have no type or the type `kind`. None
        stands for any.
        """

        def matches(text: RejectedText) -> bool:
            of_session = scope.session_id in (None, text.fields.get("session_id"))
            return (
                of_session
                and kind in (None, text.fields.get("type", kind))
                and _is_reachable(scope, text)
            )

        if (rejections := self.ingestor.rejections) is not None:
            await rejections.remove(scope, await rejections.matching(scope, matches))


def _is_reachable(scope: Scope, text: RejectedText) -> bool:
    """Whether the caller may see a rejected text. A working item is seen only by keys that may act
    for its agent.
    """
    return text.fields.get("type") != MemoryType.WORKING or scope.reaches(
        text.fields.get("agent_id")
    )


def _merged_into(memory: Memory) -> str | None:
    return memory.upkeep.into if memory.upkeep is not None else None


def _without_evidence(memory: Memory, duplicates: Sequence[Memory]) -> dict[str, Any]:
    """The fields of `memory` without the evidence of `duplicates`. Links of strength 0 prevent
    another merge.
    """
    removed = {session for duplicate in duplicates for session in duplicate.source_sessions} - {
        memory.session_id
    }
    ids = {duplicate.id for duplicate in duplicates}
    links = [
        link.model_copy(update={"strength": 0.0}) if link.to in ids else link
        for link in memory.links
    ]
    return {
        "evidence_count": max(
            1, memory.evidence_count - sum(duplicate.evidence_count for duplicate in duplicates)
        ),
        "access_count": max(
            0, memory.access_count - sum(duplicate.access_count for duplicate in duplicates)
        ),
        "source_sessions": [
            session for session in memory.source_sessions if session not in removed
        ],
        "links": [link.model_dump(mode="json") for link in links],
    }


def _decisions_about(memory: Memory) -> list[DecidedText]:
    """The decisions about `memory`, and about the texts merged into it when they were written;
    without undone ones.
    """
    decided = [
        DecidedText(
            text.id,
            DecisionKind.MERGED,
            text.at,
            f"{text.reason} as {memory.id}",
            text.content,
            memory.id,
        )
        for text in memory.rewordings
    ]
    mark = memory.upkeep
    if mark is not None and not mark.undone and (memory.ended_by_upkeep or mark.job == "promote"):
        decided.append(
            DecidedText(memory.id, _JOBS[mark.job], mark.at, mark.reason, memory.content, mark.into)
        )
    if isinstance(memory, Prospective):
        decided += _decisions_about_task(memory)
    if _by_write(memory):
        kind = _STATES[memory.state]
        if kind is DecisionKind.REPLACED and isinstance(memory, Prospective):
            # A task whose place another one takes goes on as that one
            kind = DecisionKind.MOVED
        at = memory.updated_at
        reason = memory.state_reason or ""
        by = _rival(memory) if kind is DecisionKind.CONTESTED else memory.superseded_by
        if kind is DecisionKind.RETRACTED and is_retracted(memory):
            at = memory.retracted_at or at
            by = None  # which may name what replaced it
        decided.append(DecidedText(memory.id, kind, at, reason, memory.content, by))
    return decided


def _decisions_about_task(task: Prospective) -> list[DecidedText]:
    """That an appointment has lapsed, and the latest thing that a text did to a task."""
    decided: list[DecidedText] = []
    if task.status is Status.LAPSED and task.lapses_at is not None:
        decided.append(
            DecidedText(task.id, DecisionKind.LAPSED, task.lapses_at, BY_TIME, task.content)
        )
    act = latest_act(task)
    if act is not None:
        kind = _KINDS[act.how]
        if act == task.said:
            kind = DecisionKind.SAID_ENDED
        reason = act.reason if act.text is None else f'{act.reason}: "{act.text}"'
        decided.append(DecidedText(task.id, kind, act.at, reason, task.content, act.by))
    return decided


def _rival(memory: Memory) -> str | None:
    """The memory that a contested one contradicts: of several, the one that was linked last."""
    rivals = [link.to for link in memory.links if link.type is LinkType.CONTRADICTS]
    return rivals[-1] if rivals else None


def _by_write(memory: Memory) -> bool:
    """Whether a new text replaced or contested `memory`, or it is wrong. Not if a caller ended it:
    it then has no successor.
    """
    if memory.ended_by_upkeep:
        return False
    return memory.state in (State.CONTESTED, State.WRONG) or (
        memory.state in PAST and memory.superseded_by is not None
    )
