"""Commands that time the service: how long it takes, and beside what."""

from __future__ import annotations

import argparse
from pathlib import Path

import anyio

from benchmarks.apparatus.report import Report
from benchmarks.commands.options import Commands, at_least, command
from benchmarks.speed.ingestion import IngestRequest, measure_ingestion
from benchmarks.speed.interference import InterferenceRequest, measure_interference
from benchmarks.speed.latency import LatencyRequest, measure_latency
from benchmarks.speed.startup import StartupRequest, measure_startup
from benchmarks.speed.writing import WriteRequest, measure_write


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_latency(commands)
    _add_ingest(commands)
    _add_interference(commands)
    _add_startup(commands)
    _add_write(commands)


def _add_latency(commands: Commands) -> None:
    added = command(commands, "latency", "Retrieve and search over the bare floor.", _latency)
    default = LatencyRequest("")
    sizes = list(default.sizes)
    added.add_argument("--sizes", nargs="+", type=at_least(5), default=sizes, metavar="N", help="memories")
    added.add_argument("--namespaces", type=at_least(1), default=default.namespaces, metavar="N", help="they are in")
    added.add_argument("--queries", type=at_least(1), default=default.queries, metavar="N", help="that are timed")
    added.add_argument("--store", type=Path, metavar="DIR", help="keep the filled stores here for the next run")


def _latency(given: argparse.Namespace, typed: str) -> Report:
    request = LatencyRequest(typed, tuple(given.sizes), given.namespaces, given.queries, given.store)
    return anyio.run(measure_latency, request)


def _add_ingest(commands: Commands) -> None:
    added = command(commands, "ingest", "The pipeline over the bare encoder.", _ingest)
    default = IngestRequest("")
    added.add_argument("--n", type=at_least(1), default=default.count, metavar="N", help="memories")
    added.add_argument("--rounds", type=at_least(1), default=default.rounds, metavar="N", help="portions")
    added.add_argument("--data", type=Path, metavar="DIR", help="texts of these sets; made-up ones without")
    added.add_argument("--screened", action="store_true", help="with redaction, pre-filter, types and review")


def _ingest(given: argparse.Namespace, typed: str) -> Report:
    request = IngestRequest(typed, given.n, given.rounds, given.data, screened=given.screened)
    return anyio.run(measure_ingestion, request)


def _add_interference(commands: Commands) -> None:
    added = command(commands, "interference", "Retrieval while a batch is written.", _interference)
    default = InterferenceRequest("")
    added.add_argument("--n", type=at_least(1), default=default.written, metavar="N", help="memories in the batch")
    added.add_argument("--stored", type=at_least(5), default=default.stored, metavar="N", help="memories before")
    added.add_argument("--idle", type=at_least(1), default=default.idle, metavar="N", help="retrievals without it")


def _interference(given: argparse.Namespace, typed: str) -> Report:
    return measure_interference(InterferenceRequest(typed, given.n, given.stored, given.idle))


def _add_startup(commands: Commands) -> None:
    added = command(commands, "startup", "Time to readiness, and idle memory.", _startup)
    added.add_argument("--rounds", type=at_least(1), default=StartupRequest("").rounds, metavar="N", help="starts")


def _startup(given: argparse.Namespace, typed: str) -> Report:
    return measure_startup(StartupRequest(typed, given.rounds))


def _add_write(commands: Commands) -> None:
    added = command(commands, "write", "One explicit write over HTTP, everything on.", _write)
    default = WriteRequest("")
    added.add_argument("--n", type=at_least(5), default=default.stored, metavar="N", help="memories before")
    added.add_argument("--writes", type=at_least(1), default=default.writes, metavar="N", help="writes that are timed")
    added.add_argument("--store", type=Path, metavar="DIR", help="keep the filled store here for the next run")


def _write(given: argparse.Namespace, typed: str) -> Report:
    request = WriteRequest(typed, given.n, writes=given.writes, store=given.store)
    return anyio.run(measure_write, request)
