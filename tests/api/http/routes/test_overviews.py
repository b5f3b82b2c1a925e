"""Questions for an overview: the newest events, finished tasks, or the tasks that are due
soonest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.api.http.routes.test_tasks_in_contexts import ask, write
from tests.fakes import FakeSparse
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

EVENTS = [
    "The heating broke down.",
    "Lena visited the glass museum.",
    "We signed the lease of the office.",
    "The blue van failed its inspection.",
    "Priya presented the pricing model.",
    "The database ran out of disk space.",
]
"""Events, newest first. They happened a day, 11 days, 21 days ... ago."""


@pytest.fixture
async def overview(onnx_directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with the real encoder: six events, six open tasks due in 5 to 55 days,
    and two finished.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        for number, event in enumerate(EVENTS):
            await write(
                client,
                "episodic",
                event,
                created_at=(NOW - timedelta(days=1 + 10 * number)).isoformat(),
            )
        for number, task in enumerate(("passport", "tax", "venue", "books", "roof", "boiler")):
            due = (NOW + timedelta(days=55 - 10 * number)).isoformat()
            await write(client, "prospective", f"See to the {task} again", due_at=due)
        for content in ("Repair the garden fence", "Order the projector"):
            await write(client, "prospective", content)
            memories = (await client.get("/v1/memories", params={"namespace": "ann"})).json()[
                "memories"
            ]
            done = next(memory["id"] for memory in memories if memory["content"] == content)
            await client.post(f"/v1/memories/{done}/complete", params={"namespace": "ann"})
        yield client
    await embedder.aclose()


def contents(answer: dict[str, Any], kind: str) -> list[str]:
    """The texts of the memories of type `kind` in the context, in the order of its items."""
    return [item["content"] for item in answer["items"] if item["type"] == kind]


@pytest.mark.parametrize(
    "query",
    [
        "What happened?",
        "Any news?",
        "catch me up",
        "Was gibt es Neues?",
        "Quoi de neuf ?",
        "¿Qué ha pasado?",
    ],
)
async def test_what_happened_lists_the_newest_events(
    overview: httpx.AsyncClient, query: str
) -> None:
    """The question "What happened?" lists all events, newest first. The text of the context has the
    oldest first.
    """
    answer = await ask(overview, query, budget=600)
    assert contents(answer, "episodic") == EVENTS
    positions = [answer["context"].find(event) for event in EVENTS]
    assert -1 < positions[-1] < positions[0]
    assert sorted(positions, reverse=True) == positions


async def test_the_newest_events_come_first_in_a_small_budget(overview: httpx.AsyncClient) -> None:
    """Where not all events fit, the newest are shown, and the receipt is valid."""
    events = contents(await ask(overview, "What happened?", budget=85), "episodic")
    assert 1 < len(events) < len(EVENTS)
    assert EVENTS[0] in events
    assert EVENTS[1] in events


async def test_what_happened_at_a_time_lists_the_events_of_that_time(
    overview: httpx.AsyncClient,
) -> None:
    assert contents(await ask(overview, "What happened in January?"), "episodic")[:3] == EVENTS[3:]


async def test_a_question_about_one_incident_is_answered_by_its_event(
    overview: httpx.AsyncClient,
) -> None:
    """The question "What happened to the van?" is answered by the event about the van, at rank
    1.
    """
    first = (await ask(overview, "What happened to the blue van?"))["items"][0]
    assert (first["rank"], first["content"]) == (1, "The blue van failed its inspection.")


async def test_the_newest_event_is_shown_even_if_it_is_no_candidate(onnx_directory: Path) -> None:
    """The newest event is in an overview even if more events than a search returns are nearer to
    the question.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        for number in range(205):
            at = (NOW - timedelta(days=2, minutes=number)).isoformat()
            await write(client, "episodic", f"What happened? News {number}.", created_at=at)
        await write(client, "episodic", "zebra", created_at=(NOW - timedelta(days=1)).isoformat())
        assert contents(await ask(client, "What happened?", budget=300), "episodic")[0] == "zebra"
    await embedder.aclose()


@pytest.mark.parametrize(
    "query",
    [
        "What got done?",
        "What did we finish this week?",
        "Was haben wir erledigt?",
        "¿Qué hemos terminado?",
    ],
)
async def test_a_question_for_what_was_finished_lists_completed_tasks(
    overview: httpx.AsyncClient, query: str
) -> None:
    answer = await ask(overview, query)
    assert set(contents(answer, "prospective")[:2]) == {
        "Repair the garden fence",
        "Order the projector",
    }
    assert "[completed 2026-03-01] Order the projector" in answer["context"]


@pytest.mark.parametrize(
    "query", ["What is due first?", "what's next?", "Was steht als Nächstes an?"]
)
async def test_tasks_due_soonest_come_first_in_a_small_budget(
    overview: httpx.AsyncClient, query: str
) -> None:
    """A question for tasks lists them by due time, and where not all fit, those that are due
    soonest.
    """
    tasks = contents(await ask(overview, query), "prospective")
    assert tasks == [
        f"See to the {task} again"
        for task in ("boiler", "roof", "books", "venue", "tax", "passport")
    ]
    soonest = contents(await ask(overview, query, budget=130), "prospective")
    assert soonest[0] == "See to the boiler again"
    assert len(soonest) < len(tasks)
