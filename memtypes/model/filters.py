"""Filters over the fields of memories. They are parsed and validated here; each store translates
them for its engine.

The JSON form is `{field: {operator: value, ...}}`, `{"and": [..]}`, `{"or": [..]}` or `{"not":
..}`. If an object has several fields, or a field several operators, all of these conditions must
hold.
"""

from __future__ import annotations

import math
import types as pytypes
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, TypeAlias

from pydantic import AwareDatetime, BaseModel, ValidationError

from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Link, Memory, Source, State
from memtypes.model.prospective import CLOSED, OPEN, Status
from memtypes.model.times import INSTANT
from memtypes.model.types import MEMORY_CLASSES

MAX_DEPTH = 8
MAX_LIST = 1_000
MAX_CONDITIONS = 256
MAX_VALUES = 10_000


class Op(StrEnum):
    """Comparison operators of a filter. any: the field has at least one value of a list. all: it
    has every value.
    """

    EQ = "eq"
    NE = "ne"
    ANY = "any"
    ALL = "all"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    BETWEEN = "between"


class Kind(StrEnum):
    """Type of a field's values in filters. ID: text in lower case. METADATA: text, number, true or
    false.
    """

    TEXT = "text"
    ID = "id"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Compare:
    """Condition that compares `field` with `value` by the operator `op`.

    value: a tuple for the operators any and all, (lowest, highest) for between, a single value for
    the others.
    """

    field: str
    op: Op
    value: Any


@dataclass(frozen=True, slots=True)
class Absent:
    """Condition: `field` has no value."""

    field: str


@dataclass(frozen=True, slots=True)
class All:
    """Condition: all `parts` hold; true if there are no parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Condition: at least one of `parts` holds; false if there are no parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Condition: `part` does not hold."""

    part: Filter


Filter: TypeAlias = Compare | Absent | All | AnyOf | Not


def ends_after(field: str, instant: datetime) -> AnyOf:
    """A filter that holds if the time field `field`, such as expires_at, has no value or a time
    after `instant`.
    """
    return AnyOf((Absent(field), Compare(field, Op.GT, instant)))


def in_view(instant: datetime) -> Filter:
    """A filter that holds for memories that, at `instant`, have not expired and are not replaced
    (see `state_at`).
    """
    current_again = Compare("state_until", Op.LTE, instant)
    return all_of(
        AnyOf((*ends_after("valid_to", instant).parts, current_again)),
        ends_after("expires_at", instant),
    )


def open_tasks(instant: datetime) -> Filter:
    """A filter that holds for the intentions that are unfinished at `instant` and have not lapsed
    (see `status_at`).
    """
    return AnyOf(tuple(_with_status(status, instant) for status in sorted(OPEN)))


def unfinished() -> Filter:
    """A filter that holds for intentions whose stored status is that of an unfinished one."""
    return _stored_as(*OPEN)


def with_states(tree: Filter, instant: datetime) -> Filter:
    """The filter `tree` with each condition on `state` or `status` replaced by one on the times
    that determine it at `instant`.
    """
    match tree:
        case All(parts):
            return All(tuple(with_states(part, instant) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(with_states(part, instant) for part in parts))
        case Not(part):
            return Not(with_states(part, instant))
        case Compare("state" | "status" as field, op, value):
            values = value if isinstance(value, tuple) else (value,)
            at_instant = _in_state if field == "state" else _with_status
            states = tuple(at_instant(state, instant) for state in values)
            matching = All(states) if op is Op.ALL else AnyOf(states)
            return Not(matching) if op is Op.NE else matching
        case leaf:
            return leaf


def _with_status(status: object, instant: datetime) -> Filter:
    """A filter for intentions whose status at `instant` is `status` (see `status_at`)."""
    closed_later = All((_stored_as(*CLOSED), Compare("closed_at", Op.GT, instant)))
    closed_then = All(
        (Compare("closed_at", Op.LTE, instant), Compare("reopened_at", Op.GT, instant))
    )
    over = Compare("lapses_at", Op.LTE, instant)
    match status:
        case Status.CANCELLED | Status.COMPLETED:
            closed = All((_stored_as(status), Not(Compare("closed_at", Op.GT, instant))))
            if status == Status.CANCELLED:
                return closed
            reopened_later = All((_stored_as(*OPEN, Status.LAPSED), closed_then))
            return AnyOf((closed, reopened_later))
        case Status.LAPSED:
            lapsed = AnyOf((over, All((_stored_as(Status.LAPSED), Absent("lapses_at")))))
            not_closed = All((_stored_as(*OPEN, Status.LAPSED), Not(closed_then)))
            return AnyOf((All((not_closed, lapsed)), All((closed_later, over))))
        case Status.ACTIVE:
            return All((_stored_as(Status.ACTIVE), Not(over), Not(closed_then)))
        case Status.PENDING:
            pending = All((_stored_as(Status.PENDING), Not(over), Not(closed_then)))
            lapses_later = All(
                (
                    _stored_as(Status.LAPSED),
                    Compare("lapses_at", Op.GT, instant),
                    Not(closed_then),
                )
            )
            return AnyOf((pending, lapses_later, All((closed_later, Not(over)))))
        case _:
            return Compare("status", Op.EQ, status)


def _stored_as(*statuses: object) -> Filter:
    return Compare("status", Op.ANY, tuple(sorted(map(str, statuses))))


def _in_state(state: object, instant: datetime) -> Filter:
    """A filter for memories whose state at `instant` is `state` (see `state_at`)."""
    current_again = Compare("state_until", Op.LTE, instant)
    replaced = All((Compare("valid_to", Op.LTE, instant), Not(current_again)))
    contested = All(
        (Compare("state", Op.EQ, str(State.CONTESTED)), Not(current_again), Not(replaced))
    )
    match state:
        case State.REPLACED:
            return All((replaced, Not(Compare("state", Op.EQ, str(State.WRONG)))))
        case State.WRONG:
            return All((replaced, Compare("state", Op.EQ, str(State.WRONG))))
        case State.CONTESTED:
            return contested
        case _:
            return All((Not(replaced), Not(contested)))


_HIDDEN = frozenset({"tenant", "gives_value", "kept_from"})
"""Fields that filters can't use: the tenant, which the scope sets, and fields for internal use."""
_KINDS: Mapping[Any, Kind] = {
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    bool: Kind.FLAG,
    str: Kind.TEXT,
    datetime: Kind.TIME,
    AwareDatetime: Kind.TIME,
}
_ORDERED = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.TIME, Kind.METADATA})
_RANGES = frozenset({Op.GT, Op.GTE, Op.LT, Op.LTE, Op.BETWEEN})


