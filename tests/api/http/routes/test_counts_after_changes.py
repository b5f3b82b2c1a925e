"""After random changes of memories, stored counts and vectors are those of what is shown, and
budgets are exact.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ingest.writing.drafts import Preparer
from memtypes.model.memory import Memory
from memtypes.model.types import from_payload
from memtypes.search.vectors import SparseVector
from retrieval.context.entries import Entries, EntryCounter
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.fakes import FakeSparse, FakeTokenizer
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

AT = {"namespace": "n"}
BUDGETS = (0, 25, 50, 90, 400, 5_000)
DETAILS = ("in a call", "on the quay, after the storm", "with Marta: at the harbour office")
TEXTS = {
    "episodic": ("Vale.", "VALE!", "The boiler was replaced", "The survey moved to 14 June"),
    "semantic": (
        "The ferry leaves at 7",
        "The ferry leaves at 8",
        "the ferry leaves at 8!",
        "The mooring costs 120",
    ),
    "prospective": ("Ring the plumber", "ring the plumber!", "Pay the mooring"),
    "procedural": ("Drain the boiler", "drain the Boiler"),
}
OWN: dict[str, dict[str, tuple[Any, ...]]] = {
    "episodic": {"context": DETAILS, "title": DETAILS},
    "semantic": {"concept": DETAILS[:1], "related": (["tides"],)},
    "prospective": {
        "due_at": ("2026-03-02T09:00:00Z", "2026-02-01T09:00:00Z"),
        "trigger_condition": DETAILS,
        "status": ("active", "completed", "cancelled"),
    },
    "procedural": {
        "steps": (list(DETAILS), ["one"]),
        "prerequisites": (["a torch"],),
        "failure_patterns": (["it hisses"],),
    },
}


class Changes:
    """A client that makes random changes to the memories of one namespace of a service over
    `store`.
    """

    def __init__(self, client: httpx.AsyncClient, store: InMemoryStore, seed: int) -> None:
        self.client = client
        self.store = store
        self.random = random.Random(seed)  # noqa: S311 - no secret

    def stored(self) -> Iterator[tuple[Memory, SparseVector]]:
        """Each stored memory and its sparse vector."""
        for point in self.store.engine.points:
            fields = {name: value for name, value in point.payload.items() if name != "terms"}
            yield from_payload(fields), point.vectors.sparse

    def own(self, kind: str) -> dict[str, Any]:
        """Random values for some fields of this type."""
        return {
            name: self.random.choice(some)
            for name, some in OWN[kind].items()
            if self.random.random() < 0.4
        }

    def draft(self) -> dict[str, Any]:
        """A random memory to write, often a repetition with other fields."""
        kind = self.random.choice(list(TEXTS))
        created = (
            {"created_at": f"2026-02-2{self.random.randrange(3)}T10:00:00Z"}
            if self.random.random() < 0.5
            else {}
        )
        return {
            "type": kind,
            "content": self.random.choice(TEXTS[kind]),
            **self.own(kind),
            **created,
        }

    async def once(self) -> None:
        """Make one change; the service may refuse it."""
        memories = [memory for memory, _ in self.stored()]
        action = self.random.choice(
            ("write", "batch", "edit", "edit", "end", "links", "task", "restore", "undo", "job")
        )
        if action in ("write", "batch") or not memories:
            body = {**AT, "items": [self.draft() for _ in range(1 if action == "write" else 4)]}
            response = await self.client.post("/v1/memories/batch", json=body)
        elif action == "job":
            job = self.random.choice(("compact", "expire", "promote"))
            response = await self.client.post(
                f"/v1/admin/jobs/{job}", json={**AT, "dry_run": False}
            )
        else:
            memory = self.random.choice(memories)
            other = self.random.choice(memories)
            edits: dict[str, dict[str, Any]] = {
                "edit": {
                    **self.own(memory.type),
                    "content": self.random.choice(TEXTS[memory.type]),
                },
                "end": self.random.choice(
                    ({"valid_to": "2026-03-01T12:00:00Z"}, {"superseded_by": other.id})
                ),
                "links": {"links": [{"to": other.id, "type": "contradicts"}]},
            }
            path = f"/v1/memories/{memory.id}"
            if action in edits:
                response = await self.client.patch(path, params=AT, json=edits[action])
            elif action == "task":
                done = self.random.choice(("complete", "cancel"))
                response = await self.client.post(f"{path}/{done}", params=AT)
            else:
                response = await self.client.post(f"{path}/{action}", params=AT)
        assert response.status_code in (200, 409, 422), response.text

    async def context(self, budget: int) -> tuple[dict[str, Any], bool]:
        """A context within `budget`, and whether its receipt is valid."""
        body = {**AT, "query": "what about the ferry and the boiler?", "budget": budget, "floor": 0}
        answer = (await self.client.post("/v1/retrieve", json=body)).json()
        return answer, (
            await self.client.post(f"/v1/receipts/{answer['receipt_id']}/verify")
        ).json()["valid"]


@pytest.mark.parametrize("seed", range(8))
async def test_token_counts_and_search_terms_are_right_after_any_change(seed: int) -> None:
    """After any change, stored token counts and search terms equal recomputed ones. Budgets and
    receipts hold.
    """
    store = InMemoryStore()
    tokenizer = FakeTokenizer()
    preparer = Preparer(FakeSparse(), EntryCounter(tokenizer, Entries()))
    async with connect(fake_services(lambda: NOW, store)) as client:
        changes = Changes(client, store, seed)
        for _ in range(25):
            await changes.once()
            for memory, sparse in changes.stored():
                anew = preparer.prepare_memory(memory)
                assert (memory, sparse.indices.tolist()) == (
                    anew.memory,
                    anew.sparse.indices.tolist(),
                )
            budget = changes.random.choice(BUDGETS)
            answer, valid = await changes.context(budget)
            counted = tokenizer.count(answer["context"])
            assert counted == answer["metadata"]["total_tokens"] <= budget
            assert valid
