"""A store whose memories were written when their entries looked different: their stored token
counts are not trusted.
"""

from __future__ import annotations

from copy import deepcopy

import pytest

from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Listing
from retrieval.context.entries import TEXTS, Entries, EntryFields, semantic_text
from tests.fakes import FakeTokenizer
from tests.fakes_memories import InMemoryStore
from tests.fakes_receipts import FakeReceipts
from tests.retrieval.builders import SCOPE, World

pytestmark = pytest.mark.anyio

BUDGETS = [0, 7, 20, 33, 47, 60, 85, 110, 150, 200, 300, 450, 1_000]


def longer_text(fact: EntryFields) -> str:
    """The text of a fact with more words than before."""
    return f"{semantic_text(fact)} (as we know it since {fact.valid_from:%d %B %Y})"


LONGER = Entries({**TEXTS, MemoryType.SEMANTIC: longer_text})


async def store_of(count: int = 24) -> InMemoryStore:
    """A store with facts and events, written with today's entries."""
    world = World()
    for number in range(count):
        kind = ("semantic", "episodic", "semantic", "procedural")[number % 4]
        await world.add(kind, f"The importer reads file {number} of the harbour.")
    return world.store


@pytest.mark.parametrize("form", ["markdown", "messages", "json"])
@pytest.mark.parametrize("oversize", ["skip", "cut", "excerpt"])
async def test_a_context_fits_its_budget_although_entries_became_longer(
    form: str, oversize: str
) -> None:
    stored = await store_of()
    for budget in BUDGETS:
        world = World(store=deepcopy(stored), entries=LONGER, receipt_store=FakeReceipts())
        answer = await world.retrieve(
            "importer file", budget=budget, floor=0, format=form, oversize=oversize
        )
        counted = FakeTokenizer().count(answer.text)
        assert counted <= answer.metadata.total_tokens <= budget
        if form == "markdown":
            assert counted == answer.metadata.total_tokens
        facts = [item for item in answer.items if item.type is MemoryType.SEMANTIC and not item.cut]
        assert answer.text.count("(as we know it since ") >= len(facts)
        assert answer.receipt_id is not None
        verified = await world.receipts.verify(SCOPE.tenant, answer.receipt_id)
        assert verified.valid, verified


async def test_counts_of_an_earlier_version_are_counted_again() -> None:
    """Memories of an earlier version name no renderer, and their counts may be of any text."""
    current = await store_of()
    earlier = deepcopy(current)
    memories = [memory async for memory in current.list_all(SCOPE, Listing())]
    counts = {"count": 6, "tokenizer": FakeTokenizer().name, "line": 1}
    await earlier.patch(SCOPE, {memory.id: {"tokens": counts} for memory in memories})
    for budget in BUDGETS:
        answer = await World(store=earlier).retrieve("importer file", budget=budget, floor=0)
        assert FakeTokenizer().count(answer.text) == answer.metadata.total_tokens <= budget
        right = await World(store=current).retrieve("importer file", budget=budget, floor=0)
        assert answer.text == right.text
