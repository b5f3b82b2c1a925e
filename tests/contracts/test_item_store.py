"""The contract of ItemStore, on every implementation. Random calls are compared with a
dictionary.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtypes.items import filters
from memtypes.items.filters import ItemFilter
from memtypes.items.item import Item, ItemAddress, ItemSearch, MatchType, PathListing, PathMatch
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.ports.items import ItemStore
from memtypes.search.vectors import DenseVectors
from memtypes.stores.operations.item_store import EngineItems
from tests.builders import DIMENSIONS
from tests.contracts.conftest import Bench
from tests.contracts.item_oracle import DictItems

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1, 12, 0, 0, 123_456, UTC)
NO_TEXTS: DenseVectors = np.empty((0, DIMENSIONS), np.float32)

VALUES: list[Any] = [
    None,
    True,
    0,
    -0.0,
    0.1,
    1e300,
    10**40,
    -(2**63) - 1,
    "",
    'quote " backslash \\ newline \n nul \x00',
    "žluťoučký 🐴 \u202e",
    [],
    {},
    {"": {"a.b": [None, {"$x": [1, 1.0, "1"]}]}},
    {"text": "x" * 100_000},
]


def after(seconds: float) -> datetime:
    """The time `seconds` after START."""
    return START + timedelta(seconds=seconds)


def vectors(*directions: int) -> DenseVectors:
    """One unit vector for each given axis, pointing along it."""
    return np.eye(DIMENSIONS, dtype=np.float32)[list(directions)]


class Puts:
    """Puts items of one scope into a store, each one second later than the item before."""

    def __init__(self, store: ItemStore, scope: Scope) -> None:
        self.store = store
        self.scope = scope
        self.at = 0.0

    async def put(
        self,
        path: str,
        key: str,
        value: Any = None,
        texts: DenseVectors = NO_TEXTS,
        ttl_s: float | None = None,
    ) -> Item:
        """Put a value one second after the previous put, and return the stored item. texts: vectors
        of its texts.
        """
        self.at += 1
        now = after(self.at)
        ttl = None if ttl_s is None else timedelta(seconds=ttl_s)
        address = address_of(path, key)
        item = Item(
            address,
            value,
            now,
            now,
            self.scope.agent_id,
            ttl=ttl,
            expires_at=now + ttl if ttl else None,
        )
        return await self.store.put(self.scope, item, texts)

    async def get(self, path: str, key: str, *, refresh: bool = False) -> Item | None:
        """The item at a path and key; None if there is none."""
        return await self.store.get(
            self.scope, address_of(path, key), after(self.at), refresh=refresh
        )

    async def keys(self, **search: Any) -> list[str]:
        """The keys of the items that a search finds."""
        items = await self.store.search(self.scope, ItemSearch(**search), after(self.at))
        return [item.address.key for item in items]

    async def paths(self, *match: PathMatch, **listing: Any) -> list[str]:
        """The paths that match all conditions in `match`; the labels of each path are joined by
        dots.
        """
        paths = await self.store.paths(self.scope, PathListing(match, **listing), after(self.at))
        return [".".join(path) for path in paths]


def address_of(path: str, key: str) -> ItemAddress:
    """The address of the item with this key under `path`, a path with dots between its labels, such
    as "users.ana".
    """
    return ItemAddress(path=tuple(path.split(".")) if path else (), key=key)


@pytest.fixture
def puts(items: ItemStore, scope: Scope) -> Puts:
    """A `Puts` over a new namespace; a test runs once on each implementation of ItemStore."""
    return Puts(items, scope)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
async def test_a_value_comes_back_as_it_was_put(puts: Puts, value: Any) -> None:
    """A value of any JSON type is read back equal, with the same types and all digits of its
    numbers.
    """
    await puts.put("a.b", "key", value)
    item = await puts.get("a.b", "key")
    assert item is not None
    assert (item.value, type(item.value)) == (value, type(value))
    assert repr(item.value) == repr(value)
    assert item.address == address_of("a.b", "key")
    assert [
        (item.value, item.score)
        for item in await puts.store.search(puts.scope, ItemSearch(), START)
    ] == [(value, None)]


async def test_a_put_replaces_the_value_and_keeps_the_first_time(puts: Puts) -> None:
    """A second put at a path and key replaces value and vectors, and keeps created_at.

    The same key at another path is another item.
    """
    await puts.put("a", "key", "first", vectors(0))
    stored = await puts.put("a", "key", "second", vectors(1))
    await puts.put("a.b", "key", "third")
    item = await puts.get("a", "key")
    assert item is not None
    assert (item.value, item.created_at, item.updated_at) == ("second", after(1), after(2))
    assert item == stored
    assert await puts.store.count(puts.scope, after(9)) == 2
    (nearest, _) = await puts.store.search(puts.scope, ItemSearch(vector=vectors(0)[0]), after(9))
    assert nearest.value == "second"
    assert nearest.score == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "key", ["k", " k ", "k.k", "K", "ключ 🐴", "a/b?c=d&e#f%20", "x" * 1024, "\x01\n\u2028"]
)
async def test_keys_and_labels_are_any_text(puts: Puts, key: str) -> None:
    """Keys and labels may have any characters. Keys that differ in a single character belong to
    different items.
    """
    label = key.replace(".", "-")[:256]
    address = ItemAddress(path=(label, "x"), key=key)
    await puts.store.put(puts.scope, Item(address, 1, START, START), NO_TEXTS)
    item = await puts.store.get(puts.scope, address, START)
    assert item is not None
    assert item.address == address
    other_address = ItemAddress(path=(label, "x"), key=f"{key[:-1]}\u00e9")
    assert await puts.store.get(puts.scope, other_address, START) is None
    assert await puts.store.paths(puts.scope, PathListing(), START) == [(label, "x")]
    assert await puts.keys(prefix=(label,)) == [key]


async def test_a_deleted_item_is_gone(puts: Puts) -> None:
    """A deleted item is not found. Deleting it again changes nothing, and a put under its key
    creates a new item.
    """
    await puts.put("a", "key", 1)
    await puts.put("a", "other", 1)
    for _ in range(2):
        await puts.store.delete(puts.scope, address_of("a", "key"))
    assert await puts.get("a", "key") is None
    assert await puts.keys() == ["other"]
    puts.at = 5
    assert (await puts.put("a", "key", 1)).created_at == after(6)


async def test_an_expired_item_is_gone_and_then_removed(puts: Puts) -> None:
    await puts.put("a", "short", 1, vectors(0), ttl_s=10)
    await puts.put("b", "long", 1, vectors(0))
    puts.at = 10.999_999
    assert await puts.get("a", "short") is not None
    puts.at = 11
    assert await puts.get("a", "short") is None
    assert await puts.keys() == await puts.keys(vector=vectors(0)[0]) == ["long"]
    assert await puts.paths() == ["b"]
    assert await puts.store.count(puts.scope, after(11)) == 1
    await puts.put("a", "short", 1, ttl_s=10)
    assert await puts.store.count(puts.scope, None) == 2
    assert await puts.store.delete_expired(after(100)) >= 1
    assert await puts.store.count(puts.scope, None) == 1


async def test_a_put_after_the_expiry_creates_a_new_item(puts: Puts) -> None:
    """An item put under the key of an expired item has a new creation time, and not the expired
    item's time to live.
    """
    await puts.put("a", "key", 1, ttl_s=1)
    puts.at = 7
    assert (await puts.put("a", "key", 2)).created_at == after(8)
    puts.at = 1_000
    item = await puts.get("a", "key")
    assert item is not None
    assert (item.value, item.ttl, item.expires_at) == (2, None, None)


async def test_a_read_that_refreshes_restarts_the_time_to_live(puts: Puts) -> None:
    """A read with `refresh` restarts the item's time to live; a read without it does not.

    An item without a time to live never gets one.
    """
    await puts.put("a", "key", 1, ttl_s=10)
    await puts.put("a", "forever", 1)
    puts.at = 9
    item = await puts.get("a", "key", refresh=True)
    assert item is not None
    assert item.expires_at == after(19)
    puts.at = 18
    assert await puts.keys(refresh=True) == ["forever", "key"]
    puts.at = 27
    assert await puts.get("a", "key") is not None
    puts.at = 28
    assert await puts.get("a", "key") is None
    forever = await puts.get("a", "forever", refresh=True)
    assert forever is not None
    assert forever.expires_at is None


async def test_a_prefix_matches_whole_labels(puts: Puts) -> None:
    """A prefix matches whole labels of a path. Underscores and percent signs in it are no
    wildcards.
    """
    for path in (
        "users",
        "users.ann",
        "users.ann.notes",
        "users.anna",
        "users.a_n",
        "usersann",
        "",
    ):
        await puts.put(path, f"in {path}")
    assert await puts.keys(prefix=("users", "ann")) == ["in users.ann.notes", "in users.ann"]
    assert len(await puts.keys(prefix=("users",))) == 5
    assert await puts.keys(prefix=("users", "a_n")) == ["in users.a_n"]
    assert await puts.keys(prefix=("users", "%")) == []
    assert len(await puts.keys()) == 7


async def test_without_a_query_the_item_written_last_comes_first(puts: Puts) -> None:
    """A search without a query lists items by their last write, newest first. `limit` and `offset`
    select a page.
    """
    for key in "abcde":
        await puts.put("p", key)
    await puts.put("p", "b")
    assert await puts.keys() == ["b", "e", "d", "c", "a"]
    assert await puts.keys(limit=2) == ["b", "e"]
    assert await puts.keys(limit=2, offset=2) == ["d", "c"]
    assert await puts.keys(limit=2, offset=4) == ["a"]
    assert await puts.keys(limit=2, offset=5) == await puts.keys(limit=0) == []


async def test_an_item_scores_by_its_nearest_text(puts: Puts) -> None:
    """An item's score is that of its nearest text. Items without texts come last and have no
    score.
    """
    await puts.put("p", "both", 1, vectors(0, 1))
    await puts.put("p", "second", 1, vectors(1))
    await puts.put("p", "none", 1)
    await puts.put("q", "elsewhere", 1, vectors(0))
    query = (vectors(0)[0] * 0.8 + vectors(1)[0] * 0.6).astype(np.float32)
    hits = await puts.store.search(puts.scope, ItemSearch(("p",), vector=query), after(9))
    assert [item.address.key for item in hits] == ["both", "second", "none"]
    assert [item.score for item in hits] == [pytest.approx(0.8), pytest.approx(0.6), None]
    assert await puts.keys(prefix=("p",), vector=query, limit=1, offset=1) == ["second"]
    assert await puts.keys(prefix=("p",), vector=query, limit=2, offset=2) == ["none"]


async def test_items_of_equal_score_are_on_one_page_each(puts: Puts) -> None:
    """The pages of a search together have each item exactly once, although all items have the same
    score.
    """
    for number in range(30):
        await puts.put("p", f"{number}", 1, vectors(0))
    pages = [
        await puts.keys(vector=vectors(0)[0], limit=7, offset=offset) for offset in range(0, 35, 7)
    ]
    assert sorted(int(key) for page in pages for key in page) == list(range(30))


async def test_a_filter_looks_at_every_item(bench: Bench, scope: Scope) -> None:
    """A filter finds matching items anywhere in the namespace, although the store reads only four
    values at a time.
    """
    puts = Puts(EngineItems(bench.store, window=4), scope)
    for number in range(40):
        await puts.put(
            "p", f"{number}", {"number": number, "even": number % 2 == 0}, vectors(number % 3)
        )
    oldest = ItemFilter.parse({"number": {"$lt": 4}})
    assert await puts.keys(filter=oldest) == ["3", "2", "1", "0"]
    assert await puts.keys(filter=oldest, limit=2, offset=1) == ["2", "1"]
    assert sorted(await puts.keys(filter=oldest, vector=vectors(0)[0])) == ["0", "1", "2", "3"]
    assert await puts.keys(filter=ItemFilter.parse({"number": 7.0})) == ["7"]
    assert await puts.keys(filter=ItemFilter.parse({"even": True, "number": {"$lte": 2}})) == [
        "2",
        "0",
    ]
    assert await puts.keys(filter=ItemFilter.parse({"even": 1})) == []


async def test_a_filter_finds_a_value_by_any_of_its_many_members(puts: Puts) -> None:
    """A filter finds a value by its last member, although only the first MAX_FACTS members are in
    the search index.
    """
    await puts.put("p", "large", {f"m{number}": number for number in range(filters.MAX_FACTS + 50)})
    await puts.put("p", "small", {"m1": 1})
    last = filters.MAX_FACTS + 49
    assert await puts.keys(filter=ItemFilter.parse({f"m{last}": last})) == ["large"]
    assert await puts.keys(filter=ItemFilter.parse({"m1": 1})) == ["small", "large"]


async def test_an_answer_with_too_many_bytes_is_refused(bench: Bench, scope: Scope) -> None:
    """A search whose items exceed the maximum number of bytes raises an error that says to ask for
    fewer items.

    With a smaller limit, the search succeeds.
    """
    puts = Puts(EngineItems(bench.store, most_bytes=25_000), scope)
    for number in range(10):
        await puts.put("p", f"{number}", "x" * 4_998)
    with pytest.raises(InvalidRequest, match="ask for fewer"):
        await puts.keys(limit=6)
    assert await puts.keys(limit=5) == ["9", "8", "7", "6", "5"]


async def test_large_values_are_read_in_several_pages(puts: Puts) -> None:
    """A search returns all its items even if their values exceed 8 MiB, the largest page that the
    engine returns.
    """
    for number in range(10):
        await puts.put("p", f"{number}", "x" * 1_000_000)
    assert await puts.keys(limit=10) == [f"{number}" for number in reversed(range(10))]


async def test_agents_and_namespaces_have_separate_items(items: ItemStore, scope: Scope) -> None:
    scopes = [
        scope,
        replace(scope, agent_id="ann"),
        replace(scope, agent_id="bob", agents=("bob",)),
        replace(scope, namespace=f"{scope.namespace}2"),
        replace(scope, tenant="other"),
    ]
    for number, item_scope in enumerate(scopes):
        await Puts(items, item_scope).put("p", "key", number)
    for number, item_scope in enumerate(scopes):
        puts_of_scope = Puts(items, item_scope)
        item = await puts_of_scope.get("p", "key")
        assert item is not None
        assert (item.value, item.agent_id) == (number, item_scope.agent_id)
        assert await puts_of_scope.keys() == ["key"]
    assert await items.count(scope, START) == 3
    every = [item async for item in items.every(scope, START)]
    assert sorted((item.agent_id or "", item.value) for item in every) == [
        ("", 0),
        ("ann", 1),
        ("bob", 2),
    ]
    await items.delete(scopes[1], address_of("p", "key"))
    assert await Puts(items, scopes[0]).keys() == ["key"]
    assert await items.delete_all(scope) == 2
    assert await items.count(scope, None) == 0
    assert [await items.count(item_scope, None) for item_scope in scopes[3:]] == [1, 1]


@pytest.mark.slow
async def test_every_item_is_listed_once(puts: Puts) -> None:
    for number in range(110):
        await puts.put(f"p{number % 7}", f"{number}", number)
    values = [item.value async for item in puts.store.every(puts.scope, after(1))]
    assert sorted(values) == list(range(110))


async def test_paths_are_matched_cut_and_sorted(puts: Puts) -> None:
    """Paths that match all conditions, cut to `max_depth` labels, are listed once, sorted and in
    pages.

    A star in a condition stands for any label.
    """
    for path in ("a.b.c", "a.b.d", "a.x.c", "b.c", "a", "c.b.a", ""):
        await puts.put(path, "key")
        await puts.put(path, "other key")
    assert await puts.paths() == ["", "a", "a.b.c", "a.b.d", "a.x.c", "b.c", "c.b.a"]
    assert await puts.paths(_match("prefix", "a")) == ["a", "a.b.c", "a.b.d", "a.x.c"]
    assert await puts.paths(_match("suffix", "c")) == ["a.b.c", "a.x.c", "b.c"]
    assert await puts.paths(_match("prefix", "a.*.c")) == ["a.b.c", "a.x.c"]
    assert await puts.paths(_match("prefix", "a"), _match("suffix", "b.*")) == ["a.b.c", "a.b.d"]
    assert await puts.paths(max_depth=1) == ["", "a", "b", "c"]
    assert await puts.paths(_match("suffix", "c"), max_depth=2) == ["a.b", "a.x", "b.c"]
    assert await puts.paths(limit=2, offset=1) == ["a", "a.b.c"]


def _match(kind: str, path: str) -> PathMatch:
    return PathMatch(type=MatchType(kind), path=tuple(path.split(".")))


PATHS = st.lists(st.sampled_from(["a", "b", "a_"]), max_size=3).map(tuple)
KEYS = st.sampled_from(["k", "l"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, 2, -1.5, "1", "a", "b", ""])
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2)
    ),
    max_leaves=4,
)
OPERATORS = st.dictionaries(st.sampled_from(["$eq", "$ne"]), JSON, min_size=1) | st.dictionaries(
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
    st.sampled_from([0, 1, 1.5, "a", ""]),
    min_size=1,
    max_size=2,
)
CONDITIONS = st.recursive(
    JSON | OPERATORS,
    lambda inner: st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=3,
)
FILTERS = st.none() | st.dictionaries(st.sampled_from("xy"), CONDITIONS, min_size=1, max_size=2)
TEXTS = st.lists(st.integers(0, DIMENSIONS - 1), max_size=2)
CALLS = st.one_of(
    st.tuples(st.just("put"), PATHS, KEYS, JSON, TEXTS, st.none() | st.integers(1, 6)),
    st.tuples(st.just("delete"), PATHS, KEYS),
    st.tuples(st.just("search"), PATHS, FILTERS, st.integers(0, 5), st.integers(0, 3)),
    st.tuples(
        st.just("paths"), PATHS, st.sampled_from(list(MatchType)), st.none() | st.integers(1, 3)
    ),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(CALLS, min_size=5, max_size=25))
async def test_random_calls_answer_as_a_dictionary_does(
    items: ItemStore, calls: list[Sequence[Any]]
) -> None:
    """Random puts, deletes, expiries, searches and listings give the same answers as the reference
    `DictItems`.
    """
    scope = Scope("acme", f"ns-{uuid.uuid4()}")
    model = DictItems()
    for at, call in enumerate(calls):
        now = after(at)
        match call:
            case ("put", path, key, value, texts, ttl):
                address = ItemAddress(path=path, key=key)
                matrix = vectors(*texts) if texts else NO_TEXTS
                expires = None if ttl is None else after(at + ttl)
                stored = await items.put(
                    scope, Item(address, value, now, now, expires_at=expires), matrix
                )
                assert stored.created_at == after(model.put((path, key), value, matrix, at, ttl))
            case ("delete", path, key):
                await items.delete(scope, ItemAddress(path=path, key=key))
                model.delete((path, key))
            case ("search", prefix, conditions, limit, offset):
                parsed = None if conditions is None else ItemFilter.parse(conditions)
                search = ItemSearch(prefix, parsed, None, limit, offset)
                hits = await items.search(scope, search, now)
                assert [(item.address.path, item.address.key) for item in hits] == model.search(
                    search, at
                )
            case ("paths", path, kind, depth):
                listing = PathListing((PathMatch(type=kind, path=path),), depth)
                assert await items.paths(scope, listing, now) == model.paths(listing, at)
    for path, key in model.entries:
        item = await items.get(scope, ItemAddress(path=path, key=key), after(len(calls)))
        entry = model.get((path, key), len(calls))
        assert (item and (item.value, item.created_at, item.updated_at)) == (
            entry and (entry[0], after(entry[1]), after(entry[2]))
        )
