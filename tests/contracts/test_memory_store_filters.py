"""The contract of MemoryStore: filters match the same memories as a reference in Python, on every
implementation.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import (
    Absent,
    All,
    AnyOf,
    Compare,
    Filter,
    Not,
    Op,
    in_view,
    open_tasks,
    parse_filter,
    with_states,
)
from memtypes.model.ids import content_hash
from memtypes.model.memory import Link, LinkType, Memory, Source, State, TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import CLOSED, Prospective, Status
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore
from tests.builders import NOW, make_dense, make_memory
from tests.contracts.conftest import STORES, bench_of
from tests.contracts.memory_steps import keep
from tests.contracts.reference_filter import holds

pytestmark = pytest.mark.anyio

FIRST = NOW - timedelta(days=2)
LAST = NOW + timedelta(microseconds=1)
LINK_TYPES = (LinkType.EXTENDS, LinkType.CONTRADICTS)
METADATA: list[dict[str, Any]] = [
    {},
    {"n": 1, "s": "1", "f": True, "a.b": "x", "ключ ключ": "да"},
    {"n": 1.5, "s": "one", "f": False, "list": [1, "x", 2.5], "a": {"b": "x"}},
    {"n": 2, "s": "", "list": [], "f": 1, "in [0]": 3},
    {"n": -1e300, "s": "2026-03-01T09:30:00Z", "list": ["x"], "n8": 2**53 + 1},
]


def make_memories(scope: Scope) -> list[Memory]:
    """Memories in which every filtered field is absent, or has one of several values."""
    memories: list[Memory] = []
    for n, metadata in enumerate(METADATA):
        common: dict[str, Any] = {
            "metadata": metadata,
            "importance": n + 1,
            "pinned": n % 2 == 0,
            "tags": ["red", "blue", "ünï"][: n % 4],
            "session_id": f"s{n % 2}" if n else None,
            "created_at": [FIRST, NOW, LAST][n % 3],
            "valid_to": [None, NOW, LAST][n % 3],
            "links": [
                Link(to=f"m{at}", type=LINK_TYPES[at], strength=at / 4) for at in range(n % 3)
            ],
            "state": list(State)[n % 3],
            "state_until": [None, LAST, NOW][n % 3],
            "tokens": TokenCount(count=n * 10, tokenizer="t"),
            "source": [None, Source(caller="wiki"), Source(file="a.md", line=2, turns=[1, 2])][
                n % 3
            ],
            "visibility": "namespace",
        }
        memories += [
            make_memory(MemoryType.EPISODIC, f"e{n}", scope, **common, emotional_valence=n - 2),
            make_memory(MemoryType.SEMANTIC, f"s{n}", scope, **common, confidence=n / 4),
            make_memory(
                MemoryType.PROSPECTIVE,
                f"p{n}",
                scope,
                **common,
                due_at=[None, NOW][n % 2],
                lapses_at=[None, FIRST, LAST][n % 3],
                status=list(Status)[n % 5],
                priority=n + 1,
            ),
        ]
    return memories


OPERANDS: dict[str, list[Any]] = {
    "content": ["e0", "s1", "S1", "e", "s1 ", ""],
    "content_hash": [content_hash("e0"), "0"],
    "namespace": ["another"],
    "session_id": ["s0", "s1", "S1", ""],
    "status": ["pending", "active"],
    "tags": ["red", "blue", "ünï", "re"],
    "type": ["semantic"],
    "importance": [0, 1, 3, 3.5, 5, 10**400, float("inf"), -1],
    "emotional_valence": [-2, 0, 0.5, -0.5, 2],
    "priority": [2, 2.0, 99],
    "tokens.count": [0, 10, 35.5, 2**53 + 1],
    "confidence": [0, 0.25, 0.3, 1],
    "pinned": [True, False],
    "created_at": [FIRST, NOW, LAST],
    "valid_to": [NOW, LAST],
    "due_at": [NOW],
    "links.to": ["m0", "m1", "m"],
    "links.type": ["extends", "contradicts", "reinforces"],
    "links.strength": [0, 0.25, 0.2],
    "source.caller": ["wiki", "w"],
    "source.line": [2, 3],
    "source.turns": [1, 2, 3],
    "state": ["current", "contested", "replaced", "other"],
    "state_until": [NOW, LAST],
    "metadata.n": [1, 1.0, 1.5, 2, "1", -1e300, float("-inf")],
    "metadata.s": ["1", "one", "", 1, "2026-03-01T09:30:00Z"],
    "metadata.f": [True, False, 1],
    "metadata.list": [1, "x", 2.5, 2],
    "metadata.a.b": ["x"],
    "metadata.ключ ключ": ["да"],
    "metadata.in [0]": [3],
}
"""Operands for each field: values that occur, their neighbours, and edge cases."""


@st.composite
def leaves(draw: st.DrawFn) -> Filter:
    """Hypothesis strategy for comparisons that the filter parser accepts."""
    field = draw(st.sampled_from(sorted(OPERANDS)))
    pool = st.sampled_from(OPERANDS[field])
    value = draw(pool)
    ordered = not isinstance(value, bool | str)
    if draw(st.booleans()) and draw(st.booleans()):
        return Absent(field)
    op = draw(st.sampled_from([op for op in Op if ordered or op in (Op.EQ, Op.NE, Op.ANY, Op.ALL)]))
    if op in (Op.ANY, Op.ALL):
        return Compare(field, op, tuple(draw(st.lists(pool, min_size=1, max_size=3))))
    if op is Op.BETWEEN:
        other_value = draw(pool.filter(lambda value: not isinstance(value, bool | str)))
        return Compare(field, op, (min(value, other_value), max(value, other_value)))
    return Compare(field, op, value)


FILTERS = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A store that contains the memories of `make_memories` in `scope`."""

    store: MemoryStore
    scope: Scope
    memories: list[Memory]


