"""Where the programs begin. Knows how a command line is loaded, and no command.

A Ctrl-C while it is loaded, which takes a second, ends the program without a trace of imports.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence


def main() -> None:
    """Run `remembrancer`."""
    _run(None, "remembrancer")


def serve_main() -> None:
    """Run `python -m api`: serves, unless another command is named."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0].startswith("-") and arguments[0] != "--help"):
        arguments = ["serve", *arguments]
    _run(arguments, "python -m api")


def ingest_main() -> None:
    """Run `python -m ingest`."""
    _run(["ingest", *sys.argv[1:]], "python -m")


def _run(arguments: Sequence[str] | None, name: str) -> None:
    heeded = signal.getsignal(signal.SIGINT)
    if heeded is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from api.cli.main import app  # noqa: PLC0415 - what takes the second

    signal.signal(signal.SIGINT, heeded)
    app(arguments, prog_name=name)
