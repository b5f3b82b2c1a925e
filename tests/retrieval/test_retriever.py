"""Searches and retrievals over an in-memory store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import msgspec
import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Form
from memtypes.search.candidates import Candidates
from retrieval.context.entries import EntryTokens
from tests.fakes import AwayEmbedder
from tests.fakes_memories import InMemoryStore
from tests.retrieval.builders import World, filled

pytestmark = pytest.mark.anyio


async def test_a_search_ranks_the_matching_memory_first() -> None:
    """The best hit is the memory that matches the query; its score is the weighted sum of its
    signals.
    """
    world = World()
    await world.add("semantic", "The staging database runs on port 5433")
    wanted = await world.add("semantic", "Ana prefers tabs over spaces in Go code")
    answer = await world.search("what does Ana prefer in Go code", explain=True)
    assert answer.hits[0].id == wanted
    assert answer.hits[0].memory["content"].startswith("Ana prefers")
    assert "tenant" not in answer.hits[0].memory
    weighted = sum(
        answer.weights[name] * value for name, value in (answer.hits[0].signals or {}).items()
    )
    assert answer.hits[0].score == pytest.approx(weighted, abs=1e-6)


async def test_top_k_bounds_the_hits() -> None:
    """A search returns `top_k` hits, which may be 0, or all memories if it is larger than their
    number.
    """
    world = World()
    await world.add_all("semantic", [f"fact number {n}" for n in range(5)])
    counts = [len((await world.search("fact", top_k=k)).hits) for k in (0, 1, 3, 1000)]
    assert counts == [0, 1, 3, 5]


async def test_session_memories_are_found_in_their_session_only() -> None:
    """Searches in other sessions, or without a session, do not find a session's private
    memories.
    """
    world = World()
    await world.add("prospective", "call the bank about the shop loan", visibility="session")
    seen = [
        len((await world.search("bank loan", Scope("acme", "shop", session_id=one))).hits)
        for one in ("s1", "s2", None)
    ]
    assert seen == [1, 0, 0]


async def test_a_memory_that_a_hit_links_to_is_a_candidate() -> None:
    """A memory that a hit links to ranks right after the hit, even if the search did not find it.

    It must match the request's types, and may not have expired.
    """
    world = World(depth=3)
    notes = [await world.add("semantic", f"a note on invoices, number {n}") for n in range(9)]
    goal = await world.add("procedural", "call the tax office first")
    ended = await world.add(
        "procedural",
        "send a fax",
        created_at="2026-01-01T00:00:00Z",
        expires_at="2026-02-01T00:00:00Z",
    )
    links = [{"type": "extends", "to": target} for target in (goal, ended)]
    hit = await world.add("semantic", "how invoices with foreign tax are sent", links=links)
    query = "invoices with foreign tax"
    assert [found.id for found in (await world.search(query, top_k=3)).hits[:2]] == [hit, goal]
    only_facts = await world.search(query, types=["semantic"], top_k=3)
    assert {found.id for found in only_facts.hits} <= {hit, *notes}
    explained = (await world.search(query, top_k=3, explain=True)).hits[1]
    assert explained.signals is not None
    assert explained.signals["link"] > 0


async def test_filters_and_types_narrow_a_search() -> None:
    """Only memories that match the filter and have one of the types are ranked."""
    world = World()
    await world.add("semantic", "red apples", tags=["fruit"])
    await world.add("semantic", "red cars", tags=["cars"])
    await world.add("episodic", "ate red apples")
    found = await world.search("red", types=["semantic"], filters={"tags": {"any": ["fruit"]}})
    assert [hit.memory["content"] for hit in found.hits] == ["red apples"]


async def test_a_search_as_of_a_day_finds_what_was_valid_on_that_day() -> None:
    """A search as of a past day finds no memory that had expired by then, and no memory that was
    written later.
    """
    world = World()
    await world.add(
        "semantic",
        "the code is 1234",
        created_at="2026-01-01T00:00:00Z",
        expires_at="2026-02-01T00:00:00Z",
    )
    days = ["2025-12-31T00:00:00Z", "2026-01-15T00:00:00Z", "2026-02-15T00:00:00Z"]
    assert [len((await world.search("the code", as_of=day)).hits) for day in days] == [0, 1, 0]


async def test_completed_intentions_are_found_by_a_search_but_not_in_a_context() -> None:
    """A search finds completed intentions. A context contains them only if the request's filter
    asks for them.
    """
    world = World()
    await world.add("prospective", "renew the certificate", status="completed")
    assert (await world.retrieve("certificate")).items == []
    asked = await world.retrieve("certificate", filters={"status": {"eq": "completed"}})
    assert [item.content for item in asked.items] == ["renew the certificate"]
    assert len((await world.search("certificate")).hits) == 1


async def test_without_an_embedder_only_words_are_searched() -> None:
    """If the embedder is unavailable, a search uses keywords alone, and `degraded` in its answer
    lists "embedder".
    """
    world = World(embedder=AwayEmbedder())
    wanted = await world.add("semantic", "the importer reads CSV")
    await world.add("semantic", "bananas are yellow")
    answer = await world.search("importer")
    assert (answer.hits[0].id, answer.degraded) == (wanted, ["embedder"])
    assert (await world.retrieve("importer")).metadata.degraded == ["embedder"]
    assert (await world.search("!?")).hits == []


async def test_answers_are_deterministic() -> None:
    """For an unchanged store, two requests with the same time get byte-identical answers."""
    world = await filled(World())
    answers = {
        (await world.retrieve("importer file", budget=900, explain=True)).model_dump_json()
        for _ in range(5)
    }
    assert len(answers) == 1


async def test_a_retrieval_notes_uses_and_a_search_does_not() -> None:
    """A retrieval counts a use of each memory in its context. A search counts none."""
    world = World()
    await world.add("semantic", "the importer reads CSV")
    await world.search("importer")
    assert world.shown == []
    await world.retrieve("importer")
    assert [memory.content for memory in world.shown] == ["the importer reads CSV"]
    assert set(world.timings[-1]) == {"embed", "candidates", "score", "texts", "budget", "render"}


async def test_an_unknown_tokenizer_and_a_malformed_filter_are_refused() -> None:
    """Both raise InvalidRequest, and the error names the field of the request, such as
    "tokenizer".
    """
    world = World()
    with pytest.raises(InvalidRequest, match="known are cl100k_base") as caught:
        await world.retrieve("x", tokenizer="o200k_base")
    assert caught.value.path == "tokenizer"
    with pytest.raises(InvalidRequest, match="unknown field"):
        await world.retrieve("x", filters={"nope": {"eq": 1}})


class VanishingStore(InMemoryStore):
    """A store that, if `leaky` is true, deletes all memories of the scope right after each search
    for candidates.
    """

    leaky = False

    async def candidates(self, scope: Scope, searches: Any) -> list[Candidates]:
        """Return the candidates; while `leaky` is set, then delete their memories."""
        asked: list[CandidateSearch] = list(searches)
        found = await super().candidates(scope, asked)
        if self.leaky:
            await self.delete_where(scope, (), None)
        return found


async def test_a_memory_removed_during_a_retrieval_is_left_out() -> None:
    """A memory that is removed between ranking and reading is no hit, and no error is raised."""
    store = VanishingStore()
    world = World(store=store)
    await world.add("semantic", "the importer reads CSV")
    store.leaky = True
    assert (await world.search("importer")).hits == []
    store.leaky = False
    await world.add("semantic", "the importer reads CSV")
    store.leaky = True
    assert (await world.retrieve("importer")).items == []


class GrowingStore(InMemoryStore):
    """A store that returns each memory's text longer than it was when the memory was ranked."""

    async def read_as(
        self, scope: Scope, ids: Mapping[str, MemoryType], form: type[Form]
    ) -> dict[str, Form]:
        """The memories' fields for a context, each longer than when the memory was ranked."""
        stored = await super().read_as(scope, ids, form)
        longer = "the importer reads CSV, and JSON since it was rewritten"
        changes: dict[str, Any] = {"content": longer, "tokens": EntryTokens(99, "words", 99)}
        return {name: msgspec.structs.replace(fields, **changes) for name, fields in stored.items()}


async def test_a_memory_that_grows_during_a_retrieval_does_not_exceed_the_budget() -> None:
    """If a memory becomes longer between ranking and reading, and its new text exceeds the budget,
    it is left out.
    """
    world = World(store=GrowingStore())
    await world.add("semantic", "the importer reads CSV")
    answer = await world.retrieve("importer", budget=20)
    assert (answer.items, answer.metadata.total_tokens) == ([], 0)


async def test_concurrent_retrievals_are_independent() -> None:
    """Retrievals that run concurrently give the same answers as each retrieval alone."""
    world = await filled(World())
    alone = (await world.retrieve("importer file", budget=500)).model_dump_json()
    answers: list[str] = []

    async def ask() -> None:
        answers.append((await world.retrieve("importer file", budget=500)).model_dump_json())

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(ask)
    assert set(answers) == {alone}
