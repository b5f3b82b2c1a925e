"""`thread-faults`: many writers on each of many threads, and a SIGKILL of the service in the middle.

Every acknowledged turn must afterwards be in its thread or in exactly one memory, and no thread may ever hold more
than its policy allows, whenever a writer looks. An append whose answer never came is not sent again: it may be there or
not, but only once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.settings import Settings
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import running, start
from benchmarks.apparatus.report import Report, Table

_NAMESPACE = "thread-faults"
_TIMEOUT_S = 60.0
_DRAIN_S = 180.0
_PAGE = 500
_KILLED_AT = 0.6
"""Of the appends, when the service is killed."""

_LOOK_EVERY = 5
"""Appends of a writer after which it looks at what the thread holds: 100 looks a thread in the whole."""


@dataclass(frozen=True, slots=True)
class ThreadFaultsRequest:
    """threads, writers on each, appends to each thread. kept: share of the appends that a thread may hold."""

    command: str
    threads: int = 100
    writers: int = 10
    appends: int = 500
    kept: float = 0.9

    @property
    def most(self) -> int:
        """Messages that a thread may hold."""
        return max(1, round(self.kept * self.appends))


@dataclass(slots=True)
class Writer:
    """Appends turns of its own and remembers which were acknowledged, and any that broke a limit."""

    thread_id: str
    name: str
    contents: list[str]
    most: int
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    violations: int = 0

    def write(self, client: httpx.Client) -> None:
        """Go on until all are sent or the service is gone."""
        while self.contents:
            content = self.contents.pop()
            try:
                answer = client.post(f"/v1/threads/{self.thread_id}/turns", json={"role": "user", "content": content})
                answer.raise_for_status()
                self.acknowledged.append((content, answer.json()["turn"]["index"]))
                if len(self.acknowledged) % _LOOK_EVERY == 0:
                    held = client.get(f"/v1/threads/{self.thread_id}/stats").json()["turns"]
                    self.violations += held > self.most
            except (httpx.TransportError, httpx.HTTPStatusError):
                return


def measure_thread_faults(request: ThreadFaultsRequest) -> Report:
    """The report: what was lost, doubled or above a limit."""
    with data_directory() as directory:
        policies = Path(directory) / "policies.yaml"
        policies.write_text(
            f"threads: {{log: {{max_messages: {request.most}, max_turns: {request.appends + 1}}}}}\n", encoding="utf-8"
        )
        settings = replace_policies(settings_in(directory), policies)
        began = time.perf_counter()
        writers = _killed_half_way(settings, request)
        with running(settings) as service:
            with _writing(writers, service.url):
                pass
            took = time.perf_counter() - began
            counts = _found(service.url, writers)
    return _report(request, writers, counts, took)


def _report(request: ThreadFaultsRequest, writers: Sequence[Writer], counts: Counter[str], took: float) -> Report:
    acknowledged = [content for writer in writers for content, _ in writer.acknowledged]
    figures = {
        "acknowledged": len(acknowledged),
        "lost": sum(counts[_mark(content)] == 0 for content in acknowledged),
        "doubled": sum(count > 1 for count in counts.values()),
        "limit violations": sum(writer.violations for writer in writers),
    }
    columns = ("threads", "writers each", "sent", *figures, "s")
    row = (request.threads, request.writers, request.threads * request.appends, *figures.values(), round(took, 1))
    return Report(request.command, (Table("Threads, the service killed half-way", columns, (row,)),), (), figures)


def replace_policies(settings: Settings, policies: Path) -> Settings:
    """`settings` with a policy file."""
    return settings.model_copy(update={"policies": policies})


def _killed_half_way(settings: Settings, request: ThreadFaultsRequest) -> list[Writer]:
    service = start(settings)
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        writers = [writer for number in range(request.threads) for writer in _writers(client, number, request)]
    total = request.threads * request.appends
    with _writing(writers, service.url):
        while sum(len(writer.acknowledged) for writer in writers) < total * _KILLED_AT:
            time.sleep(0.05)
        service.kill([service.child.pid])
    return writers


@contextmanager
def _writing(writers: Sequence[Writer], url: str) -> Iterator[None]:
    """All write at once, one connection each, until they are done."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, params={"namespace": _NAMESPACE}, limits=limits) as client:
        threads = [threading.Thread(target=writer.write, args=(client,), daemon=True) for writer in writers]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join()


def _writers(client: httpx.Client, number: int, request: ThreadFaultsRequest) -> list[Writer]:
    made = client.post("/v1/threads", json={"namespace": _NAMESPACE, "resource": "log", "key": f"t{number}"})
    made.raise_for_status()
    each = request.appends // request.writers
    names = [f"t{number}w{writer}" for writer in range(request.writers)]
    return [
        Writer(made.json()["id"], name, [f"<{name}n{one}> a turn of a log" for one in range(each)], request.most)
        for name in names
    ]


def _found(url: str, writers: Sequence[Writer]) -> Counter[str]:
    """How often each turn is in a thread or in a memory, once what had been left waiting is kept."""
    expected = {_mark(content) for writer in writers for content, _ in writer.acknowledged}
    deadline = time.monotonic() + _DRAIN_S
    while True:
        found: Counter[str] = Counter()
        with httpx.Client(base_url=url, timeout=_TIMEOUT_S) as client:
            for thread_id in {writer.thread_id for writer in writers}:
                found.update(_in_thread(client, thread_id))
            found.update(_in_memories(client))
        if expected <= found.keys() or time.monotonic() > deadline:
            return found
        time.sleep(1.0)


def _in_thread(client: httpx.Client, thread_id: str) -> list[str]:
    turns = []
    for offset in range(0, 1_000_000, _PAGE):
        query: dict[str, str | int] = {"namespace": _NAMESPACE, "limit": _PAGE, "offset": offset}
        page = client.get(f"/v1/threads/{thread_id}", params=query).json()["turns"]
        turns += [_mark(turn["content"]) for turn in page]
        if len(page) < _PAGE:
            break
    return turns


def _in_memories(client: httpx.Client) -> list[str]:
    marks: list[str] = []
    query: dict[str, str | int] = {"namespace": _NAMESPACE, "type": "episodic", "limit": _PAGE}
    while True:
        page = client.get("/v1/memories", params=query).json()
        marks += [_mark(part) for memory in page["memories"] for part in memory["content"].split("user: ")[1:]]
        if page["next_cursor"] is None:
            return marks
        query["cursor"] = page["next_cursor"]


def _mark(content: str) -> str:
    return content[content.index("<") : content.index(">") + 1]