@pytest.fixture(scope="module", params=STORES)
async def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shelf]:
    """A store that contains the memories of `make_memories` twice: in the scope under test and in
    another namespace.

    No filter may match memories of the other namespace. The module has a store of its own, with few
    memories, because qdrant-client's local mode scans every stored memory for each filter.
    """
    async with bench_of(request.param, tmp_path_factory.mktemp("edge")) as bench:
        scope, other_scope = (Scope("acme", f"filters-{uuid.uuid4()}") for _ in range(2))
        await keep(bench.store, other_scope, *make_memories(other_scope))
        memories = make_memories(scope)
        await keep(bench.store, scope, *memories)
        yield Shelf(bench.store, scope, memories)


async def assert_matches(shelf: Shelf, tree: Filter) -> None:
    """Check that listing and counting with the filter `tree` give the memories that `holds`
    accepts.
    """
    expected = {memory.content for memory in shelf.memories if holds(memory.to_payload(), tree)}
    page = await shelf.store.page(shelf.scope, Listing(filter=tree, limit=500))
    assert {memory.content for memory in page.memories} == expected
    assert page.total == len(expected)


@pytest.mark.slow
@pytest.mark.parametrize("field", sorted(OPERANDS))
async def test_every_operator_agrees_with_the_reference_on_every_kind_of_field(
    shelf: Shelf, field: str
) -> None:
    """For every operator and operand, the store finds the same memories as the reference evaluation
    in Python.

    Some of the memories do not have the field.
    """
    await assert_matches(shelf, Absent(field))
    for value in OPERANDS[field]:
        ranges = () if isinstance(value, bool | str) else (Op.GT, Op.GTE, Op.LT, Op.LTE)
        for op in (Op.EQ, Op.NE, *ranges):
            await assert_matches(shelf, Compare(field, op, value))
        for op in (Op.ANY, Op.ALL):
            await assert_matches(shelf, Compare(field, op, (value,)))
            await assert_matches(shelf, Compare(field, op, tuple(OPERANDS[field])))


async def test_filters_by_id_match_exact_ids_only(shelf: Shelf) -> None:
    """A filter by id, negated or not, finds the same memories as the reference evaluation in
    Python.

    Unknown ids, ids in capital letters and texts that are no ids match no memory.
    """
    ids = [memory.id for memory in shelf.memories[:3]]
    strange = (str(uuid.uuid4()), ids[2].upper(), "", "e0", "\ud800")
    for tree in (
        Compare("id", Op.EQ, ids[0]),
        Compare("id", Op.NE, ids[0]),
        Compare("id", Op.ANY, (*ids, *strange)),
        Compare("id", Op.ANY, strange),
        Compare("id", Op.ALL, (ids[0],)),
        Compare("id", Op.ALL, tuple(ids)),
        AnyOf((Compare("id", Op.EQ, ids[0]), Compare("importance", Op.EQ, 5))),
        All((Compare("id", Op.ANY, tuple(ids)), Compare("importance", Op.EQ, 1))),
    ):
        await assert_matches(shelf, tree)
        await assert_matches(shelf, Not(tree))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=FILTERS)
async def test_nested_filters_agree_with_the_reference(shelf: Shelf, tree: Filter) -> None:
    """A filter that nests several operators finds the same memories as the reference evaluation in
    Python.
    """
    await assert_matches(shelf, tree)


async def test_large_integers_are_compared_exactly(shelf: Shelf) -> None:
    """Integers that a float cannot hold are compared exactly. One too large to be stored equals no
    value.
    """
    for value in (2**53, 2**53 + 1, 2**53 + 2, 2**64, -(2**70)):
        for op in (Op.EQ, Op.NE):
            await assert_matches(shelf, Compare("metadata.n8", op, value))
    await assert_matches(shelf, Compare("metadata.n8", Op.ANY, (2**53 + 1, 2**70)))


async def test_times_are_compared_as_instants(shelf: Shelf) -> None:
    """A filter matches a time written with another UTC offset if the instant is the same."""
    same = parse_filter({"created_at": {"eq": "2026-03-01T14:30:00+05:00"}})
    page = await shelf.store.page(shelf.scope, Listing(filter=same))
    assert {memory.created_at for memory in page.memories} == {NOW}


