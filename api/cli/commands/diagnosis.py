"""`remembrancer doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.commands.options import FAILED, AsJson, DataDir, Key, Url, present, run, settings_from
from api.cli.doctor import Diagnosis, diagnose, diagnose_service
from api.cli.tables import checks_table


def doctor(
    data_dir: DataDir = None,
    keys: Annotated[Path | None, typer.Option(help="Keys file to check.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port to check.", show_default=False)] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Check every part and say what is wrong. Exit code 1 when something is."""

    async def look() -> Diagnosis:
        settings = settings_from({"data_dir": data_dir, "keys": keys, "port": port})
        return await (diagnose_service(url, key) if url else diagnose(settings))

    diagnosis = run(look)
    answer = {"ok": diagnosis.well, "checks": {name: check.model_dump() for name, check in diagnosis.checks.items()}}
    present(answer, lambda found: checks_table(found["checks"]), as_json=as_json)
    if not diagnosis.well:
        raise typer.Exit(FAILED)
