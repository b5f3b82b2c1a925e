"""Rankings by variants of the retriever, and the paired tests that compare the variants.

Stores and encoders are fakes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.report import render_table
from benchmarks.harness.stores import Opened
from benchmarks.quality.variants import (
    Comparisons,
    Tokenless,
    Variant,
    Wordless,
    ablations,
    compare_variants,
    paired_table,
    rank_questions,
    weights_of,
)
from benchmarks.sets.data import read_set
from benchmarks.sets.loading import load
from memtypes.model.times import system_clock
from memtypes.search.vectors import Embedding
from retrieval.dependencies import RetrieverParts
from tests.benchmarks.small_set import CORPUS, QUERIES, write_set
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio


class TokenEmbedder(FakeEmbedder):
    """A fake encoder that also gives each query a token vector."""

    async def embed_query(self, text: str) -> Embedding:
        """The embedding of the query, with a single token vector."""
        return Embedding((await super().embed_query(text)).dense, np.zeros((1, 128), dtype=np.int8))


@pytest.fixture
def opened() -> Opened:
    """The parts that a comparison of variants needs, with an in-memory store and a fake encoder."""
    store = InMemoryStore()
    embedder = FakeEmbedder()
    sparse = FakeSparse()
    tokenizer = FakeTokenizer()
    return Opened(
        store=store,
        embedder=embedder,
        sparse=sparse,
        tokenizers={tokenizer.name: tokenizer},
        ingestor=plain_ingestor(store, system_clock, embedder, sparse=sparse),
        parts=RetrieverParts(store, embedder, sparse, {tokenizer.name: tokenizer}, system_clock),
        stages={},
    )


async def test_each_question_has_metrics_for_each_variant_of_the_weights(
    opened: Opened, tmp_path: Path
) -> None:
    """The rankings of a variant have one row of metrics per question, with the default weights and
    with others.
    """
    small = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    loaded = await load(opened.ingestor, opened.store, small)
    for variant in (
        Variant("usual", opened.parts),
        Variant("other", opened.parts, weights={"similarity": 1.0}),
    ):
        rankings = await rank_questions(variant, small, loaded)
        assert [metrics["R@10"] for metrics in rankings] == [1.0, 1.0, 1.0]


async def test_an_ablation_sets_one_weight_to_zero(opened: Opened) -> None:
    """An ablation is a variant of a profile in which one signal has weight 0.

    Two more variants are without keywords and without token vectors.
    """
    weights = weights_of("balanced")
    variants = ablations(opened.parts, "balanced")
    weighted = [name for name, weight in weights.items() if weight]
    assert [variant.name for variant in variants] == [*weighted, "words", "token vectors"]
    for variant in variants[: len(weighted)]:
        assert variant.weights == {**weights, variant.name: 0.0}
    assert [variant.name for variant in ablations(opened.parts, "relevance")] == [
        "words",
        "token vectors",
    ]


async def test_wordless_queries_have_no_terms() -> None:
    """The encoder `Wordless` removes the sparse terms of queries and keeps the terms of
    documents.
    """
    encoder = Wordless(FakeSparse())
    assert encoder.encode_query("harbour crane").indices.size == 0
    assert encoder.encode_document("harbour crane").indices.size == 2


async def test_tokenless_queries_keep_their_dense_vector() -> None:
    inner = TokenEmbedder()
    embedder = Tokenless(inner)
    assert (embedder.fingerprint, embedder.dimensions) == (inner.fingerprint, inner.dimensions)
    unchanged = await inner.embed_query("crane")
    tokenless = await embedder.embed_query("crane")
    assert unchanged.tokens is not None
    assert tokenless.tokens is None
    assert np.array_equal(unchanged.dense, tokenless.dense)
    assert len(await embedder.embed_documents(["a", "b"])) == 2
    await embedder.ping()
    await embedder.aclose()


async def test_comparisons_are_made_by_category(opened: Opened, tmp_path: Path) -> None:
    """Each variant is compared with the profile by a paired test over all questions and over those
    of each category.
    """
    small = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    loaded = await load(opened.ingestor, opened.store, small)
    comparisons = Comparisons("balanced", against="relevance", ablate=True)
    compared = await compare_variants(comparisons, opened, small, loaded)
    assert compared[0].what == "relevance"
    assert len(compared) == 1 + len(ablations(opened.parts, "balanced"))
    for comparison in compared:
        assert list(comparison.by_category) == ["(all)", "colour", "none", "place"]
        assert comparison.by_category["(all)"].n == 3
    table = render_table(paired_table(compared))
    assert "relevance" in table
    assert "+0.000 [+0.000 to +0.000]" in table


async def test_without_options_nothing_is_compared(opened: Opened, tmp_path: Path) -> None:
    """Without an option that asks for variants of the ranking, none is compared."""
    small = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    loaded = await load(opened.ingestor, opened.store, small)
    assert await compare_variants(Comparisons(), opened, small, loaded) == []
