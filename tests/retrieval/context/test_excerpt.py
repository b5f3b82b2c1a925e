"""Excerpts of long memories: the sentences that fit a query, within a limit of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.context.render import best_sentences, split_sentences
from tests.retrieval.builders import World

FILLER = "The weather was fine that day and nothing else was said about it. "
LONG = FILLER * 20 + "Ana keeps the spare key under the blue pot. " + FILLER * 20


def test_the_answering_sentence_is_chosen() -> None:
    """An excerpt of a long memory has the sentence that answers the question and the sentences next
    to it.

    It marks where text is left out.
    """
    shown = best_sentences(LONG, "where is the spare key?", lambda text: len(text) <= 220)
    assert shown is not None
    assert "Ana keeps the spare key under the blue pot." in shown
    assert shown.startswith("…")
    assert shown.endswith("…")


@given(st.text(max_size=400), st.text(max_size=60), st.integers(0, 200))
def test_an_excerpt_fits_and_holds_whole_sentences(text: str, query: str, most: int) -> None:
    """For any text and query, an excerpt is at most as long as its limit and consists of whole
    sentences.
    """
    shown = best_sentences(text, query, lambda one: len(one) <= most)
    if shown is not None:
        assert len(shown) <= most
        assert any(one in shown for one in split_sentences(text))


@pytest.mark.anyio
async def test_a_small_budget_has_excerpts_of_long_memories_and_whole_short_ones() -> None:
    """With `oversize: "excerpt"`, a long memory is shown as an excerpt and a short memory whole.

    The items of the answer are marked as excerpts, and have the text that the context shows.
    """
    world = World()
    long = await world.add("semantic", LONG, concept="home")
    short = await world.add("semantic", "The spare key opens the shed")
    answer = await world.retrieve(
        "where is the spare key?", budget=400, types=["semantic"], oversize="excerpt"
    )
    items = {item.id: item for item in answer.items}
    assert (items[long].excerpt, items[long].cut, items[short].excerpt) == (True, True, None)
    assert "under the blue pot" in items[long].content
    assert items[long].content in answer.context
    assert f"[excerpt of {long[:8]}]" in items[long].content
    assert answer.metadata.total_tokens <= 400
