"""What a new text does to stored memories that say something else: it ends, moves or reopens a
task, replaces a fact, or says that it was wrong. Pure.

A reader gives the probabilities. It is shown only the few stored memories that the text could mean:
the nearest, at most MAX_PAIRS. From SURE on, a task is changed, and from SURE_WRONG on, a fact is
wrong. From HALF on, a task stays as it is and remembers what was said of it, and a fact is
contested. A reader alone replaces no fact, because it would hide too many that still hold. Nothing
happens twice against the will of a caller: a text whose act was undone never acts on that memory
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.identity.duplicates import has_ended, is_public
from ingest.identity.stored import Neighbour
from ingest.screening.text_features import AGENT, USER, speaker_of
from memtypes.model.ids import content_hash
from memtypes.model.memory import MAX_EARLIER, MAX_LABEL, Memory, Source
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import (
    CLOSED,
    IntentionType,
    Prospective,
    Status,
    TaskAct,
    TaskChange,
    moved_lapse,
    reopened_history,
    with_act,
)
from memtypes.ports.reader import Act, Acts, ReadStatement, StatementPair

SURE = 0.7
"""Minimum probability at which an act changes a task."""

SURE_WRONG = 0.9
"""Minimum probability at which a fact is wrong: from then on, no context shows it."""

HALF = 0.45
"""Minimum probability at which a task shows that it is said to have ended, and a fact is
contested.
"""

MAX_PAIRS = 4
"""Maximum number of stored memories that a text is read with: those that are most similar."""

MIN_COSINE = 0.25
"""Minimum cosine of a text and a memory that are read together."""

MAX_READ = 500
"""Maximum characters of a memory that is read. A longer one states many things."""

_ENDS = (Act.DONE, Act.CANCELLED)
_ENDED_BY = (TaskChange.DONE, TaskChange.CANCELLED, TaskChange.LAPSED)
_FACT_ACTS = (Act.REPLACES, Act.WRONG)
_CHANGES = {
    Act.DONE: TaskChange.DONE,
    Act.CANCELLED: TaskChange.CANCELLED,
    Act.MOVES: TaskChange.MOVED,
    Act.REOPENS: TaskChange.REOPENED,
}


@dataclass(frozen=True, slots=True)
class Told:
    """A text that may do something to stored memories.

    position: of the memory that is made of it, among those that are written; None if the text is
    not kept. session_id: where it was said. source: which message it is. due_at: the time that it
    names.
    """

    text: str
    said_at: datetime
    speaker: str
    kind: MemoryType
    before: str = ""
    position: int | None = None
    session_id: str | None = None
    source: Source | None = None
    due_at: datetime | None = None

    def statement(self) -> ReadStatement:
        """The text as a reader reads it."""
        day = self.said_at.date()
        return ReadStatement(self.text, day, self.speaker, self.kind, self.before)


@dataclass(frozen=True, slots=True)
class Deed:
    """An act of a text on the memory `id`. sure: whether it is made; if not, it is only noted."""

    id: str
    act: Act
    probability: float

    @property
    def sure(self) -> bool:
        """Whether the memory is changed."""
        if self.act is Act.REPLACES:
            return False
        return self.probability >= (SURE_WRONG if self.act is Act.WRONG else SURE)

    @property
    def certainty(self) -> float:
        """The probability as it is shown, with three digits."""
        return min(1.0, round(self.probability, 3))

    @property
    def reason(self) -> str:
        """Why, in words."""
        return f"a later text reads as {self.act} ({self.probability:.2f})"


@dataclass(frozen=True, slots=True)
class Deeds:
    """What a text does to stored memories."""

    told: Told
    deeds: tuple[Deed, ...]


def could_mean(told: Told, near: Iterable[Neighbour], now: datetime) -> list[Memory]:
    """The memories that `told` could mean, the nearest first, at most MAX_PAIRS: tasks, and facts
    if it states a fact.
    """
    meant = [
        neighbour
        for neighbour in near
        if (neighbour.cosine or 0.0) >= MIN_COSINE and _could_be_meant(told, neighbour.memory, now)
    ]
    meant.sort(key=lambda neighbour: -(neighbour.cosine or 0.0))
    return [neighbour.memory for neighbour in meant[:MAX_PAIRS]]


def _could_be_meant(told: Told, memory: Memory, now: datetime) -> bool:
    if (
        has_ended(memory, now)
        or memory.created_at > told.said_at
        or len(memory.content) > MAX_READ
        or _same_message(told, memory)
        or not (is_public(memory) or memory.session_id == told.session_id)
    ):
        return False
    if isinstance(memory, Prospective):
        return text_hash(told.text) not in memory.kept_from
    return memory.type is MemoryType.SEMANTIC and told.kind is MemoryType.SEMANTIC


def _same_message(told: Told, memory: Memory) -> bool:
    source = told.source
    return source is not None and source.thread_id is not None and memory.source == source


def text_hash(text: str) -> str:
    """What `kept_from` has of a text: the hash of its beginning, which is all that is kept of a
    text that is no memory.
    """
    return content_hash(text[:MAX_LABEL])


def pair(told: Told, memory: Memory) -> StatementPair:
    """The text and the memory, as a reader reads them together."""
    if isinstance(memory, Prospective):
        is_own = memory.intention_type is IntentionType.COMMITMENT
        speaker = AGENT if is_own else USER
    else:
        speaker = speaker_of(getattr(memory, "speaker", None))
    day = memory.created_at.date()
    older = ReadStatement(memory.content, day, speaker, memory.type)
    return StatementPair(told.statement(), older)


def deeds_of(told: Told, read: Iterable[tuple[Memory, Acts]]) -> Deeds:
    """What `told` does to the memories that were read with it, by the probabilities of their
    acts.
    """
    deeds = (_deed(memory, acts) for memory, acts in read)
    return Deeds(told, tuple(deed for deed in deeds if deed.probability >= HALF))


def _deed(memory: Memory, acts: Acts) -> Deed:
    if isinstance(memory, Prospective):
        if memory.status in CLOSED:
            return Deed(memory.id, Act.REOPENS, acts.get(Act.REOPENS, 0.0))
        # A text that ends a task for sure need not say for sure whether it is done or dropped.
        end = max(_ENDS, key=lambda act: acts.get(act, 0.0))
        ends = Deed(memory.id, end, sum(acts.get(act, 0.0) for act in _ENDS))
        moves = Deed(memory.id, Act.MOVES, acts.get(Act.MOVES, 0.0))
        return max(ends, moves, key=lambda deed: deed.probability)
    act = max(_FACT_ACTS, key=lambda change: acts.get(change, 0.0))
    return Deed(memory.id, act, acts.get(act, 0.0))


def acted_on(
    task: Prospective, deed: Deed, told: Told, by: str | None, now: datetime
) -> dict[str, Any]:
    """The fields of `task` to set because of `deed`, which is about an intention. by: id of the
    memory that was made of the text. now: the service knows it from then on, even if the clock of
    whoever said it is ahead.
    """
    since = min(told.said_at, now)
    act = TaskAct(
        how=_CHANGES[deed.act],
        at=told.said_at,
        reason=deed.reason,
        sure=deed.certainty,
        by=by,
        text=None if by is not None else told.text[:MAX_LABEL],
        due_at=task.due_at,
        status=task.status,
    )
    if not deed.sure:
        return {} if deed.act is Act.REOPENS else {"said": act}
    match deed.act:
        case Act.DONE:
            done = {"status": Status.COMPLETED, "completed_at": told.said_at}
            return {**done, "ended": act, "said": None, "closed_at": since, "reopened_at": None}
        case Act.CANCELLED:
            cancelled = {"status": Status.CANCELLED, "ended": act, "said": None}
            return {**cancelled, "closed_at": since, "reopened_at": None}
        case Act.REOPENS:
            open_again = {"status": Status.PENDING, "completed_at": None, "fired_at": None}
            history = reopened_history(task, task.history, act)
            return {**open_again, "ended": None, "history": history, "reopened_at": since}
        case _:
            return _moved(task, act, told.due_at)


def _moved(task: Prospective, act: TaskAct, due_at: datetime | None) -> dict[str, Any]:
    """The fields of a task that a text moved, without being a task itself. Without a new time it
    may have a new owner; then only its history says so.
    """
    fields: dict[str, Any] = {"said": None, "history": with_act(task.history, act)}
    if due_at is None:
        return fields
    lapses_at = moved_lapse(task, due_at)
    times = {"due_at": due_at, "due_text": None, "lapses_at": lapses_at, "fired_at": None}
    return {**fields, **times, "status": Status.PENDING}


def undone(task: Prospective, text: str | None) -> dict[str, Any] | None:
    """The fields of `task` to set so that the latest act of a text on it, or of a caller that
    opened it again, is undone; None if there is none. text: its words, if they are known; it then
    never acts on this task again.
    """
    kept_from = [*task.kept_from, *([] if text is None else [text_hash(text)])][-MAX_EARLIER:]
    fields: dict[str, Any] = {"kept_from": kept_from, "said": None}
    if is_ended_by_text(task):
        # Nothing ended it, so it was open all the time
        open_again = {"status": Status.PENDING, "completed_at": None, "closed_at": None}
        return {**fields, **open_again, "ended": None}
    if task.said is not None:
        return fields
    undoable = [act for act in task.history if _is_undoable(act)]
    if not undoable:
        return None
    last = undoable[-1]
    fields["history"] = [act for act in task.history if act is not last]
    if last.how is TaskChange.REOPENED:
        return {**fields, **_ended_again(task, last, fields["history"])}
    lapses_at = moved_lapse(task, last.due_at)
    return {**fields, "due_at": last.due_at, "due_text": None, "lapses_at": lapses_at}


def _ended_again(task: Prospective, opened: TaskAct, history: Sequence[TaskAct]) -> dict[str, Any]:
    """The fields of `task`, which `opened` opened again, with what had ended it before. history:
    without `opened`.
    """
    ends = [act for act in history if act.how in _ENDED_BY]
    end = ends[-1] if ends else None
    fields: dict[str, Any] = {"history": [act for act in history if act is not end]}
    fields |= {"status": opened.status, "reopened_at": None, "completed_at": None}
    if opened.status is Status.LAPSED:
        return {**fields, "lapses_at": opened.at if end is None else end.at}
    if opened.status is Status.COMPLETED:
        fields["completed_at"] = task.closed_at or opened.at
    return {**fields, "ended": end}


def is_ended_by_text(task: Prospective) -> bool:
    """Whether a text says that the task is done or dropped."""
    return task.status in CLOSED and task.ended is not None and _by_text(task.ended)


def _by_text(act: TaskAct) -> bool:
    """Whether a text did it to this very task, not a caller, and not to one that it continues."""
    return act.earlier is None and (act.by is not None or act.text is not None)


def is_told_by(act: TaskAct, text: str, said_at: datetime) -> bool:
    """Whether it is the act of this text, said at this time, which is no memory."""
    return act.by is None and act.text == text[:MAX_LABEL] and act.at == said_at


def _is_undoable(act: TaskAct) -> bool:
    """Whether an act in the history of a task can be undone: what ended it is over anyway."""
    return act.how is TaskChange.REOPENED or (act.how not in _ENDED_BY and _by_text(act))


def latest_act(task: Prospective) -> TaskAct | None:
    """The latest thing that a text did to `task`, or a caller that opened it again; None if there
    is nothing to undo.
    """
    if is_ended_by_text(task):
        return task.ended
    undoable = [act for act in task.history if _is_undoable(act)]
    return task.said or (undoable[-1] if undoable else None)


def continued(
    task: Prospective, earlier: Prospective, reason: str, sure: float | None = None
) -> Prospective:
    """`task`, which states `earlier` with another time or owner, with the history of both. reason:
    how the service knows, and how sure it is, if a reader was asked.
    """
    act = TaskAct(
        how=TaskChange.MOVED,
        at=task.created_at,
        reason=reason,
        sure=sure,
        by=task.id,
        due_at=earlier.due_at,
        status=earlier.status,
        earlier=earlier.id,
    )
    history = list(earlier.history)
    for entry in (*task.history, act):
        history = with_act(history, entry)
    return task.model_copy(update={"history": history})


def moved_to(successor: Prospective, task: Prospective, deed: Deed) -> Prospective:
    """`task` with how sure it is that `successor` takes its place."""
    act = TaskAct(
        how=TaskChange.MOVED,
        at=successor.valid_from,
        reason=deed.reason,
        sure=deed.certainty,
        by=successor.id,
    )
    return task.model_copy(update={"ended": act})


def without_earlier(task: Prospective, earlier: Prospective) -> Prospective:
    """`task`, which does not state `earlier` with another time after all, without its history."""
    history = [
        act for act in task.history if act.earlier != earlier.id and act not in earlier.history
    ]
    return task.model_copy(update={"history": history})
