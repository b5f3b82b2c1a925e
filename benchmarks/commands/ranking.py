"""Commands that ask evaluation sets: what is found, shown and recognised."""

from __future__ import annotations

import argparse
from pathlib import Path

import anyio

from benchmarks.apparatus.report import Report
from benchmarks.commands.options import Commands, at_least, command, number, store
from benchmarks.contenders.compare import SYSTEMS, CompareRequest, measure_compare
from benchmarks.quality.comparisons import Wanted
from benchmarks.quality.evaluation import Manner
from benchmarks.quality.quality import QualityRequest, measure_quality
from benchmarks.quality.updates import UpdatesRequest, measure_updates
from benchmarks.quality.workers import cores
from benchmarks.sets.prepare import FORMATS, PrepareRequest, run_prepare


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_quality(commands)
    _add_compare(commands)
    _add_prepare(commands)
    _add_updates(commands)


def _add_quality(commands: Commands) -> None:
    added = command(commands, "quality", "Recall and budgets on evaluation sets.", _quality)
    added.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of sets")
    added.add_argument("--sets", nargs="+", default=[], metavar="SET", help="only these folders")
    added.add_argument("--profile", metavar="NAME", help="profile of weights; the default one without")
    added.add_argument("--limit-queries", type=at_least(1), metavar="N", help="at most N queries a set")
    added.add_argument(
        "--violation-sample", type=at_least(0), metavar="N", help="budgets for violations alone: N queries a set"
    )
    store(added, "keep the ingested store here for the next run")
    number(added, "--company", 0, "N memories of each other type in every namespace", 0)
    added.add_argument(
        "--oversize", choices=("skip", "cut", "excerpt"), help="what becomes of memories larger than their room"
    )
    number(added, "--workers", cores(), "processes that ask at once")
    added.add_argument("--against", metavar="NAME", help="a paired test against this profile")
    added.add_argument("--ablate", action="store_true", help="rank without each signal and leg")
    added.add_argument("--pooled", action="store_true", help="compare with a store of its own for each conversation")


def _quality(given: argparse.Namespace, typed: str) -> Report:
    request = QualityRequest(
        command=typed,
        data=given.data,
        sets=tuple(given.sets),
        limit=given.limit_queries,
        manner=Manner(given.profile, given.violation_sample, given.oversize),
        store=given.store,
        company=given.company,
        compared=Wanted(given.against, given.ablate, given.pooled),
        workers=given.workers,
    )
    return anyio.run(measure_quality, request)


def _add_compare(commands: Commands) -> None:
    added = command(commands, "compare", "Systems that people use, on the same texts and vectors.", _compare)
    default = CompareRequest("", Path())
    added.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of sets")
    added.add_argument("--sets", nargs="+", default=[], metavar="SET", help="only these folders")
    added.add_argument("--limit-queries", type=at_least(1), metavar="N", help="at most N queries a set")
    added.add_argument(
        "--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM", help="beside ours"
    )
    added.add_argument(
        "--environments", type=Path, metavar="DIR", help="install the systems here and keep them; else for this run"
    )
    added.add_argument(
        "--limit-s", type=at_least(1), default=int(default.limit_s), metavar="S", help="seconds a system and set"
    )


def _compare(given: argparse.Namespace, typed: str) -> Report:
    return measure_compare(
        CompareRequest(
            command=typed,
            data=given.data,
            sets=tuple(given.sets),
            limit=given.limit_queries,
            systems=tuple(given.systems),
            environments=given.environments,
            limit_s=given.limit_s,
        )
    )


def _add_prepare(commands: Commands) -> None:
    added = command(commands, "prepare", "Evaluation sets out of published files.", _prepare)
    added.add_argument("format", choices=sorted(FORMATS), help="whose format it is")
    added.add_argument("source", type=Path, metavar="PATH", help="the file; of beam, the folder of a tier")
    added.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of sets")
    added.add_argument("--conversations", type=at_least(1), metavar="N", help="only the first N")


def _prepare(given: argparse.Namespace, typed: str) -> Report:
    return run_prepare(PrepareRequest(typed, given.format, given.source, given.out, given.conversations))


def _add_updates(commands: Commands) -> None:
    added = command(commands, "updates", "What holds now, ranked before what it replaced.", _updates)
    added.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of sets")
    added.add_argument("--sets", nargs="+", default=[], metavar="SET", help="only these folders")
    store(added, "keep the ingested store here for the next run")


def _updates(given: argparse.Namespace, typed: str) -> Report:
    return anyio.run(measure_updates, UpdatesRequest(typed, given.data, tuple(given.sets), given.store))
