"""`remembrancer serve`, `run` and `settings`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from api.cli.commands.options import DataDir, run, settings_from
from api.cli.demo import show_samples
from api.http.serve import serve as serve_until_stopped
from api.settings import settings_table
from api.wiring.container import Services

Host: TypeAlias = Annotated[str | None, typer.Option(help="Address to listen on.", show_default=False)]
Port: TypeAlias = Annotated[int | None, typer.Option(help="Port to listen on.", show_default=False)]
Keys: TypeAlias = Annotated[
    Path | None, typer.Option(help='JSON list of {"key", "tenant", "role"}.', show_default=False)
]
Models: TypeAlias = Annotated[Path | None, typer.Option(help="YAML registry of models.", show_default=False)]
Policies: TypeAlias = Annotated[
    Path | None, typer.Option(help="YAML file of thread policies and agents.", show_default=False)
]


First: TypeAlias = Callable[[Services], Awaitable[None]]


def _command(said: str, first: First | None) -> Callable[..., None]:
    """A command that serves; `first` is done before the first call is answered, `said` is its help."""

    def command(
        host: Host = None,
        port: Port = None,
        data_dir: DataDir = None,
        keys: Keys = None,
        models: Models = None,
        policies: Policies = None,
    ) -> None:
        flags = {"host": host, "port": port, "data_dir": data_dir, "keys": keys, "models": models, "policies": policies}

        async def work() -> None:
            await serve_until_stopped(settings_from(flags), first)

        run(work)

    command.__doc__ = said
    return command


serve = _command("Answer over HTTP until stopped.", None)
run_samples = _command("Load the sample memories the first time, show one retrieval, then serve.", show_samples)


def settings() -> None:
    """Every setting as a Markdown table."""
    print(settings_table())  # noqa: T201 - the command's output
