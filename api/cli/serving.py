"""The commands `remembrancer serve`, `run` (serve with sample memories) and `settings`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from api.cli.embedded import client_of
from api.cli.options import DataDir, run
from api.cli.service import settings_from
from api.cli.tables import context_view
from api.http.serve import serve as serve_until_stopped
from api.settings import settings_table
from api.wiring.container import Services
from ingest.files.samples import sample_items
from retrieval.answer import RetrieveAnswer

SAMPLE_NAMESPACE = "sample"
SAMPLE_QUERY = (
    "Why did we move the stock counter to Postgres advisory locks, and what is left to do?"
)
# the day after the last sample memory
SAMPLE_BUDGET = 700
SAMPLE_TIME = "2026-11-07T09:00:00Z"


def _command(
    description: str, before: Callable[[Services], Awaitable[None]] | None
) -> Callable[..., None]:
    """A command that serves the HTTP API. before: runs first, if given. description: the command's
    help text.
    """

    def command(
        host: Annotated[
            str | None, typer.Option(help="Address to listen on.", show_default=False)
        ] = None,
        port: Annotated[
            int | None, typer.Option(help="Port to listen on.", show_default=False)
        ] = None,
        data_dir: DataDir = None,
        keys: Annotated[
            Path | None,
            typer.Option(help='JSON list of {"key", "tenant", "role"}.', show_default=False),
        ] = None,
        models: Annotated[
            Path | None, typer.Option(help="YAML registry of models.", show_default=False)
        ] = None,
        policies: Annotated[
            Path | None,
            typer.Option(help="YAML file of thread policies and agents.", show_default=False),
        ] = None,
    ) -> None:
        flags = {
            "host": host,
            "port": port,
            "data_dir": data_dir,
            "keys": keys,
            "models": models,
            "policies": policies,
        }

        async def work() -> None:
            await serve_until_stopped(settings_from(flags), before)

        run(work)

    command.__doc__ = description
    return command


async def show_samples(services: Services) -> None:
    """Load the sample memories if their namespace is empty, then print the context that a sample
    query retrieves.
    """
    out = Console()
    async with client_of(services) as client:
        if await client.is_empty(SAMPLE_NAMESPACE):
            out.print(
                "Loading the sample memories into the namespace "
                f"[bold]{SAMPLE_NAMESPACE}[/bold] ..."
            )
            batch = {"namespace": SAMPLE_NAMESPACE, "items": sample_items()}
            written = (await client.post("/v1/memories/batch", batch))["results"]
            out.print(f"{sum(memory['id'] is not None for memory in written)} memories loaded.")
        request = {
            "query": SAMPLE_QUERY,
            "namespace": SAMPLE_NAMESPACE,
            "budget": SAMPLE_BUDGET,
            "as_of": SAMPLE_TIME,
        }
        answer = client.parsed(await client.post("/v1/retrieve", request), RetrieveAnswer)
    out.print(
        f"\n[bold]{SAMPLE_QUERY}[/bold]  (POST /v1/retrieve, {SAMPLE_BUDGET} tokens, as of "
        f"{SAMPLE_TIME[:10]})"
    )
    out.print(context_view(answer))


serve = _command("Serve the HTTP API until stopped.", None)
run_samples = _command(
    "Load the sample memories the first time, show one retrieval, then serve.", show_samples
)


def settings() -> None:
    """Print all settings of the service as a Markdown table."""
    print(settings_table())