def _scalar(annotation: Any) -> Any:
    """The type of a field's values, from its annotation: `datetime` for `datetime | None`, `str`
    for `list[str]`.
    """
    origin = typing.get_origin(annotation)
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    wrapped = origin is typing.Annotated or origin in (typing.Union, pytypes.UnionType, list)
    return _scalar(arguments[0]) if wrapped else annotation


def _field_types() -> Iterator[tuple[str, Any]]:
    """Yield the path, such as "links.to", and the type of the values of each field of memories,
    links and sources.
    """
    models: list[type[BaseModel]] = [Memory, *MEMORY_CLASSES.values(), Link, Source]
    paths = {Link: "links.", Source: "source."}
    for model in models:
        for name, field in model.model_fields.items():
            if name not in _HIDDEN:
                yield f"{paths.get(model, '')}{name}", _scalar(field.annotation)


def _all_choices() -> dict[str, frozenset[str]]:
    choices: dict[str, frozenset[str]] = {}
    for name, scalar in _field_types():
        listed = isinstance(scalar, type) and issubclass(scalar, Enum)
        if listed or typing.get_origin(scalar) is typing.Literal:
            texts = frozenset(map(str, scalar if listed else typing.get_args(scalar)))
            choices[name] = choices.get(name, texts) | texts
    return choices


FIELD_CHOICES: Mapping[str, frozenset[str]] = pytypes.MappingProxyType(_all_choices())
"""The allowed texts of each field that has an enumeration, such as `status`; of several types, the
texts of all.
"""

FIELD_KINDS: Mapping[str, Kind] = pytypes.MappingProxyType(
    dict.fromkeys(FIELD_CHOICES, Kind.TEXT)
    | {name: _KINDS[scalar] for name, scalar in _field_types() if scalar in _KINDS}
    | {"tokens.count": Kind.INTEGER, **dict.fromkeys(("id", "superseded_by", "links.to"), Kind.ID)}
)
"""The kind of every field that a filter may name, except `metadata.KEY`."""


def kind_of_field(field: str) -> Kind:
    """The type of the values of the field at a path such as "links.to". Raises InvalidRequest for
    an unknown field.
    """
    if field.startswith("metadata.") and len(field) > len("metadata."):
        return Kind.METADATA
    if field not in FIELD_KINDS:
        fields = ", ".join(sorted(FIELD_KINDS))
        raise InvalidRequest(
            f"unknown field {field!r}; known are {fields} and metadata.KEY",
            path="filters",
            got=field,
        )
    return FIELD_KINDS[field]


def parse_filter(tree: object) -> Filter:
    """Parse a filter from its decoded JSON. Raises InvalidRequest, with the path of the error, if
    it is invalid.
    """
    parsed = _parse(tree, "filters", 0)
    conditions = list(leaves(parsed))
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidRequest(
            f"a filter may have at most {MAX_CONDITIONS} conditions", path="filters"
        )
    lists = [
        leaf.value
        for leaf in conditions
        if isinstance(leaf, Compare) and leaf.op in (Op.ANY, Op.ALL)
    ]
    if sum(map(len, lists)) > MAX_VALUES:
        raise InvalidRequest(
            f"the lists of a filter may have at most {MAX_VALUES} values together", path="filters"
        )
    return parsed


def leaves(tree: Filter) -> Iterator[Compare | Absent]:
    """Yield the conditions of the filter `tree`, each on a single field, in order."""
    match tree:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case leaf:
            yield leaf


