"""Keyword search over a shard's term files (the BM25 weights of its memories): the same hits as the
engine's.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.model.filters import parse_filter
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Record
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.engine.vendor import open_shard
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.edge.sidecar.sparse_search import NamespaceCache, TermFile, shard_hits
from memtypes.stores.operations.conditions import (
    Condition,
    has_ids,
    of_tenant,
    scope_in,
    to_condition,
    within,
)
from memtypes.stores.operations.vector_engine import (
    Change,
    PutPoints,
    QueryHits,
    RemovePoints,
    SetFields,
    VectorQuery,
)
from tests.builders import DIMENSIONS, SCOPE, make_dense, make_memory, make_record, make_sparse

OTHER = Scope("acme", "another")
QUERY = make_sparse({0: 1.0, 2: 0.5, 3: 2.0, 65_539: 1.5})
WEIGHTS = st.dictionaries(
    st.sampled_from([0, 1, 2, 3, 65_539]), st.floats(0.125, 5.0, width=32), max_size=4
)


def points(scope: Scope, start: int, count: int) -> tuple[Record, ...]:
    """Facts whose keyword vectors have some terms of QUERY; every fifth fact has no term."""
    records = []
    for number in range(start, start + count):
        memory = make_memory(
            MemoryType.SEMANTIC, f"fact {number}", scope, importance=1 + number % 10
        )
        terms = (
            {}
            if number % 5 == 4
            else {term: 1 + number / 9 for term in (0, 1, 2, 3, 65_539) if number >> term % 7 & 1}
        )
        records.append(make_record(memory, make_dense(number), terms))
    return tuple(records)


def filled(tmp_path: Path) -> Shard:
    """A shard with facts of two scopes, of which some were written twice and some were removed."""
    shard = Shard.opened(tmp_path, open_shard(tmp_path, DIMENSIONS, {}))
    shard.write(PutPoints(points(SCOPE, 0, 40), within(SCOPE)))
    shard.write(PutPoints(points(OTHER, 100, 9), within(OTHER)))
    shard.write(PutPoints(points(SCOPE, 10, 5), within(SCOPE)))
    shard.write(RemovePoints(within(SCOPE, has_ids(point.id for point in points(SCOPE, 20, 6)))))
    return shard


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    """A shard with facts of two scopes, closed at the end."""
    opened = filled(tmp_path)
    yield opened
    opened.close()


def check_agreement(shard: Shard, *queries: VectorQuery) -> list[QueryHits]:
    """Check that a search of the shard has the hits of the engine alone, and return these hits."""
    hits = shard.reader.search(queries, {})
    engine_hits = shard.reader.engine_hits(queries, {})
    for actual, expected in zip(hits, engine_hits, strict=True):
        scores = dict(zip(expected.keys.tolist(), expected.scores.tolist(), strict=True))
        assert actual.keys.tolist() == list(dict.fromkeys(actual.keys.tolist()))
        assert dict(
            zip(actual.keys.tolist(), actual.scores.tolist(), strict=True)
        ) == pytest.approx(scores, abs=1e-5)
        assert (np.diff(actual.scores) <= 0).all()
    return hits


def dense_and_keyword(
    where: Condition, limit: int, corpus: Condition
) -> tuple[VectorQuery, VectorQuery]:
    """Two queries, dense and keyword, for the `limit` best memories that meet `where`.

    corpus: selects the memories whose word statistics the keyword query uses.
    """
    return VectorQuery(make_dense(999), limit, where, corpus), VectorQuery(
        QUERY, limit, where, corpus
    )


def test_keyword_search_agrees_with_the_engine(shard: Shard) -> None:
    """A search in term files has the hits of the engine in each scope, with and without a filter,
    at several limits.
    """
    important = to_condition(parse_filter({"importance": {"gte": 4}}))
    for scope in (SCOPE, OTHER, Scope("acme", "empty")):
        corpus = within(scope)
        members = shard.reader.namespaces.members(corpus)
        assert members is not None
        for where in (corpus, within(scope, important)):
            dense, _ = check_agreement(shard, *dense_and_keyword(where, 50, corpus))
            check_agreement(shard, VectorQuery(QUERY, 50, corpus, corpus, among=dense.keys[::2]))
            keyword = shard.reader.search(dense_and_keyword(where, len(members) or 1, corpus), {})[
                1
            ]
            assert len(keyword.keys) <= len(members)
            check_agreement(shard, *dense_and_keyword(where, 3, corpus))


def test_a_keyword_query_with_the_condition_of_a_dense_query_needs_no_engine(shard: Shard) -> None:
    batch_sizes: list[int] = []

    def engine_hits(queries: Sequence[VectorQuery]) -> list[QueryHits]:
        batch_sizes.append(len(queries))
        return shard.reader.engine_hits(queries, {})

    important = to_condition(parse_filter({"importance": {"gte": 4}}))
    dense, _ = dense_and_keyword(within(SCOPE, important), 50, within(SCOPE))
    _, sparse = dense_and_keyword(within(SCOPE, dict(important)), 50, within(SCOPE))
    shard_hits([dense, sparse], shard.reader.namespaces, shard.terms, engine_hits)
    assert batch_sizes == [1]


def test_keyword_search_sees_the_latest_write(shard: Shard) -> None:
    """After a write, removed memories are not found, and the inverse document frequencies (IDF) are
    updated.
    """
    corpus = within(SCOPE)
    before = check_agreement(shard, *dense_and_keyword(corpus, 60, corpus))[1]
    shard.write(SetFields(corpus, {"importance": 3}))
    shard.write(PutPoints(points(SCOPE, 50, 7), corpus))
    after = check_agreement(shard, *dense_and_keyword(corpus, 60, corpus))[1]
    assert len(after.keys) > len(before.keys)
    assert shard.reader.count(corpus) == 41
    shard.write(RemovePoints(within(SCOPE, to_condition(parse_filter({"importance": {"eq": 3}})))))
    check_agreement(shard, *dense_and_keyword(corpus, 60, corpus))
    shard.write(RemovePoints(of_tenant(SCOPE.tenant)))
    assert shard.reader.count(corpus) == 0
    assert [
        len(hits.keys) for hits in check_agreement(shard, *dense_and_keyword(corpus, 60, corpus))
    ] == [0, 0]


def test_missing_terms_are_read_from_the_engine(tmp_path: Path) -> None:
    """If term files are missing, or a power cut lost some of their rows, they are filled from the
    engine on opening.
    """
    corpus = within(SCOPE)
    shard = filled(tmp_path)
    before = check_agreement(shard, *dense_and_keyword(corpus, 60, corpus))[1]
    shard.close()
    for damage in ("none there", "some lost"):
        if damage == "none there":
            shutil.rmtree(tmp_path / "terms")
        else:
            with (tmp_path / "terms" / "places.bin").open("r+b") as file:
                file.truncate(7 * 16)
        reopened = Shard.opened(tmp_path, open_shard(tmp_path, DIMENSIONS, {}))
        assert len(reopened.terms.slots_without(reopened.slots.used())) == 0
        after = check_agreement(reopened, *dense_and_keyword(corpus, 60, corpus))[1]
        assert after.keys.tolist() == before.keys.tolist()
        reopened.close()


@settings(max_examples=60)
@given(st.lists(WEIGHTS, min_size=1, max_size=8), st.integers(1, 9), st.data())
def test_scores_are_sums_over_shared_terms(
    tmp_path_factory: pytest.TempPathFactory,
    vectors: list[dict[int, float]],
    limit: int,
    data: st.DataObject,
) -> None:
    """A score is a sum over the terms shared with the query: query weight times memory weight times
    IDF.

    Memories without a shared term are not found.
    """
    file = TermFile(tmp_path_factory.mktemp("terms"))
    slots = slots_of(range(3, 3 + len(vectors)))
    file.put(slots, [make_sparse(vector) for vector in vectors])
    among = slots_of(
        data.draw(st.permutations(slots.tolist()))[: data.draw(st.integers(0, len(vectors)))]
    )
    hits = file.inverted_index(slots).search(QUERY, slots_of([1, *among.tolist(), 99]), limit)
    with_terms = sum(map(bool, vectors))
    expected: dict[int, float] = {}
    for slot, vector in zip(slots.tolist(), vectors, strict=True):
        for term, weight in zip(QUERY.indices.tolist(), QUERY.values.tolist(), strict=True):
            if slot in among and term in vector:
                frequency = sum(term in other for other in vectors)
                idf = math.log(1 + (with_terms - frequency + 0.5) / (frequency + 0.5))
                expected[slot] = expected.get(slot, 0.0) + weight * idf * vector[term]
    best = sorted(expected.values(), reverse=True)[:limit]
    assert hits.scores.tolist() == pytest.approx(best, rel=1e-5)
    assert all(
        expected[slot] == pytest.approx(score, rel=1e-5)
        for slot, score in zip(hits.keys, hits.scores, strict=True)
    )
    file.close()


class FakeNamespace:
    """A namespace with `count` memories. reads: how often its memories were read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.reads = 0

    def matching(self, _where: Condition, limit: int) -> Slots:
        """The slots (point numbers) of the first `limit` memories of the namespace."""
        self.reads += 1
        return slots_of(range(min(self.count, limit)))

    def counting(self, _where: Condition) -> int:
        """The number of memories of the namespace."""
        return self.count


