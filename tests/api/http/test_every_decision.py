"""Whatever the service decides by itself is listed with its reason, and is undone, over HTTP, by
MCP and in the inspector.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from api.wiring.container import Services
from ingest.upkeep.decisions import DecisionKind
from memtypes.model.scope import Scope
from memtypes.ports.reader import Act, Acts, StatementPair
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.api.http.inspector.conftest import Visit, text_of
from tests.api.http.mcp.conftest import call, mcp_client
from tests.fakes_reader import FakeReader, surely

pytestmark = pytest.mark.anyio

SPACE = {"namespace": "n"}
TASK = "Send the lease back to the landlord."
ACTS: Mapping[str, Acts] = {
    "The lease went back to the landlord.": surely(Act.DONE),
    "We keep the lease, nothing goes back to the landlord.": surely(Act.CANCELLED),
    "The lease is with the landlord, I think.": surely(Act.DONE, 0.6),
    "The landlord gets the lease back on 20 March.": surely(Act.MOVES),
    "The landlord wants the lease back again.": surely(Act.REOPENS),
    "Bring the lease to the landlord on 20 March.": surely(Act.MOVES),
    "lease back to the landlord, ok thanks": surely(Act.DONE),
    "lease to the landlord tomorrow, ok thanks": surely(Act.MOVES),
    "We never had 12 licences, it is 21.": surely(Act.WRONG),
    "Bram takes care of the licences.": surely(Act.REPLACES),
}


def read(pair: StatementPair) -> Act | Acts:
    """What the texts of these tests do to any memory."""
    return ACTS.get(pair.newer.text, Act.NOTHING)


@dataclass
class House:
    """A service with an empty namespace, whose clock a test can move."""

    client: httpx.AsyncClient
    services: Services
    clock: list[datetime] = field(default_factory=lambda: [NOW])

    async def write(self, content: str, kind: str = "semantic", **fields: Any) -> str:
        """Write a memory, an hour after the last one; return its id."""
        self.clock[0] += timedelta(hours=1)
        body = {**SPACE, "type": kind, "content": content, **fields}
        answer = await self.client.post("/v1/memories", json=body)
        assert answer.status_code in (200, 201), answer.text
        memory_id: str = answer.json()["id"]
        return memory_id

    async def capture(self, content: str) -> None:
        """Capture a session with one message, which is not worth storing."""
        messages = [{"role": "user", "content": content}]
        body = {**SPACE, "session_id": "s", "messages": messages}
        answer = await self.client.post("/v1/hooks/session-stop", json=body)
        assert [result["status"] for result in answer.json()["results"]] == ["rejected"]

    async def run(self, job: str, **options: Any) -> None:
        """Run a job of upkeep."""
        body = {**SPACE, "dry_run": False, **options}
        answer = await self.client.post(f"/v1/admin/jobs/{job}", json=body)
        assert answer.status_code == 200, answer.text


def told(text: str) -> Callable[[House], Awaitable[None]]:
    """A decision about the task, because of a text."""

    async def decide(house: House) -> None:
        await house.write(TASK, "prospective", due_at="2026-03-10T09:00:00Z")
        await house.write(text, "episodic")

    return decide


def heard(text: str) -> Callable[[House], Awaitable[None]]:
    """A decision about the task, because of a captured message that is not stored."""

    async def decide(house: House) -> None:
        await house.write(TASK, "prospective", due_at="2026-03-10T09:00:00Z")
        await house.capture(text)

    return decide


async def _moved_to_another(house: House) -> None:
    await house.write(TASK, "prospective")
    await house.write("Bring the lease to the landlord on 20 March.", "prospective")


async def _retracted(house: House) -> None:
    fact = await house.write("We have 12 licences.")
    await house.client.post(f"/v1/memories/{fact}/retract", params=SPACE, json={})


async def _replaced(house: House) -> None:
    for value in (10, 20):
        await house.write(f"The limit is {value} requests per minute.")


async def _moved_by_a_task(house: House) -> None:
    await house.write("Call the bank about the stolen credit card, Friday", "prospective")
    house.clock[0] += timedelta(days=2)
    await house.write("Call the bank about the stolen credit card on Tuesday", "prospective")


async def _wrong(house: House) -> None:
    await house.write("We have 12 licences.")
    await house.write("We never had 12 licences, it is 21.")


async def _contested(house: House) -> None:
    await house.write("Ilse takes care of the licences.")
    await house.write("Bram takes care of the licences.")


async def _merged(house: House) -> None:
    await house.write("The tea is green.")
    await house.write("the TEA is  green")


async def _compacted(house: House) -> None:
    await house.write("Drain the boiler", "procedural", importance=9)
    repeated = await house.write("Drain the old boiler", "procedural")
    # As if both had been written by an earlier version, which knew them for two
    scope = Scope("default", "n")
    await house.services.store.patch(scope, {repeated: {"content": "drain the Boiler"}})
    await house.run("compact", similarity=0.5)


async def _promoted(house: House) -> None:
    for session in "abc":
        house.clock[0] += timedelta(days=1)
        await house.write("Tea is always at four", "episodic", session_id=session)
    await house.run("promote")


async def _forgotten(house: House) -> None:
    await house.write("Tea is green")
    house.clock[0] += timedelta(days=60)
    await house.run("forget", inactive_days=30)


async def _rejected(house: House) -> None:
    await house.capture("ok thanks")


async def _lapsed(house: House) -> None:
    times = {"due_at": "2026-03-02T09:00:00Z", "lapses_at": "2026-03-02T11:00:00Z"}
    await house.write("Dentist in Leeds", "prospective", **times)
    house.clock[0] += timedelta(days=2)


async def _reopened(house: House) -> None:
    task = await house.write(TASK, "prospective")
    await house.client.post(f"/v1/memories/{task}/complete", params=SPACE)
    await house.write("The landlord wants the lease back again.", "episodic")


DECISIONS: Mapping[str, tuple[DecisionKind, Callable[[House], Awaitable[None]]]] = {
    "a fact replaced": (DecisionKind.REPLACED, _replaced),
    "a task told again": (DecisionKind.MOVED, _moved_by_a_task),
    "a fact taken back": (DecisionKind.RETRACTED, _wrong),
    "a fact retracted by a caller": (DecisionKind.RETRACTED, _retracted),
    "a fact contested": (DecisionKind.CONTESTED, _contested),
    "a rewording merged": (DecisionKind.MERGED, _merged),
    "a repetition merged by upkeep": (DecisionKind.MERGED, _compacted),
    "an event promoted": (DecisionKind.PROMOTED, _promoted),
    "a memory forgotten": (DecisionKind.FORGOTTEN, _forgotten),
    "a text rejected": (DecisionKind.REJECTED, _rejected),
    "an appointment lapsed": (DecisionKind.LAPSED, _lapsed),
    "a task done": (DecisionKind.ENDED, told("The lease went back to the landlord.")),
    "a task cancelled": (
        DecisionKind.ENDED,
        told("We keep the lease, nothing goes back to the landlord."),
    ),
    "a task said done": (
        DecisionKind.SAID_ENDED,
        told("The lease is with the landlord, I think."),
    ),
    "a task done by a message that is not stored": (
        DecisionKind.ENDED,
        heard("lease back to the landlord, ok thanks"),
    ),
    "a task moved": (DecisionKind.MOVED, told("The landlord gets the lease back on 20 March.")),
    "a task moved by a message that is not stored": (
        DecisionKind.MOVED,
        heard("lease to the landlord tomorrow, ok thanks"),
    ),
    "a task that goes on as another": (DecisionKind.MOVED, _moved_to_another),
    "a task reopened": (DecisionKind.REOPENED, _reopened),
}


def test_every_kind_of_decision_is_among_the_cases() -> None:
    assert {kind for kind, _ in DECISIONS.values()} == set(DecisionKind)


async def listed(client: httpx.AsyncClient, kind: DecisionKind) -> list[dict[str, Any]]:
    """The decisions of this kind, as HTTP lists them."""
    answer = await client.get("/v1/decisions", params={**SPACE, "kind": kind})
    found: list[dict[str, Any]] = answer.json()["decisions"]
    return found


@pytest.mark.parametrize("way", ["http", "mcp", "inspector"])
@pytest.mark.parametrize("case", DECISIONS)
async def test_a_decision_is_listed_with_its_reason_and_undone(case: str, way: str) -> None:
    kind, decide = DECISIONS[case]
    clock = [NOW]
    services = fake_services(lambda: clock[0], reader=FakeReader(read))
    async with connect(services) as client:
        await decide(House(client, services, clock))
        decision, *others = await listed(client, kind)
        assert len(others) == (kind is DecisionKind.CONTESTED)  # both sides
        assert decision["reason"]
        assert (decision["by"] is None) == (decision["by_content"] is None)
        match way:
            case "http":
                await by_http(client, decision)
            case "mcp":
                await by_mcp(services, decision)
            case _:
                await by_inspector(Visit(client), decision)
        assert await listed(client, kind) == []


async def by_http(client: httpx.AsyncClient, decision: dict[str, Any]) -> None:
    """Undo the decision over HTTP."""
    answer = await client.post(f"/v1/memories/{decision['id']}/undo", params=SPACE)
    assert answer.status_code == 200, answer.text
    assert answer.json()["restored"]


async def by_mcp(services: Services, decision: dict[str, Any]) -> None:
    """Find the decision by the MCP tool memory_why, and undo it by memory_undo."""
    async with mcp_client(services, "/mcp/n") as mcp:
        lines = (await call(mcp, "memory_why")).splitlines()
        (line,) = (
            each for each in lines if each.startswith(f"{decision['id']} · {decision['kind']}")
        )
        assert decision["reason"] in line
        assert "back: " in await call(mcp, "memory_undo", id=decision["id"])


async def by_inspector(visit: Visit, decision: dict[str, Any]) -> None:
    """Find the decision on the inspector's page, and send its form."""
    page = await visit.open("/decisions", kind=decision["kind"])
    text = text_of(page)
    assert " ".join(decision["reason"].split()) in text
    if decision["by_content"]:
        assert decision["by_content"] in text
    assert 'action="/inspect/decisions/undo"' in page
    await visit.send("/decisions/undo", id=decision["id"])
