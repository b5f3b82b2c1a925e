"""The commands `remembrancer search`, `remembrancer retrieve` and `remembrancer verify`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from api.auth.keys import DEFAULT_TENANT
from api.cli.backend import body_of, open_backend
from api.cli.options import FAILED, AsJson, DataDir, Key, Namespace, Tenant, Url, place, present, run, settings_from
from api.cli.tables import context_view, hits_table, verdict_view
from api.http.problems import checked
from api.wiring.resources import open_tokenizers
from memtypes.model.errors import InvalidRequest
from memtypes.ports.encoders import Tokenizer
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.receipts.checks import counter_for, verify_file

MAX_RECEIPT_BYTES = 64 * 1024 * 1024

Query: TypeAlias = Annotated[str, typer.Argument(help="The query.")]
Types: TypeAlias = Annotated[list[str] | None, typer.Option("--type", help="Only this type; can be repeated.")]
Session: TypeAlias = Annotated[str | None, typer.Option(help="The current session.")]
Filters: TypeAlias = Annotated[str | None, typer.Option(help="Filters as JSON, as in the HTTP API.")]
Profile: TypeAlias = Annotated[str | None, typer.Option(help="Named weights.")]
AsOf: TypeAlias = Annotated[str | None, typer.Option(help="Answer as of this instant, in RFC 3339.")]
Explain: TypeAlias = Annotated[bool, typer.Option("--explain", help="Show the signals of each score.")]


def search(  # noqa: PLR0913, PLR0917 - typer reads a command's options from its parameters
    query: Query,
    namespace: Namespace,
    types: Types = None,
    top_k: Annotated[int, typer.Option(help="Maximum number of hits.")] = 10,
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

    async def work() -> dict[str, Any]:
        body = body_of(query=query, namespace=namespace, types=types or None, session_id=session)
        body |= body_of(top_k=top_k, filters=_filters(filters), profile=profile, as_of=as_of, explain=explain)
        request = checked(SearchRequest, body)
        async with open_backend(place(data_dir, url, key, tenant)) as backend:
            return await backend.search(request)

    present(run(work), hits_table, as_json=as_json)


def retrieve(  # noqa: PLR0913, PLR0917 - typer reads a command's options from its parameters
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
    form: Annotated[str | None, typer.Option("--format", help="markdown, json or messages.")] = None,
    oversize: Annotated[str | None, typer.Option(help="Memories over the budget: skip, cut or excerpt.")] = None,
    explain: Explain = False,  # noqa: FBT002 - a flag
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """A context for a query that fits a budget of tokens."""

    async def work() -> dict[str, Any]:
        body = body_of(query=query, namespace=namespace, types=types or None, session_id=session, todo_id=todo)
        body |= body_of(budget=budget, filters=_filters(filters), profile=profile, as_of=as_of, tokenizer=tokenizer)
        body |= body_of(format=form, oversize=oversize, explain=explain)
        request = checked(RetrieveRequest, body)
        async with open_backend(place(data_dir, url, key, tenant)) as backend:
            return await backend.retrieve(request)

    present(run(work), context_view, as_json=as_json)


def _filters(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"--filters is not JSON: {error}") from error


def verify(
    file: Annotated[Path, typer.Argument(help="A receipt from GET /v1/receipts/ID?contents=true.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Check a saved receipt, without a service or a store. Exit code 1 when it is not valid."""

    async def work() -> dict[str, Any]:
        raw = _read_receipt(file)
        tokenizers = await open_tokenizers(settings_from({"data_dir": data_dir}))
        return verify_file(raw, lambda receipt: _counter(receipt, tokenizers)).model_dump(mode="json")

    verdict = run(work)
    present(verdict, verdict_view, as_json=as_json)
    if not verdict["valid"]:
        raise typer.Exit(FAILED)


def _read_receipt(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_RECEIPT_BYTES:
            raise InvalidRequest(f"{file} is larger than any receipt")
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}") from error


def _counter(receipt: Mapping[str, Any], tokenizers: Mapping[str, Tokenizer]) -> Callable[[str], int] | None:
    """A token counter for the receipt's entries; None if the tokenizer that the receipt names is not available."""
    named = receipt.get("tokenizer")
    tokenizer = tokenizers.get(str(named.get("name"))) if isinstance(named, dict) else None
    if tokenizer is None or not isinstance(named, dict) or named.get("sha256") != tokenizer.sha256:
        return None
    request = receipt.get("request")
    return counter_for(str(request.get("format")) if isinstance(request, dict) else "", tokenizer)
