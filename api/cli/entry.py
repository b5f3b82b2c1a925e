"""Entry points of the programs. They import the commands late, so that Ctrl-C during the import prints no traceback."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence


def main() -> None:
    """Run the program `remembrancer`."""
    _run(None, "remembrancer")


def serve_main() -> None:
    """Run `python -m api`: the command that is given, or `serve` without one."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0].startswith("-") and arguments[0] != "--help"):
        arguments = ["serve", *arguments]
    _run(arguments, "python -m api")


def ingest_main() -> None:
    """Run `python -m ingest`, which is the command `ingest`."""
    _run(["ingest", *sys.argv[1:]], "python -m")


def _run(arguments: Sequence[str] | None, name: str) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from api.cli.main import app  # noqa: PLC0415 - takes a second

    signal.signal(signal.SIGINT, handler)
    app(arguments, prog_name=name)
