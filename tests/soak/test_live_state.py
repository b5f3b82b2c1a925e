"""Acknowledged working items and turns of threads are stored, although the service and the Redis
server are killed.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import pytest

from api.settings import Settings
from benchmarks.harness.service import Service, processes_of, start
from tests.soak.service import TIMEOUT_S, Sizes, seeded, with_policies

pytestmark = pytest.mark.soak

_NAMESPACE = "live-state"
_WRITERS = 3
_WEEK_S = 7 * 24 * 3600
_POLICIES = "threads: {log: {max_turns: 1000000, ttl: 7d}}\n"


@dataclass(slots=True)
class Writer(ABC):
    """Writes until the service is gone. acknowledged: names of the items or turns answered with
    201.
    """

    session: str
    acknowledged: set[str] = field(default_factory=set)

    def write(self, url: str) -> None:
        """Write items or turns until the service is gone or refuses one."""
        with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
            for number in range(1_000_000):
                try:
                    answer = self.send(client, f"{number} of {self.session}")
                except httpx.TransportError:
                    return
                if answer.status_code != httpx.codes.CREATED:
                    return
                self.acknowledged.add(self.name(answer))

    @abstractmethod
    def send(self, client: httpx.Client, content: str) -> httpx.Response:
        """Write one item or turn with this content."""

    @abstractmethod
    def name(self, answer: httpx.Response) -> str:
        """The name of the item or turn that this answer acknowledges: the item's id or the turn's
        content.
        """

    @abstractmethod
    def stored(self, client: httpx.Client) -> set[str]:
        """Names (as `name` returns them) of all items or turns that the service has stored for this
        writer.
        """


class Items(Writer):
    """A writer of notes in the working memory of a session."""

    def send(self, client: httpx.Client, content: str) -> httpx.Response:
        """Write a new item."""
        return client.post(
            "/v1/working", json={**self._space(), "content": f"item {content}", "ttl_s": _WEEK_S}
        )

    def name(self, answer: httpx.Response) -> str:
        """The id of the item that the answer contains."""
        return str(answer.json()["id"])

    def stored(self, client: httpx.Client) -> set[str]:
        """The ids of the items in the session's working memory."""
        return {
            item["id"] for item in client.get("/v1/working", params=self._space()).json()["items"]
        }

    def _space(self) -> dict[str, str]:
        return {"namespace": _NAMESPACE, "session_id": self.session}


@dataclass(slots=True)
class Turns(Writer):
    """A writer that appends turns to a thread."""

    thread_id: str = ""

    def send(self, client: httpx.Client, content: str) -> httpx.Response:
        """Append a turn; the first call creates the thread."""
        if not self.thread_id:
            thread = client.post("/v1/threads", json={"namespace": _NAMESPACE, "resource": "log"})
            self.thread_id = thread.json()["id"]
        turn = {"role": "user", "content": f"turn {content}"}
        return client.post(
            f"/v1/threads/{self.thread_id}/turns", params={"namespace": _NAMESPACE}, json=turn
        )

    def name(self, answer: httpx.Response) -> str:
        """The content of the turn that the answer contains."""
        return str(answer.json()["turn"]["content"])

    def stored(self, client: httpx.Client) -> set[str]:
        """The contents of all turns of the writer's thread."""
        contents: set[str] = set()
        while self.thread_id:
            query: dict[str, str | int] = {
                "namespace": _NAMESPACE,
                "limit": 1_000,
                "offset": len(contents),
            }
            page = client.get(f"/v1/threads/{self.thread_id}", params=query).json()
            contents |= {turn["content"] for turn in page["turns"]}
            if len(contents) >= page["total"]:
                break
        return contents


def test_acknowledged_items_and_turns_survive_kills(settings: Settings, sizes: Sizes) -> None:
    settings = with_policies(settings, _POLICIES)
    rng = seeded()
    writers: list[Writer] = []
    service = start(settings)
    try:
        for number in range(sizes.pick(3, 20)):
            names = [f"round {number} writer {index}" for index in range(_WRITERS)]
            active = [kind(name) for kind in (Items, Turns) for name in names]
            _kill_while(active, service, settings, rng.uniform(0.2, 1.2))
            writers += active
            service = start(settings)
            assert _missing(service, writers) == set(), f"round {number}"
    finally:
        service.stop()
    assert sum(len(writer.acknowledged) for writer in writers) > len(writers)


def _kill_while(
    writers: Sequence[Writer], service: Service, settings: Settings, after_s: float
) -> None:
    threads = [
        threading.Thread(target=writer.write, args=(service.url,), daemon=True)
        for writer in writers
    ]
    for thread in threads:
        thread.start()
    time.sleep(after_s)
    service.kill([service.child.pid, *processes_of(settings.live_path, exclude={os.getpid()})])
    for thread in threads:
        thread.join(timeout=2 * TIMEOUT_S)


def _missing(service: Service, writers: Sequence[Writer]) -> set[str]:
    with httpx.Client(base_url=service.url, timeout=TIMEOUT_S) as client:
        return set().union(
            *(
                writer.acknowledged - writer.stored(client)
                for writer in writers
                if writer.acknowledged
            )
        )
