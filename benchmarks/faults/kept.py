"""What a service started anew has, as the benchmarks that kill things read it; and their word on how far they are."""

from __future__ import annotations

import sys
from typing import Any

import httpx

from api.settings import Settings
from benchmarks.apparatus.processes import running

_TIMEOUT_S = 60.0


def kept_ids(settings: Settings, namespace: str) -> set[str]:
    """The ids of all memories of `namespace`."""
    return {one["id"] for one in kept_memories(settings, namespace)}


def kept_memories(settings: Settings, namespace: str) -> list[dict[str, Any]]:
    """All memories of `namespace`, listed by a service that is started for it."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    with running(settings) as service, httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        while True:
            params = {"namespace": namespace, "limit": "500"} | ({"cursor": cursor} if cursor else {})
            page = client.get("/v1/memories", params=params).raise_for_status().json()
            found += page["memories"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def say(line: str) -> None:
    """Tell whoever waits; the report goes elsewhere."""
    print(line, file=sys.stderr, flush=True)
