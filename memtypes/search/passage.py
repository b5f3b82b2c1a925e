"""Passages: memories as they are shown in the context for a model, with only the fields that
rendering needs.

Every piece of a context (an entry, a heading or a tag) ends with a newline, and begins with "-",
"#" or "<". No token of cl100k_base or o200k_base extends across such a border, so the tokens of a
context are exactly the sum of the tokens of its pieces (a property test checks this). Memories are
stored with this count, so that budgets need no tokenizer.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from memtypes.model.memory import Memory, State, state_at
from memtypes.model.policy import MemoryType
from memtypes.model.working import Working

_FENCE_TAG = re.compile(r"<(?=/?(?:working_)?memor)", re.IGNORECASE)
_OPENING = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
"""Replaces "<" in a memory's text where it would begin a tag that delimits the memories of a
context.
"""


def bullet(text: str) -> str:
    """`text` as one entry of a Markdown list. The "<" of tags such as `</memories>` is replaced by
    a similar sign.
    """
    lines = (_FENCE_TAG.sub(_OPENING, text) if "<" in text else text).splitlines() or [""]
    if len(lines) == 1:
        return f"- {lines[0].strip()}\n"
    return (
        "- "
        + "\n".join(
            [lines[0].strip(), *(f"  {line.rstrip()}" for line in lines[1:] if line.strip())]
        )
        + "\n"
    )


CUT_MARK = " [cut]"
"""Appended to a text of which a context shows only the beginning."""


def piece(memory: Memory) -> str:
    """The Markdown list entry that shows `memory` in a context."""
    return bullet(memory.line())


class Passage(NamedTuple):
    """The fields of a memory that rendering a context needs.

    said: the text that a context shows, if it differs from `content`, else None. group: the heading
    above the memory's list entry; None for no heading. tokens: token count of the entry, by
    `tokenizer`. live: whether the memory is a copy of an item in the live store (Redis). state,
    valid_to, state_until: stored fields, from which `state_at` computes the state.
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
    state: State
    valid_to: datetime | None
    state_until: datetime | None

    @property
    def line(self) -> str:
        """The memory's text as a context shows it, without a bullet. It may have several lines."""
        return self.content if self.said is None else self.said

    def state_at(self, moment: datetime) -> State:
        """The state of the memory at `moment`: current, contested or replaced."""
        return state_at(moment, self.state, self.valid_to, self.state_until)


def passage_of(memory: Memory) -> Passage:
    """Make the passage of `memory`: the fields that rendering needs."""
    line = memory.line()
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
        isinstance(memory, Working) and memory.live,
        State(memory.state),
        memory.valid_to,
        memory.state_until,
    )
