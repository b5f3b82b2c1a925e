"""The pieces of a context besides its entries: tags, headings and the order of the parts, for each format.

Every piece ends with a newline, and the next begins with a character that no tokenizer joins to a newline; therefore
tokens add up exactly (see `memtypes.search.piece`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.search.passage import Passage
from memtypes.search.piece import bullet

ORDER: tuple[MemoryType, ...] = (
    MemoryType.WORKING,
    MemoryType.EPISODIC,
    MemoryType.SEMANTIC,
    MemoryType.PROSPECTIVE,
    MemoryType.PROCEDURAL,
)
"""Order of the parts: working memory, recent events, knowledge, pending tasks, procedures."""

TITLES: Mapping[MemoryType, str] = MappingProxyType(
    {
        MemoryType.EPISODIC: "Events",
        MemoryType.SEMANTIC: "Knowledge",
        MemoryType.PROSPECTIVE: "Tasks",
        MemoryType.PROCEDURAL: "Procedures",
        MemoryType.WORKING: "Task at hand",
    }
)

CUT_MARK = " [cut]"


class ContextLayout(ABC):
    """The pieces of one format. A piece may begin with a separator, which `first` removes."""

    has_stored_counts = False
    """Whether the token count stored with a memory is the count of its entry in this format."""

    @abstractmethod
    def opening(self, block: str) -> str:
        """The piece before a block."""

    @abstractmethod
    def closing(self, block: str) -> str:
        """The piece after a block."""

    @abstractmethod
    def heading(self, kind: MemoryType) -> str:
        """The piece before a type's part."""

    def footing(self) -> str:
        """The piece after a type's part."""
        return ""

    @abstractmethod
    def group(self, passage: Passage) -> str | None:
        """The heading of the passage's group, or None."""

    @abstractmethod
    def entry(self, passage: Passage, text: str) -> str:
        """The entry of `passage` with `text`, which is its line or a part of it."""

    def first(self, piece: str) -> str:
        """`piece` without its separator."""
        return piece

    @abstractmethod
    def whole(self, blocks: list[str]) -> str:
        """The context of `blocks`."""


class MarkdownLayout(ContextLayout):
    """Lists under short headings, between tags that recalled text cannot write."""

    has_stored_counts = True

    def opening(self, block: str) -> str:
        """The tag that marks what follows as data."""
        return f"<{block}>\n"

    def closing(self, block: str) -> str:
        """The end tag."""
        return f"</{block}>\n"

    def heading(self, kind: MemoryType) -> str:
        """A heading of the second level."""
        return f"## {TITLES[kind]}\n"

    def group(self, passage: Passage) -> str | None:
        """The day, as a heading of the third level."""
        return None if passage.group is None else day_heading(passage.group)

    def entry(self, passage: Passage, text: str) -> str:  # noqa: ARG002 - the text is all that is shown
        """A list entry."""
        return bullet(text)

    def whole(self, blocks: list[str]) -> str:
        """One block after the other."""
        return "".join(blocks)


def day_heading(day: str) -> str:
    """The heading of the events of `day`."""
    return f"### {day}\n"


class JsonLayout(ContextLayout):
    """One JSON object with a member for each block, which has a list for each type; one line for each memory."""

    def opening(self, block: str) -> str:
        """The member's name."""
        return f',"{block}":{{\n'

    def closing(self, block: str) -> str:  # noqa: ARG002 - all blocks end alike
        """The end of the member."""
        return "}\n"

    def heading(self, kind: MemoryType) -> str:
        """The name of the type's list."""
        return f',"{kind}":[\n'

    def footing(self) -> str:
        """The end of the type's list."""
        return "]\n"

    def group(self, passage: Passage) -> str | None:  # noqa: ARG002 - each entry has its own time
        """None: each entry has its own time."""
        return None

    def entry(self, passage: Passage, text: str) -> str:
        """An object with the memory's id, its time and the text."""
        fields = {"id": passage.id, "at": rfc3339(passage.created_at), "content": text}
        return "," + json.dumps(fields, ensure_ascii=False) + "\n"

    def first(self, piece: str) -> str:
        """`piece` without its comma."""
        return piece.removeprefix(",")

    def whole(self, blocks: list[str]) -> str:
        """The object of all blocks."""
        return "{\n" + self.first("".join(blocks)) + "}\n"
