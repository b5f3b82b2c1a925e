"""Helpers of the soak tests: their sizes, the processes to kill, and the memories stored after a
restart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import httpx

from api.settings import Settings
from benchmarks.harness.service import Service, running

T = TypeVar("T")
TIMEOUT_S = 60.0
_VICTIMS = ("service and store", "store", "service")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Chooses between the full and the reduced sizes of the soak tests."""

    full: bool

    def pick(self, reduced: T, full: T) -> T:
        """`full` at full size, else `reduced`."""
        return full if self.full else reduced


def victims(count: int) -> list[str]:
    """For each of `count` rounds, the name of what to kill: the service, its store process, or
    both.
    """
    return list(islice(cycle(_VICTIMS), count))


def pids_of(service: Service, victim: str) -> list[int]:
    """The process ids of `victim`, which is "service", "store" or "service and store"."""
    main, *store = service.pids()
    return {"service": [main], "store": store, "service and store": [main, *store]}[victim]


def seeded() -> random.Random:
    """A seeded random generator, so that kills have the same times in each run."""
    return random.Random(7)  # noqa: S311 - no secret


def with_policies(settings: Settings, text: str) -> Settings:
    """A copy of `settings` that uses a policy file with the YAML text `text`."""
    path = Path(settings.data_dir) / "policies.yaml"
    path.write_text(text, encoding="utf-8")
    return settings.model_copy(update={"policies": path})


def stored_memories(settings: Settings, namespace: str) -> list[dict[str, Any]]:
    """All memories of the namespace, listed by a service that is started for it."""
    with (
        running(settings) as service,
        httpx.Client(base_url=service.url, timeout=TIMEOUT_S) as client,
    ):
        return list(listed(client, {"namespace": namespace}))


def listed(client: httpx.Client, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The memories from all pages that a list call with `query` returns."""
    params = {**query, "limit": "500"}
    while True:
        page = client.get("/v1/memories", params=params).raise_for_status().json()
        yield from page["memories"]
        if page["next_cursor"] is None:
            return
        params["cursor"] = page["next_cursor"]
