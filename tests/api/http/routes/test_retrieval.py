"""Calls for search, retrieval, and receipts (records of how a context was chosen)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from typer.testing import CliRunner, Result

from api.auth.keys import Role
from api.cli.entry import application
from api.wiring.container import Services
from tests.api.conftest import ASK, FACT, bearer, connect, problem

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"query": ""}, "query"),
        ({"query": "  "}, "query"),
        ({"query": "x" * 20_001}, "query"),
        ({"query": "a\u0007"}, "query"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1_001}, "top_k"),
        ({"top_k": 10**18}, "top_k"),
        ({"top_k": "10"}, "top_k"),
        ({"types": []}, "types"),
        ({"types": ["nonsense"]}, "types[0]"),
        ({"weights": {"luck": 1}}, "weights.luck"),
        ({"weights": {"similarity": -1}}, "weights.similarity"),
        ({"profile": ""}, "profile"),
        ({"profile": "nonsense"}, "profile"),
        ({"filters": {"nonsense": {"eq": 1}}}, "filters"),
        ({"filters": {"importance": {"about": 5}}}, "filters.importance.about"),
        ({"filters": {"importance": {"any": []}}}, "filters.importance.any"),
        ({"filters": {"importance": {"between": [9, 1]}}}, "filters.importance.between"),
        ({"filters": {"event_type": {"eq": "nonsense"}}}, "filters.event_type.eq"),
        ({"filters": {"state": {"any": ["current", "gone"]}}}, "filters.state.any[1]"),
        ({"filters": []}, "filters"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"min_similarity": 2}, "min_similarity"),
        ({"budget": 100}, "budget"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_invalid_search_is_422(
    client: httpx.AsyncClient, fields: dict[str, Any], path: str
) -> None:
    """A search with an invalid field is refused with the path of the field."""
    members = problem(await client.post("/v1/search", json=ASK | fields), 422)
    assert path in [error["path"] for error in members["errors"]]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"budget": -1}, "budget"),
        ({"budget": 10**12}, "budget"),
        ({"budget": "100"}, "budget"),
        ({"budget": {"total": -1}}, "budget.total"),
        ({"budget": {"per_type": {"luck": 1}}}, "budget.per_type.luck"),
        ({"budget": {"per_type": {"working": 1}}}, "budget.per_type"),
        ({"tokenizer": "p50k"}, "tokenizer"),
        ({"format": "pdf"}, "format"),
        ({"working_budget": -5}, "working_budget"),
        ({"top_k": 3}, "top_k"),
    ],
)
async def test_invalid_retrieve_is_422(
    client: httpx.AsyncClient, fields: dict[str, Any], path: str
) -> None:
    """A retrieval with an invalid field is refused with the path of the field."""
    members = problem(await client.post("/v1/retrieve", json=ASK | fields), 422)
    assert path in [error["path"] for error in members["errors"]]


@pytest.mark.parametrize(
    ("filters", "contents"),
    [
        ({"session_id": {"eq": None}}, ["Ann waters the ferns."]),
        ({"session_id": {"ne": None}}, ["The build runs on Friday."]),
        ({"metadata.ticket": {"ne": None}}, ["Ann waters the ferns."]),
        ({"tags": {"eq": None}}, ["Ann waters the ferns."]),
        ({"source.caller": {"eq": "wiki"}}, ["The build runs on Friday."]),
        ({"source.line": {"gt": 2}}, ["Ann waters the ferns."]),
        ({"not": {"source.caller": {"eq": None}}}, ["The build runs on Friday."]),
    ],
)
async def test_filters_compare_fields_with_null_and_with_members_of_source(
    client: httpx.AsyncClient, filters: dict[str, Any], contents: list[str]
) -> None:
    await client.post(
        "/v1/memories", json=FACT | {"session_id": "s", "tags": ["ci"], "source": "wiki"}
    )
    other = {
        "content": "Ann waters the ferns.",
        "metadata": {"ticket": 3},
        "source": {"file": "a.md", "line": 7},
    }
    await client.post("/v1/memories", json=FACT | other)
    hits = (await client.post("/v1/search", json=ASK | {"filters": filters})).json()["hits"]
    assert [hit["memory"]["content"] for hit in hits] == contents


COFFEE = {
    "type": "semantic",
    "namespace": "me",
    "content": "I drink my coffee black, without sugar",
}

QUESTION = {"namespace": "me", "query": "how do I like my coffee?", "budget": 200}


async def asked(client: httpx.AsyncClient, **options: Any) -> str:
    """Write a memory, build a context with these options, and return the id of the context's
    receipt.
    """
    assert (await client.post("/v1/memories", json=COFFEE, **options)).status_code in (200, 201)
    answer = await client.post("/v1/retrieve", json=QUESTION, **options)
    assert answer.status_code == 200
    receipt_id: str = answer.json()["receipt_id"]
    return receipt_id


async def verified(file: Path, *options: str) -> Result:
    """The result of `remembrancer verify FILE OPTIONS`, run in a thread because it starts an event
    loop.
    """
    arguments = ["verify", str(file), *options]
    return await anyio.to_thread.run_sync(
        lambda: CliRunner().invoke(application("verify"), arguments)
    )


async def test_receipt_can_be_read_verified_and_replayed(client: httpx.AsyncClient) -> None:
    """The receipt of a retrieval is valid, and its replay gives the same context."""
    receipt_id = await asked(client)
    receipt = (await client.get(f"/v1/receipts/{receipt_id}")).json()
    assert receipt.keys() >= {
        *("id", "created_at", "request", "as_of", "embedder", "tokenizer", "budgets", "candidates"),
        *("context_sha256", "previous_sha256", "sha256"),
    }
    assert [item["outcome"] for item in receipt["candidates"]] == ["included"]
    verdict = (await client.post(f"/v1/receipts/{receipt_id}/verify")).json()
    assert verdict["valid"] is True
    replay = (await client.post(f"/v1/receipts/{receipt_id}/replay")).json()
    assert replay == {"identical": True, "changes": []}


async def test_receipts_of_another_tenant_are_404(guarded: Services) -> None:
    """Reading, verifying or replaying a receipt of another tenant is a 404, as for an unknown
    id.
    """
    async with connect(guarded) as client:
        receipt_id = await asked(client, headers=bearer("acme", Role.WRITER))
        for tenant, role, status in (("acme", Role.READER, 200), ("other", Role.ADMIN, 404)):
            headers = bearer(tenant, role)
            answers = [
                await client.get(f"/v1/receipts/{receipt_id}", headers=headers),
                await client.post(f"/v1/receipts/{receipt_id}/verify", headers=headers),
                await client.post(f"/v1/receipts/{receipt_id}/replay", headers=headers),
            ]
            assert [item.status_code for item in answers] == [status] * 3


async def test_erase_removes_receipts(client: httpx.AsyncClient) -> None:
    """Erasing a namespace removes and counts its receipts, because they contain queries."""
    receipt_id = await asked(client)
    erased = (await client.post("/v1/admin/erase", json={"namespace": "me"})).json()
    assert (erased["erased"]["receipts"], erased["remaining"]["receipts"]) == (1, 0)
    assert (await client.get(f"/v1/receipts/{receipt_id}")).status_code == 404


async def test_saved_receipt_is_verified_offline(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """`remembrancer verify FILE` exits with 0 for an unchanged saved receipt, and with 1 for a
    changed one.
    """
    receipt_id = await asked(client)
    saved = (await client.get(f"/v1/receipts/{receipt_id}", params={"contents": "true"})).content
    assert b"I drink my coffee" in saved
    good = tmp_path / "good.json"
    bad = tmp_path / "bad.json"
    good.write_bytes(saved)
    bad.write_bytes(saved.replace(b'"outcome":"included"', b'"outcome":"over_total"'))
    holds = await verified(good)
    assert (holds.exit_code, "The receipt is valid." in holds.output) == (0, True), holds.output
    broken = await verified(bad)
    assert (broken.exit_code, "is not valid" in broken.output) == (1, True), broken.output
    assert (await verified(tmp_path / "none.json")).exit_code == 2
    assert (await verified(good, "--data-dir", str(tmp_path))).exit_code == 0, (
        "scripts of earlier versions pass it"
    )
