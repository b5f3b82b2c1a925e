"""Erasure, over HTTP, of turns that are queued in Redis to be written as memories."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import anyio
import httpx
import pytest

from api.wiring.container import Services
from ingest.conversations.evicted_turns import CapturedTurnWriter, EvictedTurnWriter
from ingest.screening.submission import Submission
from memtypes.live.turns import Turn
from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.threads import NewThread
from memtypes.stores.redis.client_sessions import RedisClientSessions, captured_turns
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.erasure import LiveState
from tests.api.conftest import NOW, connect, count
from tests.api.fake_services import fake_services
from tests.ingest.conversations.builders import SlowGate, threads_over
from tests.live import everything

pytestmark = pytest.mark.anyio

TEXT = "We decided to move the whole database to Postgres 16 on Tuesday because of the licence."
OTHER = "We decided to keep the old invoices for ten years because the auditors asked for them."


class BrokenGate:
    """A gate (a check of each memory before it is stored) that raises Unavailable while `broken` is
    True.
    """

    broken = True

    async def examine(self, _scope: Scope, submission: Submission) -> Submission:
        """Return the submission unchanged. Raises Unavailable while `broken`."""
        if self.broken:
            raise Unavailable("away")
        return submission


@dataclass
class World:
    """A service over a real Redis server, its HTTP client, and a scope with a new namespace."""

    live: LiveClient
    services: Services
    http: httpx.AsyncClient
    scope: Scope

    async def captured(self, session_id: str, text: str) -> None:
        """Queue a prompt and its answer to be written as memories, and record a second prompt
        without an answer.
        """
        scope = replace(self.scope, session_id=session_id)
        sessions = self.services.client_sessions
        await sessions.begin(scope, "1", Turn("user", text, 1, NOW))
        await sessions.queue(scope, "1", [Turn("assistant", f"{text} So be it.", 1, NOW)])
        await sessions.begin(scope, "2", Turn("user", f"{text} And now?", 1, NOW))

    async def left(self, text: str) -> None:
        """Delete a thread with the one turn `text`. The deletion queues the turn to be written as a
        memory.
        """
        threads = self.services.threads
        thread_id = str(uuid.uuid4())
        await threads.store.create(self.scope, NewThread(thread_id, 60, NOW))
        await threads.store.replace(self.scope, thread_id, [(Turn("user", text, 1, NOW), "0")])
        await threads.store.delete(self.scope, thread_id, flush=True)

    async def erase(self, session_id: str | None = None) -> None:
        """Delete the memories of a session, or erase the whole namespace if `session_id` is
        None.
        """
        namespace = self.scope.namespace
        if session_id is None:
            answer = await self.http.post("/v1/admin/erase", json={"namespace": namespace})
            assert answer.json()["remaining"].keys() >= {"live", "memories"}
            assert set(answer.json()["remaining"].values()) == {0}
        else:
            query = {"namespace": namespace, "session_id": session_id, "confirm": "true"}
            assert (await self.http.delete("/v1/memories", params=query)).json()["remaining"] == 0

    async def contents(self) -> list[str]:
        """Write the queued turns as memories, and return the contents of all memories in the
        namespace, sorted.
        """
        for writer in self.writers:
            await writer.persist(self.scope)
        listed = await self.http.get("/v1/memories", params={"namespace": self.scope.namespace})
        return sorted(memory["content"] for memory in listed.json()["memories"])

    @property
    def writers(self) -> tuple[EvictedTurnWriter, ...]:
        """The two writers of queued turns: of captured client sessions, and of threads."""
        return self.services.captures, self.services.threads.evicted_turns


@pytest.fixture
async def world(live: LiveClient) -> AsyncIterator[World]:
    """A service that keeps captured client sessions and threads in a real Redis server."""
    services = fake_services(lambda: NOW)
    sessions = RedisClientSessions(live)
    captures = CapturedTurnWriter(
        captured_turns(live), services.ingestor, services.clock, sessions, services.recall_guard
    )
    services = replace(
        services,
        client_sessions=sessions,
        captures=captures,
        threads=threads_over(live, ingestor=services.ingestor),
        erasable={**services.erasable, "live": LiveState(live)},
    )
    async with connect(services) as http:
        yield World(live, services, http, Scope("default", f"n {uuid.uuid4()}"))


@pytest.mark.parametrize("session_id", [None, "s"])
async def test_a_turn_that_is_being_written_as_a_memory_is_erased(
    world: World, session_id: str | None
) -> None:
    gate = SlowGate()
    world.services.captures.ingestor = replace(
        world.services.ingestor, gates=(gate, *world.services.ingestor.gates)
    )
    await world.captured("s", TEXT)
    erased = anyio.Event()

    async def erase() -> None:
        await world.erase(session_id)
        erased.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.services.captures.persist, world.scope)
            await gate.reached.wait()
            tasks.start_soon(erase)
            lock = world.services.captures.locks.lock(world.scope)
            # A lock has no event
            while not (erased.is_set() or lock.statistics().tasks_waiting):  # noqa: ASYNC110
                await anyio.sleep(0.01)
            gate.opened.set()
    assert await count(world.http, world.scope.namespace) == 0
    assert await world.contents() == []
    assert TEXT not in str(await everything(world.live, world.scope))


async def test_deleting_a_session_discards_its_turns_that_are_no_memories_yet(world: World) -> None:
    """Deleting a session discards its turns that are queued, were set aside after a failure, or
    have no answer yet.

    The queued turns of another session still become memories.
    """
    gate = BrokenGate()
    world.services.captures.ingestor = replace(
        world.services.ingestor, gates=(gate, *world.services.ingestor.gates)
    )
    await world.captured("s", TEXT)
    await world.captured("t", OTHER)
    (batch, _) = await world.services.captures.store.pending(world.scope, 9)
    await world.services.captures.store.set_aside(world.scope, batch, "refused", NOW)
    await world.captured("s", f"{TEXT} Again.")
    await world.erase("s")
    gate.broken = False
    assert not (await world.services.captures.store.backlog(world.scope, "s")).set_aside
    assert await world.contents() == [OTHER, f"{OTHER} So be it."]
    live = str(await everything(world.live, world.scope))
    assert TEXT not in live
    assert f"{OTHER} And now?" in live


@pytest.mark.parametrize(
    ("kind", "expected"), [(None, []), ("episodic", []), ("semantic", [OTHER])]
)
async def test_deleting_a_namespaces_memories_discards_queued_turns_of_threads(
    world: World, kind: str | None, expected: list[str]
) -> None:
    """Deleting all memories of a namespace, or all episodic ones, discards the queued turns of a
    deleted thread.

    Deleting its semantic memories does not.
    """
    await world.left(OTHER)
    query = {"namespace": world.scope.namespace, "confirm": "true"} | (
        {"type": kind} if kind else {}
    )
    assert (await world.http.delete("/v1/memories", params=query)).status_code == 200
    assert [
        text for content in await world.contents() for text in [OTHER] if text in content
    ] == expected
