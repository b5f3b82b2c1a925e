"""`python -m benchmarks COMMAND`: prints tables and, with --json FILE, writes everything measured."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from benchmarks.harness.options import add_options, request_of
from benchmarks.harness.report import publish
from benchmarks.harness.service import NotReady
from benchmarks.quality.quality import QualityRequest, measure_quality
from benchmarks.sets.data import BadSet
from benchmarks.sets.loading import NotLoaded
from benchmarks.speed.ingest import IngestRequest, NotStored, measure_ingest
from benchmarks.speed.latency import LatencyRequest, measure_latency
from benchmarks.speed.scale import ScaleRequest, measure_scale
from benchmarks.speed.sidecar import SidecarRequest, measure_sidecar
from benchmarks.speed.startup import StartupRequest, measure_startup
from benchmarks.speed.throughput import ThroughputRequest, measure_throughput
from benchmarks.systems.compare import CompareRequest, measure_compare
from memtypes.model.errors import RemembrancerError

_REPORTED = (BadSet, NotLoaded, NotReady, NotStored, RemembrancerError)
"""Errors that end a command with one line instead of a traceback."""


@dataclass(frozen=True, slots=True)
class Command:
    """A benchmark. request: dataclass of its options; measure: plain or async function of the request."""

    name: str
    text: str
    request: type[Any]
    measure: Callable[[Any], Any]


COMMANDS = (
    Command("quality", "Recall and budgets on evaluation sets.", QualityRequest, measure_quality),
    Command("compare", "Other memory systems on the same texts and vectors.", CompareRequest, measure_compare),
    Command(
        "latency", "Retrievals, writes and live state over the engine's bare queries.", LatencyRequest, measure_latency
    ),
    Command("scale", "Retrieval in a small store and in a large one.", ScaleRequest, measure_scale),
    Command(
        "throughput",
        "Retrievals a second over HTTP, in process, and while a batch is written.",
        ThroughputRequest,
        measure_throughput,
    ),
    Command("ingest", "The write pipeline over the bare encoder.", IngestRequest, measure_ingest),
    Command("sidecar", "What each part beside the embedded engine saves.", SidecarRequest, measure_sidecar),
    Command("startup", "Time to readiness and idle memory.", StartupRequest, measure_startup),
)


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when everything was measured, else 1 with the reason on standard error."""
    parsed = parser().parse_args(arguments)
    command: Command = parsed.command
    request = request_of(parsed, command.request)
    try:
        if inspect.iscoroutinefunction(command.measure):
            report = anyio.run(command.measure, request)
        else:
            report = command.measure(request)
    except _REPORTED as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    publish(" ".join(["python -m benchmarks", *arguments]), report, parsed.json)
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    whole = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.text, description=command.text)
        add_options(added, command.request)
        added.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
        added.set_defaults(command=command)
    return whole


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
