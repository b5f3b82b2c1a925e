"""Ended workflows, with a real Redis server: what is kept for how long, and how child workflows
continue them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.wiring.container import Services
from ingest.screening.submission import ScreeningGate, Submission
from memtypes.live.workflows import NewEvent, WorkflowEventType
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.workflows import AppendEvent
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from tests.api.conftest import NOW, connect
from tests.api.working_client import with_live_workflows
from tests.live import fresh_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def scope() -> Scope:
    """A new namespace of the default tenant."""
    return replace(fresh_scope(), tenant="default")


@pytest.fixture
async def client(live: LiveClient, services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a service that keeps workflows, threads and working memory in a real
    Redis.
    """
    async with connect(with_live_workflows(services, live)) as client:
        yield client


async def post(
    client: httpx.AsyncClient, scope: Scope, path: str, body: dict[str, Any]
) -> httpx.Response:
    """Send a POST and return its answer."""
    return await client.post(
        f"/v1/workflows/{path}", params={"namespace": scope.namespace}, json=body
    )


async def get(
    client: httpx.AsyncClient, scope: Scope, part: str = "", **query: int
) -> httpx.Response:
    """Send a GET on workflow `w` and return its answer."""
    return await client.get(
        f"/v1/workflows/w{part}", params={"namespace": scope.namespace, **query}
    )


async def seconds_left(live: LiveClient, key: str) -> int:
    """Seconds until a Redis key expires."""

    async def ask(redis: Redis) -> int:
        return int(await redis.ttl(key))

    return await live.run(ask, idempotent=True)


async def ended(client: httpx.AsyncClient, scope: Scope, events: int) -> None:
    """Begin the workflow `w`, append `events` notes, and end it."""
    await begin(client, scope)
    for number in range(events):
        await post(client, scope, "w/events", {"type": "note", "data": {"last": number}})
    end = {"type": "completed", "output": "done", "resources": {"report": "r.pdf"}}
    assert (await post(client, scope, "w/events", end)).status_code == 201


async def test_expired_log_leaves_state_chain_and_resources(
    live: LiveClient, client: httpx.AsyncClient, scope: Scope
) -> None:
    """If the events of an ended workflow expire, its last state, its ancestors and its resources
    can still be read.
    """
    await ended(client, scope, 20)
    key = live_key(scope, "workflow", "w")
    assert await live.run(lambda redis: redis.delete(f"{key}:log"), idempotent=True) == 1
    workflow = (await get(client, scope)).json()
    assert (workflow["version"], workflow["state"]["status"], workflow["state"]["data"]) == (
        21,
        "completed",
        {"last": 19},
    )
    assert (await get(client, scope, "/resources")).json()["resources"][0]["value"] == "r.pdf"
    (link,) = (await get(client, scope, "/chain")).json()["workflows"]
    assert (link["status"], link["version"]) == ("completed", 21)
    assert (
        "workflow completed\n  reason: done\n"
        in (await get(client, scope, "/history")).json()["history"]
    )
    assert (await get(client, scope, "/events")).status_code == 404
    assert (await get(client, scope, at_version=3)).status_code == 404


async def test_events_of_an_ended_workflow_are_kept_for_its_children(
    live: LiveClient, client: httpx.AsyncClient, scope: Scope
) -> None:
    await ended(client, scope, 2)
    key = live_key(scope, "workflow", "w") + ":log"
    await live.run(lambda redis: redis.expire(key, 60), idempotent=True)
    child = {"namespace": scope.namespace, "workflow_id": "next", "parent_id": "w"}
    assert (await client.post("/v1/workflows", json=child)).status_code == 201
    assert await seconds_left(live, key) > 23 * 3_600
    assert len((await get(client, scope, "/events")).json()["events"]) == 3


async def test_child_continues_an_ended_workflow(client: httpx.AsyncClient, scope: Scope) -> None:
    """A child's history begins with the history of its ended parent."""
    await ended(client, scope, 2)
    assert (
        await post(client, scope, "w/events", {"type": "note", "input": "late"})
    ).status_code == 409
    child = {"namespace": scope.namespace, "workflow_id": "next", "parent_id": "w"}
    assert (await client.post("/v1/workflows", json=child)).status_code == 201
    onward = (await post(client, scope, "next/continue", {"input": "go on"})).json()
    assert "workflow completed" in onward["history"]


async def begin(client: httpx.AsyncClient, scope: Scope, **fields: Any) -> None:
    """Begin the workflow `w`."""
    begun = await client.post(
        "/v1/workflows", json={"namespace": scope.namespace, "workflow_id": "w", **fields}
    )
    assert begun.status_code == 201, begun.text


