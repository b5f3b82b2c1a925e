"""Calls for operators: export, import, erasure, re-embedding and upkeep jobs."""

from __future__ import annotations

import codecs
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.auth.keys import Role
from api.settings import Settings
from api.wiring.container import Services
from api.wiring.resources import Reembedding
from api.wiring.services import upkeep_jobs
from ingest.upkeep.jobs import round_requests
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.model.errors import Conflict, Unavailable
from tests.api.conftest import bearer, connect, problem
from tests.fakes import FakeEmbedder
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

NDJSON = {"Content-Type": "application/x-ndjson"}

ITEMS = [
    {"type": "semantic", "content": "Tea is green."},
    {"type": "episodic", "content": "Ann bought tea.", "session_id": "s", "metadata": {"n": 1}},
]


async def fill(client: httpx.AsyncClient, namespace: str) -> None:
    """Write two memories to a namespace in a batch that has an idempotency key."""
    body = {"namespace": namespace, "items": ITEMS}
    (
        await client.post("/v1/memories/batch", json=body, headers={"Idempotency-Key": namespace})
    ).raise_for_status()


async def test_exported_namespace_can_be_imported(client: httpx.AsyncClient) -> None:
    """If a namespace is exported, erased and imported again, a second export has the same bytes.

    A byte order mark before the import is ignored.
    """
    await fill(client, "a")
    export = await client.post("/v1/admin/export", json={"namespace": "a"})
    assert export.status_code == 200
    assert export.headers["content-type"].startswith("application/x-ndjson")
    assert sorted(json.loads(line)["content"] for line in export.text.splitlines()) == [
        "Ann bought tea.",
        "Tea is green.",
    ]
    await client.post("/v1/admin/erase", json={"namespace": "a"})
    marked = codecs.BOM_UTF8 + export.content
    back = await client.post("/v1/admin/import?namespace=a", content=marked, headers=NDJSON)
    assert back.status_code == 200
    assert back.json()["counts"] == {"stored": 2, "merged": 0, "rejected": 0, "failed": 0}
    assert (
        await client.post("/v1/admin/export", json={"namespace": "a"})
    ).content == export.content


async def test_erase_empties_every_store_and_counts_what_remains(client: httpx.AsyncClient) -> None:
    """After the erasure of a namespace the answer counts what each store erased and what remains,
    which is nothing.

    Other namespaces are unchanged.
    """
    await fill(client, "a")
    await fill(client, "b")
    erased = (await client.post("/v1/admin/erase", json={"namespace": "a"})).json()
    assert erased["erased"] == {
        "working": 0,
        "memories": 2,
        "items": 0,
        "answers": 1,
        "receipts": 0,
        "recent": 0,
    }
    assert erased["remaining"] == {
        "working": 0,
        "memories": 0,
        "items": 0,
        "answers": 0,
        "receipts": 0,
        "recent": 0,
    }
    assert erased["checked_at"] == "2026-03-01T12:00:00Z"
    assert (await client.get("/v1/stats?namespace=a")).json()["total"]["count"] == 0
    assert (await client.get("/v1/stats?namespace=b")).json()["total"]["count"] == 2


async def test_erase_forgets_recent_texts(client: httpx.AsyncClient) -> None:
    """After an erasure the same conversation is stored again instead of being skipped as a
    repeat.
    """
    text = "We decided to move the whole database to Postgres 16 on Tuesday because of the licence."
    body = {"namespace": "a", "session_id": "s", "messages": [{"role": "user", "content": text}]}
    first = (await client.post("/v1/hooks/session-stop", json=body)).json()
    erased = (await client.post("/v1/admin/erase", json={"namespace": "a"})).json()
    assert (erased["erased"]["recent"], erased["remaining"]["recent"]) == (1, 0)
    repeated = (await client.post("/v1/hooks/session-stop", json=body)).json()
    assert repeated["counts"] == first["counts"]
    assert repeated["counts"]["stored"] == 1


