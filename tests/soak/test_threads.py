"""Many concurrent writers on many threads, with the service killed by SIGKILL meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from api.settings import Settings
from benchmarks.harness.service import running, start
from tests.soak.service import TIMEOUT_S, Sizes, listed, with_policies

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
    """The size of the test: threads, writers on each, and appends to each thread."""

    threads: int
    writers: int
    appends: int

    @property
    def limit(self) -> int:
        """The limit of messages in a thread: 90 % of its appends."""
        return max(1, round(0.9 * self.appends))


@dataclass(slots=True)
class Writer:
    """Appends turns. acknowledged: contents answered with success; violations: times the thread exceeded `limit`."""

    thread_id: str
    contents: list[str]
    limit: int
    acknowledged: list[str] = field(default_factory=list)
    violations: int = 0

    def write(self, client: httpx.Client) -> None:
        """Append all turns or stop when the service is gone; an append without an answer is not repeated."""
        while self.contents:
            content = self.contents.pop()
            try:
                answer = client.post(f"/v1/threads/{self.thread_id}/turns", json={"role": "user", "content": content})
                answer.raise_for_status()
                self.acknowledged.append(content)
                if len(self.acknowledged) % _LOOK_EVERY == 0:
                    turns = client.get(f"/v1/threads/{self.thread_id}/stats").json()["turns"]
                    self.violations += turns > self.limit
            except (httpx.TransportError, httpx.HTTPStatusError):
                return


def test_acknowledged_turns_are_stored_once(settings: Settings, sizes: Sizes) -> None:
    """Every acknowledged turn is in its thread or in one memory, and no thread ever exceeds its limit."""
    load = sizes.of(Load(5, 4, 40), Load(100, 10, 500))
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


def _killed_on_the_way(settings: Settings, load: Load) -> list[Writer]:
    service = start(settings)
    with httpx.Client(base_url=service.url, timeout=TIMEOUT_S) as client:
        writers = [writer for number in range(load.threads) for writer in _writers(client, number, load)]
    with _writing(writers, service.url):
        while sum(len(writer.acknowledged) for writer in writers) < load.threads * load.appends * _KILLED_AT:
            time.sleep(0.05)
        service.kill([service.child.pid])
    return writers


@contextmanager
def _writing(writers: Sequence[Writer], url: str) -> Iterator[None]:
    """Let all writers write at once, each on a connection, until they are done."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, params={"namespace": _NAMESPACE}, limits=limits) as client:
        threads = [threading.Thread(target=writer.write, args=(client,), daemon=True) for writer in writers]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join()


def _writers(client: httpx.Client, number: int, load: Load) -> list[Writer]:
    thread = client.post("/v1/threads", json={"namespace": _NAMESPACE, "resource": "log", "key": f"t{number}"})
    thread_id = thread.raise_for_status().json()["id"]
    each = range(load.appends // load.writers)
    return [
        Writer(thread_id, [f"<t{number}w{writer}n{turn}> a turn of a log" for turn in each], load.limit)
        for writer in range(load.writers)
    ]


def _stored(url: str, writers: Sequence[Writer]) -> Counter[str]:
    """How often each turn is in a thread or a memory, once evicted turns have become memories."""
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
