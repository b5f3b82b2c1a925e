"""Commands that kill and stop processes, and count what was lost; and the live state at work."""

from __future__ import annotations

import argparse

import anyio

from benchmarks.apparatus.report import Report
from benchmarks.commands.options import Commands, at_least, command
from benchmarks.faults.durability import DurabilityRequest, measure_durability
from benchmarks.faults.fault_threads import ThreadFaultsRequest, measure_thread_faults
from benchmarks.faults.faults import FaultsRequest, measure_faults
from benchmarks.faults.imports import ImportsRequest, measure_imports
from benchmarks.faults.soak import SoakRequest, measure_soak
from benchmarks.live.live import LiveRequest, measure_live
from benchmarks.live.working import WorkingRequest, measure_working


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_durability(commands)
    _add_live(commands)
    _add_faults(commands)
    _add_working(commands)
    _add_soak(commands)
    _add_thread_faults(commands)
    _add_imports(commands)


def _add_durability(commands: Commands) -> None:
    added = command(commands, "durability", "Acknowledged writes after kill -9.", _durability)
    default = DurabilityRequest("")
    added.add_argument("--rounds", type=at_least(1), default=default.rounds, metavar="N", help="kills")
    added.add_argument(
        "--least", type=at_least(1), default=default.least, metavar="N", help="writes acknowledged before a kill"
    )
    added.add_argument("--seed", type=int, default=default.seed, metavar="N", help="of the moments")


def _durability(given: argparse.Namespace, typed: str) -> Report:
    return measure_durability(DurabilityRequest(typed, given.rounds, given.least, given.seed))


def _add_live(commands: Commands) -> None:
    added = command(commands, "live", "Live state over a bare ping, and the memory it takes.", _live)
    default = LiveRequest("")
    clients = list(default.clients)
    added.add_argument("--clients", nargs="+", type=at_least(1), default=clients, metavar="N", help="at once")
    added.add_argument("--calls", type=at_least(1), default=default.calls, metavar="N", help="of each kind")


def _live(given: argparse.Namespace, typed: str) -> Report:
    return anyio.run(measure_live, LiveRequest(typed, tuple(given.clients), given.calls))


def _add_faults(commands: Commands) -> None:
    added = command(commands, "faults", "Working items after service and live server are killed.", _faults)
    added.add_argument("--rounds", type=at_least(1), default=FaultsRequest("").rounds, metavar="N", help="of killing")


def _faults(given: argparse.Namespace, typed: str) -> Report:
    return measure_faults(FaultsRequest(typed, given.rounds))


def _add_working(commands: Commands) -> None:
    added = command(commands, "working", "What working memory, or its absence, costs a retrieval.", _working)
    default = WorkingRequest("")
    added.add_argument("--queries", type=at_least(1), default=default.queries, metavar="N", help="of each kind")
    added.add_argument("--stored", type=at_least(1), default=default.stored, metavar="N", help="memories")


def _working(given: argparse.Namespace, typed: str) -> Report:
    return measure_working(WorkingRequest(typed, given.queries, given.stored))


def _add_soak(commands: Commands) -> None:
    added = command(commands, "soak", "Every item kept and reported, whatever is killed.", _soak)
    default = SoakRequest("")
    added.add_argument("--n", type=at_least(100), default=default.count, metavar="N", help="items")
    added.add_argument("--rounds", type=at_least(1), default=default.rounds, metavar="N", help="kills")


def _soak(given: argparse.Namespace, typed: str) -> Report:
    return measure_soak(SoakRequest(typed, given.n, given.rounds))


def _add_thread_faults(commands: Commands) -> None:
    added = command(commands, "thread-faults", "Turns under many writers, killed half-way.", _thread_faults)
    default = ThreadFaultsRequest("")
    added.add_argument("--threads", type=at_least(1), default=default.threads, metavar="N", help="threads")
    added.add_argument("--writers", type=at_least(1), default=default.writers, metavar="N", help="on each thread")
    added.add_argument("--appends", type=at_least(10), default=default.appends, metavar="N", help="to each thread")


def _thread_faults(given: argparse.Namespace, typed: str) -> Report:
    return measure_thread_faults(ThreadFaultsRequest(typed, given.threads, given.writers, given.appends))


def _add_imports(commands: Commands) -> None:
    added = command(commands, "imports", "An import of files that is killed and run again.", _imports)
    default = ImportsRequest("")
    added.add_argument("--n", type=at_least(8), default=default.count, metavar="N", help="rows")
    added.add_argument("--kills", type=at_least(0), default=default.kills, metavar="N", help="kills")


def _imports(given: argparse.Namespace, typed: str) -> Report:
    return measure_imports(ImportsRequest(typed, given.n, given.kills))
