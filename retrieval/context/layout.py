"""What a context is made of besides its entries: tags, headings and the order of the parts, in each format.

Every piece ends with a newline, and the next begins with a sign that no tokenizer joins to a newline: see
`memtypes.search.piece` for why tokens then add up exactly.
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
    MemoryType.EPISODIC,
    MemoryType.SEMANTIC,
    MemoryType.PROSPECTIVE,
    MemoryType.PROCEDURAL,
)
"""How the parts follow each other: recent events, knowledge, pending tasks, procedures. Working memory goes before."""

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


class Layout(ABC):
    """The pieces of one format. A piece that follows another may begin with a separator, which `first` takes off."""

    stored_counts = False
    """Whether the stored token count of a memory's piece is the count of its entry here."""

    @abstractmethod
    def opening(self, block: str) -> str:
        """What stands before a block."""

    @abstractmethod
    def closing(self, block: str) -> str:
        """What stands after it."""

    @abstractmethod
    def heading(self, kind: MemoryType) -> str:
        """What stands before a type's part."""

    def footing(self) -> str:
        """What stands after a type's part."""
        return ""

    @abstractmethod
    def group(self, passage: Passage) -> str | None:
        """What stands before the first entry of its group, or None."""

    @abstractmethod
    def entry(self, passage: Passage, text: str) -> str:
        """The entry of `passage` with `text`, which is its line or the beginning of it."""

    def first(self, piece_text: str) -> str:
        """The piece as it stands where nothing of its kind is before it."""
        return piece_text

    @abstractmethod
    def whole(self, blocks: list[str]) -> str:
        """The context of `blocks`."""


class Markdown(Layout):
    """Lists under short headings, between tags that recalled text can't write."""

    stored_counts = True

    def opening(self, block: str) -> str:
        """The tag, which says that what follows is data."""
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

    def entry(self, passage: Passage, text: str) -> str:  # noqa: ARG002 - the text says all that is shown
        """A list entry."""
        return bullet(text)

    def whole(self, blocks: list[str]) -> str:
        """One block after the other."""
        return "".join(blocks)


def day_heading(day: str) -> str:
    """The heading of the events of `day`."""
    return f"### {day}\n"


class Json(Layout):
    """One JSON object with a member for each block, in it a list for each type; a memory is an object on its line."""

    def opening(self, block: str) -> str:
        """The member's name."""
        return f',"{block}":{{\n'

    def closing(self, block: str) -> str:  # noqa: ARG002 - all blocks end alike
        """The end of the member."""
        return "}\n"

    def heading(self, kind: MemoryType) -> str:
        """The name of the part's list."""
        return f',"{kind}":[\n'

    def footing(self) -> str:
        """The end of the part's list."""
        return "]\n"

    def group(self, passage: Passage) -> str | None:  # noqa: ARG002 - each entry has its own time
        """None: each entry has its own time."""
        return None

    def entry(self, passage: Passage, text: str) -> str:
        """The memory's id, its time and the text."""
        fields = {"id": passage.id, "at": rfc3339(passage.created_at), "content": text}
        return "," + json.dumps(fields, ensure_ascii=False) + "\n"

    def first(self, piece_text: str) -> str:
        """The piece without its comma."""
        return piece_text.removeprefix(",")

    def whole(self, blocks: list[str]) -> str:
        """The object; the first block without its comma."""
        return "{\n" + self.first("".join(blocks)) + "}\n"
