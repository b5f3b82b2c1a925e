"""The commands `remembrancer jobs`, `remembrancer reembed` and `remembrancer doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from api.auth.keys import DEFAULT_TENANT
from api.cli.backend import body_of, open_backend
from api.cli.doctor import Diagnosis, diagnose, diagnose_service
from api.cli.options import FAILED, AsJson, DataDir, Key, Tenant, Url, place, present, run, settings_from
from api.cli.tables import checks_table, first_lines, names_table
from api.http.problems import checked
from api.wiring.reembedding import Reembedding
from api.wiring.resources import prepared_embedder
from ingest.upkeep.planners import JobRequest, UpkeepJob
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.stores.operations.schema import Collection

MAX_LISTED = 50


def jobs(  # noqa: PLR0913, PLR0917 - typer reads a command's options from its parameters
    job: Annotated[UpkeepJob, typer.Argument(help="The job to run.")],
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Namespace; by default all of the tenant.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the changes; by default only list them.")] = False,  # noqa: FBT002 - a flag
    max_age_days: Annotated[int | None, typer.Option(help="Forget memories older than this.")] = None,
    inactive_days: Annotated[int | None, typer.Option(help="Forget memories not used for this long.")] = None,
    keep_top: Annotated[int | None, typer.Option(help="Forget all but the best N of each type.")] = None,
    min_sessions: Annotated[int | None, typer.Option(help="Make a fact of what this many sessions say (3).")] = None,
    min_uses: Annotated[int | None, typer.Option(help="Show all sessions a task that this many have (3).")] = None,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Promote, forget, expire or compact the memories of one namespace, or of all."""

    async def work() -> dict[str, Any]:
        body = body_of(namespace=namespace, dry_run=not apply, max_age_days=max_age_days, inactive_days=inactive_days)
        body |= body_of(keep_top=keep_top, min_sessions=min_sessions, min_uses=min_uses)
        request = checked(JobRequest, body)
        async with open_backend(place(data_dir, url, key, tenant)) as backend:
            return await backend.job(job, request)

    present(run(work), _job_view, as_json=as_json)


def _job_view(answer: Mapping[str, Any]) -> RenderableType:
    counts = ", ".join(f"{name} {count}" for name, count in answer["counts"].items())
    note = " (dry run: nothing was changed; use --apply)" if answer["dry_run"] else ""
    return Group(Text(f"{answer['job']}{note}: {counts}"), *first_lines(answer["ids"], MAX_LISTED))


def reembed(data_dir: DataDir = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Embed every memory again with the embedder of the settings. Services must be stopped."""

    async def work() -> dict[Collection, int]:
        settings = settings_from({"data_dir": data_dir})
        embedder = await prepared_embedder(settings)
        try:
            return await Reembedding(settings, embedder, Bm25Encoder()).run(stop_engine=False)
        finally:
            await embedder.aclose()

    counts = run(work)
    present({str(kind): count for kind, count in counts.items()}, names_table, as_json=as_json)


def doctor(
    data_dir: DataDir = None,
    keys: Annotated[Path | None, typer.Option(help="Keys file to check.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port to check.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="Check the service at this URL, not the installation.")] = None,
    key: Key = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Check the installation, or a running service with --url. Exit code 1 when a check fails."""

    async def work() -> Diagnosis:
        settings = settings_from({"data_dir": data_dir, "keys": keys, "port": port})
        return await (diagnose_service(url, key) if url else diagnose(settings))

    diagnosis = run(work)
    checks = {name: check.model_dump() for name, check in diagnosis.checks.items()}
    present({"ok": diagnosis.ok, "checks": checks}, lambda answer: checks_table(answer["checks"]), as_json=as_json)
    if not diagnosis.ok:
        raise typer.Exit(FAILED)