async def joined(client: httpx.AsyncClient, scope: Scope) -> str:
    """Add a thread with two turns, and a note in session `s`, to the workflow `w`. Return the
    thread's id.
    """
    space = {"namespace": scope.namespace, "workflow_id": "w"}
    opened = await client.post("/v1/threads", json=space)
    assert (opened.status_code, opened.json()["workflow_id"]) == (201, "w")
    thread_id = str(opened.json()["id"])
    for content in ("ship on Friday", "agreed, on Friday then"):
        turn = {"role": "user", "content": content}
        path = f"/v1/threads/{thread_id}/turns"
        assert (
            await client.post(path, params={"namespace": scope.namespace}, json=turn)
        ).status_code == 201
    item = await client.post(
        "/v1/working", json={**space, "session_id": "s", "content": "release notes are open"}
    )
    assert (item.status_code, item.json()["workflow_id"]) == (201, "w")
    return thread_id


@pytest.mark.parametrize(
    ("on_end", "left"),
    [("flush", (404, 2, 0)), ("delete", (404, 1, 0)), ("keep", (200, 1, 1))],
)
async def test_a_workflow_that_expires_is_ended_by_upkeep(
    live: LiveClient,
    services: Services,
    scope: Scope,
    on_end: str,
    left: tuple[int, int, int],
) -> None:
    """A workflow without an event for its time to live is ended as expired: `on_end` applies, and
    its story becomes a memory.
    """
    wired = with_live_workflows(services, live)
    async with connect(wired) as client:
        await begin(client, scope, on_end=on_end, data={"goal": "move the invoices"})
        step = {"type": "step_started", "step_id": "copy"}
        assert (await post(client, scope, "w/events", step)).status_code == 201
        thread_id = await joined(client, scope)
        assert await wired.workflows.expire() == 0

        async def let_time_pass(redis: Redis) -> None:
            key = live_key(scope, "workflow", "w")
            await redis.zadd(live_key(scope, "workflows-open"), {key: 1}, xx=True)

        await live.run(let_time_pass, idempotent=True)
        assert (await get(client, scope)).json()["ttl_s"] == 0
        assert await wired.workflows.expire() == 1
        state = (await get(client, scope)).json()["state"]
        assert state["status"] == "expired"
        assert state["changes"][-1]["reason"] == "no event within its time to live"
        query = {"namespace": scope.namespace}
        thread = await client.get(f"/v1/threads/{thread_id}", params=query)
        episodes = [memory["content"] for memory in await memories(client, scope, "episodic")]
        story = next(content for content in episodes if content.startswith("Workflow w"))
        assert "(move the invoices) expired: 0 of 1 steps completed" in story
        notes = await items(client, scope)
        assert (thread.status_code, len(episodes), len(notes)) == left
        listed = await client.get("/v1/workflows", params={**query, "status": "expired"})
        assert [entry["workflow_id"] for entry in listed.json()["workflows"]] == ["w"]
        late = await post(client, scope, "w/events", {"type": "note", "input": "late"})
        assert late.status_code == 409
    assert await wired.workflows.expire() == 0


