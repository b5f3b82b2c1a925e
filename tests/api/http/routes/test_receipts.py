"""Receipts over HTTP, and the check of one that was saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from typer.testing import CliRunner, Result

from api.auth.keys import Role
from api.cli.main import app
from api.wiring.container import Services
from tests.api.conftest import bearer, connect

pytestmark = pytest.mark.anyio
FACT = {"type": "semantic", "namespace": "me", "content": "I drink my coffee black, without sugar"}
ASK = {"namespace": "me", "query": "how do I like my coffee?", "budget": 200}


async def asked(client: httpx.AsyncClient, **options: Any) -> str:
    """The id of the receipt of a question about one memory."""
    assert (await client.post("/v1/memories", json=FACT, **options)).status_code in (200, 201)
    answer = await client.post("/v1/retrieve", json=ASK, **options)
    assert answer.status_code == 200
    receipt_id: str = answer.json()["receipt_id"]
    return receipt_id


async def verified(file: Path) -> Result:
    """What the command says of `file`; a command has an event loop of its own."""
    return await anyio.to_thread.run_sync(
        lambda: CliRunner().invoke(app, ["verify", str(file), "--data-dir", str(file.parent)])
    )


async def test_a_receipt_is_read_checked_and_replayed(client: httpx.AsyncClient) -> None:
    """It has the contract's members, holds, and gives the same again."""
    receipt_id = await asked(client)
    receipt = (await client.get(f"/v1/receipts/{receipt_id}")).json()
    assert receipt.keys() >= {
        *("id", "created_at", "request", "as_of", "embedder", "tokenizer", "budgets", "candidates"),
        *("context_sha256", "previous_sha256", "sha256"),
    }
    assert [one["outcome"] for one in receipt["candidates"]] == ["included"]
    verdict = (await client.post(f"/v1/receipts/{receipt_id}/verify")).json()
    assert verdict["valid"] is True
    replay = (await client.post(f"/v1/receipts/{receipt_id}/replay")).json()
    assert replay == {"identical": True, "changes": []}


async def test_receipts_of_another_tenant_are_unknown(guarded: Services) -> None:
    """All three calls answer 404 there, and to an id that nobody has."""
    async with connect(guarded) as client:
        receipt_id = await asked(client, headers=bearer("acme", Role.WRITER))
        for tenant, role, wanted in (("acme", Role.READER, 200), ("other", Role.ADMIN, 404)):
            headers = bearer(tenant, role)
            answers = [
                await client.get(f"/v1/receipts/{receipt_id}", headers=headers),
                await client.post(f"/v1/receipts/{receipt_id}/verify", headers=headers),
                await client.post(f"/v1/receipts/{receipt_id}/replay", headers=headers),
            ]
            assert [one.status_code for one in answers] == [wanted] * 3


async def test_an_erased_namespace_has_no_receipts(client: httpx.AsyncClient) -> None:
    """They hold its queries: they go with it, and the proof counts them."""
    receipt_id = await asked(client)
    erased = (await client.post("/v1/admin/erase", json={"namespace": "me"})).json()
    assert (erased["erased"]["receipts"], erased["remaining"]["receipts"]) == (1, 0)
    assert (await client.get(f"/v1/receipts/{receipt_id}")).status_code == 404


async def test_without_a_store_of_receipts_there_are_none(services: Services) -> None:
    """503, with the reason."""
    async with connect(replace(services, receipts=None)) as client:
        answer = await client.get("/v1/receipts/any")
        assert answer.status_code == 503
        assert "live store" in answer.json()["detail"]


async def test_a_saved_receipt_is_checked_offline(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """The command says whether it holds, and ends with 1 when it does not."""
    receipt_id = await asked(client)
    saved = (await client.get(f"/v1/receipts/{receipt_id}", params={"contents": "true"})).content
    assert b"I drink my coffee" in saved
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(saved)
    bad.write_bytes(saved.replace(b'"outcome":"included"', b'"outcome":"over_total"'))
    holds = await verified(good)
    assert (holds.exit_code, "The receipt is valid." in holds.output) == (0, True), holds.output
    broken = await verified(bad)
    assert (broken.exit_code, "is not valid" in broken.output) == (1, True), broken.output
    assert (await verified(tmp_path / "none.json")).exit_code == 2