async def test_erase_of_one_memory_leaves_the_others(client: httpx.AsyncClient) -> None:
    """Erasing one id removes that memory only; an unknown id removes nothing."""
    await fill(client, "a")
    memories = (await client.get("/v1/memories?namespace=a")).json()["memories"]
    chosen = memories[0]["id"]
    for count in (1, 0):
        erased = (
            await client.post("/v1/admin/erase", json={"namespace": "a", "memory_id": chosen})
        ).json()
        assert (erased["erased"]["memories"], erased["remaining"]["memories"]) == (count, 0)
    remaining = (await client.get("/v1/memories?namespace=a")).json()["memories"]
    assert [item["id"] for item in remaining] == [memories[1]["id"]]


async def test_erase_takes_an_id_in_any_case_and_nothing_else(client: httpx.AsyncClient) -> None:
    """A memory id in upper case is erased; null, a blank text or what is no UUID is a 422 and
    erases nothing.
    """
    await fill(client, "a")
    memory_id = (await client.get("/v1/memories?namespace=a")).json()["memories"][0]["id"]
    malformed = [
        f" {memory_id}",
        f"{memory_id}\n",
        f"{{{memory_id}}}",
        memory_id.replace("-", ""),
        memory_id[:8],
    ]
    for wrong in [*malformed, "", "nope", "a\x00b", None]:
        refused = problem(
            await client.post("/v1/admin/erase", json={"namespace": "a", "memory_id": wrong}), 422
        )
        assert refused["errors"][0]["path"] == "memory_id"
    assert (await client.get("/v1/stats?namespace=a")).json()["total"]["count"] == 2
    erased = await client.post(
        "/v1/admin/erase", json={"namespace": "a", "memory_id": memory_id.upper()}
    )
    assert erased.json()["erased"]["memories"] == 1
    assert (await client.get(f"/v1/memories/{memory_id}?namespace=a")).status_code == 404


@pytest.mark.parametrize(
    ("content", "status", "path"),
    [
        (b"{", 400, "items[0]"),
        (b"[1]", 422, "items[0]"),
        (b'{"type": "dream"}', 422, "items[0].type"),
        (b'{"type": "semantic"}', 422, "items[0]"),
    ],
)
async def test_import_with_a_bad_line_stores_nothing(
    client: httpx.AsyncClient, content: bytes, status: int, path: str
) -> None:
    """If a line is invalid, the whole import is refused. The error names the line's index."""
    await fill(client, "a")
    export = (await client.post("/v1/admin/export", json={"namespace": "a"})).content
    refused = await client.post(
        "/v1/admin/import?namespace=b", content=content + b"\n" + export, headers=NDJSON
    )
    assert refused.status_code == status
    assert refused.json()["errors"][0]["path"].startswith(path)
    assert (await client.get("/v1/stats?namespace=b")).json()["total"]["count"] == 0


@pytest.mark.parametrize(
    ("call", "body"), [("export", {"namespace": "a"}), ("erase", {"namespace": "a"})]
)
async def test_namespace_calls_need_an_admin(
    guarded: Services, call: str, body: dict[str, str]
) -> None:
    """Export and erasure of a namespace are a 403 for a writer.

    For an admin of another tenant the namespace is empty.
    """
    async with connect(guarded) as client:
        writer = bearer("acme", Role.WRITER)
        rival = bearer("other", Role.ADMIN)
        item = {"type": "semantic", "namespace": "a", "content": "x"}
        (await client.post("/v1/memories", json=item, headers=writer)).raise_for_status()
        assert (
            await client.post(f"/v1/admin/{call}", json=body, headers=writer)
        ).status_code == 403
        theirs = await client.post(f"/v1/admin/{call}", json=body, headers=rival)
        assert theirs.text == "" if call == "export" else theirs.json()["erased"]["memories"] == 0
        assert (await client.get("/v1/stats?namespace=a", headers=writer)).json()["total"][
            "count"
        ] == 1


