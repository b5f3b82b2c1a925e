"""Intentions (tasks) over HTTP: when they are due, and how they are fired, snoozed, completed and
cancelled.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from api.auth.keys import Role
from api.wiring.container import Services
from tests.api.conftest import NOW, bearer, connect

pytestmark = pytest.mark.anyio

LATER = (NOW + timedelta(hours=3)).isoformat()


async def _write(client: httpx.AsyncClient, content: str, **fields: Any) -> dict[str, Any]:
    body = {"type": "prospective", "namespace": "ann", "content": content, **fields}
    created = await client.post("/v1/memories", json=body)
    assert created.status_code == 201, created.text
    memory: dict[str, Any] = created.json()["memory"]
    return memory


async def _due(client: httpx.AsyncClient, **params: str) -> list[str]:
    got = await client.get("/v1/prospective/due", params={"namespace": "ann", **params})
    assert got.status_code == 200, got.text
    return [item["content"] for item in got.json()["due"]]


async def test_due_time_is_read_from_the_text(client: httpx.AsyncClient) -> None:
    """Words such as "tomorrow" set the due time of an intention, and stay in its text."""
    created = await _write(client, "Call the dentist tomorrow at 3pm")
    assert (created["due_at"], created["due_text"]) == ("2026-03-02T15:00:00Z", "tomorrow at 3pm")
    assert await _due(client) == []
    assert await _due(client, at="2026-03-02T15:00:00Z") == ["Call the dentist tomorrow at 3pm"]


@pytest.mark.parametrize(
    ("content", "due_at"),
    [
        ("Join the call at 5pm PST on Monday", "2026-03-03T01:00:00Z"),
        ("Join the call tomorrow at 17:00 (America/New_York)", "2026-03-02T22:00:00Z"),
        ("Join the call tomorrow at 17:00+05:30", "2026-03-02T11:30:00Z"),
        ("Two days before 2026-03-20, post the parcels", "2026-03-18T08:00:00Z"),
        ("Freitag um halb drei zum Friseur", "2026-03-06T13:30:00Z"),
        ("Reunión el jueves a las 16:00, hora de Lisboa", "2026-03-05T16:00:00Z"),
        ("Don't remind me tomorrow", None),
        ("The deadline was last Friday", None),
        ("The roadmap lives on Monday.com", None),
        ("Renew the passport in January", "2027-01-01T08:00:00Z"),
        ("My flight leaves tomorrow at 6:40", "2026-03-02T05:40:00Z"),
        ("Answer the letter of February 20", None),
    ],
)
async def test_due_times_are_read_in_any_zone_language_and_distance_from_now(
    client: httpx.AsyncClient, content: str, due_at: str
) -> None:
    """A text sets the due time in the time zone that it names, else in that of the metadata.

    A negation, a past time, a product name (Monday.com) or the date of a letter sets none.
    """
    memory = await _write(client, content, metadata={"timezone": "Europe/Berlin"})
    assert memory["due_at"] == due_at


async def test_due_intentions_are_in_order_of_due_time(client: httpx.AsyncClient) -> None:
    for hours in (1, 3, 2):
        await _write(
            client, f"due {hours} h ago", due_at=(NOW - timedelta(hours=hours)).isoformat()
        )
    await _write(client, "later", due_at=LATER)
    assert await _due(client) == ["due 3 h ago", "due 2 h ago", "due 1 h ago"]


async def test_intentions_are_due_by_event_or_context(client: httpx.AsyncClient) -> None:
    """An intention can wait for an event or a context.

    It is due if a request names the event, in any case, or describes a similar context.
    """
    await _write(client, "Tell Lee", trigger_type="event", trigger_condition="Deploy finished")
    await _write(
        client,
        "Ask for tea",
        trigger_type="context",
        trigger_condition="we talk about tea in Japan",
    )
    assert await _due(client) == []
    assert await _due(client, event="deploy  finished") == ["Tell Lee"]
    assert await _due(client, event="deploy started") == []
    assert await _due(client, context="we talk about green tea in Japan") == ["Ask for tea"]
    assert await _due(client, context="quarterly tax forms") == []


async def test_a_due_intention_is_given_to_one_caller_only(client: httpx.AsyncClient) -> None:
    """If several callers ask for due intentions at once, to mark them as fired, only one of them
    gets the intention.
    """
    created = await _write(client, "once", due_at=NOW.isoformat())
    got: list[str] = []

    async def ask() -> None:
        got.extend(await _due(client, mark="true"))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(ask)
    assert got == ["once"]
    stored = (await client.get(f"/v1/memories/{created['id']}", params={"namespace": "ann"})).json()
    assert (stored["status"], stored["fired_at"]) == ("active", "2026-03-01T12:00:00Z")


async def test_snoozed_intention_is_due_again(client: httpx.AsyncClient) -> None:
    """A snoozed intention is pending until its new time, even if it was already marked as fired."""
    created = await _write(client, "again", due_at=NOW.isoformat())
    await _due(client, mark="true")
    url = f"/v1/memories/{created['id']}/snooze"
    put_off = await client.post(url, params={"namespace": "ann"}, json={"until": LATER})
    assert put_off.status_code == 200, put_off.text
    assert (put_off.json()["status"], put_off.json()["fired_at"]) == ("pending", None)
    assert await _due(client) == []
    assert await _due(client, at=LATER) == ["again"]
    past = await client.post(url, params={"namespace": "ann"}, json={"until": NOW.isoformat()})
    assert past.status_code == 422


@pytest.mark.parametrize(
    ("verb", "status", "other"),
    [("complete", "completed", "cancel"), ("cancel", "cancelled", "complete")],
)
async def test_ended_intention_is_not_due(
    client: httpx.AsyncClient, verb: str, status: str, other: str
) -> None:
    """A completed or cancelled intention is not due. Repeating that call succeeds; the opposite
    call is a 409.
    """
    created = await _write(client, "end me", due_at=NOW.isoformat())
    for _ in range(2):
        ended = await client.post(
            f"/v1/memories/{created['id']}/{verb}", params={"namespace": "ann"}
        )
        assert (ended.status_code, ended.json()["status"]) == (200, status)
    assert (ended.json()["completed_at"] is not None) == (verb == "complete")
    assert await _due(client) == []
    assert (
        await client.post(f"/v1/memories/{created['id']}/{other}", params={"namespace": "ann"})
    ).status_code == 409


async def test_an_intention_ends_in_one_way_only(client: httpx.AsyncClient) -> None:
    """Of concurrent calls to complete and to cancel an intention, one succeeds and the other is a
    409.
    """
    created = await _write(client, "end me", due_at=NOW.isoformat())
    answers: dict[str, int] = {}

    async def call(verb: str, body: dict[str, str] | None = None) -> None:
        url = f"/v1/memories/{created['id']}/{verb}"
        answers[verb] = (await client.post(url, params={"namespace": "ann"}, json=body)).status_code

    async with anyio.create_task_group() as group:
        group.start_soon(call, "complete")
        group.start_soon(call, "cancel")
        group.start_soon(call, "snooze", {"until": LATER})
    assert sorted([answers["complete"], answers["cancel"]]) == [200, 409]
    ended = (await client.get(f"/v1/memories/{created['id']}", params={"namespace": "ann"})).json()
    assert ended["status"] == ("completed" if answers["complete"] == 200 else "cancelled")


async def test_only_intentions_can_be_completed(client: httpx.AsyncClient) -> None:
    """Completing a memory of another type is a 422. An unknown id, or one of another namespace, is
    a 404.
    """
    fact = await client.post(
        "/v1/memories", json={"type": "semantic", "namespace": "ann", "content": "a fact"}
    )
    created = await _write(client, "mine")
    wrong = await client.post(
        f"/v1/memories/{fact.json()['id']}/complete", params={"namespace": "ann"}
    )
    assert wrong.status_code == 422
    assert (
        await client.post("/v1/memories/nothing/complete", params={"namespace": "ann"})
    ).status_code == 404
    assert (
        await client.post(f"/v1/memories/{created['id']}/cancel", params={"namespace": "bob"})
    ).status_code == 404


async def test_readers_cannot_mark_intentions(guarded: Services) -> None:
    """A reader may list due intentions. Marking them as fired is a 403, as it needs the role
    `writer`.
    """
    async with connect(guarded, headers=bearer("acme", Role.READER)) as reader:
        assert await _due(reader) == []
        marked = await reader.get(
            "/v1/prospective/due", params={"namespace": "ann", "mark": "true"}
        )
        assert marked.status_code == 403


async def test_due_intentions_respect_session_visibility(client: httpx.AsyncClient) -> None:
    """A private intention is due in its own session only. No other session can see it or mark it as
    fired.
    """
    await _write(client, "mine", due_at=NOW.isoformat(), session_id="s1", visibility="session")
    assert await _due(client, mark="true") == []
    assert await _due(client, session_id="s2", mark="true") == []
    assert await _due(client, session_id="s1") == ["mine"]
    assert await _due(client, session_id="s1", mark="true") == ["mine"]
    assert await _due(client, session_id="s1") == []


async def test_a_to_do_belongs_to_the_namespace_unless_it_is_private(
    client: httpx.AsyncClient,
) -> None:
    """A task written in one session is found in other sessions, unless its visibility is
    `session`.
    """
    await _write(client, "rotate the keys", session_id="s1")
    await _write(client, "rotate the private keys", session_id="s1", visibility="session")
    visible = {}
    for session in ("s1", "s2"):
        body = {"namespace": "ann", "query": "what is left to do?", "session_id": session}
        answer = (await client.post("/v1/retrieve", json=body)).json()
        visible[session] = {item["content"] for item in answer["items"]}
    assert visible == {
        "s1": {"rotate the keys", "rotate the private keys"},
        "s2": {"rotate the keys"},
    }


async def test_promotion_keeps_private_intentions_private(client: httpx.AsyncClient) -> None:
    """The promote job leaves an intention private to its session, however often it was used."""
    for _ in range(4):
        body = {
            "namespace": "ann",
            "type": "prospective",
            "content": "buy Ann a ring",
            "session_id": "s1",
        }
        created = (await client.post("/v1/memories", json={**body, "visibility": "session"})).json()
        for outcome in ("used", "helpful"):
            url = f"/v1/memories/{created['id']}/feedback"
            assert (
                await client.post(url, params={"namespace": "ann"}, json={"outcome": outcome})
            ).status_code == 200
    job = await client.post("/v1/admin/jobs/promote", json={"namespace": "ann", "dry_run": False})
    assert (job.status_code, job.json()["ids"]) == (200, [])
    ask = {"namespace": "ann", "query": "what ring shall I buy?", "floor": 0}
    other = (await client.post("/v1/retrieve", json={**ask, "session_id": "s2"})).json()
    in_session = (await client.post("/v1/retrieve", json={**ask, "session_id": "s1"})).json()
    assert ([item["content"] for item in other["items"]], len(in_session["items"])) == ([], 1)
