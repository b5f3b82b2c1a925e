"""Makes memories from turns that were removed from a thread, and reads these turns back from the
memories.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from memtypes.live.turns import MAX_TURN, Turn
from memtypes.model.episodic import Episodic, EpisodicDraft, EventType
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Memory, Source
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Listing

MAX_CHARACTERS = 2 * MAX_TURN
"""Maximum characters of all turns in one memory, counted as JSON with metadata and file
references.
"""

MAX_TURNS = 1_000
"""Maximum number of turns in one memory: the limit of `Source.turns`."""

_TAG = "thread"


@dataclass(frozen=True, slots=True)
class LeftTurn:
    """A turn that was removed from its thread.

    memory_id: the id of the memory that contains the turn; None while the turn waits to be stored
    as a memory.
    """

    turn: Turn
    memory_id: str | None = None


def draft_of_turns(thread_id: str, turns: tuple[Turn, ...]) -> EpisodicDraft:
    """Draft of the event memory that stores `turns` of a thread, one turn after the other as "role:
    content".

    Its identity has the thread and its first turn (see `Episodic.identity`), so that equal batches
    do not become one.
    """
    return EpisodicDraft(
        type=MemoryType.EPISODIC,
        content="\n".join(f"{turn.role}: {turn.content}" for turn in turns),
        event_type=EventType.OBSERVATION,
        tags=[_TAG, _thread_tag(thread_id)],
        source=Source(thread_id=thread_id, turns=[turn.index for turn in turns], caller="thread"),
        turns=[_fields(turn) for turn in turns],
        created_at=turns[-1].at,
    )


def memories_of_thread(thread_id: str) -> Listing:
    """Store query for the memories that were made from turns of the thread, up to 500 on a page."""
    return Listing(
        (MemoryType.EPISODIC,), Compare("tags", Op.EQ, _thread_tag(thread_id)), limit=500
    )


def turns_of(memory: Memory) -> Iterator[Turn]:
    """Read back the turns that `memory` was made of by `draft_of_turns`; none if it was not made of
    turns.

    If the memory was edited, the turns have the text from before the first edit. The memory records
    each turn's length, which redaction may have changed; so a turn ends where the next turn's
    "role: " is found nearest its recorded end.
    """
    if not isinstance(memory, Episodic) or not memory.turns or memory.source is None:
        return
    first = memory.turns[0]["index"]
    last = memory.turns[-1]["index"]
    content = memory.earlier[0].content if memory.earlier else memory.content
    # An older form
    content = content.removesuffix(f"\n(thread {memory.source.thread_id}, turns {first} to {last})")
    position = 0
    for turn, following in zip_longest(memory.turns, memory.turns[1:]):
        start = position + len(f"{turn['role']}: ")
        end = None if following is None else f"\n{following['role']}: "
        position = (
            len(content)
            if end is None
            else _nearest(content, end, start, start + turn["characters"])
        )
        fields: dict[str, Any] = {**turn, "content": content[start:position]}
        del fields["characters"], fields["index"]
        yield Turn.from_json(json.dumps(fields), turn["index"])
        position += 1


def split(turns: Sequence[Turn]) -> Iterator[tuple[Turn, ...]]:
    """Split `turns` into groups of consecutive turns, each of which fits into one memory."""
    group: list[Turn] = []
    size = 0
    for turn in turns:
        length = len(turn.to_json())
        if group and (size + length > MAX_CHARACTERS or len(group) == MAX_TURNS):
            yield tuple(group)
            group = []
            size = 0
        group.append(turn)
        size += length
    if group:
        yield tuple(group)


def _fields(turn: Turn) -> Any:
    """The fields of `turn` to store in its memory: the content's length in place of the content."""
    fields = json.loads(turn.to_json())
    characters = len(fields.pop("content"))
    return {**fields, "index": turn.index, "characters": characters}


def _thread_tag(thread_id: str) -> str:
    return f"{_TAG}:{thread_id}"


def _nearest(content: str, text: str, start: int, expected: int) -> int:
    """The position of `text` in `content` that is nearest to `expected`; the length of `content` if
    there is none.
    """
    preceding = content.rfind(text, start, expected + len(text))
    following = content.find(text, expected)
    positions = [position for position in (preceding, following) if position >= 0]
    return min(positions, key=lambda position: abs(position - expected), default=len(content))
