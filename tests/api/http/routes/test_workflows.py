"""Calls for workflows over HTTP: create, append events, read state and history, continue, and
end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.auth.keys import Role
from api.wiring.container import Services
from memtypes.llms.registry import Registry, default_file
from memtypes.model.scope import Scope
from tests.api.conftest import bearer, connect
from tests.fakes import FakeTokenizer
from tests.fakes_workflows import FakeWorkflows

pytestmark = pytest.mark.anyio
IN = {"namespace": "n"}


async def begun(client: httpx.AsyncClient, **fields: Any) -> str:
    """Create a workflow and return its id."""
    answer = await client.post("/v1/workflows", json={**IN, **fields})
    assert answer.status_code == 201, answer.text
    assert answer.json()["version"] == 0
    return str(answer.json()["workflow_id"])


async def report(
    client: httpx.AsyncClient, workflow_id: str, kind: str, **fields: Any
) -> httpx.Response:
    """Append an event to a workflow and return the answer."""
    return await client.post(
        f"/v1/workflows/{workflow_id}/events", params=IN, json={"type": kind, **fields}
    )


async def look(
    client: httpx.AsyncClient, workflow_id: str, part: str = "", **query: Any
) -> httpx.Response:
    """Send a GET on a workflow, or on a part of it such as `events`, and return the answer."""
    return await client.get(f"/v1/workflows/{workflow_id}{part}", params={**IN, **query})


async def test_a_workflow_is_created_read_ended_and_stored_as_memories(
    client: httpx.AsyncClient,
) -> None:
    workflow_id = await begun(client, data={"name": "Release"})
    assert (await report(client, workflow_id, "started")).json()["version"] == 1
    await report(
        client, workflow_id, "step_started", step_id="build", agent="ci", input={"ref": "main"}
    )
    await report(
        client,
        workflow_id,
        "step_completed",
        step_id="build",
        output="ok",
        resources={"image": "v2"},
    )
    workflow = (await look(client, workflow_id)).json()
    assert (workflow["workflow_id"], workflow["parent_id"], workflow["version"]) == (
        workflow_id,
        None,
        3,
    )
    state = workflow["state"]
    assert (state["status"], state["resources"], state["data"]) == (
        "running",
        {"image": "v2"},
        {"name": "Release"},
    )
    step = state["steps"]["build"]
    assert (step["status"], step["agent"], step["input"], step["output"]) == (
        "completed",
        "ci",
        {"ref": "main"},
        "ok",
    )
    assert step["started_at"] == step["ended_at"] == "2026-03-01T12:00:00Z"
    before = (await look(client, workflow_id, at_version=2)).json()
    assert (before["version"], before["state"]["steps"]["build"]["status"]) == (2, "running")
    ended = (await report(client, workflow_id, "completed")).json()
    memory = await client.get(f"/v1/memories/{ended['memories']['episodic']}", params=IN)
    assert "Release" in memory.json()["content"]


async def test_workflow_of_six_steps_becomes_a_procedure(client: httpx.AsyncClient) -> None:
    workflow_id = await begun(client)
    for number in range(6):
        await report(client, workflow_id, "step_completed", step_id=f"s{number}")
    assert (await report(client, workflow_id, "completed")).json()["memories"].keys() == {
        "episodic",
        "procedural",
    }
    assert (await report(client, workflow_id, "completed")).status_code == 409
    for kind in ("episodic", "procedural"):
        assert (await client.get("/v1/memories", params={**IN, "type": kind})).json()["total"] == 1


async def test_a_conflicting_event_is_answered_with_the_workflows_version(
    client: httpx.AsyncClient,
) -> None:
    """Appending an event is a 409 if the workflow has ended, or is not at the event's
    expected_version.

    The answer has the workflow's current version.
    """
    workflow_id = await begun(client)
    await report(client, workflow_id, "started")
    answer = await report(client, workflow_id, "note", expected_version=0)
    assert (answer.status_code, answer.json()["current_version"]) == (409, 1)
    assert (await report(client, workflow_id, "note", expected_version=1)).status_code == 201
    await report(client, workflow_id, "failed")
    after = await report(client, workflow_id, "step_started", step_id="late")
    assert (after.status_code, after.json()["current_version"]) == (409, 3)
    assert (await begun_again(client, workflow_id)).status_code == 409


async def begun_again(client: httpx.AsyncClient, workflow_id: str) -> httpx.Response:
    """Try to create a workflow with an id that exists, and return the answer."""
    return await client.post("/v1/workflows", json={**IN, "workflow_id": workflow_id})


async def test_a_chain_lists_its_workflows_and_the_newest_resource_values(
    client: httpx.AsyncClient,
) -> None:
    """The chain of a workflow lists its ancestors, oldest first, and itself.

    Its resources have the newest value that any of them set.
    """
    await begun(client, workflow_id="a")
    await begun(client, workflow_id="b", parent_id="a")
    await report(client, "a", "resource_changed", resources={"x": 1, "y": 1})
    await report(client, "b", "resource_changed", resources={"x": 2})
    chain = (await look(client, "b", "/chain")).json()
    assert [
        (item["workflow_id"], item["parent_id"], item["status"]) for item in chain["workflows"]
    ] == [
        ("a", None, "pending"),
        ("b", "a", "pending"),
    ]
    assert (chain["gap"], chain["cycle"]) == (False, False)
    resources = (await look(client, "b", "/resources")).json()["resources"]
    assert {item["id"]: item["value"] for item in resources} == {"x": 2, "y": 1}


async def test_chain_gives_states_with_reasons_and_actors(client: httpx.AsyncClient) -> None:
    """The chain lists every status that each of its workflows had, with the time, the actor and the
    reason.
    """
    await begun(client, workflow_id="a")
    await report(client, "a", "step_started", step_id="build", agent="ci")
    await report(client, "a", "failed", agent="ci", error="disk full")
    await begun(client, workflow_id="b", parent_id="a")
    await report(client, "b", "cancelled", agent="ann", reason="not needed any more")
    first, second = (await look(client, "b", "/chain")).json()["workflows"]
    states = [
        (state["status"], state["version"], state["actor"], state["reason"])
        for state in first["states"]
    ]
    assert states == [
        ("pending", 0, None, None),
        ("running", 1, "ci", None),
        ("failed", 2, "ci", "disk full"),
    ]
    assert {state["at"] for state in first["states"]} == {"2026-03-01T12:00:00Z"}
    assert (second["status"], second["actor"], second["reason"]) == (
        "cancelled",
        "ann",
        "not needed any more",
    )
    assert (await look(client, "a")).json()["state"]["changes"] == first["states"]
    assert (await look(client, "b", "/events")).json()["events"][0][
        "reason"
    ] == "not needed any more"


async def test_workflows_are_listed_with_filters_and_cursor(guarded: Services) -> None:
    """A reader lists a namespace's workflows by status or parent, page by page."""
    async with connect(guarded, headers=bearer("acme", Role.WRITER)) as client:
        await begun(client, workflow_id="a", on_end="keep")
        for name in ("b", "c", "d"):
            await begun(client, workflow_id=name, parent_id="a")
        await report(client, "b", "failed")
        await client.post("/v1/workflows", json={"namespace": "another", "workflow_id": "x"})
    async with connect(guarded, headers=bearer("acme", Role.READER)) as client:
        page = (await client.get("/v1/workflows", params=IN)).json()
        assert ([item["workflow_id"] for item in page["workflows"]], page["next_cursor"]) == (
            list("dcba"),
            None,
        )
        assert page["workflows"][-1] == {
            "workflow_id": "a",
            "parent_id": None,
            "status": "pending",
            "version": 0,
            "on_end": "keep",
            "created_at": "2026-03-01T12:00:00Z",
            "updated_at": "2026-03-01T12:00:00Z",
        }
        for query, expected in (
            ({"status": "failed"}, ["b"]),
            ({"parent_id": "a"}, ["d", "c", "b"]),
            ({"parent_id": "a", "status": "pending"}, ["d", "c"]),
            ({"parent_id": "nobody"}, []),
        ):
            answer = (await client.get("/v1/workflows", params={**IN, **query})).json()
            assert [item["workflow_id"] for item in answer["workflows"]] == expected
        first = (await client.get("/v1/workflows", params={**IN, "limit": 3})).json()
        second = (
            await client.get("/v1/workflows", params={**IN, "cursor": first["next_cursor"]})
        ).json()
        assert [item["workflow_id"] for item in second["workflows"]] == ["a"]
        for query in ({"status": "asleep"}, {"cursor": "nonsense"}, {"limit": "0"}):
            assert (await client.get("/v1/workflows", params={**IN, **query})).status_code == 422


