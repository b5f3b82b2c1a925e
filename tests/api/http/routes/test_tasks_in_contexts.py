"""Tasks in contexts: due tasks come before other tasks, and a part of the budget is reserved for
them.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.fakes import FakeSparse
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

NO_FLOOR = {"floor": 0}
FACTS = [f"The deploy of service {number} runs on the build server." for number in range(40)]


async def write(client: httpx.AsyncClient, kind: str, content: str, **fields: Any) -> None:
    """Store a memory."""
    body = {"namespace": "ann", "type": kind, "content": content, **fields}
    created = await client.post("/v1/memories", json=body)
    assert created.status_code == 201, created.text


async def ask(client: httpx.AsyncClient, query: str, **fields: Any) -> dict[str, Any]:
    """Build a context and return the answer, after checking that its receipt is valid and replays
    identically.
    """
    got = await client.post("/v1/retrieve", json={"namespace": "ann", "query": query, **fields})
    assert got.status_code == 200, got.text
    answer: dict[str, Any] = got.json()
    receipt = f"/v1/receipts/{answer['receipt_id']}"
    assert (await client.post(f"{receipt}/verify")).json()["valid"]
    assert (await client.post(f"{receipt}/replay")).json()["identical"]
    return answer


def places(answer: dict[str, Any], *texts: str) -> list[int]:
    """The position of each text in the context, or -1 if the context does not contain it."""
    context: str = answer["context"]
    return [context.find(text) for text in texts]


@pytest.mark.parametrize("query", ["deploy service build server", "what is left to do?"])
async def test_due_tasks_come_before_other_tasks(client: httpx.AsyncClient, query: str) -> None:
    for number in range(5):
        await write(client, "prospective", f"deploy service {number} to the build server")
    await write(
        client,
        "prospective",
        "deploy the service again",
        due_at=(NOW + timedelta(days=1)).isoformat(),
    )
    await write(
        client, "prospective", "pay the rent", due_at=(NOW + timedelta(hours=11)).isoformat()
    )
    await write(
        client, "prospective", "water the plants", due_at=(NOW - timedelta(days=2)).isoformat()
    )
    answer = await ask(client, query)
    *due, first, later = places(
        answer, "pay the rent", "water the plants", "deploy service", "deploy the service again"
    )
    assert -1 not in (*due, first, later)
    assert max(due) < min(first, later)
    tasks = [item["content"] for item in answer["items"] if item["type"] == "prospective"]
    assert set(tasks[:2]) == {"pay the rent", "water the plants"}


async def test_due_tasks_are_not_crowded_out_of_a_small_budget(client: httpx.AsyncClient) -> None:
    """An overdue task is shown even if many facts match the query better. A task that is due next
    week is not.
    """
    for fact in FACTS:
        await write(client, "semantic", fact)
    await write(client, "prospective", "pay the rent", due_at=(NOW - timedelta(days=2)).isoformat())
    await write(client, "prospective", "pay the tax", due_at=(NOW + timedelta(days=7)).isoformat())
    answer = await ask(client, "deploy service build server", budget=150)
    assert "pay the rent" in answer["context"]
    assert "pay the tax" not in answer["context"]
    assert answer["metadata"]["total_tokens"] <= 150


@pytest.mark.parametrize("fields", [NO_FLOOR, {"include_due": True}])
async def test_many_due_tasks_leave_room_for_better_matches(
    client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    """Tasks that are due today and do not match the query take a quarter of the budget, the
    earliest first.
    """
    for fact in FACTS:
        await write(client, "semantic", fact)
    for minute in range(40):
        await write(
            client,
            "prospective",
            f"pay bill {minute}",
            due_at=(NOW + timedelta(minutes=minute)).isoformat(),
        )
    answer = await ask(client, "deploy service build server", budget=400, **fields)
    tokens = answer["metadata"]["per_type"]
    assert 50 <= tokens["prospective"] <= 130
    assert tokens["semantic"] >= 200
    assert -1 not in places(answer, "pay bill 0 ", "pay bill 1 ")


async def test_long_overdue_tasks_are_not_shown_in_every_context(client: httpx.AsyncClient) -> None:
    """A task that was due weeks ago is not shown for questions about other things."""
    for fact in FACTS:
        await write(client, "semantic", fact)
    due = (NOW - timedelta(days=20)).isoformat()
    await write(
        client, "prospective", "pay the rent", due_at=due, created_at="2026-01-01T00:00:00Z"
    )
    answer = await ask(client, "deploy service build server", budget=150)
    assert "pay the rent" not in answer["context"]


async def test_a_question_for_tasks_lists_tasks_before_facts(onnx_directory: Path) -> None:
    """For a question such as "what is left to do?", tasks come before facts.

    For other questions the better match does.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        await write(client, "semantic", "What is left of the budget is little.", importance=10)
        await write(client, "prospective", "call the plumber")
        texts = ("What is left of the budget", "call the plumber")
        for query in ("what is left to do?", "is there anything I still have to take care of?"):
            answer = await ask(client, query, **NO_FLOOR)
            fact, task = places(answer, *texts)
            assert -1 < task < fact
            assert [item["type"] for item in answer["items"]] == ["prospective", "semantic"]
            budgets = (await client.get(f"/v1/receipts/{answer['receipt_id']}")).json()["budgets"]
            assert budgets["shifted"]["prospective"] > budgets["initial"]["prospective"]
        fact, task = places(
            await ask(client, "how much is left of the budget?", **NO_FLOOR), *texts
        )
        assert -1 < fact < task
    await embedder.aclose()


