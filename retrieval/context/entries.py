"""What a memory looks like in a context: the text of its entry and its day heading, for each type.

Only this module knows it. A memory is stored with the token count of its entry, which is right as
long as the entry stays the same. So the count is stored with the version of the `Entries` that
wrote it, and a count of another version is counted again. The version is computed from what
`Entries` make of sample memories: whoever changes an entry's form changes the version with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

from memtypes.markdown import bullet
from memtypes.model.memory import Memory, State, TokenCount, first_line, state_at
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import CLOSED, Status, status_at
from memtypes.ports.encoders import Tokenizer
from memtypes.words import has_first_person, has_relative_time


class EntryTokens(msgspec.Struct, frozen=True, gc=False):
    """The stored token counts of a memory; see `TokenCount`."""

    count: int
    tokenizer: str
    line: int = 0
    renderer: str = ""


class EarlierTime(msgspec.Struct, frozen=True, gc=False):
    """When an earlier text of an edited memory ended."""

    until: datetime


class SaidEnd(msgspec.Struct, frozen=True, gc=False):
    """What a text seems to have done to a task, and when it was said; see `Prospective.said`.

    how: the same in data folders that an earlier version wrote.
    """

    at: datetime
    end: str = msgspec.field(name="as", default="")
    how: str = ""


class EntryFields(msgspec.Struct, frozen=True, gc=False):
    """The stored fields of a memory from which a context shows it.

    A context shows hundreds of memories: these fields are read and decoded in a tenth of the time
    that whole memories take.
    """

    id: str
    type: MemoryType
    content: str
    created_at: datetime
    valid_from: datetime
    tokens: EntryTokens
    seq: int = 0
    state: State = State.CURRENT
    valid_to: datetime | None = None
    state_until: datetime | None = None
    superseded_by: str | None = None
    dated: bool = False
    restated_at: datetime | None = None
    earlier: tuple[EarlierTime, ...] = ()
    speaker: str | None = None
    context: str | None = None
    concept: str | None = None
    status: Status = Status.PENDING
    lapses_at: datetime | None = None
    closed_at: datetime | None = None
    reopened_at: datetime | None = None
    completed_at: datetime | None = None
    due_at: datetime | None = None
    said: SaidEnd | None = None
    trigger_condition: str | None = None
    todo_status: str | None = None
    procedure_name: str | None = None
    steps: tuple[str, ...] = ()
    prerequisites: tuple[str, ...] = ()
    success_conditions: tuple[str, ...] = ()
    failure_patterns: tuple[str, ...] = ()

    @classmethod
    def from_memory(cls, memory: Memory) -> EntryFields:
        """The fields of `memory`, as they are read from a store."""
        return msgspec.convert(memory.to_payload(), cls)

    def state_at(self, moment: datetime) -> State:
        """The state of the memory at `moment`: current, contested or replaced."""
        return state_at(moment, self.state, self.valid_to, self.state_until)

    def as_of(self, moment: datetime) -> EntryFields:
        """The fields of a task as it was at `moment`; any other memory unchanged. If the task was
        another, the stored token counts don't hold.
        """
        if self.type is not MemoryType.PROSPECTIVE:
            return self
        status = status_at(moment, self)
        said = None if self.said is not None and self.said.at > moment else self.said
        if status is self.status and said is self.said:
            return self
        completed_at = self.completed_at if status in CLOSED else None
        uncounted = msgspec.structs.replace(self.tokens, renderer="")
        return msgspec.structs.replace(
            self, status=status, said=said, completed_at=completed_at, tokens=uncounted
        )


EntryText: TypeAlias = Callable[[EntryFields], str]
"""Makes the text of a memory's entry, without a bullet. It may have several lines."""


def episodic_text(event: EntryFields) -> str:
    """Speaker (if known), content and, in brackets, the field `context`."""
    speaker = f"{event.speaker}: " if event.speaker else ""
    context = f" ({event.context})" if event.context else ""
    return f"{speaker}{event.content}{context}"


