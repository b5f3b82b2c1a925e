"""`python -m benchmarks COMMAND`: each prints its tables and, with --json FILE, writes everything it measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import anyio

from benchmarks.classification import ClassifyRequest, measure_classification
from benchmarks.comparisons import Wanted
from benchmarks.data import BadSet
from benchmarks.due import measure_due
from benchmarks.durability import DurabilityRequest, measure_durability
from benchmarks.fault_threads import ThreadFaultsRequest, measure_thread_faults
from benchmarks.faults import FaultsRequest, measure_faults
from benchmarks.ingestion import IngestRequest, NotStored, measure_ingestion
from benchmarks.interference import InterferenceRequest, measure_interference
from benchmarks.latency import LatencyRequest, measure_latency
from benchmarks.live import LiveRequest, measure_live
from benchmarks.loading import NotLoaded
from benchmarks.processes import NotReady
from benchmarks.quality import QualityRequest, measure_quality
from benchmarks.report import Report, publish
from benchmarks.soak import SoakRequest, measure_soak
from benchmarks.startup import StartupRequest, measure_startup
from memtypes.errors import RemembrancerError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - the type has no other name
Measure: TypeAlias = Callable[[argparse.Namespace, str], Report]


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when everything was measured, 1 when not, with the reason on standard error."""
    given = parser().parse_args(arguments)
    measure: Measure = given.measure
    try:
        report = measure(given, " ".join(["python -m benchmarks", *arguments]))
    except (BadSet, NotLoaded, NotReady, NotStored, RemembrancerError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    publish(report, given.json)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        _add_quality,
        _add_latency,
        _add_ingest,
        _add_classify,
        _add_interference,
        _add_startup,
        _add_durability,
        _add_live,
        _add_due,
        _add_soak,
        _add_faults,
        _add_thread_faults,
    ):
        add(commands)
    return made


def _add_quality(commands: Commands) -> None:
    command = _command(commands, "quality", "Recall and budgets on evaluation sets.", _quality)
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of sets")
    command.add_argument("--sets", nargs="+", default=[], metavar="SET", help="only these folders")
    command.add_argument("--profile", metavar="NAME", help="profile of weights; the default one without")
    command.add_argument("--limit-queries", type=_at_least(1), metavar="N", help="at most N queries a set")
    command.add_argument(
        "--violation-sample", type=_at_least(0), metavar="N", help="budgets for violations alone: N queries a set"
    )
    command.add_argument("--store", type=Path, metavar="DIR", help="keep the ingested store here for the next run")
    command.add_argument(
        "--company", type=_at_least(0), default=0, metavar="N", help="N memories of each other type in every namespace"
    )
    command.add_argument("--against", metavar="NAME", help="a paired test against this profile")
    command.add_argument("--ablate", action="store_true", help="rank without each signal and leg")
    command.add_argument("--pooled", action="store_true", help="compare with a store of its own for each conversation")


def _quality(given: argparse.Namespace, command: str) -> Report:
    request = QualityRequest(
        command=command,
        data=given.data,
        sets=tuple(given.sets),
        profile=given.profile,
        limit=given.limit_queries,
        sample=given.violation_sample,
        store=given.store,
        company=given.company,
        compared=Wanted(given.against, given.ablate, given.pooled),
    )
    return anyio.run(measure_quality, request)


def _add_latency(commands: Commands) -> None:
    command = _command(commands, "latency", "Retrieve and search over the bare floor.", _latency)
    default = LatencyRequest("")
    sizes = list(default.sizes)
    command.add_argument("--sizes", nargs="+", type=_at_least(5), default=sizes, metavar="N", help="memories")
    command.add_argument("--namespaces", type=_at_least(1), default=default.namespaces, metavar="N")
    command.add_argument("--queries", type=_at_least(1), default=default.queries, metavar="N")


def _latency(given: argparse.Namespace, command: str) -> Report:
    request = LatencyRequest(command, tuple(given.sizes), given.namespaces, given.queries)
    return anyio.run(measure_latency, request)


def _add_ingest(commands: Commands) -> None:
    command = _command(commands, "ingest", "The pipeline over the bare encoder.", _ingest)
    default = IngestRequest("")
    command.add_argument("--n", type=_at_least(1), default=default.count, metavar="N", help="memories")
    command.add_argument("--rounds", type=_at_least(1), default=default.rounds, metavar="N")
    command.add_argument("--data", type=Path, metavar="DIR", help="texts of these sets; made-up ones without")
    command.add_argument("--screened", action="store_true", help="with redaction, pre-filter, types and review")


def _ingest(given: argparse.Namespace, command: str) -> Report:
    request = IngestRequest(command, given.n, given.rounds, given.data, screened=given.screened)
    return anyio.run(measure_ingestion, request)