async def test_invalid_parents_are_refused(client: httpx.AsyncClient) -> None:
    """A workflow with an unknown parent, or with itself as parent, is a 404. One with twenty
    ancestors is a 422.
    """
    for parent in ("nobody", "me"):
        answer = await client.post(
            "/v1/workflows", json={**IN, "workflow_id": "me", "parent_id": parent}
        )
        assert answer.status_code == 404
    await begun(client, workflow_id="0")
    for number in range(1, 20):
        await begun(client, workflow_id=str(number), parent_id=str(number - 1))
    answer = await client.post("/v1/workflows", json={**IN, "parent_id": "19"})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "parent_id")


async def test_events_are_paged_by_next_after(client: httpx.AsyncClient) -> None:
    """`next_after` of a page of events is the start of the next page.

    It is null on the last page, even a full or empty one.
    """
    workflow_id = await begun(client)
    for number in range(5):
        await report(client, workflow_id, "note", input=number)
    first = (await look(client, workflow_id, "/events", limit=3)).json()
    assert ([item["input"] for item in first["events"]], first["next_after"]) == ([0, 1, 2], 3)
    last_page = (await look(client, workflow_id, "/events", after=3)).json()
    assert ([item["version"] for item in last_page["events"]], last_page["next_after"]) == (
        [4, 5],
        None,
    )
    full = (await look(client, workflow_id, "/events", after=2, limit=3)).json()
    assert ([item["version"] for item in full["events"]], full["next_after"]) == ([3, 4, 5], None)
    assert (await look(client, workflow_id, "/events", after=5)).json() == {
        "events": [],
        "next_after": None,
    }


