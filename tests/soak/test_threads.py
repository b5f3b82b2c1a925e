"""Many concurrent writers on many threads, with the service and the live server killed or stopped
meanwhile.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import httpx
import pytest

from api.settings import Settings
from benchmarks.harness.service import Service, kill, processes_of, running, start
from tests.soak.service import TIMEOUT_S, Sizes, listed, seeded, with_policies

pytestmark = pytest.mark.soak

_NAMESPACE = "threads"
_EVICTION_S = 180.0
"""How long evicted turns may take to become memories."""

_PAGE = 500
_KILLED_AT = 0.6
"""Share of the appends after which the service is killed."""

_LOOK_EVERY = 5
"""Appends of a writer after which it compares the length of the thread with its limit."""


@dataclass(frozen=True, slots=True)
class Load:
    """The size of the test.

    writers: per thread. appends: turns that are appended to each thread, by all its writers.
    """

    threads: int
    writers: int
    appends: int

    @property
    def limit(self) -> int:
        """The maximum number of messages in a thread: 90 % of the turns that are appended to it."""
        return max(1, round(0.9 * self.appends))


@dataclass(slots=True)
class Writer:
    """Appends turns to a thread. acknowledged: contents of the turns that were answered with
    success.

    violations: how often the thread was seen to have more than `limit` turns.
    """

    thread_id: str
    contents: list[str]
    limit: int
    acknowledged: list[str] = field(default_factory=list)
    violations: int = 0

    def write(self, client: httpx.Client) -> None:
        """Append all turns or stop when the service is gone; an append without an answer is not
        repeated.
        """
        while self.contents:
            content = self.contents.pop()
            try:
                answer = client.post(
                    f"/v1/threads/{self.thread_id}/turns", json={"role": "user", "content": content}
                )
                answer.raise_for_status()
                self.acknowledged.append(content)
                if len(self.acknowledged) % _LOOK_EVERY == 0:
                    turns = client.get(f"/v1/threads/{self.thread_id}/stats").json()["turns"]
                    self.violations += turns > self.limit
            except (httpx.TransportError, httpx.HTTPStatusError):
                return


def test_acknowledged_turns_are_stored_once(settings: Settings, sizes: Sizes) -> None:
    """Every acknowledged turn is in its thread or in one memory, and no thread ever exceeds its
    limit.
    """
    load = sizes.pick(Load(5, 4, 40), Load(100, 10, 500))
    policies = f"threads: {{log: {{max_messages: {load.limit}, max_turns: {load.appends + 1}}}}}\n"
    settings = with_policies(settings, policies)
    writers = _killed_on_the_way(settings, load)
    with running(settings) as service:
        with _writing(writers, service.url):
            pass
        stored = _stored(service.url, writers)
    acknowledged = [_mark(content) for writer in writers for content in writer.acknowledged]
    assert len(acknowledged) > _KILLED_AT * load.threads * load.appends
    assert [mark for mark in acknowledged if not stored[mark]] == []
    assert [mark for mark, count in stored.items() if count > 1] == []
    assert sum(writer.violations for writer in writers) == 0


@dataclass(slots=True)
class Place:
    """Holds the running service for threads that use it; after a restart, it holds the new
    process.
    """

    service: Service


@dataclass(slots=True)
class RetryingWriter:
    """Appends turns, each with its own idempotency key, and repeats a request until it is answered
    with 201.

    retries: number of repeated requests. refusals: the answers of 4xx, after which a request is not
    repeated.
    """

    place: Place
    thread_id: str
    contents: list[str]
    retries: int = 0
    refusals: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Append the turns `contents` in order. Stop at an answer of 4xx, which is added to
        `refusals`.
        """
        with httpx.Client(timeout=5.0, params={"namespace": _NAMESPACE}) as client:
            for content in self.contents:
                while (status := self._append(client, content)) != httpx.codes.CREATED:
                    if status is not None and status < httpx.codes.INTERNAL_SERVER_ERROR:
                        self.refusals.append(f"{status} for {content}")
                        return
                    self.retries += 1
                    time.sleep(0.05)

    def _append(self, client: httpx.Client, content: str) -> int | None:
        """The status code of the answer to an append; None if the connection failed."""
        url = f"{self.place.service.url}/v1/threads/{self.thread_id}/turns"
        turn = {"role": "user", "content": content, "metadata": {"mark": _mark(content)}}
        try:
            return client.post(
                url, json=turn, headers={"Idempotency-Key": _mark(content)}
            ).status_code
        except httpx.TransportError:
            return None


