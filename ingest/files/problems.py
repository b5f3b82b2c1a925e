"""What pydantic found wrong, in the words and paths of the caller's own input."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from memtypes.config.error_messages import message_of
from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType

_SHOWN = 5
_TYPES = frozenset(MemoryType)


def as_invalid(error: ValidationError) -> InvalidRequest:
    """The InvalidRequest that `error` stands for: the first problem's path, and the first few problems as text."""
    details = error.errors(include_url=False)
    texts = [_sentence(detail) for detail in details[:_SHOWN]]
    if len(details) > _SHOWN:
        texts.append(f"and {len(details) - _SHOWN} more")
    first = details[0]
    got = first["input"] if isinstance(first["input"], str | int | float | bool | None) else None
    return InvalidRequest("; ".join(texts), path=path_of(first["loc"]), got=got)


def path_of(location: Sequence[str | int]) -> str:
    """`location` as a path, such as steps[2]; the name of the type, which a union puts in front, is left out."""
    parts = list(location)
    if len(parts) > 1 and parts[0] in _TYPES:
        parts = parts[1:]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix(".")


def _sentence(detail: ErrorDetails) -> str:
    path = path_of(detail["loc"])
    message = message_of(detail)
    return f"{path}: {message}" if path else message
