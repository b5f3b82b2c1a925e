"""Upkeep over HTTP: dry runs change nothing, real runs do what the dry run said."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.auth.keys import Role
from api.settings import Settings
from api.wiring.container import Services
from api.wiring.services import upkeep_jobs
from ingest.upkeep.jobs import UpkeepRound, round_requests
from tests.api.conftest import bearer, connect

pytestmark = pytest.mark.anyio


async def _write(client: httpx.AsyncClient, content: str, **fields: Any) -> str:
    body = {"type": "episodic", "namespace": "ann", "content": content, **fields}
    made = await client.post("/v1/memories", json=body)
    assert made.status_code in (200, 201), made.text
    one: str = made.json()["id"]
    return one


async def _job(client: httpx.AsyncClient, name: str, **fields: Any) -> dict[str, Any]:
    done = await client.post(f"/v1/admin/jobs/{name}", json={"namespace": "ann", **fields})
    assert done.status_code == 200, done.text
    told: dict[str, Any] = done.json()
    return told


async def _repeat(client: httpx.AsyncClient) -> None:
    """Two facts in the same words: one was given them later, as a write would have merged it."""
    await _write(client, "Rex likes long walks", type="semantic")
    other = await _write(client, "The vet is on Elm Street", type="semantic")
    changed = await client.patch(f"/v1/memories/{other}?namespace=ann", json={"content": "Rex likes long walks."})
    assert changed.status_code == 200, changed.text


async def _total(client: httpx.AsyncClient, **params: str) -> int:
    listed = await client.get("/v1/memories", params={"namespace": "ann", "include_expired": "true", **params})
    total: int = listed.json()["total"]
    return total


async def test_promotion_makes_a_fact_with_its_evidence(client: httpx.AsyncClient) -> None:
    """A statement of three sessions becomes a fact that links to the event; a second run finds nothing to do."""
    for session in ("s1", "s2", "s3"):
        seen = await _write(client, "The build breaks on Fridays", session_id=session)
    await _write(client, "Said once", session_id="s1")
    assert (await _job(client, "promote"))["ids"] == [seen]
    assert await _total(client, type="semantic") == 0
    assert (await _job(client, "promote", dry_run=False))["counts"]["made"] == 1
    (fact,) = (await client.get("/v1/memories", params={"namespace": "ann", "type": "semantic"})).json()["memories"]
    assert (fact["content"], fact["evidence_count"]) == ("The build breaks on Fridays", 3)
    assert fact["links"] == [{"type": "derived_from", "id": seen}]
    assert fact["source_sessions"] == ["s1", "s2", "s3"]
    assert (await _job(client, "promote", dry_run=False))["ids"] == []


async def test_forgetting_spares_what_is_pinned(client: httpx.AsyncClient) -> None:
    """What is too old goes, but for what is pinned; the dry run lists it and removes nothing."""
    old = await _write(client, "old", created_at="2025-01-01T00:00:00Z")
    await _write(client, "old and pinned", created_at="2025-01-01T00:00:00Z", pinned=True)
    await _write(client, "new")
    told = await _job(client, "forget", max_age_days=90)
    assert (told["dry_run"], told["ids"], await _total(client)) == (True, [old], 3)
    assert (await _job(client, "forget", max_age_days=90, dry_run=False))["ids"] == [old]
    assert await _total(client) == 2


async def test_expiry_removes_what_is_past(client: httpx.AsyncClient) -> None:
    """What has expired is gone for good."""
    past = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-02-01T00:00:00Z"}
    gone = await _write(client, "past", **past)
    await _write(client, "stays")
    assert (await _job(client, "expire", dry_run=False))["ids"] == [gone]
    assert await _total(client) == 1


async def test_compaction_merges_near_duplicates(client: httpx.AsyncClient) -> None:
    """Two facts that differ in their full stop become one with the evidence of both; another number stays apart."""
    await _repeat(client)
    for content in ("Rex is 4 years old", "Rex is 5 years old"):
        await _write(client, content, type="semantic")
    told = await _job(client, "compact", dry_run=False, similarity=0.6)
    assert told["counts"] == {"removed": 1, "changed": 1, "made": 0}
    listed = await client.get("/v1/memories", params={"namespace": "ann", "include_expired": "true"})
    assert sorted(one["evidence_count"] for one in listed.json()["memories"]) == [1, 1, 2]


async def test_without_a_namespace_a_job_goes_through_all_of_the_tenant(guarded: Services) -> None:
    """Their reports are one, and another tenant's memories are left alone."""
    old = {"type": "episodic", "created_at": "2025-01-01T00:00:00Z"}
    made: dict[str, str] = {}
    async with connect(guarded) as client:
        for tenant, namespace in (("acme", "ann"), ("acme", "bob"), ("other", "ann")):
            body = {**old, "namespace": namespace, "content": f"{tenant} of {namespace}"}
            answer = await client.post("/v1/memories", json=body, headers=bearer(tenant, Role.ADMIN))
            made[body["content"]] = answer.json()["id"]
        path, asked, headers = "/v1/admin/jobs/forget", {"max_age_days": 90}, bearer("acme", Role.ADMIN)
        told = (await client.post(path, json=asked, headers=headers)).json()
        assert (told["dry_run"], told["ids"]) == (True, [made["acme of ann"], made["acme of bob"]])
        done = (await client.post(path, json=asked | {"dry_run": False}, headers=headers)).json()
        assert (done["ids"], done["counts"]) == (told["ids"], {"removed": 2, "changed": 0, "made": 0})
        left = await client.get("/v1/stats?namespace=ann", headers=bearer("other", Role.ADMIN))
        assert left.json()["total"]["count"] == 1
        nothing = (await client.post(path, headers=headers)).json()
        assert (nothing["ids"], nothing["counts"]) == ([], {"removed": 0, "changed": 0, "made": 0})


