"""The contract of MemoryStore: candidates of a search and their exact scores, on every
implementation.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import Filter, parse_filter
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, MemoryStore, Newest, Record
from memtypes.search.columns import TERMS, payload_fields
from memtypes.search.vectors import DenseVector, heaviest
from retrieval.columns import COLUMNS
from tests.builders import NOW, make_dense, make_memory, make_record, make_sparse
from tests.candidates import CandidateRow, rows_of

pytestmark = pytest.mark.anyio

KIND = MemoryType.SEMANTIC
QUERY = make_dense(999)


def corpus(scope: Scope, size: int) -> list[Record]:
    """`size` records. Record number n has each of the sparse terms 2, 3, 5 and 7 by which n is
    divisible.
    """
    return [
        make_record(
            make_memory(KIND, f"text {n}", scope, importance=n % 10 + 1),
            make_dense(n),
            {term: 1.0 + n / 7 for term in (2, 3, 5, 7) if n % term == 0},
        )
        for n in range(size)
    ]


def cosine(record: Record, query: DenseVector) -> float:
    """The dense score that the store must return: the dot product of record and query."""
    return float(np.dot(record.vectors.dense, query))


def bm25(records: list[Record], record: Record, query: dict[int, float]) -> float:
    """The BM25 score that the store must return for `record`.

    The IDF is computed over the `records` with at least one term.
    """
    texts = [
        set(document.vectors.sparse.indices.tolist())
        for document in records
        if len(document.vectors.sparse.indices)
    ]
    weights = dict(
        zip(
            record.vectors.sparse.indices.tolist(),
            record.vectors.sparse.values.tolist(),
            strict=True,
        )
    )
    score = 0.0
    for term, weight in query.items():
        holding = sum(term in text for text in texts)
        idf = math.log((len(texts) - holding + 0.5) / (holding + 0.5) + 1)
        score += weight * idf * weights.get(term, 0.0)
    return score


async def search(
    store: MemoryStore, scope: Scope, candidate_search: CandidateSearch
) -> list[CandidateRow]:
    """Run one search and return its candidates."""
    (hits,) = await store.candidates(scope, [candidate_search])
    return rows_of(hits)


def best(scores: dict[str, float], depth: int) -> set[str]:
    """The ids of the `depth` highest scores."""
    return set(sorted(scores, key=lambda memory_id: -scores[memory_id])[:depth])


@pytest.mark.parametrize("depth", [1, 3, 10, 100])
async def test_candidates_are_the_best_of_the_dense_and_of_the_sparse_query(
    store: MemoryStore, scope: Scope, depth: int
) -> None:
    records = corpus(scope, 40)
    await store.upsert(scope, records)
    terms = {2: 1.0, 5: 0.5, 7: 2.0}
    dense = {record.id: cosine(record, QUERY) for record in records}
    sparse = {record.id: bm25(records, record, terms) for record in records}
    hits = await search(
        store, scope, CandidateSearch({KIND: None}, QUERY, make_sparse(terms), depth)
    )
    named = {memory_id for memory_id in best(sparse, depth) if sparse[memory_id] > 0}
    assert {hit.id for hit in hits} == best(dense, depth) | named
    assert len(hits) == len({hit.id for hit in hits})
    for hit in hits:
        assert hit.type is KIND
        assert hit.dense == pytest.approx(dense[hit.id], abs=1e-5)
        assert hit.sparse == pytest.approx(sparse[hit.id], abs=1e-4)


async def test_a_dense_or_sparse_query_alone_gives_one_score(
    store: MemoryStore, scope: Scope
) -> None:
    """A search with only a dense query gives no sparse score (None).

    A search with only a sparse query gives no dense score.
    """
    records = corpus(scope, 12)
    await store.upsert(scope, records)
    dense_only = await search(store, scope, CandidateSearch({KIND: None}, QUERY, None, 4))
    assert len(dense_only) == 4
    assert {hit.sparse for hit in dense_only} == {None}
    sparse_only = await search(
        store, scope, CandidateSearch({KIND: None}, None, make_sparse([7]), 4)
    )
    assert {hit.id for hit in sparse_only} == {records[0].id, records[7].id}
    assert {hit.dense for hit in sparse_only} == {None}
    assert await search(store, scope, CandidateSearch({KIND: None}, None, None, 4)) == []


async def test_a_query_without_known_terms_scores_zero(store: MemoryStore, scope: Scope) -> None:
    """If the sparse query has no terms or only unknown terms, candidates have the sparse score
    0.
    """
    await store.upsert(scope, corpus(scope, 5))
    for terms in ([], [4_000_000_000]):
        hits = await search(
            store, scope, CandidateSearch({KIND: None}, QUERY, make_sparse(terms), 10)
        )
        assert [hit.sparse for hit in hits] == [0.0] * 5
        assert (
            await search(store, scope, CandidateSearch({KIND: None}, None, make_sparse(terms), 10))
            == []
        )


@pytest.mark.parametrize("terms", [None, {2: 1.0, 5: 0.5}])
@pytest.mark.parametrize("depth", [3, 100])
async def test_a_search_without_payloads_finds_the_same_candidates(
    store: MemoryStore, scope: Scope, terms: dict[int, float] | None, depth: int
) -> None:
    """A search with `columns=False`, which reads no payload fields, gives the same ids and
    scores.
    """
    await store.upsert(scope, corpus(scope, 40))
    query = CandidateSearch(
        {KIND: None}, QUERY, None if terms is None else make_sparse(terms), depth
    )
    with_columns, without_columns = await store.candidates(
        scope, [query, replace(query, columns=False)]
    )
    assert {hit.id: hit.dense for hit in without_columns} == pytest.approx(
        {hit.id: hit.dense for hit in with_columns}, abs=1e-5
    )
    assert {hit.id: hit.sparse for hit in without_columns} == pytest.approx(
        {hit.id: hit.sparse for hit in with_columns}, abs=1e-5
    )
    assert all("created_at" in hit.payload for hit in rows_of(with_columns))


async def test_several_searches_are_answered_in_order(store: MemoryStore, scope: Scope) -> None:
    """`candidates` returns the answer of each search in order; it is empty for a type without
    memories.
    """
    memories = {
        kind: make_memory(kind, f"{kind}", scope, visibility="namespace") for kind in MemoryType
    }
    stored_memories = [
        memory for kind, memory in memories.items() if kind is not MemoryType.PROCEDURAL
    ]
    await store.upsert(scope, [make_record(memory) for memory in stored_memories])
    kinds = [MemoryType.WORKING, MemoryType.PROCEDURAL, MemoryType.EPISODIC, MemoryType.WORKING]
    answers = await store.candidates(
        scope, [CandidateSearch({kind: None}, QUERY, make_sparse([1]), 5) for kind in kinds]
    )
    expected = [[memories[kind].id] if kind is not MemoryType.PROCEDURAL else [] for kind in kinds]
    assert [[hit.id for hit in hits] for hits in answers] == expected
    assert await store.candidates(scope, []) == []


@pytest.mark.parametrize("terms", [None, [1]])
async def test_one_search_finds_candidates_of_every_type(
    store: MemoryStore, scope: Scope, terms: list[int] | None
) -> None:
    """Each candidate has its type, stored fields and the same scores as in a search of its type
    alone.

    A filter for one type does not restrict other types.
    """
    memories = {
        kind: make_memory(kind, f"{kind}", scope, visibility="namespace", importance=4)
        for kind in MemoryType
    }
    await store.upsert(scope, [make_record(memory) for memory in memories.values()])
    sparse = None if terms is None else make_sparse(terms)
    filters: dict[MemoryType, Filter | None] = dict.fromkeys(MemoryType)
    (hits,) = await store.candidates(scope, [CandidateSearch(filters, QUERY, sparse, 5)])
    assert {hit.id: hit.type for hit in hits} == {
        memory.id: kind for kind, memory in memories.items()
    }
    assert all(hit.payload["importance"] == 4 for hit in rows_of(hits))
    for hit in hits:
        (alone,) = await search(store, scope, CandidateSearch({hit.type: None}, QUERY, sparse, 5))
        assert (alone.id, alone.sparse) == (hit.id, hit.sparse)
        assert alone.dense == pytest.approx(hit.dense, abs=1e-5)
    filters[MemoryType.WORKING] = parse_filter({"importance": {"eq": 1}})
    (remaining,) = await store.candidates(scope, [CandidateSearch(filters, QUERY, sparse, 5)])
    assert {hit.type for hit in remaining} == set(MemoryType) - {MemoryType.WORKING}


async def test_a_filter_is_applied_before_the_depth(store: MemoryStore, scope: Scope) -> None:
    """Each query finds the `depth` best memories that match the filter, even if better memories do
    not match.
    """
    records = corpus(scope, 40)
    await store.upsert(scope, records)
    low = parse_filter({"importance": {"lte": 3}})
    hits = await search(store, scope, CandidateSearch({KIND: low}, QUERY, make_sparse([2]), 3))
    allowed = [record for record in records if record.payload["importance"] <= 3]
    dense = {record.id: cosine(record, QUERY) for record in allowed}
    sparse = {record.id: bm25(records, record, {2: 1.0}) for record in allowed}
    assert {hit.id for hit in hits} == best(dense, 3) | best(sparse, 3)


async def test_idf_is_computed_over_the_namespace(store: MemoryStore, scope: Scope) -> None:
    """The IDF of a sparse score counts the memories of the namespace only, not those of other
    namespaces or tenants.
    """
    records = corpus(scope, 20)
    await store.upsert(scope, records)
    query = CandidateSearch({KIND: None}, QUERY, make_sparse([2, 7]), 50)
    before = {hit.id: hit.sparse for hit in await search(store, scope, query)}
    for other_scope in (
        Scope(scope.tenant, f"{scope.namespace}x"),
        Scope("another", scope.namespace),
    ):
        await store.upsert(
            other_scope,
            [make_record(make_memory(KIND, f"o{n}", other_scope), terms=[7]) for n in range(60)],
        )
    after = {hit.id: hit.sparse for hit in await search(store, scope, query)}
    assert after == pytest.approx(before, abs=1e-6)
    assert before[records[7].id] == pytest.approx(
        bm25(records, records[7], {2: 1.0, 7: 1.0}), abs=1e-4
    )


async def test_candidates_have_the_fields_for_ranking_and_no_text(
    store: MemoryStore, scope: Scope
) -> None:
    """A candidate has the fields that ranking reads, its heaviest terms and its links, but no
    content.
    """
    memory = make_memory(
        MemoryType.PROSPECTIVE,
        "x",
        scope,
        session_id="s",
        due_at="2026-04-01T00:00:00Z",
        seq=4,
        links=[{"to": "y", "type": "extends", "strength": 0.5}],
    )
    record = make_record(memory, terms={1: 0.5, 2: 1.0})
    await store.upsert(scope, [record])
    inside = Scope(scope.tenant, scope.namespace, "s")
    (hit,) = await search(store, inside, CandidateSearch({memory.type: None}, QUERY, None, 1))
    written = memory.to_payload() | {TERMS: heaviest(record.vectors.sparse)}
    assert hit.payload == {
        key: value for key, value in written.items() if key in payload_fields(COLUMNS)
    }


async def test_searches_see_the_latest_write(store: MemoryStore, scope: Scope) -> None:
    """A search uses the new vectors of a replaced memory and the unchanged vectors of a patched
    memory.

    It does not find a deleted memory.
    """
    memory = make_memory(KIND, "x", scope)
    query = CandidateSearch({KIND: None}, QUERY, make_sparse([1, 2]), 5)
    await store.upsert(scope, [make_record(memory, QUERY, [1])])
    await store.upsert(scope, [make_record(memory, make_dense(5), [])])
    (hit,) = await search(store, scope, query)
    assert hit.dense == pytest.approx(float(np.dot(make_dense(5), QUERY)), abs=1e-5)
    assert hit.sparse == 0.0
    await store.upsert(scope, [make_record(memory, QUERY, [2])])
    await store.patch(scope, {memory.id: {"importance": 1}})
    (hit,) = await search(store, scope, query)
    assert hit.dense == pytest.approx(1.0, abs=1e-5)
    assert hit.sparse is not None
    assert hit.sparse > 0
    assert hit.payload["importance"] == 1
    await store.delete(scope, [memory.id])
    assert await search(store, scope, query) == []


async def test_an_invalid_query_is_refused(store: MemoryStore, scope: Scope) -> None:
    """A dense query of the wrong length, or a depth below 1, raises InvalidRequest."""
    with pytest.raises(InvalidRequest):
        await search(store, scope, CandidateSearch({KIND: None}, make_dense(1, 5), None, 5))
    with pytest.raises(InvalidRequest):
        await search(store, scope, CandidateSearch({KIND: None}, QUERY, None, 0))


async def test_the_newest_memories_become_candidates(store: MemoryStore, scope: Scope) -> None:
    """The newest memories of a type are candidates with exact scores, though others match better.

    Only those that match the filter are; of those created at the same time, the first by id.
    """
    records = [
        make_record(
            make_memory(
                KIND, f"m{n}", scope, created_at=NOW + timedelta(days=n // 4), importance=1 + n % 3
            ),
            make_dense(n),
            {2: 1.0},
        )
        for n in range(40)
    ]
    await store.upsert(scope, records)
    where = parse_filter({"importance": {"gte": 2}})
    matching = [record for record in records if record.payload["importance"] >= 2]
    matching.sort(key=lambda record: record.id)
    matching.sort(key=lambda record: record.payload["created_at"], reverse=True)
    for limit in (1, 3, 7):
        asked = CandidateSearch(
            {KIND: None}, QUERY, make_sparse({2: 1.0}), 1, newest=Newest((KIND,), where, limit)
        )
        scores = {row.id: row.dense for row in await search(store, scope, asked)}
        newest = {record.id: cosine(record, QUERY) for record in matching[:limit]}
        assert {memory_id: scores.get(memory_id) for memory_id in newest} == pytest.approx(
            newest, abs=1e-6
        )
        best_only = replace(asked, newest=None)
        best_ids = {row.id for row in await search(store, scope, best_only)}
        assert scores.keys() == best_ids | newest.keys()


async def test_memories_linked_from_the_best_candidates_become_candidates(
    store: MemoryStore, scope: Scope
) -> None:
    """A linked memory is a candidate with its scores and fields, if the search covers its type and
    its filter accepts it.
    """
    best = make_dense(999)
    targets = {
        name: make_memory(kind, name, scope, importance=importance)
        for name, kind, importance in (
            ("linked", MemoryType.EPISODIC, 5),
            ("refused", MemoryType.EPISODIC, 1),
            ("of another type", MemoryType.PROCEDURAL, 5),
            ("by nobody", MemoryType.EPISODIC, 5),
        )
    }
    links = [
        {"to": targets[name].id, "type": "refines"}
        for name in ("linked", "refused", "of another type")
    ]
    linking = make_memory(
        KIND, "linking", scope, links=[*links, {"to": "nowhere", "type": "extends"}]
    )
    near = make_memory(MemoryType.EPISODIC, "near", scope)
    await store.upsert(
        scope,
        [
            make_record(linking, best, {}),
            make_record(near, best, {}),
            *(make_record(target, -best, {}) for target in targets.values()),
        ],
    )
    filters = {
        KIND: None,
        MemoryType.EPISODIC: parse_filter({"importance": {"gte": 2}}),
    }
    asked = CandidateSearch(filters, QUERY, None, depth=1, linked=True)
    rows = {row.id: row for row in await search(store, scope, asked)}
    assert rows.keys() == {linking.id, near.id, targets["linked"].id}
    row = rows[targets["linked"].id]
    assert row.type is MemoryType.EPISODIC
    assert row.dense == pytest.approx(float(np.dot(-best, QUERY)), abs=1e-6)
    assert row.payload["importance"] == 5
    assert [link["to"] for link in rows[linking.id].payload["links"]] == [
        link.to for link in linking.links
    ]
    unlinked = await search(store, scope, replace(asked, linked=False))
    assert {row.id for row in unlinked} == {linking.id, near.id}
