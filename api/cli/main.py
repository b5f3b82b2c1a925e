"""The command-line application with all commands of `remembrancer`."""

from __future__ import annotations

import typer

from api.cli.importing import ingest
from api.cli.install.commands import install, uninstall
from api.cli.maintenance import doctor, jobs, reembed
from api.cli.mcp.command import mcp
from api.cli.past import import_past
from api.cli.policies import policies
from api.cli.query import retrieve, search, verify
from api.cli.serving import run_samples, serve, settings

app = typer.Typer(
    name="remembrancer",
    help="A memory service for AI agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its frames contain local values: contents and keys
)
app.command("serve")(serve)
app.command("run")(run_samples)
app.command("import")(import_past)
for command in (mcp, install, uninstall, ingest, search, retrieve, verify, jobs, doctor, reembed, settings):
    app.command()(command)
app.add_typer(policies, name="policies")