async def test_reembed_needs_an_admin(guarded: Services) -> None:
    """A writer who asks for new embeddings of all memories gets a 403."""
    async with connect(guarded) as client:
        assert (
            await client.post("/v1/admin/reembed", headers=bearer("acme", Role.WRITER))
        ).status_code == 403


async def test_reembed_of_a_server_is_409_in_a_running_service(tmp_path: Path) -> None:
    """If the memories are in a Qdrant server, a call to re-embed is a 409 that names the command to
    run instead.
    """
    settings = Settings(data_dir=tmp_path, qdrant_url="http://127.0.0.1:1")
    reembedding = Reembedding(settings, FakeEmbedder(), Bm25Encoder())
    with pytest.raises(Conflict, match="remembrancer reembed"):
        await reembedding.run_on(InMemoryStore())
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        await reembedding.run()


async def _write(client: httpx.AsyncClient, content: str, **fields: Any) -> str:
    body = {"type": "episodic", "namespace": "ann", "content": content, **fields}
    created = await client.post("/v1/memories", json=body)
    assert created.status_code in (200, 201), created.text
    item: str = created.json()["id"]
    return item


async def _job(client: httpx.AsyncClient, name: str, **fields: Any) -> dict[str, Any]:
    done = await client.post(f"/v1/admin/jobs/{name}", json={"namespace": "ann", **fields})
    assert done.status_code == 200, done.text
    answer: dict[str, Any] = done.json()
    return answer


async def _repeat(client: httpx.AsyncClient) -> None:
    """Store two facts with the same text. The second one gets it by an edit, because a write would
    be merged.
    """
    await _write(client, "Rex likes long walks", type="semantic")
    other = await _write(client, "The vet is on Elm Street", type="semantic")
    changed = await client.patch(
        f"/v1/memories/{other}?namespace=ann", json={"content": "Rex likes long walks."}
    )
    assert changed.status_code == 200, changed.text


async def _total(client: httpx.AsyncClient, **params: str) -> int:
    memories = await client.get(
        "/v1/memories", params={"namespace": "ann", "include_expired": "true", **params}
    )
    total: int = memories.json()["total"]
    return total


async def test_promote_creates_a_fact_with_its_evidence(client: httpx.AsyncClient) -> None:
    """If three sessions say the same, the promote job makes one fact that links to an event.
    Another run makes none.
    """
    for session in ("s1", "s2", "s3"):
        event_id = await _write(client, "The build breaks on Fridays", session_id=session)
    await _write(client, "Said once", session_id="s1")
    assert (await _job(client, "promote"))["ids"] == [event_id]
    assert await _total(client, type="semantic") == 0
    assert (await _job(client, "promote", dry_run=False))["counts"]["made"] == 1
    (fact,) = (
        await client.get("/v1/memories", params={"namespace": "ann", "type": "semantic"})
    ).json()["memories"]
    assert (fact["content"], fact["evidence_count"]) == ("The build breaks on Fridays", 3)
    assert fact["links"] == [{"to": event_id, "type": "derived_from", "strength": 1.0}]
    assert fact["source_sessions"] == ["s1", "s2", "s3"]
    assert (await _job(client, "promote", dry_run=False))["ids"] == []


async def test_forget_spares_pinned_memories(client: httpx.AsyncClient) -> None:
    """The forget job leaves pinned memories. A dry run lists the memories that it would forget, and
    changes nothing.
    """
    old = await _write(client, "old", created_at="2025-01-01T00:00:00Z")
    await _write(client, "old and pinned", created_at="2025-01-01T00:00:00Z", pinned=True)
    await _write(client, "new")
    answer = await _job(client, "forget", max_age_days=90)
    assert (answer["dry_run"], answer["ids"], await _total(client)) == (True, [old], 3)
    assert (await _job(client, "forget", max_age_days=90, dry_run=False))["ids"] == [old]
    assert (
        len((await client.get("/v1/memories", params={"namespace": "ann"})).json()["memories"]) == 2
    )


