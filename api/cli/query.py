"""The commands `remembrancer search`, `retrieve` and `jobs`, each of which prints the answer to one
call.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import typer
from rich.console import Group
from rich.text import Text

from api.cli.options import AsJson, DataDir, Key, Namespace, Tenant, Url, end, present, run
from api.cli.service import ask, backend_of
from api.cli.tables import context_view, counted, first_lines, hits_table, shortened
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import DEFAULT_TENANT
from memtypes.model.strict_json import MalformedJson, whole_value
from retrieval.answer import Answer, RetrieveAnswer, SearchAnswer

MAX_LISTED = 50

Query: TypeAlias = Annotated[str, typer.Argument(help="The query.")]
Types: TypeAlias = Annotated[
    list[str] | None, typer.Option("--type", help="Only this type; can be repeated.")
]
Session: TypeAlias = Annotated[str | None, typer.Option(help="The current session.")]
Filters: TypeAlias = Annotated[
    str | None, typer.Option(help="Filters as JSON, as in the HTTP API.")
]
Profile: TypeAlias = Annotated[str | None, typer.Option(help="Named weights.")]
AsOf: TypeAlias = Annotated[
    str | None, typer.Option(help="Answer as of this instant, in RFC 3339.")
]
Explain: TypeAlias = Annotated[
    bool, typer.Option("--explain", help="Show the signals of each score.")
]
Job: TypeAlias = Literal["promote", "forget", "expire", "compact"]


class _Report(Answer):
    ids: list[str]
    counts: dict[str, int]
    reasons: dict[str, str]


def search(
    query: Query,
    namespace: Namespace,
    types: Types = None,
    top_k: Annotated[int, typer.Option(help="Maximum number of hits.")] = 10,
    session: Session = None,
    filters: Filters = None,
    profile: Profile = None,
    as_of: AsOf = None,
    explain: Explain = False,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Search for the best memories for a query, ranked."""
    body = {
        "query": query,
        "namespace": namespace,
        "types": types or None,
        "session_id": session,
        "top_k": top_k,
        "filters": _filters(filters),
        "profile": profile,
        "as_of": as_of,
        "explain": explain,
    }
    answer, parsed = run(
        lambda: ask(backend_of(data_dir, url, key, tenant), "/v1/search", body, SearchAnswer)
    )
    present(answer, hits_table(parsed), as_json=as_json)


def retrieve(
    query: Query,
    namespace: Namespace,
    budget: Annotated[int, typer.Option(help="Tokens of the long-term part.")] = 8_000,
    types: Types = None,
    session: Session = None,
    todo: Annotated[str | None, typer.Option(help="The current to-do.")] = None,
    filters: Filters = None,
    profile: Profile = None,
    as_of: AsOf = None,
    tokenizer: Annotated[str | None, typer.Option(help="cl100k_base or o200k_base.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="markdown, json or messages.")
    ] = None,
    oversize: Annotated[
        str | None, typer.Option(help="Memories over the budget: skip, cut or excerpt.")
    ] = None,
    explain: Explain = False,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Retrieve a context for a query, within a token budget."""
    body = {
        "query": query,
        "namespace": namespace,
        "types": types or None,
        "session_id": session,
        "todo_id": todo,
        "budget": budget,
        "filters": _filters(filters),
        "profile": profile,
        "as_of": as_of,
        "tokenizer": tokenizer,
        "format": form,
        "oversize": oversize,
        "explain": explain,
    }
    answer, parsed = run(
        lambda: ask(backend_of(data_dir, url, key, tenant), "/v1/retrieve", body, RetrieveAnswer)
    )
    present(answer, context_view(parsed), as_json=as_json)


def _filters(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return whole_value(text)
    except MalformedJson as error:
        end(InvalidRequest(f"--filters {error}"))


def jobs(
    job: Annotated[Job, typer.Argument(help="The job to run.")],
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace; by default all of the tenant."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Apply the changes; by default only list them.")
    ] = False,
    max_age_days: Annotated[
        int | None, typer.Option(help="Forget memories older than this.")
    ] = None,
    inactive_days: Annotated[
        int | None, typer.Option(help="Forget memories not used for this long.")
    ] = None,
    keep_top: Annotated[
        int | None, typer.Option(help="Forget all but the best N of each type.")
    ] = None,
    min_sessions: Annotated[
        int | None, typer.Option(help="Make a fact of what this many sessions say (3).")
    ] = None,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Run an upkeep job (promote, forget, expire or compact) on one namespace or on all."""
    body = {
        "namespace": namespace,
        "dry_run": not apply,
        "max_age_days": max_age_days,
        "inactive_days": inactive_days,
        "keep_top": keep_top,
        "min_sessions": min_sessions,
    }
    answer, report = run(
        lambda: ask(backend_of(data_dir, url, key, tenant), f"/v1/admin/jobs/{job}", body, _Report)
    )
    note = "" if apply else " (dry run: nothing was changed; use --apply)"
    lines = [shortened(f"{memory_id}: {report.reasons.get(memory_id)}") for memory_id in report.ids]
    view = Group(
        Text(f"{job}{note}: {counted(report.counts.items())}"), *first_lines(lines, MAX_LISTED)
    )
    present(answer, view, as_json=as_json)
