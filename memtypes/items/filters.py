"""Filters on the values of keyed items (JSON values that programs store under a path and a key), as in LangGraph.

`{"color": "red", "size": {"$gt": 3}, "owner": {"name": "Ann"}}` holds for an object whose members meet each condition.
A missing member counts as null. Numbers are equal by value (1 and 1.0), and never equal true or false. `$gt`, `$gte`,
`$lt` and `$lte` compare two numbers or two texts; for any other values they do not hold.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from memtypes.model.errors import InvalidRequest

MAX_CONDITIONS = 256
MAX_FACTS = 256
"""Maximum number of digests of a value. If it has more members, MANY is added, so that filters read the value."""

MANY = "*"

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
)
OPERATORS = ("$eq", "$ne", *_ORDERS)

_Keys: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """A validated filter on keyed items. conditions: the condition on each member of an item, by its name."""

    conditions: Mapping[str, Any]

    @classmethod
    def parse(cls, filter_: Mapping[str, Any]) -> ItemFilter | None:
        """Validate a caller's filter; return None if it is empty. Raises InvalidRequest with the path of the error."""
        count = sum(_check(condition, f"filter.{name}") for name, condition in filter_.items())
        if count > MAX_CONDITIONS:
            raise InvalidRequest(f"has {count} conditions; at most {MAX_CONDITIONS} are allowed", path="filter")
        return cls(filter_) if filter_ else None

    def holds(self, value: Any) -> bool:
        """Whether an item with the JSON value `value` meets the filter."""
        return isinstance(value, dict) and _holds(value, self.conditions)

    def facts(self) -> list[str]:
        """Digests of exact values that the filter requires. Items with all of them must be checked with `holds`."""
        return [fact(keys, value) for keys, value in _equalities((), self.conditions)]


def facts_of(value: Any) -> list[str]:
    """Digests of a JSON object for a search index: one for each text, number and boolean, also in nested objects.

    A digest is made from the value and the keys that lead to it, so objects with an equal member share it. At most
    MAX_FACTS digests are returned; if the object has more values, MANY is added, which marks the list as incomplete.
    """
    facts: list[str] = []
    waiting: list[tuple[_Keys, Any]] = [((), value)] if isinstance(value, dict) else []
    for keys, part in waiting:
        if isinstance(part, dict):
            waiting += [((*keys, name), member) for name, member in part.items()]
        elif _is_scalar(part):
            facts.append(fact(keys, part))
        if len(facts) > MAX_FACTS or len(waiting) > 4 * MAX_FACTS:
            return [*facts[:MAX_FACTS], MANY]
    return facts


def fact(keys: _Keys, value: Any) -> str:
    """Digest by which an index finds objects with `value` under the nested `keys`. 1 and 1.0 have the same digest."""
    exact = int(value) if isinstance(value, float) and value.is_integer() else value
    return hashlib.blake2b(json.dumps([*keys, exact]).encode(), digest_size=12).hexdigest()


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)  # bool is an int; null equals a missing member, so it is no fact


def _operators(condition: Any) -> bool:
    return isinstance(condition, dict) and any(name.startswith("$") for name in condition)


def _check(condition: Any, path: str) -> int:
    """Return how many comparisons `condition` has. Raises InvalidRequest for an unknown operator or wrong operand."""
    if _operators(condition):
        for name, operand in condition.items():
            if name not in OPERATORS:
                raise InvalidRequest(f"unknown operator; known are {', '.join(OPERATORS)}", path=path, got=name)
            if name in _ORDERS and (isinstance(operand, bool) or not isinstance(operand, str | int | float)):
                raise InvalidRequest(f"{name} needs a number or a text", path=f"{path}.{name}", got=operand)
        return len(condition)
    if isinstance(condition, dict):
        return 1 + sum(_check(member, f"{path}.{name}") for name, member in condition.items())
    return 1


def _holds(value: Any, condition: Any) -> bool:
    if _operators(condition):
        return all(_compare(value, name, operand) for name, operand in condition.items())
    if isinstance(condition, dict):
        return isinstance(value, dict) and all(_holds(value.get(name), part) for name, part in condition.items())
    if isinstance(condition, list):
        return (
            isinstance(value, list)
            and len(value) == len(condition)
            and all(_holds(member, part) for member, part in zip(value, condition, strict=True))
        )
    return equal(value, condition)


def _compare(value: Any, name: str, operand: Any) -> bool:
    if name == "$eq":
        return equal(value, operand)
    if name == "$ne":
        return not equal(value, operand)
    if isinstance(value, bool) or isinstance(value, str) is not isinstance(operand, str):
        return False
    return isinstance(value, str | int | float) and _ORDERS[name](value, operand)


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal. Unlike in Python, true does not equal 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _equalities(keys: _Keys, condition: Any) -> Iterator[tuple[_Keys, Any]]:
    """Yield, for each condition that only one text, number or boolean meets, the keys that lead to it and the value."""
    if _operators(condition):
        condition = condition.get("$eq")
        if isinstance(condition, dict):  # equal to an object: its members are no conditions
            return
    if isinstance(condition, dict):
        for name, part in condition.items():
            yield from _equalities((*keys, name), part)
    elif _is_scalar(condition):
        yield keys, condition
