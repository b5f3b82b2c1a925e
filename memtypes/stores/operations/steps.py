"""The few things that plans ask of an engine, and the two ways to carry a plan out.

A plan is a generator: it yields a round of steps, each for one type, and is sent their answers in order. So what a
store does is written once, for an engine that answers at once and for one that is awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.columns import Light
from memtypes.search.vectors import DenseVector, SparseVector, TokenVectors
from memtypes.stores.operations.conditions import Where
from memtypes.stores.operations.keys import Keys
from memtypes.stores.operations.messages import Point


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The best `limit` by one vector. corpus: what the sparse IDF is taken over.

    among: only of these, all of them, so by no approximate index; None for every memory that meets the condition.
    """

    vector: DenseVector | SparseVector
    limit: int
    where: Where
    corpus: Where
    among: Keys | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What a query found, best first. scores: float64."""

    keys: Keys
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """For each query its `Hits`."""

    queries: tuple[Nearest, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scroll:
    """(id, payload) pairs, newest first or in no order. fields: None for all."""

    where: Where
    limit: int
    fields: tuple[str, ...] | None
    newest_first: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ById:
    """(id, payload) pairs in the order of ids, from `start` on."""

    where: Where
    limit: int
    fields: tuple[str, ...]
    start: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fetch:
    """The whole payloads of `ids` by id."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class KeysOf:
    """The keys of these ids, which exist, in their order."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class IdsOf:
    """The ids of these keys, as `memtypes.stores.operations.keys.Ids`."""

    keys: Keys


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """Which of `keys` exist, and their light payloads, as `Seen`."""

    keys: Keys


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """found: of each key that was asked for, whether it exists. light: the columns of those, in the same order."""

    found: NDArray[np.bool_]
    light: Light


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """The `maxima` (see `memtypes.stores.operations.maxsim`) of the query's tokens in each of `keys`."""

    tokens: TokenVectors
    keys: Keys


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """How many points meet the condition, exactly."""

    where: Where


@dataclass(frozen=True, slots=True, eq=False)
class Facet:
    """(value, count) pairs of an integer field."""

    key: str
    where: Where
    limit: int


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """Insert `points`; replace those that exist and meet the condition."""

    points: tuple[Point, ...]
    where: Where


@dataclass(frozen=True, slots=True, eq=False)
class SetFields:
    """Merge `fields` into the payloads of what meets the condition."""

    where: Where
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class DropFields:
    """Drop payload fields of what meets the condition."""

    where: Where
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Remove:
    """Remove what meets the condition."""

    where: Where


Change: TypeAlias = Put | SetFields | DropFields | Remove


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """Make the changes, in order; None."""

    changes: tuple[Change, ...]


Reading: TypeAlias = Search | Scroll | ById | Fetch | Glance | Count | Facet
Step: TypeAlias = Reading | KeysOf | IdsOf | Late | Write
Round: TypeAlias = list[tuple[MemoryType, Step]]

T = TypeVar("T")
Plan: TypeAlias = Generator[Round, list[Any], T]


def run(plan: Plan[T], do: Callable[[MemoryType, Step], Any]) -> T:
    """The answer of `plan`, each step carried out by `do` at once."""
    try:
        steps = next(plan)
        while True:
            steps = plan.send([do(kind, step) for kind, step in steps])
    except StopIteration as done:
        answer: T = done.value
        return answer


async def run_async(plan: Plan[T], do: Callable[[MemoryType, Step], Awaitable[Any]]) -> T:
    """The answer of `plan`, the steps of a round carried out by `do` side by side."""
    try:
        steps = next(plan)
        while True:
            steps = plan.send(list(await asyncio.gather(*(do(kind, step) for kind, step in steps))))
    except StopIteration as done:
        answer: T = done.value
        return answer
