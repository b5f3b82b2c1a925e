"""Memories written while the service, its store process, or both are killed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import httpx
import pytest

from api.settings import Settings
from benchmarks.harness.service import Service, start
from benchmarks.harness.synthetic import turns
from tests.soak.service import TIMEOUT_S, Sizes, pids_of, seeded, stored_memories, victims

pytestmark = pytest.mark.soak

NAMESPACE = "writes"
_WRITERS = 3
_BATCH = 20
_RESTART_S = 2.0
"""After its store process was killed, a service may start another and go on for this long."""

_ATTEMPTS = 200


@dataclass(slots=True)
class Writer:
    """Writes batches until the service fails. acknowledged: ids reported as stored or merged."""

    url: str
    seed: int
    acknowledged: set[str] = field(default_factory=set)

    def write(self) -> None:
        """Write batches of memories until the service does not acknowledge a whole batch."""
        texts = turns(1_000_000, seed=self.seed)
        with httpx.Client(base_url=self.url, timeout=TIMEOUT_S) as client:
            while True:
                batch = _stored(client, [next(texts).text for _ in range(_BATCH)])
                self.acknowledged |= batch
                if len(batch) < _BATCH:
                    return


def _stored(client: httpx.Client, texts: list[str]) -> set[str]:
    """Write the texts and return the ids reported as stored or merged; empty if the service is gone
    or refuses.
    """
    items = [{"type": "semantic", "content": text} for text in texts]
    try:
        answer = client.post("/v1/memories/batch", json={"namespace": NAMESPACE, "items": items})
    except httpx.TransportError:
        return set()
    results = answer.json()["results"] if answer.status_code == httpx.codes.OK else []
    return {result["id"] for result in results if result["status"] in ("stored", "merged")}


def test_acknowledged_writes_survive_kills(settings: Settings, sizes: Sizes) -> None:
    """In each round, processes are killed while three clients write memories.

    After the restart, every acknowledged memory is there.
    """
    rng = seeded()
    acknowledged: set[str] = set()
    for index, victim in enumerate(victims(sizes.pick(3, 9))):
        least = sizes.pick(60, 300)
        fresh = _round(
            settings,
            victim,
            rng.randint(least, 3 * least),
            rng.uniform(0.0, 0.3),
            seed=7_000 + 10 * index,
        )
        assert fresh, victim
        acknowledged |= fresh
        stored = {memory["id"] for memory in stored_memories(settings, NAMESPACE)}
        assert acknowledged - stored == set(), victim


def _round(settings: Settings, victim: str, count: int, later_s: float, *, seed: int) -> set[str]:
    """Kill `victim` `later_s` seconds after `count` writes are acknowledged; return the ids of
    acknowledged writes.
    """
    service = start(settings)
    writers = [Writer(service.url, seed + index) for index in range(_WRITERS)]
    threads = [threading.Thread(target=writer.write, daemon=True) for writer in writers]
    try:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 120.0
        while sum(len(writer.acknowledged) for writer in writers) < count:
            assert time.monotonic() < deadline, (
                f"fewer than {count} writes were acknowledged in two minutes"
            )
            time.sleep(0.005)
        time.sleep(later_s)
        service.kill(pids_of(service, victim))
        if victim == "store":
            time.sleep(_RESTART_S)
    finally:
        service.kill([service.child.pid])
    for thread in threads:
        thread.join(timeout=2 * TIMEOUT_S)
    return set().union(*(writer.acknowledged for writer in writers))


def test_every_item_is_stored_by_a_client_that_retries(settings: Settings, sizes: Sizes) -> None:
    count, kills = sizes.pick((400, 3), (20_000, 10))
    source = turns(count, seed=7)
    batches = [
        [f"{start + index}. {next(source).text}" for index in range(100)]
        for start in range(0, count, 100)
    ]
    due = dict(zip(_spread(len(batches), kills), victims(kills), strict=True))
    rng = seeded()
    reported = set[str]()
    service = start(settings)
    try:
        for index, batch in enumerate(batches):
            killer = _killer(service, due[index], rng.uniform(0.0, 0.6)) if index in due else None
            service = _send(settings, service, batch, reported)
            if killer:
                killer.join()
    finally:
        service.kill(service.pids())
    stored = [memory["id"] for memory in stored_memories(settings, NAMESPACE)]
    assert len(reported) == len(stored) == count
    assert set(stored) == reported


def _spread(batches: int, kills: int) -> list[int]:
    return [batches * (index + 1) // (kills + 1) for index in range(kills)]


def _killer(service: Service, victim: str, after_s: float) -> threading.Timer:
    killer = threading.Timer(after_s, service.kill, [pids_of(service, victim)])
    killer.start()
    return killer


def _send(settings: Settings, service: Service, batch: list[str], reported: set[str]) -> Service:
    """Send the batch until it is stored, and return the running service, which is restarted if it
    was killed.

    reported: a set to which the ids of the answers are added.
    """
    for _ in range(_ATTEMPTS):
        if service.child.poll() is not None:
            service.kill(service.pids()[1:])
            service = start(settings)
        with httpx.Client(base_url=service.url, timeout=TIMEOUT_S) as client:
            ids = _stored(client, batch)
        reported |= ids
        if len(ids) == len(batch):
            return service
        time.sleep(0.2)
    pytest.fail(f"a batch was not stored in {_ATTEMPTS} attempts")
