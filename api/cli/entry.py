"""Entry points of the programs. They import the commands late, so that Ctrl-C during the import prints no traceback.

What was imported stays, so it is kept out of garbage collection, which takes a third of the time of `--help`.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer


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
    gc.disable()
    app = _application(sys.argv[1:] if arguments is None else arguments)
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, handler)
    app(arguments, prog_name=name)


def _application(arguments: Sequence[str]) -> Typer:
    """The application with all commands or, if the first argument is `mcp`, with that command alone.

    Importing all commands takes a second, and clients start `mcp` for each of their windows.
    """
    if arguments[:1] == ["mcp"]:
        import typer  # noqa: PLC0415 - as late as the commands

        from api.cli.mcp.command import mcp  # noqa: PLC0415 - without the other commands

        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.callback()(lambda: None)  # so that `mcp` stays a word of the command line
        alone.command()(mcp)
        return alone
    from api.cli.main import app  # noqa: PLC0415 - takes a second

    return app
