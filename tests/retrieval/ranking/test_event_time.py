"""Queries for a time relative to an event. The memory that mentions the event gives its date."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memtypes.model.times import rfc3339
from tests.fakes import AwayEmbedder, WordEmbedder
from tests.retrieval.builders import NOW, World

pytestmark = pytest.mark.anyio

QUESTION = "what was bought two weeks before the move to Lisbon?"


def worded() -> World:
    """A world whose encoder returns token vectors."""
    return World(embedder=WordEmbedder(), writer=WordEmbedder())


async def bought(world: World, days_before: float, what: str) -> str:
    """Store a purchase made `days_before` the move, which was a hundred days ago, and return its id."""
    created = NOW - timedelta(days=100 + days_before)
    return await world.add("episodic", f"bought {what}", created_at=rfc3339(created), session_id=f"s{days_before}")


async def time_signals(world: World, question: str, **fields: Any) -> dict[str, float]:
    """The `time` signal of every hit, by id."""
    response = await world.search(question, explain=True, **fields)
    return {hit.id: hit.signals["time"] for hit in response.hits if hit.signals}


async def test_memories_near_the_time_of_the_event_rank_first() -> None:
    """A purchase two weeks before the move ranks above purchases at other times."""
    world = worded()
    move = await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    purchase = await bought(world, 14, "boxes")
    others = [await bought(world, days, what) for days, what in ((60, "lamps"), (-60, "chairs"), (90, "beds"))]
    signals = await time_signals(world, QUESTION)
    assert signals[purchase] == signals[move] == 1.0
    assert all(signals[other] < 0.1 for other in others)
    ranked = [hit.id for hit in (await world.search(QUESTION)).hits if hit.id != move]
    assert ranked[0] == purchase
    assert "event" in world.timings[-1]


async def test_an_unknown_event_gives_no_time_signal() -> None:
    """A query relative to an event that no memory mentions is ranked like a query that names no time."""
    world = worded()
    await bought(world, 14, "boxes")
    assert set((await time_signals(world, QUESTION.replace("the move to Lisbon", "his zoological viva"))).values()) == {
        0.0
    }


async def test_the_event_is_not_searched_when_time_has_no_weight() -> None:
    """With a profile without a weight for `time`, the event is not searched, and the signal is 0."""
    world = worded()
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    purchase = await bought(world, 14, "boxes")
    assert (await time_signals(world, QUESTION, profile="relevance"))[purchase] == 0.0


async def test_sparse_search_alone_dates_no_event() -> None:
    """Without the encoder, keyword search alone is no evidence that the best hit is the event."""
    world = World(AwayEmbedder(), writer=WordEmbedder())
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    assert set((await time_signals(world, QUESTION)).values()) == {0.0}


async def test_an_encoder_without_token_vectors_dates_no_event() -> None:
    """Without token vectors, the cosines of whole texts do not tell an event from similar events."""
    world = World()
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    assert set((await time_signals(world, QUESTION)).values()) == {0.0}


async def test_an_empty_store_dates_no_event() -> None:
    """A search relative to an event in an empty store returns no hits and no error."""
    assert (await worded().search(QUESTION)).hits == []
