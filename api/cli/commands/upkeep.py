"""`remembrancer jobs`: upkeep of one namespace or of all, as a dry run unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from api.auth.keys import DEFAULT_TENANT
from api.cli.backend import open_backend
from api.cli.commands.options import AsJson, DataDir, Key, Tenant, Url, place, present, run
from api.http.validation import checked
from ingest.upkeep.planners import JobRequest, UpkeepJob

SHOWN = 50
_Limit = Annotated[int | None, typer.Option(show_default=False)]


def jobs(  # noqa: PLR0913, PLR0917 - typer reads a command's options from its parameters
    job: Annotated[UpkeepJob, typer.Argument(help="Which job.")],
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Whose memory; all of the tenant's without.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without, only say what it would do.")] = False,  # noqa: FBT002 - a flag
    max_age_days: _Limit = None,
    inactive_days: _Limit = None,
    keep_top: _Limit = None,
    min_sessions: _Limit = None,
    min_uses: _Limit = None,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Promote, forget, expire or compact the memories of one namespace, or of every one."""
    limits = {
        "namespace": namespace,
        "max_age_days": max_age_days,
        "inactive_days": inactive_days,
        "keep_top": keep_top,
        "min_sessions": min_sessions,
        "min_uses": min_uses,
    }
    given = {name: value for name, value in limits.items() if value is not None}

    async def work() -> dict[str, Any]:
        asked = checked(JobRequest, {"dry_run": not apply, **given})
        async with open_backend(place(data_dir, url, key, tenant)) as backend:
            return await backend.job(job, asked)

    present(run(work), _view, as_json=as_json)


def _view(answer: Mapping[str, Any]) -> RenderableType:
    told = ", ".join(f"{name} {count}" for name, count in answer["counts"].items())
    head = f"{answer['job']}{' (dry run: nothing was changed; --apply does it)' if answer['dry_run'] else ''}: {told}"
    ids = answer["ids"]
    more = [Text(f"... and {len(ids) - SHOWN} more; --json lists them")] if len(ids) > SHOWN else []
    return Group(Text(head), *(Text(one) for one in ids[:SHOWN]), *more)
