"""Pydantic's validation errors as InvalidRequest, with messages and paths in terms of the caller's input."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from memtypes.config import message_of
from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType

_MAX_MESSAGES = 5


def as_invalid(error: ValidationError) -> InvalidRequest:
    """The InvalidRequest for `error`: the path and value of the first problem, and the messages of the first few."""
    details = error.errors(include_url=False)
    messages = [_message(detail) for detail in details[:_MAX_MESSAGES]]
    if len(details) > _MAX_MESSAGES:
        messages.append(f"and {len(details) - _MAX_MESSAGES} more")
    first = details[0]
    got = first["input"] if isinstance(first["input"], str | int | float | bool | None) else None
    return InvalidRequest("; ".join(messages), path=_path(first["loc"]), got=got)


def _path(location: Sequence[str | int]) -> str:
    """`location` as a path such as steps[2], without the type's name, which pydantic puts before a union's fields."""
    parts = list(location)
    if len(parts) > 1 and parts[0] in set(MemoryType):
        parts = parts[1:]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix(".")


def _message(detail: ErrorDetails) -> str:
    path, message = _path(detail["loc"]), message_of(detail)
    return f"{path}: {message}" if path else message
