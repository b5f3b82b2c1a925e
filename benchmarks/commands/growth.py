"""Commands that ask what becomes of retrieval as stores grow, callers are many, and time passes."""

from __future__ import annotations

import argparse

import anyio

from benchmarks.apparatus.report import Report
from benchmarks.commands.options import Commands, command, number, store
from benchmarks.speed.replay import ReplayRequest, measure_replay
from benchmarks.speed.scale import ScaleRequest, measure_scale
from benchmarks.speed.throughput import ThroughputRequest, measure_throughput


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_scale(commands)
    _add_throughput(commands)
    _add_replay(commands)


def _add_scale(commands: Commands) -> None:
    added = command(commands, "scale", "Retrieval in a small store and in a large one.", _scale)
    default = ScaleRequest("")
    number(added, "--small", default.small, "memories", 5)
    number(added, "--large", default.large, "memories", 5)
    number(added, "--settle", int(default.settle_s), "seconds to read ahead in", 0)
    _in_common(added, default.namespaces, default.queries)


def _scale(given: argparse.Namespace, typed: str) -> Report:
    request = ScaleRequest(
        typed, given.small, given.large, given.namespaces, given.queries, given.store, float(given.settle)
    )
    return anyio.run(measure_scale, request)


def _add_throughput(commands: Commands) -> None:
    added = command(commands, "throughput", "Retrievals a second over HTTP, over those in process.", _throughput)
    default = ThroughputRequest("")
    number(added, "--size", default.size, "memories", 5)
    number(added, "--clients", default.clients, "at once")
    number(added, "--rounds", default.rounds, "of either side")
    _in_common(added, default.namespaces, default.queries)


def _throughput(given: argparse.Namespace, typed: str) -> Report:
    request = ThroughputRequest(
        typed, given.size, given.namespaces, given.clients, given.queries, given.rounds, given.store
    )
    return anyio.run(measure_throughput, request)


def _add_replay(commands: Commands) -> None:
    added = command(commands, "replay", "Receipts of an unchanged store, run again.", _replay)
    default = ReplayRequest("")
    number(added, "--size", default.size, "memories", 5)
    _in_common(added, default.namespaces, default.receipts)


def _replay(given: argparse.Namespace, typed: str) -> Report:
    return anyio.run(measure_replay, ReplayRequest(typed, given.queries, given.size, given.namespaces, given.store))


def _in_common(added: argparse.ArgumentParser, namespaces: int, queries: int) -> None:
    number(added, "--namespaces", namespaces, "they are in")
    number(added, "--queries", queries, "that are asked")
    store(added)
