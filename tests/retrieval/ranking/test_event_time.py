"""Queries such as "a week before the move": the memory that mentions the event gives the date."""

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
    """A store and retriever whose embedder returns a token vector for each word."""
    return World(embedder=WordEmbedder(), writer=WordEmbedder())


async def bought(world: World, days_before: float, thing: str) -> str:
    """Store a purchase `days_before` days before the move to Lisbon, which was 100 days ago, and
    return its id.
    """
    created = NOW - timedelta(days=100 + days_before)
    return await world.add(
        "episodic", f"bought {thing}", created_at=rfc3339(created), session_id=f"s{days_before}"
    )


async def time_signals(world: World, question: str, **fields: Any) -> dict[str, float]:
    """The signal `time` of every hit for the question, by memory id. fields: fields of the search
    request.
    """
    response = await world.search(question, explain=True, **fields)
    return {hit.id: hit.signals["time"] for hit in response.hits if hit.signals}


async def test_memories_near_the_time_of_the_event_rank_first() -> None:
    """Asked about two weeks before a move, a purchase of that time ranks above purchases at other
    times.
    """
    world = worded()
    move = await world.add(
        "episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100))
    )
    purchase = await bought(world, 14, "boxes")
    other_purchases = [
        await bought(world, days, thing)
        for days, thing in ((60, "lamps"), (-60, "chairs"), (90, "beds"))
    ]
    signals = await time_signals(world, QUESTION)
    assert signals[purchase] == signals[move] == 1.0
    assert all(signals[other] < 0.1 for other in other_purchases)
    ranked = [hit.id for hit in (await world.search(QUESTION)).hits if hit.id != move]
    assert ranked[0] == purchase


async def test_an_unknown_event_gives_no_time_signal() -> None:
    """If no memory mentions the event that the query names, the signal `time` of every hit is 0."""
    world = worded()
    await bought(world, 14, "boxes")
    assert set(
        (
            await time_signals(world, QUESTION.replace("the move to Lisbon", "his zoological viva"))
        ).values()
    ) == {0.0}


async def test_the_event_is_not_searched_when_time_has_no_weight() -> None:
    """A profile with weight 0 for the signal `time` gives every hit the signal 0, although the
    query names an event.
    """
    world = worded()
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    purchase = await bought(world, 14, "boxes")
    assert (await time_signals(world, QUESTION, profile="relevance"))[purchase] == 0.0


async def test_without_the_encoder_an_event_gives_no_time_signal() -> None:
    """When only keywords are searched, the best hit is no evidence of the event, so every signal
    `time` is 0.
    """
    world = World(AwayEmbedder(), writer=WordEmbedder())
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    assert set((await time_signals(world, QUESTION)).values()) == {0.0}


async def test_without_token_vectors_an_event_gives_no_time_signal() -> None:
    """Cosines of whole texts cannot tell an event from similar events, so every signal `time` is
    0.
    """
    world = World()
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    assert set((await time_signals(world, QUESTION)).values()) == {0.0}


async def test_a_query_about_an_event_finds_nothing_in_an_empty_store() -> None:
    """A query that names a time relative to an event returns no hits and raises no error."""
    assert (await worded().search(QUESTION)).hits == []
