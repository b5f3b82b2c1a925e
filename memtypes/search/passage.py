"""A memory as a context shows it: the few things that rendering needs, without the rest of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

from pydantic import AwareDatetime

from memtypes.model.memory import Memory, TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.times import to_utc
from memtypes.model.types import MEMORY_CLASSES
from memtypes.model.working import Working


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


def passage_in(payload: Mapping[str, Any]) -> Passage:
    """The passage of the memory that `payload` holds, as `Memory.to_payload` wrote it.

    What was checked when it was written is not checked again: that takes ten times as long as to make the passage.
    """
    kind = MemoryType(payload["type"])
    return passage_of(_FORMS[kind].filled(payload, kind))


@dataclass(frozen=True, slots=True)
class _Form:
    """One type's memories. defaults: of the fields that a payload may leave out. times: the fields that are times.

    pydantic's own `model_construct` would do, but takes 24 microseconds, longer than to validate; this takes 2.
    """

    made: type[Memory]
    defaults: Mapping[str, Any]
    times: tuple[str, ...]

    @classmethod
    def of(cls, made: type[Memory]) -> _Form:
        """The form of a type's class."""
        fields = made.model_fields
        defaults = {
            name: field.get_default(call_default_factory=True)
            for name, field in fields.items()
            if not field.is_required()
        }
        times = (name for name, field in fields.items() if _is_time(field.annotation))
        return cls(made, MappingProxyType(defaults), tuple(times))

    def filled(self, payload: Mapping[str, Any], kind: MemoryType) -> Memory:
        """The memory, for nothing but its passage: fields of other kinds than texts and times stay plain JSON."""
        fields = {**self.defaults, **payload, "type": kind, "tokens": TokenCount.model_validate(payload["tokens"])}
        for name in self.times:
            if fields[name] is not None:
                fields[name] = to_utc(datetime.fromisoformat(fields[name]))
        memory = self.made.__new__(self.made)
        memory.__setstate__(
            {
                "__dict__": fields,
                "__pydantic_fields_set__": set(fields),
                "__pydantic_extra__": None,
                "__pydantic_private__": None,
            }
        )
        return memory


def _is_time(annotation: Any) -> bool:
    return annotation is AwareDatetime or any(map(_is_time, get_args(annotation)))


_FORMS: Mapping[MemoryType, _Form] = MappingProxyType({kind: _Form.of(made) for kind, made in MEMORY_CLASSES.items()})
