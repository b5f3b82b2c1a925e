"""Workflows that end while the service and the Redis server are killed: their threads still become
memories.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import pytest

from api.settings import Settings
from benchmarks.harness.service import Service, processes_of, start
from tests.soak.service import TIMEOUT_S, Sizes, listed, seeded

pytestmark = pytest.mark.soak

_NAMESPACE = "workflow-ends"
_SPACE = {"namespace": _NAMESPACE}
_WRITERS = 4
_TURNS = 5
_UPKEEP_S = 240.0
"""How long upkeep may take: the job runs every two minutes, and a claim of a killed process lasts
for one.
"""


@dataclass(slots=True)
class Task:
    """A workflow with a thread and a note in working memory. turns: contents of the acknowledged
    turns.
    """

    workflow_id: str
    thread_id: str = ""
    turns: list[str] = field(default_factory=list)

    def run(self, client: httpx.Client) -> None:
        """Create the workflow, its thread and its note, append the turns, and end the workflow.

        Raises HTTPError if a call fails.
        """
        self._post(client, "/v1/workflows", {**_SPACE, "workflow_id": self.workflow_id}, {})
        body = {**_SPACE, "workflow_id": self.workflow_id}
        self.thread_id = self._post(client, "/v1/threads", body, {}).json()["id"]
        note = {
            **body,
            "session_id": self.workflow_id,
            "content": f"note of {self.workflow_id}",
            "ttl_s": 3_600,
        }
        self._post(client, "/v1/working", note, {})
        for number in range(_TURNS):
            content = f"turn {number} of {self.workflow_id}"
            self._post(
                client,
                f"/v1/threads/{self.thread_id}/turns",
                {"role": "user", "content": content},
                _SPACE,
            )
            self.turns.append(content)
        self._post(
            client, f"/v1/workflows/{self.workflow_id}/events", {"type": "completed"}, _SPACE
        )

    def _post(
        self,
        client: httpx.Client,
        path: str,
        body: dict[str, object] | dict[str, str],
        query: dict[str, str],
    ) -> httpx.Response:
        return client.post(path, json=body, params=query).raise_for_status()

    def has_ended(self, client: httpx.Client) -> bool:
        """Whether the workflow is stored as completed, even if the client got no answer to its last
        event.
        """
        answer = client.get(f"/v1/workflows/{self.workflow_id}", params=_SPACE)
        return answer.is_success and answer.json()["state"]["status"] == "completed"

    def is_cleaned_up(self, client: httpx.Client) -> bool:
        """Whether the workflow's thread and its note in working memory are gone."""
        thread = client.get(f"/v1/threads/{self.thread_id}", params=_SPACE)
        items = client.get("/v1/working", params={**_SPACE, "session_id": self.workflow_id}).json()[
            "items"
        ]
        return thread.status_code == httpx.codes.NOT_FOUND and not items

    def flushed(self, client: httpx.Client) -> list[str]:
        """The contents of the thread's turns that became memories, in order."""
        query = {**_SPACE, "include_flushed": "true"}
        turns = (
            client.get(f"/v1/threads/{self.thread_id}/turns", params=query)
            .raise_for_status()
            .json()["turns"]
        )
        return [turn["content"] for turn in turns if turn["memory_id"]]


def test_ended_workflows_are_cleaned_up_after_kills(settings: Settings, sizes: Sizes) -> None:
    """After kills of service and Redis server, each ended workflow has one record and all its turns
    in memories.
    """
    tasks = list[Task]()
    rng = seeded()
    service = start(settings)
    try:
        for _ in range(sizes.pick(3, 20)):
            _kill_while_running(service, settings, tasks, rng.uniform(0.5, 2.0))
            service = start(settings)
        with httpx.Client(base_url=service.url, timeout=TIMEOUT_S) as client:
            ended = [task for task in tasks if task.has_ended(client)]
            _wait_for_upkeep(client, ended)
            assert [task.workflow_id for task in ended if task.flushed(client) != task.turns] == []
            records = [
                memory["metadata"]["workflow_id"]
                for memory in listed(client, {**_SPACE, "type": "episodic"})
                if "workflow_id" in memory["metadata"]
            ]
            assert sorted(records) == sorted(task.workflow_id for task in ended)
    finally:
        service.stop()
    assert len(ended) > _WRITERS


def _kill_while_running(
    service: Service, settings: Settings, tasks: list[Task], after_s: float
) -> None:
    writers = [
        threading.Thread(target=_work, args=(service.url, tasks), daemon=True)
        for _ in range(_WRITERS)
    ]
    for writer in writers:
        writer.start()
    time.sleep(after_s)
    service.kill([service.child.pid, *processes_of(settings.live_path, exclude={os.getpid()})])
    for writer in writers:
        writer.join(timeout=2 * TIMEOUT_S)


def _work(url: str, tasks: list[Task]) -> None:
    """Run one workflow after the other until the service is gone."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        while True:
            tasks.append(task := Task(str(uuid.uuid4())))
            try:
                task.run(client)
            except httpx.HTTPError:
                return


def _wait_for_upkeep(client: httpx.Client, ended: Sequence[Task]) -> None:
    deadline = time.monotonic() + _UPKEEP_S
    left = list(ended)
    while left := [task for task in left if not task.is_cleaned_up(client)]:
        assert time.monotonic() < deadline, f"not cleaned up: {[task.workflow_id for task in left]}"
        time.sleep(2.0)
