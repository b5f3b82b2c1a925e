"""States of memories over HTTP: what replaces or contests what, how it is undone, and the history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services

pytestmark = pytest.mark.anyio

PORTS = ("The port of the API is 80.", "The port of the API is 81.", "The port of the API is 82.")


class Notebook:
    """A client that writes and reads facts of one namespace, at a time that tests may change."""

    def __init__(self, client: httpx.AsyncClient, set_time: Callable[[datetime], None]) -> None:
        self.client = client
        self.set_time = set_time

    async def write(self, content: str, **fields: Any) -> dict[str, Any]:
        """The answer to writing a fact."""
        body = {"type": "semantic", "namespace": "n", "content": content, **fields}
        response = await self.client.post("/v1/memories", json=body)
        assert response.status_code in (200, 201), response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def read(self, memory_id: str) -> dict[str, Any]:
        """The memory with this id."""
        response = await self.client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})
        assert response.status_code == 200, response.text
        memory: dict[str, Any] = response.json()
        return memory

    async def states(self, *ids: str) -> list[str]:
        """The states of these memories."""
        return [(await self.read(memory_id))["state"] for memory_id in ids]

    async def listed(self, **query: Any) -> list[str]:
        """The contents of the memories that a list query returns, sorted."""
        response = await self.client.get("/v1/memories", params={"namespace": "n", **query})
        assert response.status_code == 200, response.text
        return sorted(memory["content"] for memory in response.json()["memories"])

    async def found(self, **filters: Any) -> list[str]:
        """The contents of the memories that a search with this filter returns, sorted."""
        body = {"query": "port", "namespace": "n", "filters": filters or None}
        response = await self.client.post("/v1/search", json={k: v for k, v in body.items() if v is not None})
        assert response.status_code == 200, response.text
        return sorted(hit["memory"]["content"] for hit in response.json()["hits"])


@pytest.fixture
async def notebook() -> Any:
    """A notebook of an application without keys over an in-memory store."""
    times = [NOW]

    def set_time(instant: datetime) -> None:
        times.append(instant)

    async with connect(fake_services(lambda: times[-1])) as client:
        yield Notebook(client, set_time)


async def ports(notebook: Notebook, count: int = 2, **last: Any) -> list[str]:
    """The ids of facts that replace each other, an hour apart; the last one has the fields `last`."""
    ids = []
    for number, content in enumerate(PORTS[:count]):
        created = NOW - timedelta(hours=count - number)
        fields = last if number == count - 1 else {}
        ids.append((await notebook.write(content, created_at=created.isoformat(), **fields))["id"])
    return ids


async def test_a_replaced_memory_says_so(notebook: Notebook) -> None:
    """It has its end, its successor and the reason; the newer one is current and linked to it."""
    old, new = await ports(notebook)
    before, after = await notebook.read(old), await notebook.read(new)
    assert (before["state"], before["superseded_by"], before["valid_to"]) == ("replaced", new, after["valid_from"])
    assert before["state_reason"]
    assert (after["state"], after["links"]) == ("current", [{"to": old, "type": "contradicts", "strength": 1.0}])


async def test_a_filter_by_state_reaches_what_was_replaced(notebook: Notebook) -> None:
    """So does a list; without it both show the current view only."""
    await ports(notebook)
    assert await notebook.found() == await notebook.listed() == [PORTS[1]]
    assert await notebook.found(state={"eq": "replaced"}) == await notebook.listed(state="replaced") == [PORTS[0]]
    assert await notebook.found(state={"ne": "replaced"}) == await notebook.listed(state="current") == [PORTS[1]]
    assert await notebook.found(state={"any": ["current", "replaced"]}) == [*PORTS[:2]]


async def test_memories_can_be_found_by_their_links(notebook: Notebook) -> None:
    """By the memory that they link to, by the type of the link, and by both."""
    old, _ = await ports(notebook)
    assert await notebook.found(**{"links.to": {"eq": old}}) == [PORTS[1]]
    assert await notebook.found(**{"links.type": {"any": ["contradicts"]}}) == [PORTS[1]]
    assert await notebook.found(**{"links.type": {"eq": "extends"}}) == []


async def test_what_an_expired_memory_replaced_is_current_again_at_once(notebook: Notebook) -> None:
    """No job has to run for it: reads, lists and searches see it when the time has come."""
    old, _ = await ports(notebook, expires_at=(NOW + timedelta(hours=1)).isoformat())
    assert await notebook.states(old) == ["replaced"]
    notebook.set_time(NOW + timedelta(hours=1))
    memory = await notebook.read(old)
    assert (memory["state"], memory["valid_to"], memory["superseded_by"]) == ("current", None, None)
    assert await notebook.found() == await notebook.listed() == [PORTS[0]]
    assert await notebook.listed(state="replaced") == []
