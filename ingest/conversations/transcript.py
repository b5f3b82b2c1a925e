"""Makes memories from the turns that leave a thread, and reads these turns back from the memories."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from memtypes.live.turns import MAX_TURN, Turn
from memtypes.model.episodic import Episodic, EpisodicDraft, EventType
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Memory, Source
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Listing

MAX_CHARACTERS = 2 * MAX_TURN
"""Limit of the characters of all turns in one memory, with their metadata and references."""

MAX_TURNS = 1_000
"""Turns in one memory: the limit of `Source.turns`."""

_TAG = "thread"


@dataclass(frozen=True, slots=True)
class LeftTurn:
    """A turn that left its thread. memory_id: of the memory that has it; None while it waits to be stored."""

    turn: Turn
    memory_id: str | None = None


def draft_of_turns(thread_id: str, turns: tuple[Turn, ...]) -> EpisodicDraft:
    """Event draft with one line per turn. The last line names thread and turns, so no two batches are duplicates."""
    numbers = ", ".join(str(turn.index) for turn in turns[:20]) + (" ..." if len(turns) > 20 else "")
    first, last = turns[0].index, turns[-1].index
    lines = [f"{_prefix(turn.role)}{turn.content}" for turn in turns]
    return EpisodicDraft(
        type=MemoryType.EPISODIC,
        content="\n".join([*lines, f"{_ending(thread_id)}, turns {first} to {last}: {numbers})"]),
        event_type=EventType.OBSERVATION,
        tags=[_TAG, _thread_tag(thread_id)],
        source=Source(thread_id=thread_id, turns=[turn.index for turn in turns], caller="thread"),
        turns=[_fields(turn) for turn in turns],
        created_at=turns[-1].at,
    )


def memories_of_thread(thread_id: str) -> Listing:
    """Selects the memories that were made from turns of the thread."""
    return Listing((MemoryType.EPISODIC,), Compare("tags", Op.EQ, _thread_tag(thread_id)), limit=500)


def turns_of(memory: Memory) -> Iterator[Turn]:
    """The turns from which `draft_of_turns` made `memory`; for an edited memory, with the texts from before the edit.

    Redaction may have changed the length of a turn. So a turn ends where the beginning of the next one is found, at the
    place nearest to the recorded end.
    """
    if not isinstance(memory, Episodic) or not memory.turns or memory.source is None:
        return
    content = memory.earlier[0].content if memory.earlier else memory.content
    ends = [f"\n{_prefix(turn['role'])}" for turn in memory.turns[1:]] + [f"\n{_ending(memory.source.thread_id)}"]
    position = 0
    for turn, end in zip(memory.turns, ends, strict=True):
        start = position + len(_prefix(turn["role"]))
        position = _nearest(content, end, start, start + turn["characters"])
        fields: dict[str, Any] = {**turn, "content": content[start:position]}
        del fields["characters"], fields["index"]
        yield Turn.from_json(json.dumps(fields), turn["index"])
        position += 1


def split(turns: Sequence[Turn]) -> Iterator[tuple[Turn, ...]]:
    """`turns` in groups that fit into one memory each."""
    group: list[Turn] = []
    size = 0
    for turn in turns:
        length = len(turn.to_json())
        if group and (size + length > MAX_CHARACTERS or len(group) == MAX_TURNS):
            yield tuple(group)
            group, size = [], 0
        group.append(turn)
        size += length
    if group:
        yield tuple(group)


def _fields(turn: Turn) -> Any:
    """`turn` as the fields of a `SpokenTurn`: with the length of its content instead of the content."""
    fields = json.loads(turn.to_json())
    characters = len(fields.pop("content"))
    return {**fields, "index": turn.index, "characters": characters}


def _prefix(role: str) -> str:
    return f"{role}: "


def _ending(thread_id: str | None) -> str:
    return f"(thread {thread_id}"


def _thread_tag(thread_id: str) -> str:
    return f"{_TAG}:{thread_id}"


def _nearest(content: str, text: str, start: int, expected: int) -> int:
    """Position of `text` in `content`, not before `start`, that is nearest to `expected`; the end if there is none."""
    before, after = content.rfind(text, start, expected + len(text)), content.find(text, expected)
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - expected), default=len(content))