async def test_a_question_for_tasks_is_not_answered_by_tasks_alone(onnx_directory: Path) -> None:
    """A context for a question about tasks begins with tasks, but also has events that match the
    question.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        for number in range(20):
            await write(
                client, "episodic", f"Ann asked what is left to do on host {number}.", importance=10
            )
            await write(
                client, "prospective", f"Look at the logs of host {number} again.", importance=1
            )
        answer = await ask(client, "what is left to do?", budget=250, **NO_FLOOR)
        types = [item["type"] for item in answer["items"]]
        assert set(types) == {"prospective", "episodic"}
        assert types[0] == "prospective"
    await embedder.aclose()


async def test_a_question_whether_something_was_done_finds_the_completed_task(
    onnx_directory: Path,
) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        for content in (
            "Call the roofer about the gutter",
            "Call the roofer about the bill",
            "Book the flights",
        ):
            await write(client, "prospective", content)
        memories = (await client.get("/v1/memories", params={"namespace": "ann"})).json()[
            "memories"
        ]
        ids = {memory["content"]: memory["id"] for memory in memories}
        for content, verb in (
            ("Call the roofer about the gutter", "complete"),
            ("Book the flights", "cancel"),
        ):
            await client.post(f"/v1/memories/{ids[content]}/{verb}", params={"namespace": "ann"})
        await write(client, "prospective", "Call the roofer about the gutter")
        for query in (
            "Did we call the roofer?",
            "Has the roofer been called?",
            "Haben wir den roofer angerufen?",
        ):
            answer = await ask(client, query, **NO_FLOOR)
            done = places(answer, "- [completed 2026-03-01] Call the roofer about the gutter")
            still_open = places(
                answer,
                "- [pending] Call the roofer about the gutter",
                "- [pending] Call the roofer about",
            )
            assert -1 not in (*done, *still_open)
            assert "flights" not in answer["context"]
        for query in (
            "What is left to do?",
            "call the roofer about the gutter",
            "what haven't we done yet?",
        ):
            assert "[completed" not in (await ask(client, query, **NO_FLOOR))["context"]


async def test_tasks_leave_most_of_the_budget_to_better_hits(onnx_directory: Path) -> None:
    """For a question for tasks, tasks come first in three tenths of the budget, then all hits by
    their scores.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        for number in range(40):
            due = (NOW + timedelta(days=2 + number)).isoformat()
            await write(client, "prospective", f"Post parcel {number}", due_at=due)
        notes = [
            f"On the roof of the boathouse, gutter {number} is still open to the rain."
            for number in range(8)
        ]
        for note in notes:
            await write(client, "semantic", note)
        answer = await ask(
            client, "what do we still have to do on the roof of the boathouse?", budget=500
        )
        types = [item["type"] for item in answer["items"]]
        assert types[0] == "prospective"
        assert all(note in answer["context"] for note in notes)
    await embedder.aclose()


