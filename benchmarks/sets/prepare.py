"""`python -m benchmarks.sets.prepare FORMAT PATH --out DIR`: converts published benchmark files to
evaluation sets.

Download LoCoMo, LongMemEval and BEAM yourself; mind their licences, which do not allow every use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.harness.report import Table, render_table
from benchmarks.sets.data import BadSet, read_set
from benchmarks.sets.formats.beam import prepare_beam
from benchmarks.sets.formats.locomo import prepare_locomo
from benchmarks.sets.formats.longmemeval import prepare_longmemeval
from benchmarks.sets.formats.source import Prepared, write_set

FORMATS: Mapping[str, Callable[[Path, int | None], list[Prepared]]] = {
    "locomo": prepare_locomo,
    "longmemeval": prepare_longmemeval,
    "beam": prepare_beam,
}
_COLUMNS = ("set", "conversations", "memories", "queries", "not answerable", "left out")


def main(arguments: Sequence[str]) -> int:
    """Run the conversion in `arguments`. Returns the exit code: 0, or 1 with the error on standard
    error.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sets.prepare", description=__doc__)
    parser.add_argument("format", choices=sorted(FORMATS), help="whose format it is")
    parser.add_argument(
        "source",
        type=Path,
        metavar="PATH",
        help="the published file; for beam the folder of a tier",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of sets to write to"
    )
    parser.add_argument(
        "--conversations", type=int, metavar="N", help="only the first N conversations"
    )
    options = parser.parse_args(arguments)
    try:
        rows = prepare(options.format, options.source, options.out, options.conversations)
    except BadSet as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    print(render_table(Table("Sets", _COLUMNS, tuple(rows))))
    return 0


def prepare(
    name: str, source: Path, directory: Path, conversations: int | None
) -> list[tuple[str | int, ...]]:
    """Convert `source`, in the format `name`, to sets in `directory`. Returns counts for each set.
    Raises BadSet.
    """
    rows: list[tuple[str | int, ...]] = []
    for prepared in FORMATS[name](source, conversations):
        written = read_set(write_set(prepared, directory))
        left_out = "; ".join(
            f"{count} {reason}" for reason, count in sorted(prepared.left_out.items()) if count
        )
        counts = (len(written.corpus), written.memories, len(written.questions), written.dropped)
        rows.append((written.name, *counts, left_out))
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