def _add_classify(commands: Commands) -> None:
    command = _command(commands, "classify", "Macro F1 of the types that are found.", _classify)
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the four sets")
    command.add_argument("--limit", type=_at_least(1), default=1_000, metavar="N", help="texts a set and half")


def _classify(given: argparse.Namespace, command: str) -> Report:
    return anyio.run(measure_classification, ClassifyRequest(command, given.data, given.limit))


def _add_interference(commands: Commands) -> None:
    command = _command(commands, "interference", "Retrieval while a batch is written.", _interference)
    default = InterferenceRequest("")
    command.add_argument("--n", type=_at_least(1), default=default.written, metavar="N", help="memories in the batch")
    command.add_argument("--stored", type=_at_least(5), default=default.stored, metavar="N", help="memories before")
    command.add_argument("--idle", type=_at_least(1), default=default.idle, metavar="N", help="retrievals without it")


def _interference(given: argparse.Namespace, command: str) -> Report:
    return measure_interference(InterferenceRequest(command, given.n, given.stored, given.idle))


def _add_startup(commands: Commands) -> None:
    command = _command(commands, "startup", "Time to readiness, and idle memory.", _startup)
    command.add_argument("--rounds", type=_at_least(1), default=StartupRequest("").rounds, metavar="N")


def _startup(given: argparse.Namespace, command: str) -> Report:
    return measure_startup(StartupRequest(command, given.rounds))


def _add_durability(commands: Commands) -> None:
    command = _command(commands, "durability", "Acknowledged writes after kill -9.", _durability)
    default = DurabilityRequest("")
    command.add_argument("--rounds", type=_at_least(1), default=default.rounds, metavar="N")
    command.add_argument("--seed", type=int, default=default.seed, metavar="N")


def _durability(given: argparse.Namespace, command: str) -> Report:
    return measure_durability(DurabilityRequest(command, given.rounds, given.seed))


def _add_live(commands: Commands) -> None:
    command = _command(commands, "live", "Live state over a bare ping, and the memory it takes.", _live)
    default = LiveRequest("")
    clients = list(default.clients)
    command.add_argument("--clients", nargs="+", type=_at_least(1), default=clients, metavar="N", help="at once")
    command.add_argument("--calls", type=_at_least(1), default=default.calls, metavar="N", help="of each kind")


def _live(given: argparse.Namespace, command: str) -> Report:
    return anyio.run(measure_live, LiveRequest(command, tuple(given.clients), given.calls))


def _add_due(commands: Commands) -> None:
    _command(commands, "due", "Due times read from written phrases.", lambda _, command: measure_due(command))


def _add_faults(commands: Commands) -> None:
    command = _command(commands, "faults", "Live state when processes are killed and stopped.", _faults)
    default = FaultsRequest("")
    command.add_argument("--rounds", type=_at_least(1), default=default.rounds, metavar="N", help="of killing")
    command.add_argument("--queries", type=_at_least(1), default=default.queries, metavar="N", help="of each kind")
    command.add_argument("--stored", type=_at_least(1), default=default.stored, metavar="N", help="memories")


def _faults(given: argparse.Namespace, command: str) -> Report:
    return measure_faults(FaultsRequest(command, given.rounds, given.queries, given.stored))


def _add_soak(commands: Commands) -> None:
    command = _command(commands, "soak", "Every item kept and reported, whatever is killed.", _soak)
    default = SoakRequest("")
    command.add_argument("--n", type=_at_least(100), default=default.count, metavar="N", help="items")
    command.add_argument("--rounds", type=_at_least(1), default=default.rounds, metavar="N", help="kills")


def _soak(given: argparse.Namespace, command: str) -> Report:
    return measure_soak(SoakRequest(command, given.n, given.rounds))


def _add_thread_faults(commands: Commands) -> None:
    command = _command(commands, "thread-faults", "Turns under many writers, killed half-way.", _thread_faults)
    default = ThreadFaultsRequest("")
    command.add_argument("--threads", type=_at_least(1), default=default.threads, metavar="N", help="threads")
    command.add_argument("--writers", type=_at_least(1), default=default.writers, metavar="N", help="on each thread")
    command.add_argument("--appends", type=_at_least(10), default=default.appends, metavar="N", help="to each thread")


def _thread_faults(given: argparse.Namespace, command: str) -> Report:
    return measure_thread_faults(ThreadFaultsRequest(command, given.threads, given.writers, given.appends))


def _command(commands: Commands, name: str, text: str, measure: Measure) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", type=Path, metavar="FILE", help="write everything measured here")
    command.set_defaults(measure=measure)
    return command


def _at_least(least: int) -> Callable[[str], Any]:
    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"needs a whole number from {least} on")
        return value

    return whole


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