async def test_expire_deletes_expired_memories(client: httpx.AsyncClient) -> None:
    past = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-02-01T00:00:00Z"}
    expired = await _write(client, "past", **past)
    await _write(client, "stays")
    assert (await _job(client, "expire", dry_run=False))["ids"] == [expired]
    assert await _total(client) == 1


async def test_expire_keeps_memories_for_the_days_of_the_settings(services: Services) -> None:
    """The expire job deletes what expired before REMEMBRANCER_EXPIRED_DAYS, unless the request says
    another number.
    """
    async with connect(
        replace(services, upkeep=replace(services.upkeep, expired_days=30))
    ) as client:
        past = {"created_at": "2026-01-01T00:00:00Z"}
        old = await _write(client, "expired long ago", **past, expires_at="2026-01-02T00:00:00Z")
        recent = await _write(
            client, "expired yesterday", **past, expires_at="2026-02-28T12:00:00Z"
        )
        assert (await _job(client, "expire", dry_run=False))["ids"] == [old]
        assert (await _job(client, "expire", dry_run=False, expired_days=0))["ids"] == [recent]


async def test_compact_merges_near_duplicates(client: httpx.AsyncClient) -> None:
    """The compact job merges facts that differ only in a final period, but not facts with different
    numbers.
    """
    await _repeat(client)
    for content in ("Rex is 4 years old", "Rex is 5 years old"):
        await _write(client, content, type="semantic")
    answer = await _job(client, "compact", dry_run=False, similarity=0.6)
    assert answer["counts"] == {"removed": 1, "changed": 1, "made": 0}
    memories = await client.get(
        "/v1/memories", params={"namespace": "ann", "include_expired": "true"}
    )
    merged = [
        item for item in memories.json()["memories"] if item["upkeep"] and item["upkeep"]["into"]
    ]
    assert sorted(item["evidence_count"] for item in memories.json()["memories"]) == [1, 1, 1, 2]
    assert len(merged) == 1


async def test_job_without_namespace_runs_on_all_of_the_tenant(guarded: Services) -> None:
    """A job that names no namespace runs on all namespaces of the caller's tenant, and reports
    their sum.

    Other tenants' memories are unchanged.
    """
    old = {"type": "episodic", "created_at": "2025-01-01T00:00:00Z"}
    ids: dict[str, str] = {}
    async with connect(guarded) as client:
        for tenant, namespace in (("acme", "ann"), ("acme", "bob"), ("other", "ann")):
            body = {**old, "namespace": namespace, "content": f"{tenant} of {namespace}"}
            answer = await client.post(
                "/v1/memories", json=body, headers=bearer(tenant, Role.ADMIN)
            )
            ids[body["content"]] = answer.json()["id"]
        path = "/v1/admin/jobs/forget"
        request = {"max_age_days": 90}
        headers = bearer("acme", Role.ADMIN)
        report = (await client.post(path, json=request, headers=headers)).json()
        assert (report["dry_run"], report["ids"]) == (
            True,
            [ids["acme of ann"], ids["acme of bob"]],
        )
        done = (await client.post(path, json=request | {"dry_run": False}, headers=headers)).json()
        assert (done["ids"], done["counts"]) == (
            report["ids"],
            {"removed": 2, "changed": 0, "made": 0},
        )
        stats = await client.get("/v1/stats?namespace=ann", headers=bearer("other", Role.ADMIN))
        assert stats.json()["total"]["count"] == 1
        nothing = (await client.post(path, headers=headers)).json()
        assert (nothing["ids"], nothing["counts"]) == ([], {"removed": 0, "changed": 0, "made": 0})


