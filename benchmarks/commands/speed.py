"""Commands that time the service: how long it takes, and beside what."""

from __future__ import annotations

import argparse
from pathlib import Path

import anyio

from benchmarks.apparatus.report import Report
from benchmarks.commands.options import Commands, at_least, command, number, store
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
    number(added, "--namespaces", default.namespaces, "they are in")
    number(added, "--queries", default.queries, "that are timed")
    store(added)


def _latency(given: argparse.Namespace, typed: str) -> Report:
    request = LatencyRequest(typed, tuple(given.sizes), given.namespaces, given.queries, given.store)
    return anyio.run(measure_latency, request)


def _add_ingest(commands: Commands) -> None:
    added = command(commands, "ingest", "The pipeline over the bare encoder.", _ingest)
    default = IngestRequest("")
    number(added, "--n", default.count, "memories")
    number(added, "--rounds", default.rounds, "portions")
    added.add_argument("--data", type=Path, metavar="DIR", help="texts of these sets; made-up ones without")
    added.add_argument("--screened", action="store_true", help="with redaction, pre-filter, types and review")


def _ingest(given: argparse.Namespace, typed: str) -> Report:
    request = IngestRequest(typed, given.n, given.rounds, given.data, screened=given.screened)
    return anyio.run(measure_ingestion, request)


def _add_interference(commands: Commands) -> None:
    added = command(commands, "interference", "Retrieval while a batch is written.", _interference)
    default = InterferenceRequest("")
    number(added, "--n", default.written, "memories in the batch")
    number(added, "--stored", default.stored, "memories before", 5)
    number(added, "--idle", default.idle, "retrievals without it")


def _interference(given: argparse.Namespace, typed: str) -> Report:
    return measure_interference(InterferenceRequest(typed, given.n, given.stored, given.idle))


def _add_startup(commands: Commands) -> None:
    added = command(commands, "startup", "Time to readiness, and idle memory.", _startup)
    number(added, "--rounds", StartupRequest("").rounds, "starts")


def _startup(given: argparse.Namespace, typed: str) -> Report:
    return measure_startup(StartupRequest(typed, given.rounds))


def _add_write(commands: Commands) -> None:
    added = command(commands, "write", "One explicit write over HTTP, everything on.", _write)
    default = WriteRequest("")
    number(added, "--n", default.stored, "memories before", 5)
    number(added, "--writes", default.writes, "writes that are timed")
    store(added, "keep the filled store here for the next run")


def _write(given: argparse.Namespace, typed: str) -> Report:
    request = WriteRequest(typed, given.n, writes=given.writes, store=given.store)
    return anyio.run(measure_write, request)
