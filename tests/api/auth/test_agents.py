"""Keys bound to agents: a request acts as the key's agent, and no call returns another agent's
data.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from api.wiring.container import Services
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.agents_client import MARK, SESSION, World, key_header, serving
from tests.api.conftest import problem

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(live: LiveClient, services: Services) -> AsyncIterator[World]:
    """An HTTP client of a service with keys that are bound to agents, over a real Redis server."""
    async with serving(live, services) as client:
        yield World(client, f"n {uuid.uuid4()}")


async def test_a_key_bound_to_one_agent_acts_as_that_agent(world: World) -> None:
    """A request with a key bound to one agent need not name it. A request that names another agent
    gets a 403.
    """
    box = await world.thread("ann", resource="boxes", variables=SESSION)
    turn = {"role": "user", "content": "hello"}
    answer = await world.on_thread("ann", "POST", f"/{box}/turns", turn)
    assert answer.json()["turn"]["agent_id"] == "ann"
    assert (
        "acts as 'ann'"
        in problem(await world.on_thread("ann", "GET", f"/{box}", agent_id="bob"), 403)["detail"]
    )
    problem(await world.on_thread("ann", "POST", f"/{box}/turns", {**turn, "agent_id": "bob"}), 403)
    problem(
        await world.on_thread(
            "ann", "PUT", f"/{box}/turns", {"turns": [turn, {**turn, "agent_id": "bob"}]}
        ),
        403,
    )
    for path in ("/v1/memories", "/v1/working", "/v1/search", "/v1/threads"):
        body = {
            "type": "semantic",
            "content": "x",
            "session_id": "s",
            "query": "x",
            "agent_id": "bob",
        }
        fields = {
            "/v1/memories": ("type", "content", "agent_id"),
            "/v1/working": ("content", "session_id", "agent_id"),
            "/v1/search": ("query", "agent_id"),
            "/v1/threads": ("agent_id",),
        }[path]
        problem(await world.call("ann", "POST", path, {name: body[name] for name in fields}), 403)
    await world.call("host", "POST", "/v1/workflows", {"workflow_id": "w"})
    events = "/v1/workflows/w/events"
    query = {"namespace": world.namespace}
    for agent, status in (("bob", 403), ("ann", 201)):
        step = {"type": "step_started", "step_id": "s", "agent": agent}
        answer = await world.client.post(events, json=step, params=query, headers=key_header("ann"))
        assert answer.status_code == status
    batch = {"items": [{"type": "semantic", "content": "x", "agent_id": "bob"}]}
    problem(await world.call("ann", "POST", "/v1/memories/batch", batch), 403)


async def test_a_request_with_a_key_of_several_agents_must_name_one(world: World) -> None:
    """With a key bound to several agents, a request that acts as an agent gets a 422 if it names
    none.

    Other requests, such as a list of memories or of due tasks and the end of a session, succeed
    without.
    """
    box = await world.thread("both", resource="boxes", variables=SESSION, agent_id="cat")
    missing = problem(await world.on_thread("both", "GET", f"/{box}"), 422)
    assert missing["errors"][0]["path"] == "agent_id"
    assert "'ann', 'cat'" in missing["detail"]
    problem(
        await world.call("both", "POST", "/v1/working", {"content": "x", "session_id": "s"}), 422
    )
    assert (await world.on_thread("both", "GET", f"/{box}", agent_id="cat")).status_code == 200
    problem(await world.on_thread("both", "GET", f"/{box}", agent_id="ann"), 403)
    fact = {"type": "semantic", "content": "The build runs on Friday."}
    for body in (fact, {"items": [fact]}):
        problem(
            await world.call(
                "both", "POST", f"/v1/memories{'/batch' if 'items' in body else ''}", body
            ),
            422,
        )
    for path, body, field in (
        ("/v1/search", {"query": "x"}, "agent_id"),
        ("/v1/retrieve", {"query": "x"}, "agent_id"),
        ("/v1/items/paths", {}, "agent_id"),
        ("/v1/workflows", {"workflow_id": "w"}, "agent"),
        ("/v1/hooks/prompt-submit", {"session_id": "s", "prompt": "x"}, "agent_id"),
    ):
        assert (
            problem(await world.call("both", "POST", path, body), 422)["errors"][0]["path"] == field
        )
    ended = {"session_id": "s", "messages": [{"role": "user", "content": "hello"}]}
    assert (await world.call("both", "POST", "/v1/hooks/session-stop", ended)).status_code == 200
    assert (await world.call("both", "GET", "/v1/prospective/due")).status_code == 200
    stored = await world.call("both", "POST", "/v1/memories", {**fact, "agent_id": "cat"})
    assert stored.json()["memory"]["agent_id"] == "cat"
    memories = await world.call("both", "GET", "/v1/memories")
    assert [memory["content"] for memory in memories.json()["memories"]] == [fact["content"]]


async def test_an_agent_with_a_read_only_reference_cannot_change_the_thread(world: World) -> None:
    """An agent whose policy lists a resource (a kind of thread) as read-only can read its threads.

    Each change of such a thread by this agent gets a 403.
    """
    shared = await world.thread("bob", resource="shared", variables=SESSION)
    assert await world.thread("ann", status=200, resource="shared", variables=SESSION) == shared
    for path in ("", "/chain", "/stats", "/health"):
        assert (await world.on_thread("ann", "GET", f"/{shared}{path}")).status_code == 200
    turn = {"role": "user", "content": "x"}
    changes: list[tuple[str, str, Any]] = [
        ("POST", "/turns", turn),
        ("PUT", "/turns", {"turns": [turn]}),
        ("POST", "/flush", {}),
        ("POST", "/clear", {"confirm": True}),
        ("DELETE", "", None),
    ]
    for method, path, body in changes:
        refused = problem(await world.on_thread("ann", method, f"/{shared}{path}", body), 403)
        assert "may not write to 'shared'" in refused["detail"]
    await world.thread("ann", status=403, resource="shared", variables=SESSION, initial_context="x")


async def test_an_agent_is_refused_threads_of_resources_not_listed_for_it(world: World) -> None:
    """An agent gets a 403 for threads of a resource (a kind of thread) that its policy does not
    list.

    This holds for a key bound to the agent and for any key with its `agent_id`. Threads without a
    resource are refused to the bound key only.
    """
    secret = await world.thread("host", resource="secret")
    loose = await world.thread("host", key="loose")
    for key, agent_id in (("ann", None), ("host", "ann")):
        for path in ("", "/chain", "/stats", "/health"):
            problem(await world.on_thread(key, "GET", f"/{secret}{path}", agent_id=agent_id), 403)
    await world.thread("host", status=403, resource="secret", agent_id="ann")
    await world.thread("ann", status=403, resource="secret")
    await world.thread("ann", status=403, resource="boxes", variables=SESSION, parent_id=secret)
    await world.thread(
        "ann", status=403, resource="boxes", variables={**SESSION, "agent": {"id": "bob"}}
    )
    await world.thread("bob", status=403, resource="boxes", key="box:ann:s1")
    problem(await world.on_thread("ann", "GET", f"/{loose}"), 403)
    assert (await world.on_thread("host", "GET", f"/{loose}", agent_id="ann")).status_code == 200


async def test_a_workflow_is_ended_by_the_agent_that_began_it(world: World) -> None:
    """An agent that ends a workflow of another agent gets a 403, because this can delete the
    threads of both.

    A key bound to no agent may end any workflow.
    """
    query = {"namespace": world.namespace}
    for name, began, refused, ends in (
        ("a", "bob", "ann", "bob"),
        ("b", "host", "ann", "host"),
        ("c", "bob", "ann", "host"),
    ):
        await world.call(began, "POST", "/v1/workflows", {"workflow_id": name, "on_end": "delete"})
        secret = await world.thread("bob", resource="secret", key=name, workflow_id=name)
        events = f"/v1/workflows/{name}/events"
        for kind in ("completed", "failed", "cancelled"):
            answer = await world.client.post(
                events, json={"type": kind}, params=query, headers=key_header(refused)
            )
            assert "agent 'ann' may not end workflow" in problem(answer, 403)["detail"]
        assert (await world.on_thread("bob", "GET", f"/{secret}")).status_code == 200
        ended = await world.client.post(
            events, json={"type": "completed"}, params=query, headers=key_header(ends)
        )
        assert ended.json()["threads"] == 1
        problem(await world.on_thread("bob", "GET", f"/{secret}"), 404)


async def test_an_event_gets_the_agent_of_the_key(world: World) -> None:
    """A workflow event that is sent with a key bound to one agent is recorded as that agent's
    event.

    With a key bound to several agents, the event must name one of them.
    """
    await world.call("ann", "POST", "/v1/workflows", {"workflow_id": "w"})
    problem(await world.call("both", "POST", "/v1/workflows", {}), 422)
    query = {"namespace": world.namespace}
    for path, event in (
        ("events", {"type": "step_started", "step_id": "s"}),
        ("continue", {"input": "go on"}),
    ):
        for key, agent, status in (
            ("both", None, 422),
            ("both", "bob", 403),
            ("both", "cat", None),
            ("ann", None, None),
        ):
            body = event | ({"agent": agent} if agent else {})
            answer = await world.client.post(
                f"/v1/workflows/w/{path}", json=body, params=query, headers=key_header(key)
            )
            assert answer.status_code == (status or {"events": 201, "continue": 200}[path])
    events = (await world.call("ann", "GET", "/v1/workflows/w/events")).json()["events"]
    assert [event["agent"] for event in events] == ["cat", "ann", "cat", "ann"]
    chain = (await world.call("ann", "GET", "/v1/workflows/w/chain")).json()["workflows"]
    assert [state["actor"] for state in chain[0]["states"]] == ["ann", "cat"]


async def test_a_thread_that_the_agent_may_only_read_does_not_join_a_workflow(world: World) -> None:
    """An agent that may only read a thread gets a 403 if it opens the thread as part of a workflow.

    The end of the workflow would end the thread too. If the agent opens all its threads in one
    call, only the threads that it may write become part of the workflow.
    """
    await world.call("ann", "POST", "/v1/workflows", {"workflow_id": "w"})
    await world.thread("ann", status=403, resource="shared", variables=SESSION, workflow_id="w")
    opened = await world.call(
        "ann", "POST", "/v1/threads", {"variables": SESSION, "workflow_id": "w"}
    )
    threads = {each["resource"]: each["thread"]["workflow_id"] for each in opened.json()["threads"]}
    assert threads == {"shared": None, "boxes": "w"}


async def test_an_admin_key_bound_to_agents_is_refused(world: World) -> None:
    rights = {"tenant": "t", "role": "reader", "agents": ["ann"]}
    refused = await world.client.post(
        "/v1/admin/keys", json={**rights, "role": "admin"}, headers=key_header("admin")
    )
    assert "reader or writer" in problem(refused, 422)["detail"]
    new_key = (
        await world.client.post("/v1/admin/keys", json=rights, headers=key_header("admin"))
    ).json()
    assert new_key["agents"] == ["ann"]
    keys = (await world.client.get("/v1/admin/keys", headers=key_header("admin"))).json()["keys"]
    assert [key["agents"] for key in keys if key["id"] == new_key["id"]] == [["ann"]]
    secret = await world.thread("host", resource="secret")
    query = {"namespace": world.namespace}
    headers = {"X-API-Key": new_key["key"]}
    problem(await world.client.get(f"/v1/threads/{secret}", params=query, headers=headers), 403)


async def plant(world: World) -> dict[str, list[str]]:
    """Store data of the agent bob, with the word MARK in each text.

    Returns lists of ids by the path parameter that takes them, such as `thread_id`.
    """
    secret = await world.thread("bob", resource="secret", initial_context=f"The plan is {MARK}")
    box = await world.thread(
        "bob", resource="boxes", variables=SESSION, initial_context=f"The plan is {MARK}"
    )
    loose = await world.thread("host", key="loose", initial_context=f"The plan is {MARK}")
    for thread in (secret, box, loose):
        turn = {"role": "user", "content": f"The plan is {MARK}", "files": [f"{MARK}.py"]}
        await world.on_thread("host", "POST", f"/{thread}/turns", turn)
    child = await world.thread("host", resource="shared", variables=SESSION, parent_id=secret)
    await world.on_thread(
        "host", "POST", f"/{child}/turns", {"role": "user", "content": "What is the plan?"}
    )
    backup = await world.thread("bob", resource="secret", key="cleared")
    await world.on_thread(
        "bob", "POST", f"/{backup}/turns", {"role": "user", "content": f"The plan was {MARK}"}
    )
    cleared = await world.on_thread(
        "bob", "POST", f"/{backup}/clear", {"confirm": True, "backup": True}
    )
    note = {"content": f"The plan is {MARK}, which nobody else may know", "session_id": "s1"}
    item = (await world.call("bob", "POST", "/v1/working", {**note, "todo_id": "t1"})).json()["id"]
    other = (
        await world.call("host", "POST", "/v1/working", {**note, "content": f"Nobody's {MARK}"})
    ).json()["id"]
    stored = {
        "type": "working",
        "content": f"A stored plan of {MARK} for the weekend",
        "session_id": "s1",
    }
    stored_id = (await world.call("bob", "POST", "/v1/memories", stored)).json()["id"]
    answer = await world.call(
        "bob", "POST", "/v1/retrieve", {"query": "what is the plan?", "session_id": "s1"}
    )
    assert MARK in answer.json()["context"]
    return {
        "thread_id": [secret, box, loose, child],
        "memory_id": [item, other, stored_id],
        "receipt_id": [answer.json()["receipt_id"]],
        "backup_id": [cleared.json()["backup_id"]],
        "workflow_id": ["w"],
        "agent_id": ["bob"],
        "job": ["expire"],
        "key_id": ["k"],
    }


class Walk:
    """Calls every operation in the OpenAPI document, with bodies and queries generated from its
    schemas.
    """

    def __init__(self, document: dict[str, Any], world: World, ids: dict[str, list[str]]) -> None:
        self._document = document
        self._world = world
        self._ids = ids

    async def leaks(self, key: str, **named: str) -> list[str]:
        """Operations, such as `GET /v1/threads`, whose answer to a call with `key` contains the
        word MARK.

        named: values for the request fields with these names, such as `agent_id`.
        """
        leaking = []
        for method, path, operation in self._operations():
            for target in self._targets(path):
                for thread_id in (
                    [None, *self._ids["thread_id"]] if path == "/v1/hooks/prompt-submit" else [None]
                ):
                    values = {**named, **({"thread_id": thread_id} if thread_id else {})}
                    answer = await self._call(key, method, target, operation, values)
                    assert answer.status_code != 500, f"{method} {path}: {answer.text}"
                    if MARK in answer.text:
                        leaking.append(f"{method} {path}")
        return leaking

    def _operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every operation as method, path and description; operations that delete come last."""
        operations = [
            (method.upper(), path, operation)
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
        ]
        yield from sorted(
            operations, key=lambda each: (each[0] == "DELETE", "clear" in each[1], each[1])
        )

    def _targets(self, path: str) -> list[str]:
        for name, ids in self._ids.items():
            if f"{{{name}}}" in path:
                return [path.replace(f"{{{name}}}", value) for value in ids]
        assert "{" not in path, f"the walk has no value for a parameter of {path}"
        return [path]

    async def _call(
        self, key: str, method: str, path: str, operation: dict[str, Any], named: dict[str, str]
    ) -> httpx.Response:
        query = {
            each["name"]: self._value(each["name"], each["schema"], named)
            for each in operation.get("parameters", [])
            if each["in"] == "query"
            and (each.get("required") or each["name"] in {**self._known(), **named})
        }
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        body = self._value("", schema, named) if schema else None
        headers = key_header(key) | ({"content-type": "application/json"} if schema else {})
        text = json.dumps(body) if schema else None
        return await self._world.client.request(
            method, path, params=query, content=text, headers=headers
        )

    def _known(self) -> dict[str, Any]:
        return {
            "namespace": self._world.namespace,
            "session_id": "s1",
            "query": "what is the plan?",
            "prompt": "what is the plan?",
            "budget": 2000,
            "contents": "true",
            "include_cleared": "true",
            "include_flushed": "true",
            "include_expired": "true",
            "explain": True,
            "confirm": "true",
        }

    def _value(self, name: str, schema: dict[str, Any], named: dict[str, str]) -> Any:
        """A value for the field `name` that fits `schema`.

        It is taken from `named` or `_known()`, else it is the simplest value that the schema
        allows.
        """
        if "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        known = {**self._known(), **named}
        kind = schema.get("type")
        if name in known:
            return True if kind == "boolean" and known[name] == "true" else known[name]
        for branch in ("anyOf", "oneOf", "allOf"):
            if branch in schema:
                return self._value(name, schema[branch][0], named)
        if "enum" in schema or "const" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        if kind == "object":
            properties = schema.get("properties", {})
            required = schema.get("required", [])
            wanted = {
                each: part for each, part in properties.items() if each in required or each in known
            }
            return {each: self._value(each, part, named) for each, part in wanted.items()}
        simple: dict[str, Any] = {"array": [], "integer": 1, "number": 0.5, "boolean": True}
        return simple.get(str(kind), "some text that is long enough")


@pytest.mark.slow
async def test_no_api_operation_returns_another_agents_data(world: World) -> None:
    """No call with a key bound to other agents returns data of the agent bob.

    The same calls with a key bound to no agent do return his data, so they reach it.
    """
    ids = await plant(world)
    document = (await world.client.get("/openapi.json")).json()
    walk = Walk(document, world, ids)
    assert await walk.leaks("ann") == []
    assert await walk.leaks("ann", agent_id="bob") == []
    assert await walk.leaks("both", agent_id="ann") == []
    assert await walk.leaks("both") == []
    threads = [await world.on_thread("host", "GET", f"/{thread}") for thread in ids["thread_id"]]
    assert [answer.json()["total"] for answer in threads] == [1, 1, 1, 1]
    items = (await world.call("bob", "GET", "/v1/working", session_id="s1")).json()["items"]
    assert [item["id"] for item in items] == ids["memory_id"][:1]
    assert (
        await world.call("bob", "GET", f"/v1/memories/{ids['memory_id'][2]}")
    ).status_code == 200
    reached = {operation.split("?")[0] for operation in await walk.leaks("host")}
    assert len(reached) >= 12, reached
