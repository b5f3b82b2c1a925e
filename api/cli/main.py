"""The command line: `remembrancer COMMAND`, `python -m api` and `python -m ingest`."""

from __future__ import annotations

import typer

from api.cli.commands.diagnosis import doctor
from api.cli.commands.importing import ingest
from api.cli.commands.query import retrieve, search
from api.cli.commands.receipts import verify
from api.cli.commands.reembedding import reembed
from api.cli.commands.serving import run_samples, serve, settings
from api.cli.commands.upkeep import jobs

app = typer.Typer(
    name="remembrancer",
    help="A memory service for AI agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its frames show local values: contents and keys
)
app.command("serve")(serve)
app.command("run")(run_samples)
app.command("ingest")(ingest)
app.command()(search)
app.command()(retrieve)
app.command()(verify)
app.command()(jobs)
app.command()(doctor)
app.command()(reembed)
app.command()(settings)
