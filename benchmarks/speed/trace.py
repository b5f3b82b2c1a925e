"""`trace`: counts what one retrieval and one plain write run in the service: calls of the memory
store's engine, and files and functions of the product.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

from api.cli.embedded import client_of
from api.wiring.services import open_services
from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, Table
from benchmarks.harness.stores import data_directory, settings_in
from memtypes.stores.edge import EdgeStore

NAMESPACE = "traced"
WRITE = "a plain write"
RETRIEVAL = "a retrieval"

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("memtypes", "ingest", "retrieval", "api")
_CLIENT = (_ROOT / "api" / "cli").as_posix()  # sends the call, and is no part of the service
_SETTLE_S = 3.0
"""Seconds in which what earlier calls left to the background is done, such as counting uses."""

_TEXTS = (
    "The staging server of the shop is in Frankfurt.",
    "Deploys of the shop need two approvals.",
    "The nightly import held one advisory lock for 47 seconds.",
    "Renew the TLS certificate of the shop by Friday.",
    "To deploy the shop, run the migrations and start the new version.",
)


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """Command-line options of the `trace` benchmark."""

    warm_up: int = field(default=20, metadata=flag("writes and retrievals before the traced ones"))


@dataclass(slots=True)
class Trace:
    """What ran while it was recording. The engine's calls are named by the function that it runs
    for them.
    """

    recording: bool = False
    codes: set[CodeType] = field(default_factory=set)
    engine_frames: list[FrameType] = field(default_factory=list)

    def profile(self, frame: FrameType, event: str, _argument: object) -> None:
        """Called by Python at every call of a function."""
        if not self.recording or event != "call":
            return
        self.codes.add(frame.f_code)
        # A coroutine is called once more each time that it goes on: its frame stays the same.
        if frame.f_code is EdgeStore.call.__code__ and frame not in self.engine_frames:
            self.engine_frames.append(frame)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what runs inside this context, and forget what ran before."""
        self.codes.clear()
        self.engine_frames.clear()
        self.recording = True
        try:
            yield
        finally:
            self.recording = False

    def engine_calls(self) -> Counter[str]:
        """How often each function was run on the engine."""
        return Counter(frame.f_locals["function"].__name__ for frame in self.engine_frames)

    def product_functions(self) -> set[tuple[str, str]]:
        """File and name of each function of the product that ran, without lambdas and
        comprehensions.
        """
        packages = tuple(f"{(_ROOT / package).as_posix()}/" for package in _PACKAGES)
        return {
            (code.co_filename, code.co_qualname)
            for code in self.codes
            if code.co_filename.startswith(packages)
            and not code.co_filename.startswith(_CLIENT)
            and not code.co_name.startswith("<")
        }


async def measure_trace(request: TraceRequest) -> Report:
    """Trace one write and one retrieval over HTTP, in process, on a store with a few memories."""
    trace = Trace()
    threading.setprofile(trace.profile)  # for the threads that the service starts
    sys.setprofile(trace.profile)
    rows: list[tuple[str, int, str, int, int]] = []
    try:
        with data_directory() as directory:
            async with (
                open_services(settings_in(directory)) as services,
                client_of(services) as client,
            ):
                for number in range(request.warm_up):
                    content = f"{_TEXTS[number % len(_TEXTS)]} This is note {number}."
                    await client.post("/v1/memories", _memory(content))
                    await client.post("/v1/retrieve", _query())
                await asyncio.sleep(_SETTLE_S)
                with trace.recorded():
                    await client.post("/v1/memories", _memory("The blue kettle leaks."))
                rows.append(_row(WRITE, trace))
                await asyncio.sleep(_SETTLE_S)
                with trace.recorded():
                    await client.post("/v1/retrieve", _query())
                rows.append(_row(RETRIEVAL, trace))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    columns = ("call", "engine calls", "by name", "files", "functions")
    figures = {name: dict(zip(columns[1:], row, strict=True)) for name, *row in rows}
    notes = ("Files and functions of the service until the answer, without those of the engine.",)
    return Report((Table("What one call runs", columns, tuple(rows)),), notes, figures)


def _memory(content: str) -> dict[str, object]:
    return {"namespace": NAMESPACE, "type": "semantic", "content": content}


def _query() -> dict[str, object]:
    return {"namespace": NAMESPACE, "query": "What does a deploy of the shop need?", "budget": 500}


def _row(name: str, trace: Trace) -> tuple[str, int, str, int, int]:
    calls = trace.engine_calls()
    functions = trace.product_functions()
    files = {file for file, _ in functions}
    named = ", ".join(f"{function} {count}" for function, count in sorted(calls.items()))
    return name, calls.total(), named, len(files), len(functions)
