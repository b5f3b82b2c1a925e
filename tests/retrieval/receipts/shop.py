"""A store (the shop) with memories of every type, retrievals from it, and their receipts."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import timedelta
from typing import Any

from memtypes.model.times import rfc3339
from retrieval.answer import RetrieveAnswer
from tests.fakes_memories import InMemoryStore
from tests.fakes_receipts import FakeReceipts
from tests.retrieval.builders import NOW, SCOPE, World

QUERY = "how do I deploy the importer, and what is left to do"


STORES: dict[int, InMemoryStore] = {}
"""Filled stores by their number of entries. Filling one takes longer than most tests, so each test
gets a copy.
"""


async def shop(entries: int = 40, receipt_store: FakeReceipts | None = None) -> World:
    """A retriever over a copy of a store with `entries` memories of every type, some superseded or
    expired.
    """
    if entries not in STORES:
        STORES[entries] = await _filled(entries)
    return World(store=deepcopy(STORES[entries]), receipt_store=receipt_store or FakeReceipts())


async def _filled(entries: int) -> InMemoryStore:
    world = World()
    for number in range(entries):
        created = rfc3339(NOW - timedelta(hours=5 * number))
        await world.add(
            "episodic",
            f"the importer was deployed in round {number} " * (number % 4 + 1),
            created_at=created,
        )
        await world.add("semantic", f"fact {number} of the importer: it reads file number {number}")
        await world.add("prospective", f"todo {number}: look at file {number} of the importer")
        await world.add(
            "procedural", f"deploy the importer the way number {number}", steps=["build", "push"]
        )
    for speaker in ("Ana", "Ben"):
        await world.add("working", f"{speaker} deploys the importer now", todo_id=speaker)
    return (await with_ended(world)).store


async def with_ended(world: World) -> World:
    """Add two ended memories to `world`, one superseded a day ago and one expired, and return
    `world`.
    """
    superseded = await world.add(
        "semantic", "the importer deploys by hand", created_at=rfc3339(NOW - timedelta(days=9))
    )
    expired = await world.add(
        "episodic", "the importer was down", created_at=rfc3339(NOW - timedelta(days=9))
    )
    await world.store.patch(SCOPE, {superseded: {"valid_to": rfc3339(NOW - timedelta(days=1))}})
    await world.store.patch(SCOPE, {expired: {"expires_at": rfc3339(NOW - timedelta(hours=1))}})
    return world


async def receipt_of(world: World, answer: RetrieveAnswer) -> dict[str, Any]:
    """The receipt recorded for the answer of a retrieval."""
    assert answer.receipt_id is not None
    receipt: dict[str, Any] = json.loads(await world.receipts.text(SCOPE.tenant, answer.receipt_id))
    return receipt
