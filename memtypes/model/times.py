"""Times as the API reads and writes them: datetimes in UTC, written as RFC 3339 text with a `Z`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
)

_TIME = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?"
_DATE_AND_TIME = re.compile(rf"\d{{4}}-\d\d-\d\d[Tt ]{_TIME}([Zz]|[+-]\d\d(:?\d\d)?)")

Clock: TypeAlias = Callable[[], datetime]
"""A function that returns the current time. It is passed as an argument, so that tests and replays
can set the time.
"""


def system_clock() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def to_utc(value: datetime) -> datetime:
    """`value` converted to UTC. Raises ValueError if the result would not lie in the years 1 to
    9999.
    """
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from error


def _with_date_time_and_offset(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE_AND_TIME.fullmatch(value)):
        return value
    raise ValueError(
        "must be RFC 3339 text with date, time and offset, such as 2026-03-01T09:30:00Z"
    )


def milliseconds(value: datetime) -> int:
    """The Unix time of `value`, in milliseconds."""
    return round(value.timestamp() * 1_000)


def rfc3339(value: datetime) -> str:
    """`value` as RFC 3339 text in UTC, such as 2026-03-01T09:30:00Z; microseconds are written
    unless they are 0.
    """
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


TimeText = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time as RFC 3339 text, which schemas describe as such."""

Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_with_date_time_and_offset),
    AfterValidator(to_utc),
    PlainSerializer(rfc3339, return_type=TimeText, when_used="json"),
]
"""A time that a caller sends as RFC 3339 text, converted to UTC. A time without a UTC offset is
refused.
"""

INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
"""Parses the RFC 3339 text of an `Instant`."""