async def test_tasks_of_the_time_that_a_question_names_are_shown(onnx_directory: Path) -> None:
    """Of many tasks, those of a future time that a question names are shown in a small context, the
    earliest first.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        await write(client, "prospective", "Sort the photos")
        for day in (10, 8, 4, 33, 1, 5, 40, 70, 90, 12):
            await write(
                client,
                "prospective",
                f"Mow lawn {day}.",
                due_at=(NOW + timedelta(days=day)).isoformat(),
            )
        await write(
            client, "prospective", "Mow lawn 0.", due_at=(NOW - timedelta(days=1)).isoformat()
        )
        for query, days in (
            ("what is due tomorrow?", (1,)),
            ("what do I have to do in the next five days?", (1, 4, 5)),
            ("what is due in April?", (33, 40)),
            ("was muss ich nächste Woche erledigen?", (1, 4, 5)),
        ):
            positions = places(
                await ask(client, query, budget=100), *(f"Mow lawn {day}." for day in days)
            )
            assert -1 not in positions, query
            assert positions == sorted(positions), query
        listed = places(
            await ask(client, "what is left to do?"),
            "Mow lawn 1.",
            "Mow lawn 0.",
            "Sort",
            "Mow lawn 90.",
        )
        assert -1 not in listed
        assert listed == sorted(listed)
    await embedder.aclose()


@pytest.mark.parametrize("form", ["markdown", "json"])
async def test_tasks_that_were_missed_weeks_ago_are_counted_in_one_line(
    onnx_directory: Path, form: str
) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    task = "[pending] Mow lawn 1. (due 2026-03-02 12:00Z)"
    line = {
        "markdown": f"- {task}\n- 3 older tasks overdue\n",
        "json": f'"content": "{task}"}}\n]\n,"older_tasks_overdue":3\n',
    }[form]
    async with connect(services) as client:
        for day in (1, -30, -40, -50):
            due = (NOW + timedelta(days=day)).isoformat()
            made = (NOW - timedelta(days=60)).isoformat()
            await write(client, "prospective", f"Mow lawn {day}.", due_at=due, created_at=made)
        for budget in (120, 1_000):
            answer = await ask(client, "what is left to do?", budget=budget, format=form)
            assert line in answer["context"]
            assert len(answer["items"]) == 1
            assert answer["metadata"]["total_tokens"] <= budget
        outcomes = await outcomes_of(client, answer)
        assert sorted(outcomes) == ["counted", "counted", "counted", "included"]

        named = await ask(client, "what was due in January?", format=form)
        assert "Mow lawn -40." in named["context"]
        too_small = await ask(client, "what is left to do?", budget=20, format=form)
        assert too_small["context"] == ""
        assert "counted" not in await outcomes_of(client, too_small)
    await embedder.aclose()


async def test_the_latest_of_only_missed_tasks_is_listed(onnx_directory: Path) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        for day in (-40, -30):
            due = (NOW + timedelta(days=day)).isoformat()
            made = (NOW - timedelta(days=60)).isoformat()
            await write(client, "prospective", f"Mow lawn {day}.", due_at=due, created_at=made)
        answer = await ask(client, "what is left to do?")
        assert [item["content"] for item in answer["items"]] == ["Mow lawn -30."]
        assert "- 1 older task overdue\n" in answer["context"]
    await embedder.aclose()


async def test_to_continue_shows_the_last_session_and_then_what_is_open(
    onnx_directory: Path,
) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, FakeSparse())
    )
    async with connect(services) as client:
        for days, texts in (
            (40, ("We continue to paint the fence.", "Where were we when the fence fell?")),
            (1, ("The gate is primed on one side.", "The hinges are too small.")),
        ):
            for text in texts:
                await write(
                    client,
                    "episodic",
                    text,
                    session_id=f"session {days}",
                    created_at=(NOW - timedelta(days=days)).isoformat(),
                )
        due = (NOW + timedelta(days=2)).isoformat()
        await write(client, "prospective", "Fetch larger hinges", due_at=due)
        made = (NOW - timedelta(days=40)).isoformat()
        await write(client, "semantic", "The lighthouse is 26 metres tall.", created_at=made)
        for query in ("continue", "ok, where were we?", "machen wir weiter"):
            answer = await ask(client, query, budget=200)
            shown = {item["content"] for item in answer["items"]}
            assert {"The gate is primed on one side.", "The hinges are too small."} <= shown, query
            assert "Fetch larger hinges" in shown, query
            assert not {"fence", "lighthouse"} & set(answer["context"].split()), query
    await embedder.aclose()


async def test_a_question_for_the_tasks_about_a_thing_gets_those_alone(
    onnx_directory: Path,
) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(
        lambda: NOW, InMemoryStore(embedder.dimensions), encoders=(embedder, Bm25Encoder())
    )
    async with connect(services) as client:
        for content in (
            "Take Otto the dog to the vet for his booster",
            "Pay the deposit of the cottage",
            "Renew the passport",
            "Ring the orthodontist",
        ):
            await write(client, "prospective", content)
        answer = await ask(client, "is there anything coming up with the dog?")
        assert [item["content"] for item in answer["items"]] == [
            "Take Otto the dog to the vet for his booster"
        ]
    await embedder.aclose()


async def outcomes_of(client: httpx.AsyncClient, answer: dict[str, Any]) -> list[str]:
    """The outcomes of the candidates that the answer's receipt lists."""
    receipt = (await client.get(f"/v1/receipts/{answer['receipt_id']}")).json()
    return [candidate["outcome"] for candidate in receipt["candidates"]]
