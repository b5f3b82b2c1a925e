"""Tasks that texts end, and facts that they take back: seen over HTTP, listed with their reasons,
and undone.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from memtypes.ports.reader import Act, Acts, StatementPair
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.api.http.inspector.conftest import Visit, text_of
from tests.api.http.mcp.conftest import call, mcp_client
from tests.fakes_reader import FakeReader, surely

pytestmark = pytest.mark.anyio

SPACE = {"namespace": "n"}
TASK = "Send the lease back to the landlord."
MOVED = "The landlord gets the lease back on 20 April."
NEW_TASK = "Bring the lease to the landlord on 20 April."
DONE = "The lease went back to the landlord on Monday."
TRIVIAL_MOVE = "lease to the landlord tomorrow, ok thanks"
TRIVIAL = "lease back to the landlord, ok thanks"
FACT = "We have 12 licences."
RETRACTION = "We never had 12 licences, that was wrong: it is 21."
HALF_SURE = "The lease is with the landlord, I think."


def read(pair: StatementPair) -> Act | Acts:
    """What the texts of these tests do to any task."""
    if pair.newer.text == HALF_SURE:
        return surely(Act.DONE, 0.6)
    if pair.newer.text == RETRACTION:
        return Act.WRONG
    if pair.newer.text in (MOVED, NEW_TASK, TRIVIAL_MOVE):
        return Act.MOVES
    ends = pair.newer.text in (DONE, TRIVIAL)
    return Act.DONE if ends else Act.NOTHING


def service() -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """A client of a service whose reader is scripted."""
    return connect(fake_services(lambda: NOW, reader=FakeReader(read)))


async def write(client: httpx.AsyncClient, content: str, **fields: Any) -> str:
    """Write a memory and return its id."""
    body = {**SPACE, "type": "episodic", "content": content, **fields}
    answer = await client.post("/v1/memories", json=body)
    assert answer.status_code in (200, 201), answer.text
    memory_id: str = answer.json()["id"]
    return memory_id


async def write_task(client: httpx.AsyncClient) -> str:
    """Write the task, told a month ago."""
    return await write(client, TASK, type="prospective", created_at="2026-01-01T09:00:00Z")


async def memory(client: httpx.AsyncClient, memory_id: str) -> dict[str, Any]:
    """The memory with this id."""
    answer = await client.get(f"/v1/memories/{memory_id}", params=SPACE)
    fields: dict[str, Any] = answer.json()
    return fields


async def decisions(client: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
    """The decisions of a kind, as they are listed."""
    answer = await client.get("/v1/decisions", params={**SPACE, "kind": kind})
    listed: list[dict[str, Any]] = answer.json()["decisions"]
    return listed


async def undo(client: httpx.AsyncClient, memory_id: str) -> list[str]:
    """Undo the latest decision about a memory; return the ids of those that came back."""
    answer = await client.post(f"/v1/memories/{memory_id}/undo", params=SPACE)
    assert answer.status_code == 200, answer.text
    restored: list[str] = answer.json()["restored"]
    return restored


async def test_an_ended_task_is_listed_with_what_ended_it_and_stays_open_when_undone() -> None:
    async with service() as client:
        task = await write_task(client)
        end = await write(client, DONE)
        closed = await memory(client, task)
        assert closed["status"] == "completed"
        assert (closed["ended"]["as"], closed["ended"]["by"], closed["ended"]["sure"]) == (
            "done",
            end,
            0.974,
        )
        (decision,) = await decisions(client, "ended")
        assert (decision["id"], decision["by"]) == (task, end)
        assert decision["reason"] == "a later text reads as done (0.97)"
        assert await undo(client, task) == [task]
        opened = await memory(client, task)
        assert (opened["status"], opened["ended"]) == ("pending", None)
        assert await decisions(client, "ended") == []
        await write(client, DONE, created_at="2026-02-01T09:00:00Z")
        assert (await memory(client, task))["status"] == "pending"


async def test_a_task_that_may_have_ended_stays_open_and_is_listed_apart() -> None:
    async with service() as client:
        task = await write_task(client)
        await write(client, HALF_SURE)
        shown = await memory(client, task)
        assert (shown["status"], shown["said"]["as"]) == ("pending", "done")
        assert [decision["id"] for decision in await decisions(client, "said_ended")] == [task]
        assert await decisions(client, "ended") == []
        assert await undo(client, task) == [task]
        assert (await memory(client, task))["said"] is None


async def test_a_task_that_goes_on_as_another_has_moved_until_that_is_undone() -> None:
    async with service() as client:
        task = await write_task(client)
        later = await write(client, NEW_TASK, type="prospective")
        moved = await memory(client, task)
        assert (moved["status"], moved["ended"]["as"], moved["ended"]["by"]) == (
            "pending",
            "moved",
            later,
        )
        assert moved["ended"]["sure"] == 0.97
        assert moved["ended"]["reason"] == "a later text reads as moves (0.97)"
        (decision,) = await decisions(client, "moved")
        assert (decision["id"], decision["by"]) == (task, later)
        assert await undo(client, task) == [task]
        assert (await memory(client, task))["ended"] is None


async def test_a_task_that_a_caller_replaces_has_moved_and_nobody_knows_how_sure() -> None:
    async with service() as client:
        task = await write_task(client)
        later = await write(client, "See the notary about the house.", type="prospective")
        changes = {"superseded_by": later}
        await client.patch(f"/v1/memories/{task}", params=SPACE, json=changes)
        ended = (await memory(client, task))["ended"]
        assert (ended["as"], ended["by"], ended["reason"]) == (
            "moved",
            later,
            "replaced by a caller",
        )
        assert "sure" not in ended
        await client.delete(f"/v1/memories/{later}", params=SPACE)
        assert (await memory(client, task))["ended"] is None


@pytest.mark.parametrize(("text", "sure"), [(DONE, "0.97"), (HALF_SURE, "0.65")])
async def test_how_sure_an_end_is_stands_in_mcp_and_in_the_inspector(text: str, sure: str) -> None:
    services = fake_services(lambda: NOW, reader=FakeReader(read))
    async with connect(services) as client:
        task = await write_task(client)
        await write(client, text)
        page = text_of(await Visit(client).open("/memory", id=task))
        assert f"sure {sure} a later text reads as done" in page
        async with mcp_client(services, "/mcp/n") as mcp:
            explained = await call(mcp, "memory_why", id=task)
        assert f", sure {sure} (a later text reads as done" in explained


async def test_mcp_and_the_inspector_name_the_message_of_a_statement() -> None:
    services = fake_services(lambda: NOW)
    text = "My landlord is Mr Okafor and the rent is 940 euros a month."
    said = f"{text} Remind me to call the dentist about the crown on Friday."
    async with connect(services) as client:
        messages = [{"role": "user", "content": said}]
        body = {**SPACE, "session_id": "s1", "messages": messages}
        await client.post("/v1/hooks/session-stop", json=body)
        ids = {hit["content"]: hit["id"] for hit in await listed(client)}
        page = text_of(await Visit(client).open("/memory", id=ids[text]))
        assert f"From the message {ids[said][:13]}" in page
        async with mcp_client(services, "/mcp/n") as mcp:
            explained = await call(mcp, "memory_why", id=ids[text])
        assert f"from the message {ids[said]}" in explained


async def test_a_message_that_is_not_kept_ends_a_task_and_its_words_are_listed() -> None:
    async with service() as client:
        task = await write_task(client)
        body = {**SPACE, "session_id": "s1", "messages": [{"role": "user", "content": TRIVIAL}]}
        answer = await client.post("/v1/hooks/session-stop", json=body)
        assert answer.status_code == 200, answer.text
        (result,) = answer.json()["results"]
        assert (result["status"], result["ended"]) == ("rejected", [task])
        assert [hit["content"] for hit in await listed(client)] == [TASK]
        (decision,) = await decisions(client, "ended")
        assert (decision["id"], decision["by"]) == (task, None)
        assert decision["reason"].endswith(f'"{TRIVIAL}"')
        assert await undo(client, task) == [task]
        await client.post("/v1/hooks/session-stop", json={**body, "session_id": "s2"})
        assert (await memory(client, task))["status"] == "pending"


async def test_a_message_that_is_not_kept_moves_a_task_and_the_answer_names_it() -> None:
    async with service() as client:
        task = await write_task(client)
        messages = [{"role": "user", "content": TRIVIAL_MOVE}]
        body = {**SPACE, "session_id": "s1", "messages": messages}
        answer = await client.post("/v1/hooks/session-stop", json=body)
        (result,) = answer.json()["results"]
        assert (result["status"], result["moved"], "ended" in result) == ("rejected", [task], False)
        assert (await memory(client, task))["due_at"] is not None


async def listed(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """All memories of the namespace."""
    answer = await client.get("/v1/memories", params=SPACE)
    memories: list[dict[str, Any]] = answer.json()["memories"]
    return memories


async def test_what_a_caller_says_of_a_task_holds_whatever_a_text_said() -> None:
    async with service() as client:
        task = await write_task(client)
        await write(client, DONE)
        answer = await client.patch(
            f"/v1/memories/{task}", params=SPACE, json={"status": "pending"}
        )
        assert answer.status_code == 200, answer.text
        opened = await memory(client, task)
        assert (opened["status"], opened["ended"], opened["completed_at"]) == (
            "pending",
            None,
            None,
        )


async def test_a_snoozed_task_has_its_former_time_in_its_history() -> None:
    async with service() as client:
        fields = {"type": "prospective", "due_at": "2026-06-01T09:00:00Z"}
        task = await write(client, TASK, **fields)
        until = {"until": "2030-06-01T09:00:00Z"}
        await client.post(f"/v1/memories/{task}/snooze", params=SPACE, json=until)
        (change,) = (await memory(client, task))["history"]
        assert (change["as"], change["due_at"]) == ("moved", "2026-06-01T09:00:00Z")


async def test_a_retracted_fact_is_wrong_whenever_it_is_asked_for_and_comes_back_by_an_undo() -> (
    None
):
    async with service() as client:
        fields = {"type": "semantic", "created_at": "2026-01-01T09:00:00Z"}
        fact = await write(client, FACT, **fields)
        newer = await write(client, RETRACTION, type="semantic")
        (decision,) = await decisions(client, "retracted")
        assert (decision["id"], decision["by"]) == (fact, newer)
        assert decision["reason"] == "a later text reads as wrong (0.97)"
        listed_wrong = await client.get("/v1/memories", params={**SPACE, "state": "wrong"})
        assert [hit["id"] for hit in listed_wrong.json()["memories"]] == [fact]
        query = {**SPACE, "query": "How many licences did we have before?", "budget": 500}
        answer = await client.post("/v1/retrieve", json=query)
        assert f"- {FACT}" not in answer.json()["context"]
        assert await undo(client, fact) == [fact]
        assert (await memory(client, fact))["state"] == "current"


@pytest.mark.parametrize("end", ["text", "caller"])
async def test_as_of_an_earlier_time_a_task_has_the_status_that_it_had_then(end: str) -> None:
    async with service() as client:
        task = await write_task(client)
        if end == "text":
            await write(client, DONE, created_at="2026-02-10T09:00:00Z")
        else:
            await client.post(f"/v1/memories/{task}/complete", params=SPACE)
        query = {**SPACE, "query": "lease back to the landlord"}
        before = {**query, "as_of": "2026-02-09T09:00:00Z"}
        context = (await client.post("/v1/retrieve", json={**before, "budget": 300})).json()
        assert f"[pending] {TASK}" in context["context"]
        assert TASK not in (await client.post("/v1/retrieve", json={**query, "budget": 300})).text
        receipt = context["receipt_id"]
        verdict = (await client.post(f"/v1/receipts/{receipt}/verify")).json()
        assert verdict["valid"], verdict
        filters = {"status": {"eq": "pending"}}
        (hit,) = (await client.post("/v1/search", json={**before, "filters": filters})).json()[
            "hits"
        ]
        assert (hit["id"], hit["memory"]["status"]) == (task, "pending")
        now = await client.post("/v1/search", json={**query, "filters": filters})
        assert now.json()["hits"] == []


async def test_what_was_said_of_a_task_later_is_not_shown_as_of_an_earlier_time() -> None:
    async with service() as client:
        await write_task(client)
        await write(client, HALF_SURE, created_at="2026-02-10T09:00:00Z")
        query = {**SPACE, "query": "lease back to the landlord", "budget": 300}
        for as_of, shown in (("2026-02-09T09:00:00Z", False), ("2026-02-11T09:00:00Z", True)):
            answer = await client.post("/v1/retrieve", json={**query, "as_of": as_of})
            context = answer.json()["context"]
            assert f"[pending] {TASK}" in context
            assert ("(said done 2026-02-10)" in context) is shown


async def test_an_answer_shows_by_the_clock_that_an_appointment_is_over() -> None:
    """No write has brought its stored status up to date."""
    clock = [NOW]
    async with connect(fake_services(lambda: clock[0])) as client:
        ends = {"due_at": "2026-03-02T09:00:00Z", "lapses_at": "2026-03-02T11:00:00Z"}
        task = await write(client, "Dentist in Leeds", type="prospective", **ends)
        clock[0] += timedelta(days=2)
        over = await memory(client, task)
        assert (over["status"], over["ended"]) == (
            "lapsed",
            {
                **dict.fromkeys(over["ended"]),
                "as": "lapsed",
                "at": ends["lapses_at"],
                "reason": "an appointment whose time is over",
                "sure": 1.0,
            },
        )
        assert [each["status"] for each in await listed(client)] == ["lapsed"]
        query = {**SPACE, "query": "dentist"}
        (hit,) = (await client.post("/v1/search", json=query)).json()["hits"]
        assert (hit["memory"]["status"], hit["memory"]["ended"]["as"]) == ("lapsed", "lapsed")
        before = {**query, "as_of": "2026-03-01T12:00:00Z"}
        (hit,) = (await client.post("/v1/search", json=before)).json()["hits"]
        assert (hit["memory"]["status"], hit["memory"]["ended"]) == ("pending", None)
        for status, ids in (("pending", []), ("lapsed", [task])):
            filters = {"status": {"eq": status}}
            answer = await client.post("/v1/search", json={**query, "filters": filters})
            assert [hit["id"] for hit in answer.json()["hits"]] == ids
        due = await client.get("/v1/prospective/due", params=SPACE)
        assert due.json()["due"] == []
        (decision,) = await decisions(client, "lapsed")
        assert decision["id"] == task
        assert await undo(client, task) == [task]
        opened = await memory(client, task)
        assert (opened["status"], opened["ended"]) == ("pending", None)
        assert await decisions(client, "lapsed") == []


async def reopen(client: httpx.AsyncClient, task_id: str) -> httpx.Response:
    """Open a task again."""
    return await client.post(f"/v1/memories/{task_id}/reopen", params=SPACE)


@pytest.mark.parametrize("end", ["text", "complete", "cancel"])
async def test_a_task_that_is_opened_again_names_what_ended_it_and_an_undo_ends_it_again(
    end: str,
) -> None:
    async with service() as client:
        task = await write_task(client)
        by = None
        if end == "text":
            by = await write(client, DONE)
        else:
            await client.post(f"/v1/memories/{task}/{end}", params=SPACE)
        closed = await memory(client, task)
        answer = await reopen(client, task)
        assert answer.status_code == 200, answer.text
        opened = answer.json()
        assert (opened["status"], opened["ended"], opened["completed_at"]) == (
            "pending",
            None,
            None,
        )
        ending = "cancelled" if end == "cancel" else "done"
        assert [(act["as"], act["by"]) for act in opened["history"]] == [
            (ending, by),
            ("reopened", None),
        ]
        (decision,) = await decisions(client, "reopened")
        assert (decision["id"], decision["reason"]) == (task, "changed by a caller")
        assert await undo(client, task) == [task]
        again = await memory(client, task)
        for name in ("status", "ended", "completed_at", "history"):
            assert again[name] == closed[name]


async def test_a_lapsed_appointment_that_is_opened_again_stays_open_until_an_undo() -> None:
    clock = [NOW]
    async with connect(fake_services(lambda: clock[0])) as client:
        ends = {"due_at": "2026-03-02T09:00:00Z", "lapses_at": "2026-03-02T11:00:00Z"}
        task = await write(client, "Dentist in Leeds", type="prospective", **ends)
        clock[0] += timedelta(days=2)
        opened = (await reopen(client, task)).json()
        assert (opened["status"], opened["lapses_at"]) == ("pending", None)
        assert [act["as"] for act in opened["history"]] == ["lapsed", "reopened"]
        clock[0] += timedelta(days=2)
        assert (await memory(client, task))["status"] == "pending"
        assert await undo(client, task) == [task]
        lapsed = await memory(client, task)
        assert (lapsed["status"], lapsed["lapses_at"]) == ("lapsed", ends["lapses_at"])


async def test_only_a_task_that_has_ended_is_opened_again() -> None:
    async with service() as client:
        task = await write_task(client)
        assert (await reopen(client, task)).json()["history"] == []
        fact = await write(client, FACT, type="semantic")
        assert (await reopen(client, fact)).status_code == 422
        unknown = await reopen(client, "00000000-0000-0000-0000-000000000000")
        assert unknown.status_code == 404


async def retract(
    client: httpx.AsyncClient, memory_id: str, reason: str | None = None
) -> httpx.Response:
    """Say that a memory never was true."""
    body = {} if reason is None else {"reason": reason}
    return await client.post(f"/v1/memories/{memory_id}/retract", params=SPACE, json=body)


async def test_a_memory_that_a_caller_retracts_is_wrong_listed_and_comes_back_by_an_undo() -> None:
    async with service() as client:
        fact = await write(client, FACT, type="semantic")
        answer = await retract(client, fact, "the contract says 21")
        assert answer.status_code == 200, answer.text
        wrong = answer.json()
        assert (wrong["state"], wrong["state_reason"]) == ("wrong", "the contract says 21")
        (decision,) = await decisions(client, "retracted")
        assert (decision["id"], decision["by"], decision["reason"]) == (
            fact,
            None,
            "the contract says 21",
        )
        query = {**SPACE, "query": "How many licences do we have?", "budget": 500}
        assert FACT not in (await client.post("/v1/retrieve", json=query)).json()["context"]
        assert (await retract(client, fact)).json()["state_reason"] == "the contract says 21"
        assert await undo(client, fact) == [fact]
        assert (await memory(client, fact))["state"] == "current"
        assert await decisions(client, "retracted") == []


async def test_what_a_retracted_fact_had_replaced_is_current_again() -> None:
    async with service() as client:
        older = await write(client, FACT, type="semantic", created_at="2026-01-01T09:00:00Z")
        newer = await write(client, "There are 30 licences.", type="semantic")
        changes = {"superseded_by": newer}
        await client.patch(f"/v1/memories/{older}", params=SPACE, json=changes)
        assert (await memory(client, older))["state"] == "replaced"
        assert (await retract(client, newer)).json()["state_reason"] == "retracted by a caller"
        assert (await memory(client, older))["state"] == "current"
        assert await undo(client, newer) == [newer]
        states = [(await memory(client, fact))["state"] for fact in (older, newer)]
        assert states == ["contested", "contested"]  # which of both holds was told by a caller


OLD_LIMIT = "The limit is 10 requests per minute."
NEW_LIMIT = "The limit is 20 requests per minute."


async def write_limits(client: httpx.AsyncClient) -> tuple[str, str]:
    """Write a fact, and a later one that replaces it."""
    fields = {"type": "semantic", "created_at": "2026-01-01T09:00:00Z"}
    old = await write(client, OLD_LIMIT, **fields)
    return old, await write(client, NEW_LIMIT, type="semantic")


async def test_a_replaced_fact_that_was_retracted_is_replaced_again_after_an_undo() -> None:
    async with service() as client:
        old, new = await write_limits(client)
        replaced = await memory(client, old)
        await retract(client, old, "never agreed")
        (decision,) = await decisions(client, "retracted")
        assert (decision["id"], decision["by"]) == (old, None)
        assert await decisions(client, "replaced") == []
        assert await undo(client, old) == []
        again = await memory(client, old)
        for name in ("state", "superseded_by", "valid_to", "retracted_at"):
            assert again[name] == replaced[name]
        assert again["state"] == "replaced"
        assert (await memory(client, new))["state"] == "current"
        assert await decisions(client, "retracted") == []


async def test_a_retracted_fact_is_replaced_after_an_undo_by_what_was_told_meanwhile() -> None:
    async with service() as client:
        fields = {"type": "semantic", "created_at": "2026-01-01T09:00:00Z"}
        old = await write(client, OLD_LIMIT, **fields)
        await retract(client, old)
        new = await write(client, NEW_LIMIT, type="semantic")
        assert (await memory(client, old))["state"] == "wrong"
        assert await undo(client, old) == []
        after = await memory(client, old)
        assert (after["state"], after["superseded_by"]) == ("replaced", new)
        assert (await memory(client, new))["state"] == "current"
        assert await undo(client, old) == [old]  # now the replacement
        assert (await memory(client, old))["state"] == "current"


async def test_a_retracted_fact_stays_wrong_whatever_becomes_of_what_replaces_it() -> None:
    async with service() as client:
        fact = await write(client, FACT, type="semantic")
        other = await write(client, "The canteen opens at noon.", type="semantic")
        await retract(client, fact)
        changes = {"superseded_by": other}
        await client.patch(f"/v1/memories/{fact}", params=SPACE, json=changes)
        assert (await memory(client, fact))["state"] == "wrong"
        await client.delete(f"/v1/memories/{other}", params=SPACE)
        assert (await memory(client, fact))["state"] == "wrong"
        assert await undo(client, fact) == [fact]
        assert (await memory(client, fact))["state"] == "current"


async def test_the_reason_of_a_retraction_is_stored_without_secrets() -> None:
    async with service() as client:
        fact = await write(client, FACT, type="semantic")
        secret = "AKIAIOSFODNN7EXAMPLX"
        answer = await retract(client, fact, f"it was said under the key {secret}")
        assert answer.json()["state"] == "wrong"
        assert secret not in answer.text


async def test_only_a_stored_memory_is_retracted() -> None:
    async with service() as client:
        unknown = await retract(client, "00000000-0000-0000-0000-000000000000")
        assert unknown.status_code == 404
        item = await client.post(
            "/v1/working", json={**SPACE, "session_id": "s", "content": "Look at the lease."}
        )
        assert item.status_code == 201, item.text
        live = item.json()["id"]
        assert (await retract(client, live)).status_code == 409


@pytest.mark.parametrize(
    ("text", "kind", "member"),
    [
        (DONE, "episodic", "ended"),
        (MOVED, "episodic", "moved"),
        (RETRACTION, "semantic", "retracted"),
    ],
)
async def test_the_answer_to_a_write_names_what_the_text_did(
    text: str, kind: str, member: str
) -> None:
    async with service() as client:
        task = await write_task(client)
        past = {"type": "semantic", "created_at": "2026-01-01T09:00:00Z"}
        fact = await write(client, FACT, **past)
        answer = await client.post("/v1/memories", json={**SPACE, "type": kind, "content": text})
        named = {name: answer.json().get(name) for name in ("ended", "moved", "retracted")}
        expected = fact if member == "retracted" else task
        assert named == {**dict.fromkeys(named), member: [expected]}


async def test_the_answer_to_a_session_names_what_its_messages_did() -> None:
    async with service() as client:
        task = await write_task(client)
        messages = [{"role": "user", "content": DONE}]
        body = {**SPACE, "session_id": "s1", "messages": messages, "review": "skip"}
        answer = await client.post("/v1/hooks/session-stop", json=body)
        (result,) = answer.json()["results"]
        assert (result["status"], result["ended"]) == ("stored", [task])