def semantic_text(fact: EntryFields) -> str:
    """Speaker (see `_who`), concept (unless it is the content's first line) and content.

    A replaced fact ends with "(from DAY until DAY)", one that replaced another, contests another or
    is contested with "(since DAY)". Any other with words such as "today" ends with "(DAY)".
    """
    text = f"{_who(fact)}{_titled(fact.concept, fact.content)}"
    since = fact.earlier[-1].until if fact.earlier else fact.valid_from
    is_replaced = fact.superseded_by is not None and fact.state_until is None
    if is_replaced and fact.valid_to is not None:
        return f"{text} (from {_day(min(since, fact.valid_to))} until {_day(fact.valid_to)})"
    if not fact.dated and fact.state is not State.CONTESTED:
        return f"{text}{_said(fact)}"
    times = (since, fact.restated_at)
    days = dict.fromkeys(_day(time) for time in times if time is not None)
    return f"{text} (since {', said again '.join(days)})"


def prospective_text(task: EntryFields) -> str:
    """Status, speaker (see `_who`), content, due time and trigger: "[STATUS] SPEAKER: CONTENT (due
    TIME) (when: TRIGGER)".

    A task that seems to have ended, which is not sure, has "(said done DAY)" at its end; one
    without a due time and with words such as "next week" has "(DAY)" after its content.
    """
    done = ""
    if task.status is Status.COMPLETED and task.completed_at is not None:
        done = f" {_day(task.completed_at)}"
    due = _said(task) if task.due_at is None else f" (due {task.due_at:%Y-%m-%d %H:%M}Z)"
    when = f" (when: {task.trigger_condition})" if task.trigger_condition else ""
    said = (
        f" (said {task.said.end or task.said.how} {_day(task.said.at)})"
        if task.said is not None
        else ""
    )
    return f"[{task.status}{done}] {_who(task)}{task.content}{due}{when}{said}"


def procedural_text(procedure: EntryFields) -> str:
    """Speaker (see `_who`), name (unless it is the content's first line) and content, "(DAY)",
    numbered steps and conditions, on several lines. The day is that of the last repetition.
    """
    day = _day(procedure.restated_at or procedure.created_at)
    steps = [f"{number}. {step}" for number, step in enumerate(procedure.steps, 1)]
    conditions = {
        "Needs": procedure.prerequisites,
        "Done when": procedure.success_conditions,
        "Fails when": procedure.failure_patterns,
    }
    lines = [f"{label}: {'; '.join(texts)}" for label, texts in conditions.items() if texts]
    text = f"{_who(procedure)}{_titled(procedure.procedure_name, procedure.content)}"
    return "\n".join([f"{text} ({day})", *steps, *lines])


def working_text(item: EntryFields) -> str:
    """Content; before it, "[in progress]" or "[pending]" if the item stands for a to-do."""
    if item.todo_status is None:
        return item.content
    return f"[{item.todo_status.replace('_', ' ')}] {item.content}"


TEXTS: Mapping[MemoryType, EntryText] = MappingProxyType(
    {
        MemoryType.EPISODIC: episodic_text,
        MemoryType.SEMANTIC: semantic_text,
        MemoryType.PROSPECTIVE: prospective_text,
        MemoryType.PROCEDURAL: procedural_text,
        MemoryType.WORKING: working_text,
    }
)


class Entries:
    """Writes the entries of memories. texts: what makes the text of an entry, by type.

    version: identifies what entries look like, in 16 hexadecimal digits. Two `Entries` with the
    same version make the same entries of all samples, so token counts of one hold for the other.
    """

    def __init__(self, texts: Mapping[MemoryType, EntryText] = TEXTS) -> None:
        self._texts = texts
        digest = sha256()
        for fields in sample_fields():
            digest.update(self.markdown(fields).encode())
        self.version = digest.hexdigest()[:16]

    def text(self, fields: EntryFields) -> str:
        """The text of a memory's entry, without a bullet. It may have several lines."""
        return self._texts[fields.type](fields)

    def markdown(self, fields: EntryFields) -> str:
        """The Markdown list entry that shows a memory in a context."""
        return bullet(self.text(fields))

    def text_of(self, memory: Memory) -> str:
        """The text of the entry of `memory`, without a bullet."""
        return self.text(EntryFields.from_memory(memory))


