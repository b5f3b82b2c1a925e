"""Tasks over HTTP that are rescheduled, reopened, completed or written again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.api.http.mcp.conftest import call, mcp_client

pytestmark = pytest.mark.anyio

SOON, LATER = ((NOW + timedelta(hours=hours)).isoformat() for hours in (2, 3))


@dataclass
class Tasks:
    """A client of one namespace's tasks, at the time `now`."""

    client: httpx.AsyncClient
    now: datetime = NOW

    async def write(self, content: str = "Take out the bins", **fields: Any) -> dict[str, Any]:
        """Write a task and return the answer."""
        body = {"type": "prospective", "namespace": "ann", "content": content, **fields}
        answer = await self.client.post("/v1/memories", json=body)
        assert answer.status_code in (200, 201), answer.text
        written: dict[str, Any] = answer.json()
        return written

    async def change(self, task_id: str, **fields: Any) -> dict[str, Any]:
        """Change fields of a task and return it."""
        answer = await self.client.patch(
            f"/v1/memories/{task_id}", params={"namespace": "ann"}, json=fields
        )
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def complete(self, task_id: str) -> None:
        """Complete a task, one minute later."""
        self.now += timedelta(minutes=1)
        assert (
            await self.client.post(f"/v1/memories/{task_id}/complete?namespace=ann")
        ).status_code == 200
        self.now += timedelta(minutes=1)

    async def due(self, **params: str) -> list[str]:
        """The ids of the tasks that are due."""
        answer = await self.client.get("/v1/prospective/due", params={"namespace": "ann", **params})
        return [task["id"] for task in answer.json()["due"]]

    async def statuses(self) -> list[str]:
        """The status of each stored task, in alphabetical order."""
        answer = await self.client.get("/v1/memories", params={"namespace": "ann"})
        return sorted(task["status"] for task in answer.json()["memories"])


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """Tasks of an empty namespace, whose clock a test can move."""
    opened: list[Tasks] = []
    async with connect(fake_services(lambda: opened[0].now if opened else NOW)) as client:
        opened.append(Tasks(client))
        yield opened[0]


@pytest.mark.parametrize(
    ("change", "asked_at"),
    [
        ({"due_at": LATER}, LATER),
        ({"status": "pending"}, NOW.isoformat()),
        ({"due_at": LATER, "priority": 5}, LATER),
    ],
)
async def test_a_delivered_task_that_is_rescheduled_is_due_again(
    tasks: Tasks, change: dict[str, Any], asked_at: str
) -> None:
    """A task that was marked as delivered is due again after its due time is moved, or its status
    set to pending.
    """
    task = (await tasks.write(due_at=NOW.isoformat()))["id"]
    assert await tasks.due(mark="true") == [task]
    assert await tasks.due(at=LATER) == []
    changed = await tasks.change(task, **change)
    assert (changed["status"], changed["fired_at"]) == ("pending", None)
    assert await tasks.due(at=asked_at) == [task]


async def test_a_delivered_task_stays_delivered_when_other_fields_change(tasks: Tasks) -> None:
    """A task that was marked as delivered is not due again because its priority is changed."""
    task = (await tasks.write(due_at=NOW.isoformat()))["id"]
    await tasks.due(mark="true")
    assert (await tasks.change(task, priority=5, status="active"))["fired_at"] is not None
    assert await tasks.due(at=LATER) == []


async def test_a_reopened_task_is_due_again() -> None:
    """A delivered task that was done is due again after an agent reopens it by MCP."""
    services = fake_services(lambda: NOW)
    async with connect(services) as client, mcp_client(services, "/mcp/ann") as agent:
        tasks = Tasks(client)
        task = (await tasks.write(due_at=NOW.isoformat()))["id"]
        await tasks.due(mark="true")
        await call(agent, "memory_correct", id=task, done=True)
        await call(agent, "memory_correct", id=task, done=False)
        assert await tasks.due() == [task]


async def test_the_time_of_completion_follows_the_status(tasks: Tasks) -> None:
    """PATCH to `completed` sets `completed_at`, and PATCH back to `pending` removes it. A caller
    may set another.
    """
    task = (await tasks.write())["id"]
    assert (await tasks.change(task, status="completed"))["completed_at"] == "2026-03-01T12:00:00Z"
    assert (await tasks.change(task, status="pending"))["completed_at"] is None
    named = await tasks.change(task, status="completed", completed_at="2026-02-01T00:00:00Z")
    assert named["completed_at"] == "2026-02-01T00:00:00Z"


async def test_the_words_of_a_due_time_are_dropped_with_it(tasks: Tasks) -> None:
    """If a due time that was read from the text is changed, `due_text` no longer names its
    words.
    """
    task = (await tasks.write("Call the dentist tomorrow at 3pm"))["memory"]
    assert task["due_text"] == "tomorrow at 3pm"
    assert (await tasks.change(task["id"], due_at=LATER))["due_text"] is None


