"""`python -m benchmarks COMMAND`: each prints its tables and, with --json FILE, writes everything it measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.apparatus.processes import NotReady
from benchmarks.apparatus.report import publish
from benchmarks.commands import failures, growth, ranking, speed
from benchmarks.commands.options import Measure
from benchmarks.sets.data import BadSet
from benchmarks.sets.loading import NotLoaded
from benchmarks.speed.ingestion import NotStored
from memtypes.model.errors import RemembrancerError

_TOLD = (BadSet, NotLoaded, NotReady, NotStored, RemembrancerError)
"""What ends a command with one line: everything else is a mistake of ours."""


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when everything was measured, 1 when not, with the reason on standard error."""
    given = parser().parse_args(arguments)
    measure: Measure = given.measure
    try:
        report = measure(given, " ".join(["python -m benchmarks", *arguments]))
    except _TOLD as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    publish(report, given.json)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for group in (ranking, speed, growth, failures):
        group.add(commands)
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
