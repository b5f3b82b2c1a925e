"""Turns of a conversation: as a caller sends them, and as a thread stores them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter

from memtypes.model.memory import Flag, Metadata, StrictModel, Whole, readable
from memtypes.model.scope import Name

MAX_TURN = 200_000
"""Maximum characters of a turn, so that two turns fit into one memory."""

MAX_REFERENCES = 100

MAX_FILE = 100_000
"""Maximum characters of a file's content that is given with a turn."""

TurnText = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TURN), AfterValidator(readable)
]
Path = Annotated[str, StringConstraints(min_length=1, max_length=4_096), AfterValidator(readable)]
Role = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_-]{0,63}$")]
Version = Annotated[Whole, Field(ge=0, lt=2**53)]


FileText = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_FILE), AfterValidator(readable)
]


class FileReference(StrictModel):
    """A file that a conversation turn mentions, by its path. content: its text, as it is now.

    A thread keeps the newest content of each file, and contexts show it where it fits.
    """

    path: Path
    content: FileText | None = None


class ImageReference(StrictModel):
    """An image that a conversation turn mentions, by its path."""

    path: Path


FileReferences = Annotated[list[Path | FileReference], Field(max_length=MAX_REFERENCES)]
ImageReferences = Annotated[list[Path | ImageReference], Field(max_length=MAX_REFERENCES)]


class NewTurn(StrictModel):
    """A conversation turn as a caller sends it. pinned: whether it always stays in its thread."""

    role: Role
    content: TurnText
    agent_id: Name | None = None
    files: FileReferences = Field(default_factory=list)
    images: ImageReferences = Field(default_factory=list)
    tool: Name | None = None
    model: Name | None = None
    metadata: Metadata = Field(default_factory=dict)
    pinned: Flag = False


def paths(references: Sequence[str | FileReference | ImageReference]) -> list[str]:
    """The distinct paths of `references`, in order. A reference is a path or has one."""
    return list(
        dict.fromkeys(entry if isinstance(entry, str) else entry.path for entry in references)
    )


def contents(references: Sequence[str | FileReference]) -> dict[str, str]:
    """The contents that `references` give, by path. Of several for a path, the last."""
    return {
        reference.path: reference.content
        for reference in references
        if isinstance(reference, FileReference) and reference.content is not None
    }


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of a thread. tokens: number of tokens of its content.

    index: its number in the thread, which no other turn ever gets; -1 before it is appended.
    """

    role: str
    content: str
    tokens: int
    at: datetime
    agent_id: str | None = None
    files: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    tool: str | None = None
    model: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    pinned: bool = False
    index: int = -1

    def to_json(self) -> str:
        """The turn as a thread stores it: JSON without default values and without its index."""
        return _TURN.dump_json(self, exclude_defaults=True, exclude={"index"}).decode()

    @classmethod
    def from_json(cls, text: str, index: int) -> Turn:
        """Decode a turn from the JSON that `to_json` wrote. index: the turn's number in the
        thread.
        """
        return _TURN.validate_python({**json.loads(text), "index": index})


_TURN: TypeAdapter[Turn] = TypeAdapter(Turn)
