"""Filters on the values of keyed items (JSON values that programs store under a path and a key), as
in LangGraph.

`{"color": "red", "size": {"$gt": 3}, "owner": {"name": "Ann"}}` holds for an object whose members
meet each condition. A missing member counts as null. Numbers are equal by value (1 and 1.0), and
never equal true or false. `$gt`, `$gte`, `$lt` and `$lte` compare two numbers or two texts; for any
other values they do not hold.
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
"""Maximum number of digests of a value. If it has more members, MANY is added."""

MANY = "*"
"""Marks an incomplete list of digests: whether the value meets a filter must be checked with
`ItemFilter.holds`.
"""

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
)
OPERATORS = ("$eq", "$ne", *_ORDERS)

_Keys: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """A validated filter on the values of keyed items. conditions: the condition on each member, by
    its name.
    """

    conditions: Mapping[str, Any]

    @classmethod
    def parse(cls, filter_: Mapping[str, Any]) -> ItemFilter | None:
        """Validate a caller's filter; return None if it is empty. Raises InvalidRequest with the
        path of the error.
        """
        count = sum(_check(condition, f"filter.{name}") for name, condition in filter_.items())
        if count > MAX_CONDITIONS:
            raise InvalidRequest(
                f"has {count} conditions; at most {MAX_CONDITIONS} are allowed", path="filter"
            )
        return cls(filter_) if filter_ else None

    def holds(self, value: Any) -> bool:
        """Whether an item with the JSON value `value` meets the filter."""
        return isinstance(value, dict) and _holds(value, self.conditions)

    def facts(self) -> list[str]:
        """Digests (see `fact`) of exact values that the filter requires. Only items with all of
        them can meet it.
        """
        return [fact(keys, value) for keys, value in _equalities((), self.conditions)]


def facts_of(value: Any) -> list[str]:
    """Digests of a JSON object for a search index: one for each text, number and boolean, also in
    nested objects.

    Each is the `fact` of a member's keys and value, so objects with an equal member share it. At
    most MAX_FACTS digests are returned, then MANY if the object has more members.
    """
    facts: list[str] = []
    queue: list[tuple[_Keys, Any]] = [((), value)] if isinstance(value, dict) else []
    for keys, member in queue:
        if isinstance(member, dict):
            queue += [((*keys, name), inner) for name, inner in member.items()]
        elif _is_scalar(member):
            facts.append(fact(keys, member))
        if len(facts) > MAX_FACTS or len(queue) > 4 * MAX_FACTS:
            return [*facts[:MAX_FACTS], MANY]
    return facts


def fact(keys: _Keys, value: Any) -> str:
    """Digest by which an index finds objects with `value` under the nested `keys`. 1 and 1.0 have
    the same digest.
    """
    exact = int(value) if isinstance(value, float) and value.is_integer() else value
    return hashlib.blake2b(json.dumps([*keys, exact]).encode(), digest_size=12).hexdigest()


def _is_scalar(value: Any) -> bool:
    # Bool is an int; null equals a missing member, so it is no fact
    return isinstance(value, str | int | float)


def _has_operators(condition: Any) -> bool:
    return isinstance(condition, dict) and any(name.startswith("$") for name in condition)


def _check(condition: Any, path: str) -> int:
    """Return how many comparisons `condition` has. Raises InvalidRequest for an unknown operator or
    wrong operand.
    """
    if _has_operators(condition):
        for name, operand in condition.items():
            if name not in OPERATORS:
                raise InvalidRequest(
                    f"unknown operator; known are {', '.join(OPERATORS)}", path=path, got=name
                )
            if name in _ORDERS and (
                isinstance(operand, bool) or not isinstance(operand, str | int | float)
            ):
                raise InvalidRequest(
                    f"{name} needs a number or a text", path=f"{path}.{name}", got=operand
                )
        return len(condition)
    if isinstance(condition, dict):
        return 1 + sum(_check(member, f"{path}.{name}") for name, member in condition.items())
    return 1


def _holds(value: Any, condition: Any) -> bool:
    if _has_operators(condition):
        return all(_compare(value, name, operand) for name, operand in condition.items())
    if isinstance(condition, dict):
        return isinstance(value, dict) and all(
            _holds(value.get(name), inner) for name, inner in condition.items()
        )
    if isinstance(condition, list):
        return (
            isinstance(value, list)
            and len(value) == len(condition)
            and all(map(_holds, value, condition))
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


def equal(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal. Unlike in Python, true does not equal 1."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            equal(first[name], second[name]) for name in first
        )
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(equal, first, second))
    return isinstance(first, bool) is isinstance(second, bool) and bool(first == second)


def _equalities(keys: _Keys, condition: Any) -> Iterator[tuple[_Keys, Any]]:
    """Yield keys and value of each condition that requires one text, number or boolean. keys: those
    of `condition`.
    """
    if _has_operators(condition):
        condition = condition.get("$eq")
        if isinstance(condition, dict):  # equal to an object: its members are no conditions
            return
    if isinstance(condition, dict):
        for name, member in condition.items():
            yield from _equalities((*keys, name), member)
    elif _is_scalar(condition):
        yield keys, condition