async def test_searches_and_pages_agree_on_filters(shelf: Shelf) -> None:
    """A search and a page with the same filter return the same memories."""
    tree = parse_filter(
        {
            "or": [{"metadata.a.b": {"eq": "x"}}, {"tags": {"all": ["red", "blue"]}}],
            "pinned": {"eq": True},
        }
    )
    search = CandidateSearch({MemoryType.SEMANTIC: tree}, make_dense(1), None, 100)
    (hits,) = await shelf.store.candidates(shelf.scope, [search])
    page = await shelf.store.page(shelf.scope, Listing((MemoryType.SEMANTIC,), tree))
    assert {hit.id for hit in hits} == {memory.id for memory in page.memories}
    assert hits


@pytest.mark.parametrize("instant", [FIRST, NOW, LAST])
@pytest.mark.parametrize("state", State)
async def test_a_filter_by_state_uses_the_states_at_the_given_time(
    shelf: Shelf, state: State, instant: datetime
) -> None:
    """A filter by state finds the memories in this state at that time; `in_view` finds all but
    replaced ones.
    """
    page = await shelf.store.page(
        shelf.scope, Listing(filter=with_states(Compare("state", Op.EQ, state), instant), limit=500)
    )
    assert {memory.id for memory in page.memories} == {
        memory.id for memory in shelf.memories if memory.at(instant).state is state
    }
    shown = await shelf.store.page(shelf.scope, Listing(filter=in_view(instant), limit=500))
    assert {memory.id for memory in shown.memories} == {
        memory.id for memory in shelf.memories if memory.at(instant).state is not State.REPLACED
    }


@pytest.mark.parametrize("instant", [FIRST, NOW, LAST])
async def test_a_filter_of_open_tasks_finds_those_that_are_open_at_the_given_time(
    shelf: Shelf, instant: datetime
) -> None:
    page = await shelf.store.page(shelf.scope, Listing(filter=open_tasks(instant), limit=500))
    assert {memory.id for memory in page.memories} == {
        memory.id
        for memory in shelf.memories
        if isinstance(memory, Prospective) and memory.open_at(instant)
    }


@pytest.mark.parametrize("kind", STORES)
async def test_a_filter_finds_the_tasks_that_have_a_history(kind: str, tmp_path: Path) -> None:
    scope = Scope("acme", "histories")
    moved = {"how": "moved", "at": NOW, "reason": "told"}
    tasks = [
        make_memory(MemoryType.PROSPECTIVE, f"t{len(history)}", scope, history=history)
        for history in ([], [moved], [moved, moved])
    ]
    async with bench_of(kind, tmp_path) as bench:
        await keep(bench.store, scope, *tasks)
        page = await bench.store.page(scope, Listing(filter=Not(Absent("history"))))
        assert {memory.id for memory in page.memories} == {task.id for task in tasks[1:]}


def make_tasks(scope: Scope) -> list[Prospective]:
    """Tasks of every status that lapsed, were closed and opened again at different times."""
    ends = (None, FIRST, LAST)
    tasks: list[Prospective] = []
    for status, lapses_at, closed_at, reopened_at in itertools.product(Status, ends, ends, ends):
        if status in CLOSED and reopened_at is not None:
            continue  # what is closed was not opened since
        times = {"lapses_at": lapses_at, "closed_at": closed_at, "reopened_at": reopened_at}
        task = make_memory(MemoryType.PROSPECTIVE, f"t{len(tasks)}", scope, status=status, **times)
        assert isinstance(task, Prospective)
        tasks.append(task)
    return tasks


@pytest.mark.parametrize("kind", STORES)
async def test_a_filter_by_status_uses_the_statuses_at_the_given_time(
    kind: str, tmp_path: Path
) -> None:
    scope = Scope("acme", "statuses")
    tasks = make_tasks(scope)
    async with bench_of(kind, tmp_path) as bench:
        await keep(bench.store, scope, *tasks)
        for instant, status in itertools.product((FIRST, NOW, LAST), Status):
            expected = {task.id for task in tasks if task.as_of(instant).status is status}
            assert expected
            for asked in (
                Compare("status", Op.EQ, str(status)),
                Compare("status", Op.ANY, (str(status),)),
            ):
                listing = Listing(filter=with_states(asked, instant), limit=500)
                page = await bench.store.page(scope, listing)
                assert {memory.id for memory in page.memories} == expected


@pytest.mark.parametrize("key", ['quo"te', "back\\slash"])
async def test_a_metadata_key_with_quotes_is_refused(shelf: Shelf, key: str) -> None:
    """A filter by a key with a quotation mark or a backslash raises an error that names the
    field.
    """
    with pytest.raises(InvalidRequest) as caught:
        await shelf.store.page(shelf.scope, Listing(filter=Compare(f"metadata.{key}", Op.EQ, 1)))
    assert caught.value.path == f"filters.metadata.{key}"
