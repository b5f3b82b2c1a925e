"""What an answer says about the model that it was made for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.llms.registry import RegistrySource
from memtypes.model.scope import Scope
from memtypes.model.semantic import SemanticDraft
from memtypes.stores.memory import InMemoryStore
from retrieval.answer import RetrieveAnswer
from retrieval.query.request import RetrieveRequest
from retrieval.retriever import Retriever, RetrieverParts
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer

pytestmark = pytest.mark.anyio
SCOPE = Scope("t", "n")


async def asked(model: str | None, budget: int) -> RetrieveAnswer:
    """The answer for `model`, over forty facts."""
    store, embedder, sparse, tokenizer = InMemoryStore(), FakeEmbedder(), FakeSparse(), FakeTokenizer()
    clock = lambda: datetime(2026, 3, 1, tzinfo=UTC)  # noqa: E731 - a clock that stands
    ingestor = Ingestor(IngestorParts(store, embedder, sparse, tokenizer, clock))
    facts = [SemanticDraft(type="semantic", content=f"the tide table of harbour {number}") for number in range(40)]
    await ingestor.write(SCOPE, facts)
    parts = RetrieverParts(store, embedder, sparse, {"cl100k_base": tokenizer}, clock, models=RegistrySource())
    request = RetrieveRequest(query="tide table", namespace="n", budget=budget, model=model)
    return await Retriever(parts).retrieve(SCOPE, request)


async def test_the_margin_is_kept_free_and_told() -> None:
    """The count by the stand-in, raised by the margin, is within the budget that the caller gave."""
    answer = await asked("claude-sonnet-4-5", 140)
    metadata = answer.metadata
    assert (metadata.model, metadata.tokenizer, metadata.margin) == ("claude-sonnet-4-5", "cl100k_base", 0.4)
    assert metadata.budget == 140
    assert 0 < metadata.total_tokens * 1.4 <= 140
    assert metadata.utilization == pytest.approx(metadata.total_tokens / 140)
    plain = await asked(None, 140)
    assert (plain.metadata.model, plain.metadata.margin) == (None, 0.0)
    assert plain.metadata.total_tokens > metadata.total_tokens


async def test_a_budget_of_nothing_is_no_division_by_nothing() -> None:
    """A total of 0 has utilization 0."""
    assert (await asked("claude-sonnet-4-5", 0)).metadata.utilization == 0
