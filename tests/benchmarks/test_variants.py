"""Variants of ranking, and the table of what they are compared with, over real retrieval on fakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.apparatus.opened import Opened
from benchmarks.apparatus.report import render_table
from benchmarks.quality.comparisons import Wanted, measure_comparisons, paired_figures, paired_table
from benchmarks.quality.variants import Tokenless, Variant, Wordless, ablations, rank_questions, whole
from benchmarks.sets.data import read_set
from benchmarks.sets.loading import load
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.model.times import system_clock
from memtypes.search.vectors import Embedding
from memtypes.stores.memory import InMemoryStore
from retrieval.retriever import RetrieverParts
from tests.benchmarks.sets import CORPUS, QUERIES, write_set
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer

pytestmark = pytest.mark.anyio


class TokenEmbedder(FakeEmbedder):
    """Gives token vectors to queries too."""

    async def embed_query(self, text: str) -> Embedding:
        """With one token vector."""
        return Embedding((await super().embed_query(text)).dense, np.zeros((1, 128), dtype=np.int8))


@pytest.fixture
def opened() -> Opened:
    """Everything on fakes."""
    store, embedder, sparse, tokenizer = InMemoryStore(), FakeEmbedder(), FakeSparse(), FakeTokenizer()
    return Opened(
        store=store,
        embedder=embedder,
        sparse=sparse,
        tokenizers={tokenizer.name: tokenizer},
        ingestor=Ingestor(IngestorParts(store, embedder, sparse, tokenizer, system_clock)),
        parts=RetrieverParts(store, embedder, sparse, {tokenizer.name: tokenizer}, system_clock),
    )


async def test_questions_are_ranked_in_their_order(opened: Opened, tmp_path: Path) -> None:
    """Each question has its figures, and a profile that ranks by nothing it could find still answers."""
    small = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    loaded = await load(opened.ingestor, opened.store, small)
    figures = await rank_questions(Variant("usual", opened.parts), small, loaded)
    assert [one["R@10"] for one in figures] == [1.0, 1.0, 1.0]
    one = await rank_questions(Variant("similarity", opened.parts, weights={"similarity": 1.0}), small, loaded)
    assert [each["R@10"] for each in one] == [1.0, 1.0, 1.0]


async def test_an_ablation_takes_one_weight_away(opened: Opened) -> None:
    """Every signal that the profile weighs is left out once, the others keep their weights, and both legs go once."""
    base = whole(opened.parts, "balanced")
    found = ablations(opened.parts, "balanced")
    assert base.weights is not None
    weighed = [name for name, weight in base.weights.items() if weight]
    assert [one.name for one in found] == [*weighed, "words", "token vectors"]
    for one in found[: len(weighed)]:
        assert one.weights == {**base.weights, one.name: 0.0}
    assert [one.name for one in ablations(opened.parts, "relevance")] == ["words", "token vectors"]


async def test_an_encoder_without_words_has_no_terms() -> None:
    """The query loses its terms; documents are encoded as before."""
    encoder = Wordless(FakeSparse())
    assert encoder.encode_query("harbour crane").indices.size == 0
    assert encoder.encode_document("harbour crane").indices.size == 2


async def test_an_embedder_without_tokens_gives_the_same_dense_vector() -> None:
    """Only the query's token vectors are gone."""
    inner = TokenEmbedder()
    embedder = Tokenless(inner)
    assert (embedder.fingerprint, embedder.dimensions) == (inner.fingerprint, inner.dimensions)
    given, left = await inner.embed_query("crane"), await embedder.embed_query("crane")
    assert given.tokens is not None
    assert left.tokens is None
    assert np.array_equal(given.dense, left.dense)
    assert len(await embedder.embed_documents(["a", "b"])) == 2
    await embedder.ping()
    await embedder.aclose()


async def test_what_is_wanted_is_compared_by_category(opened: Opened, tmp_path: Path) -> None:
    """A profile and every ablation have a row for all questions and one for each category."""
    small = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    loaded = await load(opened.ingestor, opened.store, small)
    wanted = Wanted(against="relevance", ablate=True)
    assert wanted.any
    found = await measure_comparisons(wanted, opened, small, loaded, "balanced")
    assert found[0].what == "relevance"
    assert len(found) == 1 + len(ablations(opened.parts, "balanced"))
    for one in found:
        assert list(one.by_category) == ["(all)", "colour", "none", "place"]
        assert one.by_category["(all)"].n == 3
    table = render_table(paired_table(found))
    assert "relevance" in table
    assert "+0.000 [+0.000 to +0.000]" in table
    assert len(paired_figures(found)) == len(found)


async def test_nothing_is_compared_unasked(opened: Opened, tmp_path: Path) -> None:
    """Without a wish there is no comparison."""
    small = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    loaded = await load(opened.ingestor, opened.store, small)
    assert not Wanted().any
    assert await measure_comparisons(Wanted(), opened, small, loaded, None) == []
