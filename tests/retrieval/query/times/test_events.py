"""Times that a question tells by an event, as retrieval finds them."""

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
    """A world whose encoder tells tokens."""
    return World(embedder=WordEmbedder(), writer=WordEmbedder())


async def bought(world: World, days_before: float, what: str) -> str:
    """The id of a memory of a purchase, so many days before the move, which was a hundred days ago."""
    made = NOW - timedelta(days=100 + days_before)
    return await world.add("episodic", f"bought {what}", created_at=rfc3339(made), session_id=f"s{days_before}")


async def times(world: World, question: str, **fields: Any) -> dict[str, float]:
    """The signal `time` of every hit."""
    found = await world.search(question, explain=True, **fields)
    return {hit.id: hit.signals["time"] for hit in found.hits if hit.signals}


async def test_the_event_is_looked_for_and_its_time_ranks() -> None:
    """What was bought two weeks before the move comes before what was bought at any other time."""
    world = worded()
    move = await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    then = await bought(world, 14, "boxes")
    others = [await bought(world, days, what) for days, what in ((60, "lamps"), (-60, "chairs"), (90, "beds"))]
    near = await times(world, QUESTION)
    assert near[then] == near[move] == 1.0
    assert all(near[one] < 0.1 for one in others)
    ranked = [hit.id for hit in (await world.search(QUESTION)).hits if hit.id != move]
    assert ranked[0] == then
    assert "event" in world.timings[-1]


async def test_an_event_that_nobody_told_of_places_nothing() -> None:
    """The question is then ranked as one that names no time."""
    world = worded()
    await bought(world, 14, "boxes")
    assert set((await times(world, QUESTION.replace("the move to Lisbon", "his zoological viva"))).values()) == {0.0}


async def test_nothing_is_looked_for_where_time_weighs_nothing() -> None:
    """In a profile without it."""
    world = worded()
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    then = await bought(world, 14, "boxes")
    assert (await times(world, QUESTION, profile="relevance"))[then] == 0.0


async def test_words_alone_date_no_event() -> None:
    """Without the encoder nothing tells whether the best hit is the event."""
    world = World(AwayEmbedder(), writer=WordEmbedder())
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    assert set((await times(world, QUESTION)).values()) == {0.0}


async def test_an_encoder_without_tokens_dates_no_event() -> None:
    """Its cosines alone do not tell an event from what sounds like it."""
    world = World()
    await world.add("episodic", "the move to Lisbon", created_at=rfc3339(NOW - timedelta(days=100)))
    assert set((await times(world, QUESTION)).values()) == {0.0}


async def test_an_empty_store_dates_no_event() -> None:
    """Nothing is found, and nothing is an error."""
    assert (await worded().search(QUESTION)).hits == []
