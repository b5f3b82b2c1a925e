"""Turns of a conversation, as a caller sends them and as a thread keeps them. Knows no store and no policy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter

from memtypes.model.memory import Flag, Model, Whole, check_metadata, not_blank, printable
from memtypes.model.scope import Name

MAX_TURN = 200_000
"""Characters of a turn: two of them still fit into one memory."""

LARGE = 20_000
"""Characters of turns from which work on them is done beside the event loop."""

MAX_REFERENCES = 100

TurnText = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TURN), AfterValidator(not_blank), AfterValidator(printable)
]
Path = Annotated[
    str, StringConstraints(min_length=1, max_length=4_096), AfterValidator(not_blank), AfterValidator(printable)
]
Role = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_-]{0,63}$")]
Version = Annotated[Whole, Field(ge=0, lt=2**53)]


class FileReference(Model):
    """A file or an image that a turn speaks of."""

    path: Path


FileReferences = Annotated[list[Path | FileReference], Field(max_length=MAX_REFERENCES)]


class NewTurn(Model):
    """A turn on its way in. pinned: it never leaves by itself."""

    role: Role
    content: TurnText
    agent_id: Name | None = None
    files: FileReferences = Field(default_factory=list)
    images: FileReferences = Field(default_factory=list)
    tool: Name | None = None
    model: Name | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(check_metadata)] = Field(default_factory=dict)
    pinned: Flag = False


def paths(references: list[str | FileReference]) -> list[str]:
    """The path of each reference, each path once."""
    named = (one if isinstance(one, str) else one.path for one in references)
    return list(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of a thread. index: its number in the thread, given once; -1 before it has one. tokens: of its content."""

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
        """The turn as it is kept: JSON without what is absent and without its index."""
        return _TURN.dump_json(self, exclude_defaults=True, exclude={"index"}).decode()

    @classmethod
    def from_json(cls, kept: str, index: int) -> Turn:
        """The turn of `to_json` under its index."""
        return _TURN.validate_python({**json.loads(kept), "index": index})


_TURN: TypeAdapter[Turn] = TypeAdapter(Turn)
