"""The reference for ItemStore: keyed items in a dictionary, modelled on LangGraph's
InMemoryStore.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from memtypes.items.item import ItemSearch, PathListing
from memtypes.search.vectors import DenseVectors

Address = tuple[tuple[str, ...], str]

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


@dataclass(slots=True)
class _Entry:
    value: Any
    vectors: DenseVectors
    first_put: int
    last_put: int
    expires: int | None


@dataclass(slots=True)
class DictItems:
    """A reference implementation of an item store, to compare with. Times and times to live are in
    seconds.
    """

    entries: dict[Address, _Entry] = field(default_factory=dict)

    def put(
        self, address: Address, value: Any, vectors: DenseVectors, at: int, ttl: int | None
    ) -> int:
        """Store a value and its vectors at the time `at`; return when the first value was put at
        this address.
        """
        before = self._alive(at).get(address)
        first = at if before is None else before.first_put
        self.entries[address] = _Entry(value, vectors, first, at, None if ttl is None else at + ttl)
        return first

    def get(self, address: Address, at: int) -> Any:
        """The item's value and the times of its first and last put; None if no such item is alive
        at the time `at`.
        """
        entry = self._alive(at).get(address)
        return None if entry is None else (entry.value, entry.first_put, entry.last_put)

    def delete(self, address: Address) -> None:
        """Remove the item at this address, if there is one."""
        self.entries.pop(address, None)

    def search(self, search: ItemSearch, at: int) -> list[Address]:
        """The addresses of the items alive at the time `at` that match the search.

        They are ordered by score if the search has a vector, and otherwise by the time of the last
        put, newest first.
        """
        depth = len(search.prefix)
        matching = [
            (address, entry)
            for address, entry in self._alive(at).items()
            if address[0][:depth] == search.prefix
            and (search.filter is None or matches(entry.value, search.filter.conditions))
        ]
        matching.sort(key=lambda pair: -pair[1].last_put)
        if search.vector is not None:
            matching.sort(key=lambda pair: -_score(search.vector, pair[1].vectors))
        return [address for address, _ in matching][search.offset : search.offset + search.limit]

    def paths(self, listing: PathListing, at: int) -> list[tuple[str, ...]]:
        """The paths of items alive at the time `at` that match the listing, sorted and cut to its
        maximum depth.
        """
        paths = {path for path, _ in self._alive(at)}
        for condition in listing.match:
            size = len(condition.path)
            ends = {
                path: path[:size] if condition.type == "prefix" else path[len(path) - size :]
                for path in paths
            }
            paths = {
                path
                for path, end in ends.items()
                if len(path) >= size and _labels_match(condition.path, end)
            }
        cut = sorted({path[: listing.max_depth] for path in paths})
        return cut[listing.offset : listing.offset + listing.limit]

    def _alive(self, at: int) -> dict[Address, _Entry]:
        return {
            address: entry
            for address, entry in self.entries.items()
            if entry.expires is None or entry.expires > at
        }


def _labels_match(pattern: tuple[str, ...], labels: tuple[str, ...]) -> bool:
    return all(expected in ("*", label) for expected, label in zip(pattern, labels, strict=True))


def _score(query: DenseVectors | None, vectors: DenseVectors) -> float:
    return float((vectors @ query).max()) if query is not None and len(vectors) else -2.0


def matches(value: Any, condition: Any) -> bool:
    """Whether `value` meets `condition` by the rules of LangGraph's stores, but with values
    compared as in JSON.
    """
    if isinstance(condition, dict) and any(name.startswith("$") for name in condition):
        return all(_operator(value, name, operand) for name, operand in condition.items())
    if isinstance(condition, dict):
        return isinstance(value, dict) and all(
            matches(value.get(name), subcondition) for name, subcondition in condition.items()
        )
    if isinstance(condition, list):
        same = isinstance(value, list) and len(value) == len(condition)
        return same and all(map(matches, value, condition))
    return _json_equal(value, condition)


def _operator(value: Any, name: str, operand: Any) -> bool:
    if name in ("$eq", "$ne"):
        return _json_equal(value, operand) is (name == "$eq")
    numbers = all(
        isinstance(number, int | float) and not isinstance(number, bool)
        for number in (value, operand)
    )
    texts = isinstance(value, str) and isinstance(operand, str)
    return (numbers or texts) and _ORDERS[name](value, operand)


def _json_equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_json_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            _json_equal(left[name], right[name]) for name in left
        )
    return bool(left == right)