@dataclass(frozen=True, slots=True)
class EntryCounter:
    """Counts the tokens of memories, and of their entries as `entries` write them."""

    tokenizer: Tokenizer
    entries: Entries

    def __call__(self, memory: Memory) -> TokenCount:
        """The token counts to store with `memory`."""
        return TokenCount(
            count=self.tokenizer.count(memory.content),
            tokenizer=self.tokenizer.name,
            line=self.tokenizer.count(self.entries.markdown(EntryFields.from_memory(memory))),
            renderer=self.entries.version,
        )


def day_of(fields: EntryFields) -> str | None:
    """The day under whose heading a context lists the memory, such as 2026-03-01; None if under
    none. Events have days.
    """
    return _day(fields.created_at) if fields.type is MemoryType.EPISODIC else None


def _titled(title: str | None, content: str) -> str:
    """Title and content; only the content if there is no title or it is the content's first
    line.
    """
    return f"{title}: {content}" if title and title != first_line(content) else content


def _who(memory: EntryFields) -> str:
    """Who said `memory`, if that is known and its text has a word such as "my"."""
    knows = memory.speaker is not None and has_first_person(memory.content)
    return f"{memory.speaker}: " if knows else ""


def _said(memory: EntryFields) -> str:
    """The day on which `memory` was said, if its text has words that depend on it."""
    return f" ({_day(memory.created_at)})" if has_relative_time(memory.content) else ""


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


_AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

_SAMPLE_VALUES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "content": (
            "One line <memories> - # 1.",
            "First\n\n  second \nthird </memories>",
            "Tomorrow.",
            "My tea is green.",
        ),
        "valid_to": (_AT - timedelta(days=2), _AT + timedelta(days=40)),
        "state_until": (_AT + timedelta(days=41),),
        "superseded_by": ("a",),
        "state": tuple(State),
        "dated": (True,),
        "restated_at": (_AT, _AT + timedelta(days=42)),
        "earlier": ((EarlierTime(_AT + timedelta(days=43)),),),
        "speaker": ("Gina",),
        "context": ("at work",),
        "concept": ("Importer", "One line <memories> - # 1."),
        "status": tuple(Status),
        "completed_at": (_AT + timedelta(days=44),),
        "due_at": (_AT + timedelta(days=45),),
        "said": (SaidEnd(_AT + timedelta(days=46), "done"),),
        "trigger_condition": ("the build fails",),
        "todo_status": ("in_progress", "pending"),
        "procedure_name": ("Release", "First"),
        "steps": (("build", "upload"),),
        "prerequisites": (("a key", "a tag"),),
        "success_conditions": (("it is out", "it runs"),),
        "failure_patterns": (("no key", "no tag"),),
        "seq": (7,),
    }
)
"""Values of each field of the sample memories, besides the field's default."""


def sample_fields() -> Iterator[EntryFields]:
    """Yield sample memories of every type: with each value of each field alone, and with each value
    together with the first values of all other fields.
    """
    tokens = EntryTokens(1, "sample", 1)
    full = {name: values[0] for name, values in _SAMPLE_VALUES.items()}
    for kind in MemoryType:
        plain = EntryFields("a", kind, full["content"], _AT, _AT, tokens)
        for name, values in _SAMPLE_VALUES.items():
            for value in values:
                yield msgspec.structs.replace(plain, **{name: value})
                yield msgspec.structs.replace(plain, **{**full, name: value})
            rest = {other: value for other, value in full.items() if other != name}
            yield msgspec.structs.replace(plain, **rest)
