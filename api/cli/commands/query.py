"""`remembrancer search` and `remembrancer retrieve`."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeAlias

import typer

from api.auth.keys import DEFAULT_TENANT
from api.cli.backend import open_backend
from api.cli.commands.options import AsJson, DataDir, Key, Namespace, Tenant, Url, place, present, run
from api.cli.tables import context_view, hits_table
from api.http.validation import checked
from memtypes.model.errors import InvalidRequest
from retrieval.query.request import RetrieveRequest, SearchRequest

Query: TypeAlias = Annotated[str, typer.Argument(help="What to look for.")]
Types: TypeAlias = Annotated[list[str] | None, typer.Option("--type", help="Only this type; may be given again.")]
Session: TypeAlias = Annotated[str | None, typer.Option(help="The current session.")]
Filters: TypeAlias = Annotated[str | None, typer.Option(help="Filters as JSON, as in the HTTP API.")]
Profile: TypeAlias = Annotated[str | None, typer.Option(help="Named weights.")]
AsOf: TypeAlias = Annotated[str | None, typer.Option(help="The instant that is asked about, in RFC 3339.")]
Explain: TypeAlias = Annotated[bool, typer.Option("--explain", help="Show the parts of each score.")]


def search(  # noqa: PLR0913, PLR0917 - typer reads a command's options from its parameters
    query: Query,
    namespace: Namespace,
    types: Types = None,
    top_k: Annotated[int, typer.Option(help="How many hits at most.")] = 10,
    session: Session = None,
    filters: Filters = None,
    profile: Profile = None,
    as_of: AsOf = None,
    explain: Explain = False,  # noqa: FBT002 - a flag
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """The best memories for a query, ranked."""

    async def ask() -> dict[str, Any]:
        body = _body(query, namespace, types, session, filters)
        body |= _given(top_k=top_k, profile=profile, as_of=as_of, explain=explain)
        asked = checked(SearchRequest, body)
        async with open_backend(place(data_dir, url, key, tenant)) as backend:
            return await backend.search(asked)

    present(run(ask), hits_table, as_json=as_json)


def retrieve(  # noqa: PLR0913, PLR0917 - typer reads a command's options from its parameters
    query: Query,
    namespace: Namespace,
    budget: Annotated[int, typer.Option(help="Tokens of the long-term part.")] = 8_000,
    types: Types = None,
    session: Session = None,
    todo: Annotated[str | None, typer.Option(help="The to-do at hand.")] = None,
    filters: Filters = None,
    profile: Profile = None,
    as_of: AsOf = None,
    tokenizer: Annotated[str | None, typer.Option(help="cl100k_base or o200k_base.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="markdown, json or messages.")] = None,
    oversize: Annotated[str | None, typer.Option(help="What is too large: skip, cut or excerpt.")] = None,
    explain: Explain = False,  # noqa: FBT002 - a flag
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """A context for a query that fits a budget of tokens."""

    async def ask() -> dict[str, Any]:
        body = _body(query, namespace, types, session, filters)
        body |= _given(budget=budget, todo_id=todo, profile=profile, as_of=as_of, tokenizer=tokenizer)
        body |= _given(format=form, oversize=oversize, explain=explain)
        asked = checked(RetrieveRequest, body)
        async with open_backend(place(data_dir, url, key, tenant)) as backend:
            return await backend.retrieve(asked)

    present(run(ask), context_view, as_json=as_json)


def _body(
    query: str, namespace: str, types: list[str] | None, session: str | None, filters: str | None
) -> dict[str, Any]:
    body = {"query": query, "namespace": namespace}
    return body | _given(types=types or None, session_id=session, filters=_filters(filters))


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _filters(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"--filters is not JSON: {error}") from error