async def test_continue_history_fits_its_budget(client: httpx.AsyncClient) -> None:
    """Continuing a workflow returns its history as text that fits the token budget, even 0, and the
    text's tokens.
    """
    workflow_id = await begun(client)
    for number in range(30):
        await report(client, workflow_id, "note", input=f"entry {number}")
    for budget in (0, 10, 60, 300, 10_000):
        path = f"/v1/workflows/{workflow_id}/continue"
        answer = await client.post(path, params=IN, json={"input": "go on", "budget": budget})
        outcome = answer.json()
        assert (
            outcome["metadata"]["total_tokens"]
            == FakeTokenizer().count(outcome["history"])
            <= budget
        )
        assert outcome["metadata"]["budget"] == budget
    assert "entry 0" in outcome["history"]


async def test_continue_shows_the_newest_value_of_each_resource(client: httpx.AsyncClient) -> None:
    """The history text that continuing a workflow returns has each resource once, with its newest
    value.

    A resource is a value that an event of the workflow or an ancestor stored under a name. The
    answer says how many events and values the text omits. With `versions` "all", the text has
    replaced values, too.
    """
    await begun(client, workflow_id="a", data={"goal": "ship it"})
    await report(
        client, "a", "resource_changed", resources={"plan": "draft one", "spec": "as agreed"}
    )
    await report(client, "a", "resource_changed", resources={"plan": "draft two"})
    await begun(client, workflow_id="b", parent_id="a")
    await report(client, "b", "resource_changed", resources={"plan": "final"})
    for number in range(60):
        await report(client, "b", "note", input=f"entry {number}")
    path = "/v1/workflows/b/continue"
    answer = (await client.post(path, params=IN, json={"input": "go on", "budget": 300})).json()
    for current in ("plan = final", "spec = as agreed", "goal = ship it", "entry 59"):
        assert answer["history"].count(current) == 1
    assert "draft" not in answer["history"]
    omitted = answer["omitted"]
    shown = answer["history"].count("entry ")
    assert (omitted["resources"], omitted["older_values"], omitted["data"]) == (2, 2, 0)
    assert omitted["events"] == 63 - shown > 0
    assert "older events are left out" in answer["history"]
    every = {"input": "go on", "budget": 5_000, "versions": "all"}
    answer = (await client.post(path, params=IN, json=every)).json()
    assert "plan = draft one (replaced)" in answer["history"]
    assert answer["omitted"] == {"events": 0, "resources": 0, "data": 0, "older_values": 0}