def _parse(tree: object, path: str, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"a filter may nest at most {MAX_DEPTH} levels", path=path)
    if not isinstance(tree, dict) or not tree:
        raise InvalidRequest("a filter is an object with at least one field", path=path, got=tree)
    parts: list[Filter] = []
    for key, value in tree.items():
        key_path = f"{path}.{key}"
        if key == "not":
            parts.append(Not(_parse(value, key_path, depth + 1)))
        elif key in ("and", "or"):
            if not isinstance(value, list) or not value:
                raise InvalidRequest(
                    "needs a list of at least one filter", path=key_path, got=value
                )
            inner = tuple(
                _parse(part, f"{key_path}[{index}]", depth + 1) for index, part in enumerate(value)
            )
            parts.append(All(inner) if key == "and" else AnyOf(inner))
        else:
            if not isinstance(value, dict) or not value:
                raise InvalidRequest(
                    f"needs an object of operators ({', '.join(Op)})", path=key_path, got=value
                )
            parts.append(
                all_of(
                    *[
                        _compare(key, op, operand, f"{key_path}.{op}")
                        for op, operand in value.items()
                    ]
                )
            )
    return all_of(*parts)


def _compare(field: str, op_name: str, operand: object, path: str) -> Filter:
    if op_name not in Op.__members__.values():
        raise InvalidRequest(
            f"unknown operator {op_name!r}; known are {', '.join(Op)}", path=path, got=op_name
        )
    op = Op(op_name)
    kind = kind_of_field(field)
    if operand is None and op in (Op.EQ, Op.NE):
        return Absent(field) if op is Op.EQ else Not(Absent(field))
    if op in _RANGES and kind not in _ORDERED:
        raise InvalidRequest(
            f"{op} needs a number or a time; {field} is {kind}", path=path, got=operand
        )
    if op in (Op.ANY, Op.ALL, Op.BETWEEN):
        return Compare(field, op, _values(field, op, operand, path))
    checked = _value(field, operand, path)
    if op in _RANGES and isinstance(checked, bool | str):
        raise InvalidRequest(f"{op} needs a number or a time", path=path, got=operand)
    return Compare(field, op, checked)


def _values(field: str, op: Op, operand: object, path: str) -> tuple[Any, ...]:
    limits = (1, MAX_LIST)
    needed = f"a list of 1 to {MAX_LIST} values"
    if op is Op.BETWEEN:
        limits = (2, 2)
        needed = "a list of two values, the lower and the upper end"
    if not isinstance(operand, list) or not limits[0] <= len(operand) <= limits[1]:
        raise InvalidRequest(f"needs {needed}", path=path, got=operand)
    values = tuple(_value(field, value, f"{path}[{index}]") for index, value in enumerate(operand))
    if op is Op.BETWEEN and any(isinstance(end, bool | str) for end in values):
        raise InvalidRequest("needs two numbers or two times", path=path, got=operand)
    if op is Op.BETWEEN and values[0] > values[1]:
        raise InvalidRequest(
            "the lower end must not be above the upper end", path=path, got=operand
        )
    return values


def _value(field: str, value: object, path: str) -> Any:
    """`value` as an operand for `field`: times are parsed, ids put in lower case. Raises
    InvalidRequest.
    """
    kind = kind_of_field(field)
    if kind is Kind.TIME:
        return parse_time(value, path)
    types, needed = _ALLOWED[kind]
    wrong_flag = isinstance(value, bool) and bool not in types
    if (
        wrong_flag
        or not isinstance(value, types)
        or (isinstance(value, float) and math.isnan(value))
    ):
        raise InvalidRequest(f"needs {needed}", path=path, got=value)
    if value not in FIELD_CHOICES.get(field, (value,)):
        raise InvalidRequest(
            f"needs one of {', '.join(sorted(FIELD_CHOICES[field]))}", path=path, got=value
        )
    return str(value).lower() if kind is Kind.ID else value


_ALLOWED: Mapping[Kind, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys((Kind.TEXT, Kind.ID), ((str,), "a text")),
    **dict.fromkeys((Kind.INTEGER, Kind.NUMBER), ((int, float), "a number")),
    Kind.FLAG: ((bool,), "true or false"),
    Kind.METADATA: ((str, int, float, bool), "a text, a number, true or false"),
}


def parse_time(value: object, path: str) -> datetime:
    """The time that the RFC 3339 text `value` states. Raises InvalidRequest, with `path`, for other
    values.
    """
    try:
        return INSTANT.validate_python(value)
    except ValidationError as error:
        raise InvalidRequest(
            "needs a time as RFC 3339 text with an offset, such as 2026-03-01T09:30:00Z",
            path=path,
            got=value,
        ) from error


def all_of(*parts: Filter | None) -> Filter:
    """A filter that holds if all `parts` hold. Parts that are None are left out; without parts it
    always holds.
    """
    conditions = tuple(part for part in parts if part is not None)
    return conditions[0] if len(conditions) == 1 else All(conditions)
