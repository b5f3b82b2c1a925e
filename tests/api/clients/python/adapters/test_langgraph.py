"""The LangGraph store: compared with LangGraph's InMemoryStore by random operations, and with cases
from its tests.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from remembrancer_client import AsyncRemembrancer, NotFound, Remembrancer
from remembrancer_client.langgraph import RemembrancerStore

LABELS = st.sampled_from(["a", "b", "ab", "a%", "a_", "*", "ä ö"])
PATHS = st.lists(LABELS, min_size=1, max_size=3).map(tuple)
KEYS = st.sampled_from(["k", "K", "k.1", "k/1", "ключ", "%"])
VALUES = st.fixed_dictionaries(
    {"n": st.integers(-3, 3), "color": st.sampled_from(["red", "blue", "größe"])},
    optional={
        "meta": st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2), max_size=2),
        "tags": st.lists(st.sampled_from(["p", "q"]), max_size=2),
        "any": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    },
)
COMPARED = st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"])
MEMBERS = {
    "color": st.sampled_from(["red", "blue"]),
    "n": st.dictionaries(COMPARED, st.integers(-3, 3), min_size=1, max_size=2),
    "meta": st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2), min_size=1, max_size=2),
    "tags": st.lists(st.sampled_from(["p", "q"]), max_size=2),
}
FILTERS = st.none() | st.fixed_dictionaries({}, optional=MEMBERS)
OPS = st.lists(
    st.one_of(
        st.builds(GetOp, PATHS, KEYS),
        st.builds(
            PutOp, PATHS, KEYS, st.none() | VALUES, index=st.just(value=False), ttl=st.none()
        ),
        st.tuples(PATHS | st.just(()), FILTERS).map(lambda chosen: SearchOp(*chosen, limit=100)),
    ),
    max_size=6,
)


def shown(result: Any) -> Any:
    """A result in comparable form: without timestamps, and with lists sorted."""
    if isinstance(result, list):
        return sorted((shown(entry) for entry in result), key=repr)
    if result is None or isinstance(result, tuple):
        return result
    return (tuple(result.namespace), result.key, result.value)


class StoreMachine(RuleBasedStateMachine):
    """Applies random operations to RemembrancerStore and to LangGraph's InMemoryStore, and compares
    their results.
    """

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.memory = Remembrancer(self.url, namespace=f"n {uuid.uuid4()}")
        self.store = RemembrancerStore(self.memory)
        self.oracle = InMemoryStore()

    def teardown(self) -> None:
        """Close the client."""
        self.memory.close()

    def both(self, call: Callable[[Any], Any]) -> None:
        """Check that `call` has the same result on RemembrancerStore and on InMemoryStore."""
        for path in [path for path, items in self.oracle._data.items() if not items]:
            del self.oracle._data[path]  # a path without items exists in memory only
        assert shown(call(self.store)) == shown(call(self.oracle))

    @rule(path=PATHS, key=KEYS, value=VALUES)
    def put(self, path: tuple[str, ...], key: str, value: dict[str, Any]) -> None:
        """Store a value under a path and a key in both stores."""
        self.both(lambda store: store.put(path, key, value, index=False))

    @rule(path=PATHS, key=KEYS)
    def get(self, path: tuple[str, ...], key: str) -> None:
        """Read the value under a path and a key, which may not exist, from both stores."""
        self.both(lambda store: store.get(path, key))

    @rule(path=PATHS, key=KEYS)
    def delete(self, path: tuple[str, ...], key: str) -> None:
        """Delete the value under a path and a key, which may not exist, from both stores."""
        self.both(lambda store: store.delete(path, key))

    @rule(prefix=PATHS | st.just(()), filter_=FILTERS)
    def search(self, prefix: tuple[str, ...], filter_: dict[str, Any] | None) -> None:
        """Find the items in both stores that are below a path prefix and match a filter."""
        self.both(lambda store: store.search(prefix, filter=filter_, limit=100))

    @rule(
        prefix=PATHS | st.none(),
        suffix=PATHS | st.none(),
        depth=st.none() | st.integers(1, 3),
        limit=st.integers(1, 5),
    )
    def paths(self, prefix: Any, suffix: Any, depth: int | None, limit: int) -> None:
        """List the namespaces (paths of items) of both stores. They are sorted, so their order is
        compared too.
        """
        options = {"prefix": prefix, "suffix": suffix, "max_depth": depth, "limit": limit}
        self.both(lambda store: tuple(store.list_namespaces(**options)))

    @rule(ops=OPS)
    def batch(self, ops: list[Any]) -> None:
        """Run one batch of operations on both stores. Its reads do not see its writes."""
        self.both(lambda store: tuple(shown(result) for result in store.batch(ops)))

    @invariant()
    def they_hold_the_same(self) -> None:
        """Check that both stores have the same items."""
        self.both(lambda store: store.search((), limit=1000))


def test_the_store_answers_like_langgraphs_in_memory_store(url: str) -> None:
    """Random operations have the same results on RemembrancerStore and on LangGraph's
    InMemoryStore.
    """
    StoreMachine.url = url
    phases = [Phase.explicit, Phase.generate]  # shrinking takes minutes
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    limits = settings(
        max_examples=40,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=checks,
        phases=phases,
    )
    run_state_machine_as_test(StoreMachine, settings=limits)


class Caller:
    """A store whose methods are called by their sync names. With a `runner`, their async versions
    are run instead.
    """

    def __init__(self, store: RemembrancerStore, runner: asyncio.Runner | None) -> None:
        self.store = store
        self.runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The store's method `name`; with a runner, a function that runs the method's async version
        to the end.
        """
        if self.runner is None:
            method: Callable[..., Any] = getattr(self.store, name)
            return method
        runner = self.runner
        twin = getattr(self.store, f"a{name}")
        return lambda *args, **options: runner.run(twin(*args, **options))