async def test_reading_a_history_appends_no_event(guarded: Services) -> None:
    """A GET of a history returns what `continue` would return, but appends no event.

    It works for ended workflows, too.
    """
    writer = bearer("acme", Role.WRITER)
    reader = bearer("acme", Role.READER)
    async with connect(guarded, headers=writer) as client:
        await begun(client, workflow_id="w")
        await report(client, "w", "step_failed", step_id="build", error="disk full")
        path = "/v1/workflows/w/history"
        response = await client.get(path, params={**IN, "budget": 500}, headers=reader)
        assert response.status_code == 200
        assert "step build failed" in response.json()["history"]
        assert response.json()["omitted"] == {
            "events": 0,
            "resources": 0,
            "data": 0,
            "older_values": 0,
        }
        assert response.json()["metadata"]["total_tokens"] == FakeTokenizer().count(
            response.json()["history"]
        )
        assert (response.json()["version"], (await look(client, "w")).json()["version"]) == (1, 1)
        onward = await client.post(
            "/v1/workflows/w/continue", params=IN, json={"input": "again", "budget": 500}
        )
        assert onward.json()["history"] == response.json()["history"]
        await report(client, "w", "completed")
        ended = await client.get(path, params=IN, headers=reader)
        assert "workflow completed" in ended.json()["history"]
        for query in ({"versions": "some"}, {"budget": "-1"}, {"model": ""}):
            assert (
                await client.get(path, params={**IN, **query}, headers=reader)
            ).status_code == 422


async def test_history_leaves_the_margin_of_its_model_free(client: httpx.AsyncClient) -> None:
    """For a model whose tokenizer is unknown, the history is shorter, so that it also fits if the
    model counts more.
    """
    workflow_id = await begun(client)
    for number in range(60):
        await report(client, workflow_id, "note", input=f"entry {number}")
    exact = (await look(client, workflow_id, "/history", budget=300)).json()
    unknown = (await look(client, workflow_id, "/history", budget=300, model="of-nobody")).json()
    assert unknown["omitted"]["events"] > exact["omitted"]["events"] > 0
    assert FakeTokenizer().count(unknown["history"]) < unknown["metadata"]["total_tokens"] <= 300


async def test_a_small_budget_shows_the_newest_event(client: httpx.AsyncClient) -> None:
    """The newest event is shown uncut if it fits the budget beside the workflow's data."""
    workflow_id = await begun(client, data={"goal": "ship it"})
    for number in range(20):
        await report(client, workflow_id, "note", input=f"entry {number} {'word ' * 8}")
    answer = (await look(client, workflow_id, "/history", budget=72)).json()
    assert "goal = ship it" in answer["history"]
    assert "entry 19" in answer["history"]
    assert "[cut]" not in answer["history"]
    small = (await look(client, workflow_id, "/history", budget=50)).json()
    assert (small["omitted"]["events"], "older events are left out" in small["history"]) == (
        20,
        True,
    )


async def test_default_budget_of_a_history_is_its_share_of_the_models_window(
    services: Services,
) -> None:
    """If a request names a model but no budget, the budget is the part of the model's context
    window for the history.

    Without a model it is 8,000 tokens.
    """
    async with connect(
        replace(services, models=lambda: Registry.from_files(default_file()))
    ) as client:
        workflow_id = await begun(client)
        allocation = (await client.post("/v1/models/resolve", json={"name": "gpt-4o"})).json()[
            "allocation"
        ]
        metadata = (await look(client, workflow_id, "/history", model="gpt-4o")).json()["metadata"]
        assert metadata["budget"] == allocation["history"] > 0
        assert (await look(client, workflow_id, "/history")).json()["metadata"]["budget"] == 8_000


