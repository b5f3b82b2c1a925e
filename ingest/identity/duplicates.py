"""Decides which arriving memories repeat a stored memory. No I/O.

Memories with the same id make the same statement in the same scope. The day of an event is part of
its id. An arriving memory with the id of a stored memory is handled in one of four ways:

- Usually it is merged: its evidence count, session, fields and, if it differs, its wording are
  added to the stored memory (see `merging`).
- If it comes from the same write or message again, it is merged but adds no evidence. That is so if
  both sources name the same place (file and line, or thread and turns), or if both are messages
  captured from the same session at about the same time.
- If the stored memory has expired or was cleared, the arriving memory is stored in its place, with
  the evidence of both.
- If the stored memory is a fact that was replaced earlier, or a task that was completed or
  cancelled earlier, the arriving memory is stored as a new memory with another id, and the stored
  one stays as it is.

A rewording has another id than the memory that it repeats: its text differs in case, spacing,
punctuation, articles, contractions, or marks of lists and emphasis. Vector search finds candidates,
and `wording` decides whether the words are the same. A changed number, date, name or negation is a
changed word, so it never makes a duplicate. Equality of words is transitive, so no chain of
near-duplicates merges texts that differ. In procedures and working memory a single character may
matter, so there only case and spacing are ignored. A task with a due time and the same task without
one are the same; with two due times they are two tasks, or one that has a new date (see
`new_dates`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from ingest.identity.merging import sources_of
from memtypes.model.ids import normalise
from memtypes.model.memory import Memory, Source, State
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import CLOSED, OPEN, Prospective
from memtypes.model.working import Working
from memtypes.words import lexicon

SAME_WRITE = "already stored from the same place"
SAME_CONTENT = "same content"
SAME_WORDS = "same words in other case or spacing"
SAME_WORDING = "same words but for punctuation, articles or contractions"

SAME_TIME = timedelta(hours=1)
"""Maximum difference between the times of a message as it was captured live and in the session's
transcript.
"""

_OPTION = re.compile(r"(?<![\w-])-[A-Za-z](?!\w)")
_LINE_MARK = re.compile(r"^\s*(?:[-*+>\u2022]|#{1,6})\s+", re.MULTILINE)
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2})(?=\w)([^*\n]*[^\s*])\1(?![\w*])")
_VERBATIM = re.compile(
    r"[`{}<>=\\|@#*_~^/\[\]&]|(?<!\S)-{1,2}\w|\b(?:no|not|never)\s*[,.;:!\u2013\u2014-]"
)
_CONTRACTIONS = [
    (re.compile(short), long) for short, long in lexicon()["statements"]["contractions"]
]
_WORD = re.compile(
    r"[-+]?[$\u20ac\u00a3]?\d+(?:[.,:-]\d+)*%?\w*|[^\W\d]+(?:['-]\w+)*"
    r"|[^\w\s.,;:!\"'()\u2013\u2014\u2026-]"
)
_DROPPED = frozenset(["the", "an"])
_PLAIN_QUOTES = str.maketrans("\u2019\u201c\u201d", '\'""')

StatementKey: TypeAlias = tuple[MemoryType, tuple[str, ...], tuple[str | None, ...]]


def restated_at(fact: Memory, newer: Memory) -> dict[str, Any]:
    """The time at which `newer` states `fact` again, as {"restated_at": time}; {} if not later than
    `fact` was.
    """
    stated_at = fact.restated_at or fact.created_at
    later = newer.created_at > stated_at or (
        newer.created_at == stated_at and fact.state is State.CONTESTED
    )
    return {"restated_at": newer.created_at} if later and fact.type is MemoryType.SEMANTIC else {}


def merge_reason(memory: Memory, repetition: Memory) -> str:
    """Why `repetition` is merged into `memory`: how close their texts are."""
    if memory.content_hash == repetition.content_hash:
        return SAME_CONTENT
    return SAME_WORDS if _folded(memory.content) == _folded(repetition.content) else SAME_WORDING


def _folded(text: str) -> str:
    return normalise(text).casefold()


def same_place(memory: Memory, other: Memory) -> bool:
    """Whether `other` comes from the same line of a file, or the same turns of a thread, as
    `memory`.
    """
    sent_from = other.source
    return sent_from is not None and any(
        _is_same_place(source, sent_from) for source in sources_of(memory)
    )


def _is_same_place(first: Source, second: Source) -> bool:
    if first.file is not None and first.line is not None:
        return (first.file, first.line) == (second.file, second.line)
    named = first.thread_id is not None and bool(first.turns)
    return named and (first.thread_id, first.turns) == (second.thread_id, second.turns)


def _said_once(memory: Memory, other: Memory) -> bool:
    """Whether two memories of equal content are one message that was captured twice from the same
    session.

    A client may send a message when it is said, and an import may send it again with the session's
    transcript, from another position and with a slightly different time.
    """
    if other.source is None or not other.source.captured:
        return False
    session = other.source.thread_id
    same_session = any(
        source.captured and source.thread_id == session for source in sources_of(memory)
    )
    return same_session and abs(other.created_at - memory.created_at) <= SAME_TIME


def has_ended(memory: Memory, now: datetime) -> bool:
    """Whether `memory` is no longer valid or has expired at `now`."""
    return any(end is not None and end <= now for end in (memory.valid_to, memory.expires_at))


def is_over(memory: Memory, now: datetime) -> bool:
    """Whether `memory` has ended or is a cleared working memory, so that a repetition is stored in
    its place.
    """
    return has_ended(memory, now) or (isinstance(memory, Working) and memory.cleared_at is not None)


def is_new_task(task: Memory, newer: Memory) -> bool:
    """Whether `newer` is an open task that states `task` again after that was completed or
    cancelled, or had lapsed.
    """
    if (
        not isinstance(task, Prospective)
        or task.open_at(newer.created_at)
        or not _is_open(newer)
        or is_sent_again(task, newer)
    ):
        return False
    if task.status not in CLOSED:
        return True
    return newer.created_at >= (task.completed_at or task.updated_at)


def lacks_due(memory: Memory, other: Memory) -> bool:
    """Whether `memory` states the same task as `other` without the due time that `other` has."""
    return (
        _due(memory) is None
        and memory.identity() == other.model_copy(update={"due_at": None}).identity()
    )


def is_reasserted(fact: Memory, repetition: Memory, *, together: bool) -> bool:
    """Whether `repetition` states `fact` again after that was replaced, so that it becomes a new
    memory.

    together: see `stays_replaced`.
    """
    if (
        fact.superseded_by is None
        or fact.valid_to is None
        or stays_replaced(fact, repetition, together=together)
    ):
        return False
    return fact.valid_from < fact.valid_to


def stays_replaced(fact: Memory, repetition: Memory, *, together: bool) -> bool:
    """Whether the replaced `fact` stays replaced although `repetition` states it again.

    It does if `repetition` is older than the fact that replaced it, or if that fact is stated again
    after it in the same write (together). So a batch that is sent twice has the same effect as a
    batch sent once.
    """
    if fact.superseded_by is None or fact.valid_to is None:
        return False
    return repetition.valid_from < fact.valid_to or together


def is_public(memory: Memory) -> bool:
    """Whether the whole namespace sees `memory`. Memories private to a session are not compared
    with others.
    """
    return memory.visibility is Visibility.NAMESPACE


def statement(memory: Memory) -> StatementKey:
    """A key that is equal for memories that make the same statement.

    It consists of the memory type, the normalised words, and further identifying values, such as
    the day of an event.
    """
    _, *values = memory.identity()
    verbatim = memory.type in (MemoryType.PROCEDURAL, MemoryType.WORKING)
    words = (_folded(memory.content),) if verbatim else wording(memory.content)
    return (memory.type, words, tuple(values))


def undated_statement(memory: Memory) -> StatementKey:
    """The `statement` of `memory`, for a task without its due time."""
    return statement(memory if _due(memory) is None else memory.model_copy(update={"due_at": None}))


def restates(
    newer: Memory,
    memory: Memory,
    statement_of: Callable[[Memory], StatementKey] = undated_statement,
) -> bool:
    """Whether `newer` says what `memory` says, in the same words or sent again, so that it is
    merged into it.

    Memories that only one session sees are never compared. A task with the same words and another
    due time does not restate it. statement_of: `undated_statement`, or a cache of it.
    """
    if memory.type is not newer.type or not (is_public(memory) and is_public(newer)):
        return False
    if is_resent(newer, memory):
        return True
    if memory.superseded_by is not None or is_new_task(memory, newer):
        return False
    due_times = {_due(memory), _due(newer)} - {None}
    return (
        len(due_times) < 2
        and statement_of(memory) == statement_of(newer)
        and _same_options(memory, newer)
        and not differ_in_identity(memory, newer)
    )


def is_resent(newer: Memory, memory: Memory) -> bool:
    """Whether `newer` is the same event or task as `memory`, sent again with another time."""
    if newer.content_hash != memory.content_hash:
        return False
    if newer.type is MemoryType.EPISODIC:
        return is_sent_again(memory, newer)
    return newer.type is MemoryType.PROSPECTIVE and _said_once(memory, newer)


def best_original(newer: Memory, restated: Iterable[Memory]) -> Memory | None:
    """Of the memories that `newer` restates, the one to merge it into; None if there are none.

    That is the memory with the same due time, then one without a due time; of these, an open task.
    """

    def preference(memory: Memory) -> tuple[int, bool]:
        due = _due(memory)
        distance = 0 if due == _due(newer) else 1 if due is None else 2
        return distance, not _is_open(memory)

    return min(restated, key=preference, default=None)


def _due(memory: Memory) -> datetime | None:
    return memory.due_at if isinstance(memory, Prospective) else None


def _is_open(memory: Memory) -> bool:
    return isinstance(memory, Prospective) and memory.status in OPEN


def is_sent_again(memory: Memory, other: Memory) -> bool:
    """Whether `other` is `memory` sent again (same source or same message), so that it is no
    further evidence.
    """
    return same_place(memory, other) or _said_once(memory, other)


def same_statement(memory: Memory, other: Memory) -> bool:
    """Whether both memories make the same statement; not if their texts differ in a command option
    (-c and -C).
    """
    return statement(memory) == statement(other) and _same_options(memory, other)


def _same_options(memory: Memory, other: Memory) -> bool:
    first = normalise(memory.content)
    second = normalise(other.content)
    return first == second or _OPTION.sub("-", first) != _OPTION.sub("-", second)


def differ_in_identity(memory: Memory, other: Memory) -> bool:
    """Whether a merge of the two memories was undone, so that they stay two. A link of strength 0
    records this.
    """
    return not {other.id, memory.id}.isdisjoint(
        link.to for link in (*memory.links, *other.links) if link.strength == 0
    )


def wording(text: str) -> tuple[str, ...]:
    """The words of `text` in order, case-folded, with contractions spelled out, without "the", "an"
    and punctuation.

    Marks of list items and headings at the start of a line, and asterisks of emphasis are left out.
    A question mark is kept as a word. If the text has signs of code ("{", "=") or options ("-c"),
    or "no", "not" or "never" before a punctuation mark, the tuple has one element: the whole text,
    case-folded.
    """
    unmarked = _EMPHASIS.sub(r"\2", _LINE_MARK.sub("", text))
    folded = _folded(unmarked).translate(_PLAIN_QUOTES)
    if _VERBATIM.search(folded):
        return (folded,)
    if "'" in folded or "cannot" in folded:
        for pattern, spelled_out in _CONTRACTIONS:
            folded = pattern.sub(spelled_out, folded)
    return tuple(word for word in _WORD.findall(folded) if word not in _DROPPED)
