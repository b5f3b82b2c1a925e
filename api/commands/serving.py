"""`remembrancer serve`, `run` and `settings`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from api.commands.options import DataDir, run, settings_from
from api.demo import show_samples
from api.serve import serve as serve_until_stopped
from api.services import Services
from api.settings import settings_table

Host: TypeAlias = Annotated[str | None, typer.Option(help="Address to listen on.", show_default=False)]
Port: TypeAlias = Annotated[int | None, typer.Option(help="Port to listen on.", show_default=False)]
Keys: TypeAlias = Annotated[
    Path | None, typer.Option(help='JSON list of {"key", "tenant", "role"}.', show_default=False)
]
Models: TypeAlias = Annotated[Path | None, typer.Option(help="YAML registry of models.", show_default=False)]
Policies: TypeAlias = Annotated[
    Path | None, typer.Option(help="YAML file of thread policies and agents.", show_default=False)
]


def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    keys: Keys = None,
    models: Models = None,
    policies: Policies = None,
) -> None:
    """Answer over HTTP until stopped."""
    _serve(
        {"host": host, "port": port, "data_dir": data_dir, "keys": keys, "models": models, "policies": policies}, None
    )


def run_samples(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    keys: Keys = None,
    models: Models = None,
    policies: Policies = None,
) -> None:
    """Load the sample memories the first time, show one retrieval, then serve."""
    _serve(
        {"host": host, "port": port, "data_dir": data_dir, "keys": keys, "models": models, "policies": policies},
        show_samples,
    )


def _serve(flags: dict[str, object], first: Callable[[Services], Awaitable[None]] | None) -> None:
    async def work() -> None:
        await serve_until_stopped(settings_from(flags), first)

    run(work)


def settings() -> None:
    """Every setting as a Markdown table."""
    print(settings_table())  # noqa: T201 - the command's output