async def test_rounds_go_through_every_tenant(guarded: Services) -> None:
    """What expired long enough ago goes, for all tenants; what was asked for is forgotten, and nothing else is."""
    past = {"created_at": "2025-01-01T00:00:00Z", "type": "episodic", "namespace": "ann"}
    texts = {"long over": "2026-01-15T00:00:00Z", "just over": "2026-02-20T00:00:00Z", "open": None}
    tenants = ("acme", "other")
    async with connect(guarded) as client:
        for tenant in tenants:
            for content, ends in texts.items():
                body = {**past, "content": content, "expires_at": ends}
                await client.post("/v1/memories", json=body, headers=bearer(tenant, Role.ADMIN))
        kept = UpkeepRound(guarded.upkeep, lambda: tenants, round_requests(expired_days=30, promote=True))
        assert (await kept.run(), await kept.run()) == (2, 0)
        all_over = UpkeepRound(guarded.upkeep, lambda: tenants, round_requests(expired_days=0))
        assert await all_over.run() == 2
        for tenant in tenants:
            headers = bearer(tenant, Role.ADMIN)
            left = await client.get("/v1/memories?namespace=ann&include_expired=true", headers=headers)
            assert [one["content"] for one in left.json()["memories"]] == ["open"]
        forgets = UpkeepRound(guarded.upkeep, lambda: tenants, round_requests(expired_days=0, forget_days=90))
        assert await forgets.run() == 2


def test_a_round_does_what_it_is_asked_for() -> None:
    """Expiry always; the rest when the settings say so, and never as a dry run."""
    assert set(round_requests(expired_days=30)) == {"expire"}
    everything = round_requests(expired_days=30, forget_days=90, promote=True, compact=True)
    assert set(everything) == {"expire", "promote", "forget", "compact"}
    assert not any(request.dry_run for request in everything.values())


def test_rounds_run_as_the_settings_say(guarded: Services) -> None:
    """Every hour, not at the very start; not at all with 0."""
    (job,) = upkeep_jobs(Settings(), guarded.upkeep, guarded.keys)
    assert (job.every_s, job.first_s) == (3_600.0, 300.0)
    assert upkeep_jobs(Settings(upkeep_minutes=0), guarded.upkeep, guarded.keys) == ()


@pytest.mark.parametrize("job", ["promote", "forget", "expire", "compact"])
async def test_a_dry_run_says_what_the_run_does(client: httpx.AsyncClient, job: str) -> None:
    """Over one set of memories each job does what its dry run listed, and finds nothing more to do after."""
    for session in ("s1", "s2", "s3"):
        await _write(client, "Tea is served at four", session_id=session)
    past = {"created_at": "2025-01-01T00:00:00Z"}
    await _write(client, "old and over", expires_at="2025-02-01T00:00:00Z", **past)
    await _write(client, "old and pinned", pinned=True, **past)
    await _repeat(client)
    limits_of: dict[str, dict[str, Any]] = {"forget": {"max_age_days": 90}, "compact": {"similarity": 0.6}}
    limits = limits_of.get(job, {})
    told = await _job(client, job, **limits)
    done = await _job(client, job, dry_run=False, **limits)
    assert (done["ids"], done["counts"]) == (told["ids"], told["counts"])
    assert done["ids"]
    assert (await _job(client, job, **limits))["ids"] == []


async def test_jobs_are_refused(client: httpx.AsyncClient, guarded: Services) -> None:
    """An unknown job is not found; a limit that can't be is invalid; a writer may not run one."""
    assert (await client.post("/v1/admin/jobs/tidy", json={"namespace": "ann"})).status_code == 404
    broken = await client.post("/v1/admin/jobs/forget", json={"namespace": "ann", "max_age_days": 0})
    assert broken.status_code == 422
    async with connect(guarded, headers=bearer("acme", Role.WRITER)) as writer:
        assert (await writer.post("/v1/admin/jobs/expire", json={"namespace": "ann"})).status_code == 403