def test_a_namespace_is_read_once_until_a_write() -> None:
    """The cache reads a namespace again only after a write in it. Of a large namespace it keeps
    only the size.
    """
    for count in (3, 4):
        namespace = FakeNamespace(count)
        cache = NamespaceCache(namespace.matching, namespace.counting, small=3)
        changes: list[Change] = [
            PutPoints((), within(OTHER)),
            SetFields(within(SCOPE), {"importance": 2}),
        ]
        for change in changes:
            members = cache.members(within(SCOPE))
            assert (members is None) == (count > 3)
            assert cache.count(within(SCOPE)) == count
            cache.invalidate(change)
        changes = [
            PutPoints((), within(SCOPE)),
            RemovePoints(within(SCOPE, has_ids(["x"]))),
            RemovePoints(of_tenant(SCOPE.tenant)),
        ]
        for change in changes:
            cache.members(within(SCOPE))
            assert namespace.reads == 1 + changes.index(change)
            cache.invalidate(change)


def test_only_the_memories_of_whole_namespaces_are_cached() -> None:
    """For a condition that does not select a whole namespace, the cache returns None, and the
    engine is searched.
    """
    cache = NamespaceCache(FakeNamespace(3).matching, FakeNamespace(3).counting)
    assert cache.members(within(SCOPE, has_ids(["x"]))) is None
    assert cache.members(of_tenant(SCOPE.tenant)) is None
    assert cache.count(of_tenant(SCOPE.tenant)) is None
    assert scope_in({**within(SCOPE), "must_not": [has_ids(["x"])]})[0] is None


def test_the_least_recent_namespace_is_evicted() -> None:
    """A full cache evicts the namespace unused for longest; its memories are read again when they
    are needed.
    """
    namespace = FakeNamespace(3)
    cache = NamespaceCache(namespace.matching, namespace.counting, cached=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        cache.members(within(Scope("acme", name)))
    assert namespace.reads == 4


def test_inverted_indexes_are_limited_by_their_terms(shard: Shard) -> None:
    """If inverted indexes have too many terms, the one unused for longest is evicted, and built
    again when needed.
    """
    cache = NamespaceCache(shard.reader.matching, shard.reader.count, terms=1)
    first = cache.inverted_index(within(SCOPE), shard.terms)
    assert first is not None
    assert cache.inverted_index(within(SCOPE), shard.terms) is first
    assert cache.inverted_index(within(OTHER), shard.terms) is not None
    rebuilt = cache.inverted_index(within(SCOPE), shard.terms)
    assert rebuilt is not None
    assert rebuilt is not first
    hits = [index.search(QUERY, index.slots, 50) for index in (first, rebuilt)]
    assert hits[0].keys.tolist() == hits[1].keys.tolist()
    assert cache.inverted_index(within(Scope("acme", "empty")), shard.terms) is None