def test_turns_of_clients_that_retry_are_stored_once(settings: Settings, sizes: Sizes) -> None:
    """Every turn is stored exactly once if clients repeat failed requests with the same idempotency
    key.

    Meanwhile the service and the Redis server are killed, and the Redis server is paused.
    """
    load = sizes.pick(Load(5, 4, 800), Load(100, 10, 500))
    rng = seeded()
    settings = with_policies(
        settings, "threads: {log: {type: message_count_based, max_messages: 40, ttl: 7d}}\n"
    )
    place = Place(start(settings))
    try:
        with httpx.Client(base_url=place.service.url, timeout=TIMEOUT_S) as client:
            writers = [
                RetryingWriter(place, writer.thread_id, writer.contents)
                for number in range(load.threads)
                for writer in _writers(client, number, load)
            ]
        threads = [threading.Thread(target=writer.write, daemon=True) for writer in writers]
        for thread in threads:
            thread.start()
        faults = cycle(("stop the live server", "kill the live server", "kill the service"))
        for fault in islice(faults, sizes.pick(6, 30)):
            time.sleep(rng.uniform(0.3, 1.5))
            _inflict(fault, place, settings)
        for thread in threads:
            thread.join()
        stored = _read_back(place.service.url, {writer.thread_id for writer in writers})
    finally:
        place.service.stop()
    assert [refusal for writer in writers for refusal in writer.refusals] == []
    assert sum(writer.retries for writer in writers) > 0
    assert sorted(stored) == sorted(content for writer in writers for content in writer.contents)


def _inflict(fault: str, place: Place, settings: Settings) -> None:
    """Cause a fault: kill and restart the service, kill the Redis server, or pause the Redis server
    for 3 seconds.
    """
    live = processes_of(settings.live_path, exclude={os.getpid()})
    if fault == "kill the service":
        place.service.kill([place.service.child.pid])
        place.service = start(settings)
    elif fault == "kill the live server":
        kill(live)
    else:
        for pid in live:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)
        for pid in live:
            os.kill(pid, signal.SIGCONT)


def _read_back(url: str, thread_ids: set[str]) -> list[str]:
    """Check the metadata of all turns of the threads, and return their contents.

    Turns that became memories are included.
    """
    contents: list[str] = []
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        for thread_id in thread_ids:
            after: int | None = -1
            while after is not None:
                query: dict[str, Any] = {
                    "namespace": _NAMESPACE,
                    "include_flushed": True,
                    "limit": 1_000,
                    "after": after,
                }
                page = (
                    client.get(f"/v1/threads/{thread_id}/turns", params=query)
                    .raise_for_status()
                    .json()
                )
                assert all(
                    turn["metadata"] == {"mark": _mark(turn["content"])} for turn in page["turns"]
                )
                contents += [turn["content"] for turn in page["turns"]]
                after = page["next_after"]
    return contents


def _killed_on_the_way(settings: Settings, load: Load) -> list[Writer]:
    service = start(settings)
    with httpx.Client(base_url=service.url, timeout=TIMEOUT_S) as client:
        writers = [
            writer for number in range(load.threads) for writer in _writers(client, number, load)
        ]
    with _writing(writers, service.url):
        while (
            sum(len(writer.acknowledged) for writer in writers)
            < load.threads * load.appends * _KILLED_AT
        ):
            time.sleep(0.05)
        service.kill([service.child.pid])
    return writers


@contextmanager
def _writing(writers: Sequence[Writer], url: str) -> Iterator[None]:
    """Run all writers concurrently while the `with` block runs, and then wait for them to end."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with httpx.Client(
        base_url=url, timeout=TIMEOUT_S, params={"namespace": _NAMESPACE}, limits=limits
    ) as client:
        threads = [
            threading.Thread(target=writer.write, args=(client,), daemon=True) for writer in writers
        ]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join()


def _writers(client: httpx.Client, number: int, load: Load) -> list[Writer]:
    thread = client.post(
        "/v1/threads", json={"namespace": _NAMESPACE, "resource": "log", "key": f"t{number}"}
    )
    thread_id = thread.raise_for_status().json()["id"]
    each = range(load.appends // load.writers)
    return [
        Writer(
            thread_id, [f"<t{number}w{writer}n{turn}> a turn of a log" for turn in each], load.limit
        )
        for writer in range(load.writers)
    ]


def _stored(url: str, writers: Sequence[Writer]) -> Counter[str]:
    """Number of copies of each acknowledged turn in threads and memories, once every turn is stored
    or time is up.
    """
    expected = {_mark(content) for writer in writers for content in writer.acknowledged}
    deadline = time.monotonic() + _EVICTION_S
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        while True:
            stored: Counter[str] = Counter()
            for thread_id in {writer.thread_id for writer in writers}:
                stored.update(_in_thread(client, thread_id))
            for memory in listed(client, {"namespace": _NAMESPACE, "type": "episodic"}):
                stored.update(_mark(part) for part in memory["content"].split("user: ")[1:])
            if expected <= stored.keys() or time.monotonic() > deadline:
                return stored
            time.sleep(1.0)


def _in_thread(client: httpx.Client, thread_id: str) -> Iterator[str]:
    for offset in range(0, 1_000_000, _PAGE):
        query: dict[str, str | int] = {"namespace": _NAMESPACE, "limit": _PAGE, "offset": offset}
        page = client.get(f"/v1/threads/{thread_id}", params=query).json()["turns"]
        yield from (_mark(turn["content"]) for turn in page)
        if len(page) < _PAGE:
            return


def _mark(content: str) -> str:
    return content[content.index("<") : content.index(">") + 1]
