"""Pydantic's errors in the caller's terms: the path in the request, the reason, and the value that was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from ingest.screening.redaction.scan import redact
from memtypes.config import message_of
from memtypes.model.errors import RemembrancerError
from memtypes.model.policy import MemoryType
from retrieval.answer import Answer, OmittedIfNone

MAX_SHOWN = 80
MAX_ERRORS = 100

_ModelT = TypeVar("_ModelT", bound=BaseModel)
_ABOUT_A_KEY = frozenset({"missing", "extra_forbidden"})


class FieldError(Answer):
    """An invalid field. path: such as `items[3].importance`; empty for the whole. got: the shortened value, if any."""

    path: str
    message: str
    got: OmittedIfNone[Any] = None

    def redacted(self) -> Self:
        """The error without secrets in its path and message."""
        return self.model_copy(update={"path": redact(self.path), "message": redact(self.message)})


class InvalidInput(RemembrancerError):
    """Fields of a request are invalid; `errors` lists them."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{first.path}: {first.message}{more}" if first.path else f"{first.message}{more}")
        self.errors = tuple(errors)

    @classmethod
    def at(cls, path: str, message: str) -> Self:
        """The error of the field at `path`."""
        return cls([FieldError(path=path, message=message)])


def checked(model: type[_ModelT], value: object) -> _ModelT:
    """`value` as an instance of `model`. Raises InvalidInput."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(field_errors(error, value)) from error


def field_errors(error: ValidationError, value: object) -> list[FieldError]:
    """The errors of pydantic for `value`, at most MAX_ERRORS."""
    return [_field_error(details, value) for details in error.errors(include_url=False)[:MAX_ERRORS]]


def _field_error(details: Mapping[str, Any], value: object) -> FieldError:
    steps = list(_real_steps(details["loc"], value, names_key=details["type"] in _ABOUT_A_KEY))
    if details["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return _type_error(steps, details["input"])
    got = None if details["type"] == "missing" else shown(details["input"])
    return FieldError(path=path_text(steps), message=message_of(details), got=got)


def _type_error(steps: list[str | int], sent: object) -> FieldError:
    """The error for a memory's `type` that is missing or unknown."""
    known = ", ".join(MemoryType)
    path = path_text([*steps, "type"])
    if not isinstance(sent, dict) or "type" not in sent:
        return FieldError(path=path, message=f"type is required: one of {known}")
    return FieldError(path=path, message=f"must be one of {known}", got=shown(sent["type"]))


def _real_steps(loc: Iterable[str | int], value: object, *, names_key: bool) -> Iterable[str | int]:
    """The steps of `loc` that exist in `value`; pydantic also lists the branches of unions that it tried."""
    steps = list(loc)
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if isinstance(value, dict) and step in value:
            value = value[step]
            yield step
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if step < len(value) else None
            yield step
        elif last and names_key and isinstance(value, dict):
            yield step


def path_text(steps: Iterable[str | int]) -> str:
    """`steps` as a path: `items[3].importance`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{str(step)[:MAX_SHOWN]}"
    return _encodable(text.removeprefix("."))


def shown(value: object) -> Any:
    """`value` as a problem quotes it: short, redacted JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if isinstance(value, int) and abs(value) < 2**53 else _cut(str(value))
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return _cut(str(value))


def _cut(text: str) -> str:
    text = redact(text)  # before cutting: half a secret is not recognised
    short = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... ({len(text)} characters)"
    return _encodable(short)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
