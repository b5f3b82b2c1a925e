"""The contract of MemoryStore: late-interaction scores from token vectors, on every
implementation.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, MemoryStore, Record
from memtypes.search.vectors import TokenVectors
from tests.builders import make_dense, make_memory, make_record
from tests.candidates import CandidateRow, rows_of

pytestmark = pytest.mark.anyio

KIND = MemoryType.SEMANTIC
QUERY = make_dense(999)


def make_tokens(seed: int, count: int) -> TokenVectors:
    """`count` random token vectors of length 1, with numbers multiplied by 127 and rounded to
    int8.
    """
    states = np.random.default_rng(seed).standard_normal((count, 128))
    tokens: TokenVectors = np.rint(
        states / np.linalg.norm(states, axis=1, keepdims=True) * 127
    ).astype(np.int8)
    return tokens


def record_with(scope: Scope, number: int, tokens: TokenVectors | None) -> Record:
    """A record of a memory with these token vectors."""
    record = make_record(make_memory(KIND, f"text {number}", scope), make_dense(number))
    return msgspec.structs.replace(record, vectors=replace(record.vectors, tokens=tokens))


def expected(query: TokenVectors, memory: TokenVectors) -> list[float]:
    """For each query token, its highest cosine with any token of the memory, computed with
    numpy.
    """
    scaled = memory.astype(float) / 127
    return [
        max(float(token @ memory_token) for memory_token in scaled)
        for token in query.astype(float) / 127
    ]


async def late_of(
    store: MemoryStore, scope: Scope, tokens: TokenVectors | None
) -> dict[str, CandidateRow]:
    """Candidates by id, from a search with the token vectors `tokens`, which give them
    late-interaction scores.
    """
    (candidates,) = await store.candidates(
        scope, [CandidateSearch({KIND: None}, QUERY, None, 50, tokens=tokens)]
    )
    return {candidate.id: candidate for candidate in rows_of(candidates)}


async def test_each_candidate_has_the_best_cosine_of_every_query_token(
    store: MemoryStore, scope: Scope
) -> None:
    """`late` has each query token's highest cosine with the memory's tokens; NaN if the memory has
    no tokens.
    """
    query = make_tokens(7, 3)
    vectors = {n: make_tokens(n, 1 + 5 * n) for n in range(6)}
    records = [record_with(scope, n, tokens) for n, tokens in vectors.items()] + [
        record_with(scope, 99, None)
    ]
    await store.upsert(scope, records)
    candidates = await late_of(store, scope, query)
    for record, tokens in zip(records, vectors.values(), strict=False):
        late = candidates[record.id].late
        assert late is not None
        assert late.tolist() == pytest.approx(expected(query, tokens), abs=2e-3)
    bare = candidates[records[-1].id].late
    assert bare is not None
    assert np.isnan(bare).all()
    assert bare.shape == (3,)


async def test_a_search_without_query_tokens_has_no_late_scores(
    store: MemoryStore, scope: Scope
) -> None:
    """If a search has no token vectors of the query, the late-interaction score of each candidate
    is None.
    """
    await store.upsert(scope, [record_with(scope, 1, make_tokens(1, 4))])
    assert [candidate.late for candidate in (await late_of(store, scope, None)).values()] == [None]


async def test_a_replaced_memory_has_its_new_token_vectors(
    store: MemoryStore, scope: Scope
) -> None:
    """Late-interaction scores are computed with a memory's latest token vectors.

    If the memory is stored again without token vectors, its scores are NaN.
    """
    query = make_tokens(7, 2)
    record = record_with(scope, 1, make_tokens(1, 40))
    await store.upsert(scope, [record])
    newer = make_tokens(2, 3)
    await store.upsert(
        scope, [msgspec.structs.replace(record, vectors=replace(record.vectors, tokens=newer))]
    )
    late = (await late_of(store, scope, query))[record.id].late
    assert late is not None
    assert late.tolist() == pytest.approx(expected(query, newer), abs=2e-3)
    await store.upsert(
        scope, [msgspec.structs.replace(record, vectors=replace(record.vectors, tokens=None))]
    )
    late = (await late_of(store, scope, query))[record.id].late
    assert late is not None
    assert np.isnan(late).all()


async def test_token_vectors_of_a_removed_memory_are_gone(store: MemoryStore, scope: Scope) -> None:
    """A memory that is removed and stored again without token vectors has no late-interaction
    scores.
    """
    query = make_tokens(7, 2)
    record = record_with(scope, 1, make_tokens(1, 4))
    await store.upsert(scope, [record])
    assert await store.delete(scope, [record.id]) == 1
    await store.upsert(
        scope, [msgspec.structs.replace(record, vectors=replace(record.vectors, tokens=None))]
    )
    late = (await late_of(store, scope, query))[record.id].late
    assert late is not None
    assert np.isnan(late).all()
