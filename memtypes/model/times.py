"""Instants: always aware, always UTC, written as RFC 3339 with a `Z`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer

_TIME = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?"
_DATE_AND_TIME = re.compile(rf"\d{{4}}-\d\d-\d\d[Tt ]{_TIME}([Zz]|[+-]\d\d(:?\d\d)?)")

Clock: TypeAlias = Callable[[], datetime]
"""Returns the current time. It is injected everywhere, so an answer can be replayed at its original time."""


def system_clock() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def to_utc(value: datetime) -> datetime:
    """The same instant in UTC."""
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from error


def _written_out(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE_AND_TIME.fullmatch(value)):
        return value
    raise ValueError("must be RFC 3339 text with date, time and offset, such as 2026-03-01T09:30:00Z")


def rfc3339(value: datetime) -> str:
    """`value` as RFC 3339 text in UTC; microseconds are written unless they are 0."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    AfterValidator(to_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""A time with any offset, converted to UTC; one without an offset is refused."""