async def test_upkeep_rounds_run_for_every_tenant(guarded: Services) -> None:
    """The periodic run of upkeep jobs deletes memories of all tenants that expired more than
    `expired_days` ago.
    """
    past = {"created_at": "2025-01-01T00:00:00Z", "type": "episodic", "namespace": "ann"}
    texts = {"long over": "2026-01-15T00:00:00Z", "just over": "2026-02-20T00:00:00Z", "open": None}
    tenants = ("acme", "other")
    async with connect(guarded) as client:
        for tenant in tenants:
            for content, ends in texts.items():
                body = {**past, "content": content, "expires_at": ends}
                await client.post("/v1/memories", json=body, headers=bearer(tenant, Role.ADMIN))
        run_round = partial(guarded.upkeep.run_round, tenants)
        long_expired = round_requests(expired_days=30, promote=True)
        assert (await run_round(long_expired), await run_round(long_expired)) == (2, 0)
        assert await run_round(round_requests(expired_days=0)) == 2
        for tenant in tenants:
            headers = bearer(tenant, Role.ADMIN)
            memories = await client.get(
                "/v1/memories?namespace=ann&include_expired=true", headers=headers
            )
            assert [item["content"] for item in memories.json()["memories"]] == ["open"]
        assert await run_round(round_requests(expired_days=0, forget_days=90)) == 2


def test_upkeep_round_runs_the_configured_jobs() -> None:
    """The periodic run has the expire job and every job that is switched on. None of them is a dry
    run.
    """
    assert set(round_requests(expired_days=30)) == {"expire"}
    everything = round_requests(expired_days=30, forget_days=90, promote=True, compact=True)
    assert set(everything) == {"expire", "promote", "forget", "compact"}
    assert not any(request.dry_run for request in everything.values())


def test_upkeep_interval_follows_the_settings(guarded: Services) -> None:
    """By default upkeep jobs run every hour, first after five minutes. With `upkeep_minutes` 0 they
    never run.
    """
    (job,) = upkeep_jobs(Settings(), guarded.upkeep, guarded.keys)
    assert (job.every_s, job.first_s) == (3_600.0, 300.0)
    assert upkeep_jobs(Settings(upkeep_minutes=0), guarded.upkeep, guarded.keys) == ()


@pytest.mark.parametrize("job", ["promote", "forget", "expire", "compact"])
async def test_a_job_changes_what_its_dry_run_listed(client: httpx.AsyncClient, job: str) -> None:
    for session in ("s1", "s2", "s3"):
        await _write(client, "Tea is served at four", session_id=session)
    past = {"created_at": "2025-01-01T00:00:00Z"}
    await _write(client, "old and over", expires_at="2025-02-01T00:00:00Z", **past)
    await _write(client, "old and pinned", pinned=True, **past)
    await _repeat(client)
    limits_of: dict[str, dict[str, Any]] = {
        "forget": {"max_age_days": 90},
        "compact": {"similarity": 0.6},
    }
    limits = limits_of.get(job, {})
    answer = await _job(client, job, **limits)
    done = await _job(client, job, dry_run=False, **limits)
    assert (done["ids"], done["counts"]) == (answer["ids"], answer["counts"])
    assert done["ids"]
    assert (await _job(client, job, **limits))["ids"] == []


async def test_invalid_job_requests_are_refused(
    client: httpx.AsyncClient, guarded: Services
) -> None:
    """An unknown upkeep job is a 404; an invalid limit or an option of another job is a 422. A
    writer gets a 403.
    """
    assert (await client.post("/v1/admin/jobs/tidy", json={"namespace": "ann"})).status_code == 404
    other = await client.post(
        "/v1/admin/jobs/expire", json={"namespace": "ann", "keep_top": 3, "expired_days": 1}
    )
    detail = problem(other, 422)["detail"]
    assert detail == "keep_top: is an option of forget, not of expire"
    broken = await client.post(
        "/v1/admin/jobs/forget", json={"namespace": "ann", "max_age_days": 0}
    )
    assert broken.status_code == 422
    async with connect(guarded, headers=bearer("acme", Role.WRITER)) as writer:
        assert (
            await writer.post("/v1/admin/jobs/expire", json={"namespace": "ann"})
        ).status_code == 403