async def test_only_the_service_ends_a_workflow_as_expired(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    await begin(client, scope)
    answer = await post(client, scope, "w/events", {"type": "expired"})
    assert answer.status_code == 422
    assert "send cancelled or failed" in answer.json()["detail"]


async def memories(client: httpx.AsyncClient, scope: Scope, kind: str) -> list[dict[str, Any]]:
    """The memories of the type `kind` in the namespace."""
    answer = await client.get("/v1/memories", params={"namespace": scope.namespace, "type": kind})
    return list(answer.json()["memories"])


async def items(client: httpx.AsyncClient, scope: Scope, **query: str) -> list[dict[str, Any]]:
    """The notes in working memory of session `s`."""
    answer = await client.get(
        "/v1/working", params={"namespace": scope.namespace, "session_id": "s", **query}
    )
    return list(answer.json()["items"])


async def test_memories_of_a_workflow_say_what_failed_and_how_it_was_fixed(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    """The memories of a workflow have the errors of failed attempts, and the reasons and data of
    notes.

    The procedure lists each failed attempt with the notes that follow it.
    """
    await begin(client, scope)
    events: list[dict[str, Any]] = [
        {"type": "step_failed", "step_id": "load", "error": "certificate of db.example expired"},
        {
            "type": "note",
            "step_id": "load",
            "reason": "renewed it with certbot",
            "data": {"valid_days": 90},
        },
        *(
            {"type": "step_completed", "step_id": name, "output": "ok"}
            for name in ("load", "b", "c", "d", "e", "f")
        ),
        {"type": "completed"},
    ]
    for event in events:
        assert (await post(client, scope, "w/events", event)).status_code == 201
    (episode,) = await memories(client, scope, "episodic")
    (procedure,) = await memories(client, scope, "procedural")
    failed = "load: failed (error certificate of db.example expired)"
    note = 'load: note (reason renewed it with certbot; data {"valid_days": 90})'
    assert episode["content"].splitlines()[1:4] == [failed, note, "load: completed (output ok)"]
    assert procedure["failure_patterns"] == [f"{failed}; {note}"]
    query = {
        "namespace": scope.namespace,
        "query": "which job had an expired certificate, how was it fixed?",
    }
    answer = (await client.post("/v1/retrieve", json={**query, "budget": 500})).json()
    assert "renewed it with certbot" in answer["context"]


async def test_the_last_failure_of_a_step_is_recorded_once(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    """If a step's last attempt failed, the memory of the workflow has this failure once, as the
    state of the step.
    """
    await begin(client, scope)
    for error in ("disk full", "disk still full"):
        await post(
            client, scope, "w/events", {"type": "step_failed", "step_id": "load", "error": error}
        )
    await post(client, scope, "w/events", {"type": "failed", "error": "gave up"})
    (episode,) = await memories(client, scope, "episodic")
    lines = episode["content"].splitlines()[1:3]
    assert lines == ["load: failed (error disk full)", "load: failed (error disk still full)"]


async def test_the_end_of_a_workflow_flushes_threads_and_clears_items(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    """By default, the end of a workflow turns its threads into memories and clears its notes in
    working memory.
    """
    await begin(client, scope)
    thread_id = await joined(client, scope)
    loose = {"namespace": scope.namespace, "session_id": "s", "content": "of no workflow"}
    assert (await client.post("/v1/working", json=loose)).status_code == 201
    ended = (await post(client, scope, "w/events", {"type": "completed"})).json()
    assert (ended["threads"], ended["items"]) == (1, 1)
    response = await client.get(f"/v1/threads/{thread_id}", params={"namespace": scope.namespace})
    assert response.status_code == 404
    query = {"namespace": scope.namespace, "include_flushed": "true"}
    turns = (await client.get(f"/v1/threads/{thread_id}/turns", params=query)).json()["turns"]
    assert [(turn["index"], turn["content"], turn["flushed"]) for turn in turns] == [
        (0, "ship on Friday", True),
        (1, "agreed, on Friday then", True),
    ]
    (flushed,) = [
        memory for memory in await memories(client, scope, "episodic") if "thread" in memory["tags"]
    ]
    assert "ship on Friday" in flushed["content"]
    assert (flushed["source"]["thread_id"], flushed["source"]["turns"]) == (thread_id, [0, 1])
    assert [item["content"] for item in await items(client, scope)] == ["of no workflow"]
    query = {"namespace": scope.namespace, "session_id": "s", "include_cleared": "true"}
    cleared = (await client.get("/v1/working", params=query)).json()["items"]
    assert [item["workflow_id"] for item in cleared if item["cleared_at"]] == ["w"]


async def test_a_workflow_with_on_end_keep_keeps_threads_and_items(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    await begin(client, scope, on_end="keep")
    thread_id = await joined(client, scope)
    ended = (await post(client, scope, "w/events", {"type": "failed"})).json()
    assert (ended["threads"], ended["items"]) == (0, 0)
    thread = await client.get(f"/v1/threads/{thread_id}", params={"namespace": scope.namespace})
    assert thread.json()["total"] == 2
    assert len(await items(client, scope)) == 1


async def test_a_workflow_with_on_end_delete_deletes_threads_and_items(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    await begin(client, scope, on_end="delete")
    thread_id = await joined(client, scope)
    ended = (await post(client, scope, "w/events", {"type": "cancelled"})).json()
    assert (ended["threads"], ended["items"]) == (1, 1)
    response = await client.get(f"/v1/threads/{thread_id}", params={"namespace": scope.namespace})
    assert (response.status_code, await items(client, scope)) == (404, [])
    assert await memories(client, scope, "working") == []
    assert [memory["tags"] for memory in await memories(client, scope, "episodic")] == [
        ["workflow"]
    ]


async def test_threads_and_notes_cannot_join_an_unknown_or_ended_workflow(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    await begin(client, scope, workflow_id="over")
    await post(client, scope, "over/events", {"type": "completed"})
    space = {"namespace": scope.namespace, "key": "k", "resource": "r"}
    for workflow_id, status in (("nobody", 404), ("over", 409)):
        answer = await client.post("/v1/threads", json={**space, "workflow_id": workflow_id})
        assert (answer.status_code, workflow_id in answer.json()["detail"]) == (status, True)
        item = {
            "namespace": scope.namespace,
            "session_id": "s",
            "content": "x y z",
            "workflow_id": workflow_id,
        }
        assert (await client.post("/v1/working", json=item)).status_code == status
    assert await items(client, scope) == await memories(client, scope, "working") == []
    assert (await client.post("/v1/threads", json=space)).json()["workflow_id"] is None


async def test_steps_are_recorded_under_their_own_names(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    """Names of steps keep zero-width characters, even if a name has no other character."""
    await begin(client, scope)
    names = ["\u200b", "wash", "👩\u200d🍳 cook", "می\u200cپزد", "serve", "clear"]
    for name in names:
        assert (
            await post(client, scope, "w/events", {"type": "step_completed", "step_id": name})
        ).status_code == 201
    ended = await post(client, scope, "w/events", {"type": "completed"})
    assert ended.status_code == 201, ended.text
    (procedure,) = await memories(client, scope, "procedural")
    assert (procedure["id"], procedure["steps"]) == (ended.json()["memories"]["procedural"], names)


@dataclass
class EndOfWorkflow(ScreeningGate):
    """An ingestion step that ends the workflow `w` while a note is being written."""

    scope: Scope
    client: httpx.AsyncClient | None = None

    async def examine(self, _scope: Scope, submission: Submission) -> Submission:
        """End the workflow `w` before the first note is written, and return the submission
        unchanged.
        """
        if self.client is not None and submission.draft.type is MemoryType.WORKING:
            client = self.client
            self.client = None
            assert (
                await post(client, self.scope, "w/events", {"type": "completed"})
            ).status_code == 201
        return submission


@pytest.mark.parametrize(("on_end", "stored"), [("flush", 1), ("delete", 0), ("keep", 1)])
async def test_an_item_does_not_outlive_a_workflow_that_ends_while_it_is_written(
    live: LiveClient, services: Services, scope: Scope, on_end: str, stored: int
) -> None:
    """If a workflow ends while a note for it is written, the call is a 409, and no live note is
    left.
    """
    gate = EndOfWorkflow(scope)
    ingestor = replace(services.ingestor, gates=(gate,))
    async with connect(with_live_workflows(replace(services, ingestor=ingestor), live)) as client:
        await begin(client, scope, on_end=on_end)
        gate.client = client
        item = {
            "namespace": scope.namespace,
            "session_id": "s",
            "content": "x y z",
            "workflow_id": "w",
        }
        refused = await client.post("/v1/working", json=item)
        assert (refused.status_code, "completed" in refused.json()["detail"]) == (409, True)
        assert await items(client, scope) == []
        ended = await items(client, scope, include_cleared="true")
        assert len(ended) == stored
        assert all(item["cleared_at"] for item in ended)


async def test_an_item_created_again_without_its_workflow_is_kept(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    await begin(client, scope, on_end="delete")
    item = {"namespace": scope.namespace, "session_id": "s", "content": "x y z"}
    for belongs in ({"workflow_id": "w"}, {}):
        assert (await client.post("/v1/working", json={**item, **belongs})).status_code == 201
    await post(client, scope, "w/events", {"type": "completed"})
    assert [live["workflow_id"] for live in await items(client, scope)] == [None]


async def test_thread_of_one_workflow_is_not_opened_for_another(
    client: httpx.AsyncClient, scope: Scope
) -> None:
    """A thread key that belongs to one workflow opens the same thread again in this workflow.

    In another workflow it is a 409.
    """
    await begin(client, scope)
    await begin(client, scope, workflow_id="v")
    space = {"namespace": scope.namespace, "key": "k", "resource": "r"}
    statuses = [
        (await client.post("/v1/threads", json={**space, "workflow_id": workflow_id})).status_code
        for workflow_id in ("w", "w", "v")
    ]
    assert statuses == [201, 200, 409]


async def test_an_interrupted_end_of_a_workflow_is_completed_by_upkeep(
    live: LiveClient, services: Services, scope: Scope
) -> None:
    """If the service stops right after a workflow ends, a background job flushes its threads and
    clears its notes.
    """
    over_live = with_live_workflows(services, live)
    assert over_live.workflows is not None
    async with connect(over_live) as client:
        await begin(client, scope)
        thread_id = await joined(client, scope)
        end = NewEvent(type=WorkflowEventType.COMPLETED).at(NOW)
        await over_live.workflows.store.append(scope, AppendEvent("w", end))
        assert len(await items(client, scope)) == 1
        await over_live.workflows.ended.record_all()
        assert await items(client, scope) == []
        tags = sorted(memory["tags"][0] for memory in await memories(client, scope, "episodic"))
        assert tags == ["thread", "workflow"]
        response = await client.get(
            f"/v1/threads/{thread_id}", params={"namespace": scope.namespace}
        )
        assert response.status_code == 404
