"""A memory as a context shows it: the few things that rendering needs, without the rest of its fields."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from memtypes.memory import Memory
from memtypes.policy import MemoryType
from memtypes.working import Working


class Passage(NamedTuple):
    """What a context shows of a memory.

    said: how it is shown, where that is more than its content. group: the heading that it stands under, where it needs
    one. tokens: of its piece, by `tokenizer`. live: whether it is the copy of a live item.
    """

    id: str
    type: MemoryType
    content: str
    said: str | None
    group: str | None
    created_at: datetime
    seq: int
    tokens: int
    tokenizer: str
    live: bool

    @property
    def line(self) -> str:
        """How it is shown, without a bullet, possibly in several lines."""
        return self.content if self.said is None else self.said


def passage_of(memory: Memory) -> Passage:
    """The passage of a memory."""
    line, live = memory.line(), isinstance(memory, Working) and memory.live
    return Passage(
        memory.id,
        memory.type,
        memory.content,
        None if line == memory.content else line,
        memory.group(),
        memory.created_at,
        memory.seq,
        memory.tokens.line,
        memory.tokens.tokenizer,
        live,
    )