async def test_an_expired_ancestor_is_reported_as_a_gap(services: Services) -> None:
    """If an ancestor of a workflow has expired, the chain lists the other workflows, and `gap` is
    true.
    """
    async with connect(services) as client:
        for name, parent in (("a", None), ("b", "a"), ("c", "b")):
            await begun(client, workflow_id=name, parent_id=parent)
        assert isinstance(services.workflows.store, FakeWorkflows)
        services.workflows.store.expire(Scope("default", "n"), "b")
        chain = (await look(client, "c", "/chain")).json()
    assert ([link["workflow_id"] for link in chain["workflows"]], chain["gap"]) == (
        ["a", "c"],
        True,
    )


async def test_repeated_continue_returns_the_same_answer(client: httpx.AsyncClient) -> None:
    """Continuing a workflow again with the same idempotency key and body appends no second event.

    The same key with another body is a 409.
    """
    workflow_id = await begun(client)
    path = f"/v1/workflows/{workflow_id}/continue"
    body = {"input": "go", "idempotency_key": "k"}
    answers = [(await client.post(path, params=IN, json=body)).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert (await look(client, workflow_id)).json()["version"] == 1
    other = await client.post(path, params=IN, json={**body, "input": "stop"})
    assert other.status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "slept"},
        {"type": "step_started"},
        {"type": "step_started", "step_id": ""},
        {"type": "note", "expected_version": "1"},
        {"type": "note", "expected_version": -1},
        {"type": "note", "more": 1},
        {"type": "data_set"},
        {"type": "data_set", "data": []},
        {"type": "resource_changed", "resources": {"": 1}},
        {"type": "note", "input": "x" * 300_000},
    ],
)
async def test_an_invalid_event_is_refused_with_422(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    workflow_id = await begun(client)
    answer = await client.post(f"/v1/workflows/{workflow_id}/events", params=IN, json=body)
    assert answer.status_code == 422
    assert (await look(client, workflow_id)).json()["version"] == 0


@pytest.mark.parametrize(
    "body", [{}, {"input": None}, {"input": "  "}, {"input": "x", "budget": -1}]
)
async def test_an_invalid_continue_is_refused_with_422(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    """Continuing a workflow without input or with a negative budget is refused, and appends no
    event.
    """
    workflow_id = await begun(client)
    answer = await client.post(f"/v1/workflows/{workflow_id}/continue", params=IN, json=body)
    assert answer.status_code == 422
    assert (await look(client, workflow_id)).json()["version"] == 0


async def test_workflows_are_isolated(guarded: Services) -> None:
    """A workflow is a 404 for other tenants and in other namespaces. A reader may read it, but not
    create one.
    """
    async with connect(guarded) as client:
        body = {**IN, "workflow_id": "w"}
        local = bearer("acme", Role.WRITER)
        assert (await client.post("/v1/workflows", json=body, headers=local)).status_code == 201
        for headers, namespace, name in (
            (bearer("other", Role.ADMIN), "n", "w"),
            (local, "another", "w"),
            (local, "n", "nobody"),
        ):
            query = {"namespace": namespace}
            for part in ("", "/chain", "/resources", "/events", "/history"):
                answer = await client.get(
                    f"/v1/workflows/{name}{part}", params=query, headers=headers
                )
                assert answer.status_code == 404
            for part, sent in (("events", {"type": "note"}), ("continue", {"input": "x"})):
                path = f"/v1/workflows/{name}/{part}"
                assert (
                    await client.post(path, params=query, json=sent, headers=headers)
                ).status_code == 404
        reader = bearer("acme", Role.READER)
        assert (await client.post("/v1/workflows", json=body, headers=reader)).status_code == 403
        assert (await client.get("/v1/workflows/w", params=IN, headers=reader)).status_code == 200


async def test_reading_a_future_version_is_refused_with_422(client: httpx.AsyncClient) -> None:
    workflow_id = await begun(client)
    answer = await look(client, workflow_id, at_version=1)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "at_version")


async def test_workflow_id_with_a_slash_is_refused(client: httpx.AsyncClient) -> None:
    assert (
        await client.post("/v1/workflows", json={**IN, "workflow_id": "a/b"})
    ).status_code == 422