@pytest.fixture(params=["sync", "async", "async over a sync client"])
def store(url: str, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """A store in a new namespace.

    Each test runs three times: with sync calls, with async calls, and with async calls on a sync
    client.
    """
    namespace = f"n {uuid.uuid4()}"
    if request.param == "sync":
        with Remembrancer(url, namespace=namespace) as memory:
            yield Caller(RemembrancerStore(memory), None)
    elif request.param == "async":
        with asyncio.Runner() as runner:
            client = AsyncRemembrancer(url, namespace=namespace)
            yield Caller(RemembrancerStore(client), runner)
            runner.run(client.close())
    else:
        with asyncio.Runner() as runner, Remembrancer(url, namespace=namespace) as memory:
            yield Caller(RemembrancerStore(memory), runner)


def test_results_come_in_the_order_of_the_operations(store: Caller) -> None:
    """The results of a batch are in the order of its operations.

    Reads see the state before the batch, and puts return None.
    """
    store.put(("test", "foo"), "key1", {"data": "value1"})
    store.put(("test", "bar"), "key2", {"data": "value2"})
    results = store.batch(
        [
            GetOp(("test", "foo"), "key1"),
            PutOp(("test", "bar"), "key2", {"data": "new"}),
            SearchOp(("test",), {"data": "value1"}, 10, 0),
            ListNamespacesOp((), None, 10, 0),
            GetOp(("test",), "key3"),
            GetOp(("test", "bar"), "key2"),
        ]
    )
    assert results[0].value == {"data": "value1"}
    assert results[1] is None
    assert [(item.key, item.score) for item in results[2]] == [("key1", None)]
    assert results[3] == [("test", "bar"), ("test", "foo")]
    assert results[4] is None
    assert results[5].value == {"data": "value2"}
    assert store.get(("test", "bar"), "key2").value == {"data": "new"}


def test_of_several_puts_under_one_key_the_last_one_counts(store: Caller) -> None:
    """In one batch, a later put or delete replaces an earlier one."""
    puts = [PutOp(("t",), "k", {"n": n}) for n in range(5)]
    store.batch([*puts, PutOp(("t",), "gone", {"n": 1}), PutOp(("t",), "gone", None)])
    assert store.get(("t",), "k").value == {"n": 4}
    assert store.get(("t",), "gone") is None


def test_a_large_batch_keeps_every_item(store: Caller) -> None:
    """After one batch of 150 puts, a batch of 150 gets returns every value."""
    store.batch([PutOp(("t",), f"k{n}", {"n": n}, index=False) for n in range(150)])
    items = store.batch([GetOp(("t",), f"k{n}") for n in range(150)])
    assert [item.value["n"] for item in items] == list(range(150))


def test_an_update_keeps_the_time_of_creation(store: Caller) -> None:
    """Putting a new value under an existing key replaces the value, keeps `created_at` and advances
    `updated_at`.
    """
    store.put(("t",), "k", {"text": "first"})
    first = store.get(("t",), "k")
    store.put(("t",), "k", {"text": "second"})
    second = store.get(("t",), "k")
    assert (second.value, second.created_at) == ({"text": "second"}, first.created_at)
    assert second.updated_at > first.updated_at
    assert [item.value for item in store.search(("t",))] == [{"text": "second"}]


def test_a_prefix_matches_whole_labels(store: Caller) -> None:
    for path in [("users", "1"), ("users2", "1"), ("use_s", "1"), ("use%", "1"), ("users", "10")]:
        store.put(path, "k", {"path": list(path)}, index=False)
    assert {item.namespace for item in store.search(("users",))} == {
        ("users", "1"),
        ("users", "10"),
    }
    assert [item.namespace for item in store.search(("users", "1"))] == [("users", "1")]
    assert [item.namespace for item in store.search(("use_s",))] == [("use_s", "1")]
    assert store.list_namespaces(prefix=("use%",)) == [("use%", "1")]
    assert len(store.search(())) == 5


def test_paths_are_listed_by_prefix_suffix_and_depth(store: Caller) -> None:
    """Namespaces are listed by prefix, suffix and depth, where a wildcard stands for one label.
    Pages are sorted.
    """
    paths = [
        ("a", "b", "c"),
        ("a", "b", "d", "e"),
        ("a", "b", "d", "i"),
        ("a", "b", "f"),
        ("a", "c", "f"),
        ("b", "a", "f"),
    ]
    for path in paths:
        store.put(path, "k", {"x": 1}, index=False)
    assert store.list_namespaces() == sorted(paths)
    assert store.list_namespaces(prefix=("a", "b"), max_depth=3) == [
        ("a", "b", "c"),
        ("a", "b", "d"),
        ("a", "b", "f"),
    ]
    assert store.list_namespaces(suffix=("f",)) == [
        ("a", "b", "f"),
        ("a", "c", "f"),
        ("b", "a", "f"),
    ]
    assert store.list_namespaces(prefix=("a", "*", "f")) == [("a", "b", "f"), ("a", "c", "f")]
    assert store.list_namespaces(prefix=("a",), suffix=("f",), limit=1, offset=1) == [
        ("a", "c", "f")
    ]
    ends = (MatchCondition("prefix", ("*", "b")), MatchCondition("suffix", ("*", "i")))
    assert store.batch([ListNamespacesOp(ends, None, 10, 0)]) == [[("a", "b", "d", "i")]]


def test_filters_compare_members_of_values(store: Caller) -> None:
    """A filter tests members of the stored values with equality and comparisons, alone and
    combined.
    """
    for n, color in enumerate(["red", "blue", "red", "green"]):
        store.put(
            ("docs",), f"d{n}", {"n": n, "color": color, "meta": {"lang": "de" if n else "en"}}
        )

    def keys(filter_: dict[str, Any]) -> list[str]:
        return sorted(item.key for item in store.search(("docs",), filter=filter_))

    assert keys({"color": "red"}) == ["d0", "d2"]
    assert keys({"n": {"$gt": 1}}) == ["d2", "d3"]
    assert keys({"n": {"$gte": 1, "$lt": 3}}) == ["d1", "d2"]
    assert keys({"color": {"$ne": "red"}, "n": {"$lte": 1}}) == ["d1"]
    assert keys({"meta": {"lang": "en"}}) == ["d0"]
    assert keys({"color": {"$eq": "green"}}) == ["d3"]


def test_pages_of_a_search_hold_every_item_once(store: Caller) -> None:
    for n in range(7):
        store.put(("docs",), f"d{n}", {"text": f"note number {n} about trains"})
    for query in (None, "trains"):
        pages = [
            store.search(("docs",), query=query, limit=3, offset=offset) for offset in (0, 3, 6)
        ]
        assert [len(page) for page in pages] == [3, 3, 1]
        assert len({item.key for page in pages for item in page}) == 7


def test_a_search_with_a_query_finds_items_by_meaning(store: Caller) -> None:
    """The item nearest to the query comes first, with a score; a filter restricts the search.

    An item whose value was replaced is found by its new value.
    """
    store.put(("docs",), "pets", {"text": "The cat sleeps on the sofa"})
    store.put(("docs",), "trains", {"text": "The express to Vienna is late", "kind": "travel"})
    store.put(("docs",), "food", {"text": "Bake the bread for forty minutes"})
    hits = store.search(("docs",), query="a kitten naps on the couch")
    assert hits[0].key == "pets"
    assert hits[0].score > hits[1].score
    assert store.search(("docs",), query="kitten", filter={"kind": "travel"})[0].key == "trains"
    store.put(("docs",), "pets", {"text": "Quarterly figures of the sales team"})
    assert store.search(("docs",), query="turnover of the salespeople")[0].key == "pets"
    assert store.search(("other",), query="kitten") == []


def test_an_item_is_found_by_the_fields_that_are_indexed(store: Caller) -> None:
    """A search compares its query with an item's indexed fields only. An item put with
    `index=False` has no score.
    """
    store.put(
        ("docs",), "named", {"red": "cats and dogs", "blue": "invoices of March"}, index=["red"]
    )
    store.put(
        ("docs",),
        "list",
        {"parts": [{"text": "invoices of March"}, {"text": "boats"}]},
        index=["parts[*].text"],
    )
    store.put(("docs",), "none", {"text": "invoices of March"}, index=False)
    assert store.search(("docs",), query="invoices of March")[0].key == "list"
    scores = {item.key: item.score for item in store.search(("docs",), query="invoices of March")}
    assert scores["list"] > 0.9
    assert scores["named"] < 0.5
    assert scores.get("none") is None


def test_items_are_indexed_by_the_stores_fields_by_default(url: str) -> None:
    """If a put does not say which fields to index, the fields in the store's option `fields` are
    indexed.
    """
    with Remembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        store = RemembrancerStore(memory, fields=["title"])
        store.put(("docs",), "k", {"title": "cats", "body": "invoices of March"})
        assert (store.search(("docs",), query="invoices of March")[0].score or 0) < 0.5


def test_texts_of_any_script_are_read_back_unchanged(store: Caller) -> None:
    value = {
        "text": "日本語 🚂 é e\u0301",
        "deep": {"list": [1, 2.5, None, True, "x\n\t"]},
        "": "empty",
    }
    store.put(("пользователь", "名前 x"), "ключ/🔑.json", value)
    assert store.get(("пользователь", "名前 x"), "ключ/🔑.json").value == value
    assert store.search(("пользователь",))[0].key == "ключ/🔑.json"
    assert store.list_namespaces() == [("пользователь", "名前 x")]


@pytest.mark.parametrize("path", [(), ("",), ("a.b",), ("langgraph", "x"), ("a", "")])
def test_bad_namespaces_are_refused(store: Caller, path: tuple[str, ...]) -> None:
    """A namespace that LangGraph forbids, such as one with an empty label, is refused, in a batch
    too.
    """
    with pytest.raises(InvalidNamespaceError):
        store.put(path, "k", {"x": 1})
    if path and path[0] != "langgraph":
        with pytest.raises(InvalidNamespaceError):
            store.batch([PutOp(path, "k", {"x": 1})])


def test_items_expire_after_their_time_to_live(store: Caller) -> None:
    """An item expires after its time to live (`ttl`, in minutes).

    Reading the item starts its time to live again, unless the call has `refresh_ttl=False`.
    """
    store.put(("t",), "short", {"x": 1}, ttl=1.2 / 60)
    store.put(("t",), "read", {"x": 1}, ttl=1.2 / 60)
    store.put(("t",), "looked at", {"x": 1}, ttl=1.2 / 60)
    store.put(("t",), "stays", {"x": 1})
    time.sleep(0.8)
    assert store.get(("t",), "read") is not None
    assert store.get(("t",), "looked at", refresh_ttl=False) is not None
    time.sleep(0.8)
    assert store.get(("t",), "short") is None
    assert store.get(("t",), "looked at") is None
    assert {item.key for item in store.search(("t",))} == {"read", "stays"}


def test_an_item_without_a_time_to_live_gets_that_of_the_store(url: str) -> None:
    with Remembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        store = RemembrancerStore(memory, ttl={"default_ttl": 0.5 / 60, "refresh_on_read": False})
        store.put(("t",), "k", {"x": 1})
        store.put(("t",), "forever", {"x": 1}, ttl=None)
        time.sleep(0.8)
        assert [item.key for item in store.search(("t",))] == ["forever"]


def test_two_stores_of_one_namespace_share_their_items(url: str) -> None:
    """An item of one store is seen by another store on the same namespace, and not by a store on
    another namespace.
    """
    namespace = f"n {uuid.uuid4()}"
    with (
        Remembrancer(url, namespace=namespace) as first,
        Remembrancer(url, namespace=namespace) as second,
    ):
        RemembrancerStore(first).put(("t",), "k", {"x": 1})
        assert RemembrancerStore(second).get(("t",), "k") is not None
        assert RemembrancerStore(second.within("elsewhere")).get(("t",), "k") is None


def test_sync_methods_of_an_async_client_are_refused(url: str) -> None:
    with pytest.raises(TypeError, match="Remembrancer"):
        RemembrancerStore(AsyncRemembrancer(url, namespace="n")).get(("t",), "k")


def test_a_put_to_a_wrong_address_is_an_error(url: str) -> None:
    """If the URL has a path at which no service answers, a put raises NotFound."""
    with (
        Remembrancer(f"{url}/wrong", namespace="n") as memory,
        pytest.raises(NotFound, match="no such path"),
    ):
        RemembrancerStore(memory).put(("t",), "k", {"x": 1})
