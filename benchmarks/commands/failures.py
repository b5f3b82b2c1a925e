"""Commands that kill and stop processes, and count what was lost; and the live state at work."""

from __future__ import annotations

import argparse
from pathlib import Path

import anyio

from benchmarks.apparatus.report import Report
from benchmarks.commands.options import Commands, at_least, command, number
from benchmarks.faults.durability import DurabilityRequest, measure_durability
from benchmarks.faults.erasure import ErasureRequest, measure_erasure
from benchmarks.faults.fault_threads import ThreadFaultsRequest, measure_thread_faults
from benchmarks.faults.faults import FaultsRequest, measure_faults
from benchmarks.faults.imports import ImportsRequest, measure_imports
from benchmarks.faults.soak import SoakRequest, measure_soak
from benchmarks.live.live import LiveRequest, measure_live


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_durability(commands)
    _add_live(commands)
    _add_faults(commands)
    _add_soak(commands)
    _add_thread_faults(commands)
    _add_imports(commands)
    _add_erasure(commands)


def _add_durability(commands: Commands) -> None:
    added = command(commands, "durability", "Acknowledged writes after kill -9.", _durability)
    default = DurabilityRequest("")
    number(added, "--rounds", default.rounds, "kills")
    number(added, "--least", default.least, "writes acknowledged before a kill")
    added.add_argument("--seed", type=int, default=default.seed, metavar="N", help="of the moments")


def _durability(given: argparse.Namespace, typed: str) -> Report:
    return measure_durability(DurabilityRequest(typed, given.rounds, given.least, given.seed))


def _add_live(commands: Commands) -> None:
    added = command(commands, "live", "Live state over a bare ping, and the memory it takes.", _live)
    default = LiveRequest("")
    clients = list(default.clients)
    added.add_argument("--clients", nargs="+", type=at_least(1), default=clients, metavar="N", help="at once")
    number(added, "--calls", default.calls, "of each kind")


def _live(given: argparse.Namespace, typed: str) -> Report:
    return anyio.run(measure_live, LiveRequest(typed, tuple(given.clients), given.calls))


def _add_faults(commands: Commands) -> None:
    added = command(commands, "faults", "Working items after service and live server are killed.", _faults)
    number(added, "--rounds", FaultsRequest("").rounds, "of killing")


def _faults(given: argparse.Namespace, typed: str) -> Report:
    return measure_faults(FaultsRequest(typed, given.rounds))


def _add_soak(commands: Commands) -> None:
    added = command(commands, "soak", "Every item kept and reported, whatever is killed.", _soak)
    default = SoakRequest("")
    number(added, "--n", default.count, "items", 100)
    number(added, "--rounds", default.rounds, "kills")


def _soak(given: argparse.Namespace, typed: str) -> Report:
    return measure_soak(SoakRequest(typed, given.n, given.rounds))


def _add_thread_faults(commands: Commands) -> None:
    added = command(commands, "thread-faults", "Turns under many writers, killed half-way.", _thread_faults)
    default = ThreadFaultsRequest("")
    number(added, "--threads", default.threads, "threads")
    number(added, "--writers", default.writers, "on each thread")
    number(added, "--appends", default.appends, "to each thread", 10)


def _thread_faults(given: argparse.Namespace, typed: str) -> Report:
    return measure_thread_faults(ThreadFaultsRequest(typed, given.threads, given.writers, given.appends))


def _add_imports(commands: Commands) -> None:
    added = command(commands, "imports", "An import of files that is killed and run again.", _imports)
    default = ImportsRequest("")
    number(added, "--n", default.count, "rows", 8)
    number(added, "--kills", default.kills, "kills", 0)


def _imports(given: argparse.Namespace, typed: str) -> Report:
    return measure_imports(ImportsRequest(typed, given.n, given.kills))


def _add_erasure(commands: Commands) -> None:
    added = command(commands, "erasure", "A namespace and its bytes erased from a full store.", _erasure)
    default = ErasureRequest("")
    added.add_argument("--size", type=at_least(5), default=default.size, metavar="N", help="memories")
    added.add_argument("--namespaces", type=at_least(1), default=default.namespaces, metavar="N", help="they are in")
    added.add_argument("--store", type=Path, metavar="DIR", help="keep the filled store here for the next run")


def _erasure(given: argparse.Namespace, typed: str) -> Report:
    return anyio.run(measure_erasure, ErasureRequest(typed, given.size, given.namespaces, given.store))
