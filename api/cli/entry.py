"""The command-line program `remembrancer`: the list of its commands, and its entry points.

Only the modules of the command that runs are imported. During the import, Ctrl-C ends the program
without a traceback.
"""

from __future__ import annotations

import gc
import signal
import sys
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typer import Typer

COMMANDS = {
    "serve": "api.cli.serving:serve",
    "run": "api.cli.serving:run_samples",
    "mcp": "api.cli.mcp.command:mcp",
    "install": "api.cli.install.commands:install",
    "uninstall": "api.cli.install.commands:uninstall",
    "import": "api.cli.past:import_past",
    "ingest": "api.cli.importing:ingest",
    "search": "api.cli.query:search",
    "retrieve": "api.cli.query:retrieve",
    "verify": "api.cli.maintenance:verify",
    "jobs": "api.cli.query:jobs",
    "doctor": "api.cli.doctor:doctor",
    "reembed": "api.cli.maintenance:reembed",
    "settings": "api.cli.serving:settings",
    "policies": "api.cli.policies:policies",
}
"""Module and function of each command, by its name, in the order in which `--help` lists the
commands.
"""


class _FlagsWithoutType:
    """Mixin for Typer's commands: their `--help` shows flags without the type `<bool>`, as they
    take no value.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            param.metavar = "" if getattr(param, "is_flag", False) else param.metavar
        return params


def main() -> None:
    """Run the program `remembrancer` with the arguments of this process."""
    _run(sys.argv[1:], "remembrancer")


def serve_main() -> None:
    """Run `python -m api`. Without a command it runs `serve`."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0].startswith("-") and arguments[0] != "--help"):
        arguments = ["serve", *arguments]
    _run(arguments, "python -m api")


def _run(arguments: list[str], name: str) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()
    app = application(*arguments[:1])
    gc.freeze()  # modules stay: collecting them takes a third of the time of `--help`
    gc.enable()
    signal.signal(signal.SIGINT, handler)
    app(arguments, prog_name=name)


def application(only: str | None = None) -> Typer:
    """The Typer application with the command `wanted`, or with all commands if there is no command
    of this name.
    """
    import typer  # noqa: PLC0415 - as late as the commands
    from typer.core import TyperCommand, TyperGroup  # noqa: PLC0415 - as late as the commands

    group, leaf = (
        type("Command", (_FlagsWithoutType, kind), {}) for kind in (TyperGroup, TyperCommand)
    )
    app = typer.Typer(
        name="remembrancer",
        cls=group,
        help="A memory service for AI agents.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # its frames contain local values: contents and keys
    )
    app.callback()(lambda: None)  # so that a single command is named, too
    for name in [only] if only in COMMANDS else COMMANDS:
        command = resolve_name(COMMANDS[name])
        if isinstance(command, typer.Typer):
            for subcommand in command.registered_commands:
                subcommand.cls = leaf
            app.add_typer(command, name=name, cls=group)
        else:
            app.command(name, cls=leaf)(command)
    return app
