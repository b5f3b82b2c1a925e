"""A plain evaluation of filters in Python, with which the results of the stores are compared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from memtypes.model.filters import FIELD_KINDS, Absent, All, AnyOf, Compare, Filter, Kind, Not, Op


def holds(payload: dict[str, Any], tree: Filter) -> bool:
    """Whether the memory with this payload matches the filter `tree`."""
    match tree:
        case All(parts):
            return all(holds(payload, filter_) for filter_ in parts)
        case AnyOf(parts):
            return any(holds(payload, filter_) for filter_ in parts)
        case Not(filter_):
            return not holds(payload, filter_)
        case Absent(field):
            return not _values(payload, field)
        case Compare(field, Op.NE, operand):
            return not holds(payload, Compare(field, Op.EQ, operand))
        case Compare(field, op, operand):
            return _compares(_values(payload, field), op, operand)


def _values(payload: dict[str, Any], field: str) -> list[Any]:
    if field.startswith("metadata."):
        value = payload.get("metadata", {}).get(field.removeprefix("metadata."))
    elif field.startswith("links."):
        value = [link[field.removeprefix("links.")] for link in payload.get("links", [])]
    elif field.startswith("source."):
        value = payload.get("source", {}).get(field.removeprefix("source."))
    elif field == "tokens.count":
        value = payload["tokens"]["count"]
    else:
        value = payload.get(field)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if FIELD_KINDS.get(field) is Kind.TIME:
        return [datetime.fromisoformat(text) for text in values]
    return values


def _compares(values: list[Any], op: Op, operand: Any) -> bool:
    match op:
        case Op.ANY:
            return any(_equal(value, expected) for value in values for expected in operand)
        case Op.ALL:
            return all(any(_equal(value, expected) for value in values) for expected in operand)
        case Op.EQ:
            return any(_equal(value, operand) for value in values)
        case _:
            low, high = operand if op is Op.BETWEEN else (operand, operand)
            return any(_in_order(value, op, low, high) for value in values)


def _equal(value: Any, expected: Any) -> bool:
    return _sort(value) == _sort(expected) and bool(value == expected)


def _in_order(value: Any, op: Op, low: Any, high: Any) -> bool:
    if _sort(value) != _sort(low):
        return False
    outcome = {
        Op.GT: value > low,
        Op.GTE: value >= low,
        Op.LT: value < high,
        Op.LTE: value <= high,
        Op.BETWEEN: low <= value <= high,
    }
    return bool(outcome[op])


def _sort(value: Any) -> str:
    """The kind of a value, such as "number" for integers and floats. Values of different kinds
    never match.
    """
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) else type(value).__name__
