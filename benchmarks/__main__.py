"""`python -m benchmarks COMMAND`: runs one benchmark, prints its tables, and with --json FILE
writes all figures.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
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
from benchmarks.speed.trace import TraceRequest, measure_trace
from benchmarks.systems.compare import CompareRequest, measure_compare
from memtypes.model.errors import RemembrancerError

_REPORTED = (BadSet, NotLoaded, NotReady, NotStored, RemembrancerError)
"""Errors for which a command prints one line instead of a traceback."""


COMMANDS: Mapping[str, tuple[type[Any], Callable[[Any], Any]]] = {
    "quality": (QualityRequest, measure_quality),
    "compare": (CompareRequest, measure_compare),
    "latency": (LatencyRequest, measure_latency),
    "scale": (ScaleRequest, measure_scale),
    "throughput": (ThroughputRequest, measure_throughput),
    "ingest": (IngestRequest, measure_ingest),
    "sidecar": (SidecarRequest, measure_sidecar),
    "startup": (StartupRequest, measure_startup),
    "trace": (TraceRequest, measure_trace),
}
"""For each command, the dataclass of its options, and the sync or async function that measures and
returns a report.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`. Returns the exit code: 0, or 1 with the error on standard
    error.
    """
    parsed = parser().parse_args(arguments)
    options, measure = COMMANDS[parsed.command]
    request = request_of(parsed, options)
    try:
        report = (
            anyio.run(measure, request)
            if inspect.iscoroutinefunction(measure)
            else measure(request)
        )
    except _REPORTED as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    publish(" ".join(["python -m benchmarks", *arguments]), report, parsed.json)
    return 0


def parser() -> argparse.ArgumentParser:
    """The argument parser for all commands and their options."""
    root = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (options, measure) in COMMANDS.items():
        module = inspect.getdoc(inspect.getmodule(measure)) or ""
        # A command's module begins with its name and its text
        text = module.partition("\n")[0].partition(": ")[2]
        command_parser = commands.add_parser(name, help=text, description=text)
        add_options(command_parser, options)
        command_parser.add_argument(
            "--json", type=Path, metavar="FILE", help="write everything measured to this file"
        )
    return root


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