@pytest.mark.parametrize("again", ["Take out the bins", "take out the bins!"])
async def test_a_completed_task_that_is_written_again_is_a_new_task(
    tasks: Tasks, again: str
) -> None:
    first = await tasks.write()
    for done in (1, 2, 3):
        await tasks.complete(first["id"])
        second = await tasks.write(again)
        assert (second["status"], second["memory"]["status"]) == ("stored", "pending")
        assert (await tasks.write("Take out the bins"))["merged_into"] == second["id"]
        assert await tasks.statuses() == ["completed"] * done + ["pending"]
        first = second


async def test_a_completed_task_stays_completed_if_an_earlier_write_is_sent_again(
    tasks: Tasks,
) -> None:
    """A task from the same place, or said before the completion, is not opened again by a repeated
    write.
    """
    for fields in ({"source": {"file": "a.md", "line": 1}}, {"created_at": NOW.isoformat()}):
        first = await tasks.write(f"Task of {sorted(fields)}", **fields)
        await tasks.complete(first["id"])
        repeated = await tasks.write(f"Task of {sorted(fields)}", **fields)
        assert (repeated["status"], repeated["memory"]["status"]) == ("merged", "completed")
    assert await tasks.statuses() == ["completed", "completed"]


async def test_a_repeated_task_has_the_higher_priority_and_the_named_kind(tasks: Tasks) -> None:
    await tasks.write("File the tax return", priority=4)
    repeated = await tasks.write("File the tax return", intention_type="commitment", priority=2)
    assert (repeated["memory"]["priority"], repeated["memory"]["intention_type"]) == (
        4,
        "commitment",
    )
    higher = await tasks.write("File the tax return", priority=5)
    assert (higher["memory"]["priority"], higher["memory"]["intention_type"]) == (5, "commitment")


@pytest.mark.parametrize(("first", "second"), [({}, {"due_at": SOON}), ({"due_at": SOON}, {})])
async def test_a_task_with_and_without_a_due_time_is_one_task(
    tasks: Tasks, first: dict[str, str], second: dict[str, str]
) -> None:
    task = await tasks.write("Call Bob", **first)
    repeated = await tasks.write("Call Bob", **second)
    assert (repeated["status"], repeated["merged_into"]) == ("merged", task["id"])
    assert repeated["memory"]["due_at"] == "2026-03-01T14:00:00Z"
    assert await tasks.due(at=LATER) == [task["id"]]
    written_at_once = await tasks.write("Call Bob", due_at=SOON, namespace="bob")
    assert repeated["memory"]["tokens"] == written_at_once["memory"]["tokens"]
    assert (await tasks.write("Call Bob"))["merged_into"] == task["id"]


async def test_tasks_with_two_due_times_are_two_tasks(tasks: Tasks) -> None:
    body = [
        {"type": "prospective", "content": "Call Bob", **due}
        for due in ({}, {"due_at": SOON}, {"due_at": LATER}, {})
    ]
    answer = await tasks.client.post("/v1/memories/batch", json={"namespace": "ann", "items": body})
    assert [result["status"] for result in answer.json()["results"]] == [
        "stored",
        "merged",
        "stored",
        "merged",
    ]
    assert len(await tasks.due(at=LATER)) == 2


async def test_a_task_that_is_told_again_with_another_date_is_one_task_with_a_history(
    tasks: Tasks,
) -> None:
    first = await tasks.write("Call the bank about the stolen credit card, Friday")
    tasks.now += timedelta(days=2)
    second = await tasks.write("call the bank about the stolen credit card, next Tuesday")
    assert second["supersedes"] == [first["id"]]
    assert await tasks.statuses() == ["pending"]
    (moved,) = second["memory"]["history"]
    assert (moved["as"], moved["reason"]) == ("moved", "the same task with another time")
    assert (moved["earlier"], moved["due_at"]) == (first["id"], first["memory"]["due_at"])
    due = await tasks.due(at="2026-04-01T00:00:00Z")
    assert due == [second["id"]]

    tasks.now += timedelta(days=1)
    third = await tasks.write("Call the bank about the stolen credit card on Thursday")
    assert [act["earlier"] for act in third["memory"]["history"]] == [first["id"], second["id"]]
    assert await tasks.statuses() == ["pending"]


async def test_a_task_that_was_moved_by_mistake_is_parted_and_stays_so(tasks: Tasks) -> None:
    space = {"namespace": "ann"}
    first = await tasks.write("Call the bank about the stolen credit card, Friday")
    tasks.now += timedelta(days=2)
    second = await tasks.write("call the bank about the stolen credit card, next Tuesday")
    answer = await tasks.client.get("/v1/decisions", params={**space, "kind": "moved"})
    (decision,) = answer.json()["decisions"]
    assert (decision["id"], decision["by"]) == (first["id"], second["id"])
    assert decision["reason"] == "the same task with another time"

    undone = await tasks.client.post(f"/v1/memories/{first['id']}/undo", params=space)
    assert undone.json()["restored"] == [first["id"]]
    assert await tasks.statuses() == ["pending", "pending"]
    later = await tasks.client.get(f"/v1/memories/{second['id']}", params=space)
    assert later.json()["history"] == []
    tasks.now += timedelta(days=1)
    await tasks.write("call the bank about the stolen credit card, next Tuesday")
    shown = await tasks.client.get(f"/v1/memories/{first['id']}", params=space)
    assert shown.json()["state"] == "current"
