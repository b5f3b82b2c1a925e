"""`items`: milliseconds of calls on keyed items over HTTP, one after the other, in a namespace with many.

The items that the namespace is filled with have random vectors; those that are put over HTTP are embedded.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import numpy as np

from api.settings import Settings
from benchmarks.harness.metrics import percentiles
from benchmarks.harness.options import flag
from benchmarks.harness.report import Cell, Report, Table
from benchmarks.harness.service import running
from benchmarks.harness.stores import TENANT, data_directory, open_parts, settings_in
from benchmarks.harness.synthetic import questions, turns
from memtypes.items.item import Item, ItemAddress
from memtypes.model.scope import Scope
from memtypes.stores.operations.item_store import EngineItems

_SPACE = {"namespace": "items"}
_PATHS = 200


@dataclass(frozen=True, slots=True)
class ItemsRequest:
    """Command-line options of `items`."""

    items: int = field(default=20_000, metadata=flag("items in the namespace", int, least=1))
    calls: int = field(default=300, metadata=flag("timed calls of each kind", int, least=1))


async def measure_items(request: ItemsRequest) -> Report:
    """The report on a service with so many items."""
    with data_directory() as directory:
        settings = settings_in(directory)
        await _fill(settings, request.items)
        with running(settings) as service, httpx.Client(base_url=service.url, timeout=60.0) as client:
            figures = {name: percentiles(taken) for name, taken in _measure(client, request).items()}
    rows: tuple[tuple[Cell, ...], ...] = tuple((name, *shares.values()) for name, shares in figures.items())
    notes = (f"{request.items} items under {_PATHS} paths; {request.calls} calls of each kind in turn.",)
    return Report((Table("Milliseconds", ("call", "p50", "p95", "p99"), rows),), notes, figures)


async def _fill(settings: Settings, count: int) -> None:
    rng, now = np.random.default_rng(5), datetime.now(UTC)
    async with open_parts(settings) as opened:
        store = EngineItems(opened.store)
        for index, turn in enumerate(turns(count, seed=5)):
            vector = rng.standard_normal((1, opened.embedder.dimensions), dtype=np.float32)
            address = ItemAddress(path=("users", f"u{index % _PATHS}"), key=f"{index}")
            value = {"text": turn.text, "number": index, "speaker": turn.speaker}
            await store.put(Scope(TENANT, _SPACE["namespace"]), Item(address, value, now, now), vector)


def _measure(client: httpx.Client, request: ItemsRequest) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = defaultdict(list)
    texts = [turn.text for turn in turns(request.calls, seed=9)]
    for index, (text, question) in enumerate(zip(texts, questions(request.calls, seed=9), strict=True)):
        user, number = f"u{index % _PATHS}", index * 61 % request.items
        address = {"path": ["users", user], "key": f"new {index}"}
        calls: dict[str, tuple[str, str, dict[str, object]]] = {
            "put": ("PUT", "", {**address, "value": {"text": text}}),
            "put, index false": ("PUT", "", {**address, "value": {"text": text}, "index": False}),
            "latest ten of a path": ("POST", "/search", {"prefix": ["users", user]}),
            "latest ten of all": ("POST", "/search", {}),
            "query in a path": ("POST", "/search", {"prefix": ["users", user], "query": question}),
            "query in all": ("POST", "/search", {"query": f"{question}?"}),
            "filter by equality in all": ("POST", "/search", {"filter": {"number": number}}),
            "filter by range in a path": (
                "POST",
                "/search",
                {"prefix": ["users", user], "filter": {"number": {"$lt": 9_000}}},
            ),
            "paths of all": ("POST", "/paths", {}),
        }
        for name, (method, path, body) in calls.items():
            began = time.perf_counter()
            client.request(method, f"/v1/items{path}", json={**_SPACE, **body}).raise_for_status()
            samples[name].append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        params = {**_SPACE, "path": f"users.u{number % _PATHS}", "key": f"{number}"}
        client.get("/v1/items", params=params).raise_for_status()
        samples["get"].append((time.perf_counter() - began) * 1e3)
    return samples
