"""The relevance floor (lowest score that a context shows), with the real encoder and questions
without an answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from retrieval.query.request import DEFAULT_FLOOR
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

MEMORIES = [
    "The ferry to Hvar leaves at 7:40 from pier 3, and the car deck closes twenty minutes earlier.",
    "Ivana wants the invoices as PDF, one file for each month.",
    "The washing machine in the flat needs the blue valve to be open.",
    "We agreed with the neighbours to keep the gate locked at night.",
    "Luka is allergic to walnuts, so the cake is made with almonds.",
    "The boat's engine was serviced in March by the mechanic in Split.",
]
ANSWERED = "When does the ferry to Hvar leave?"
UNANSWERED = "Which Kubernetes version runs on the staging cluster?"


@pytest.fixture(scope="module")
async def floored(onnx_directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with the default encoder, and with the texts of MEMORIES in the
    namespace `home`.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    async with connect(
        fake_services(lambda: NOW, InMemoryStore(384), encoders=(embedder, Bm25Encoder()))
    ) as client:
        for content in MEMORIES:
            await write(client, "semantic", content)
        yield client
    await embedder.aclose()


async def write(
    client: httpx.AsyncClient, kind: str, content: str, namespace: str = "home", **fields: Any
) -> None:
    """Store a memory."""
    body = {"namespace": namespace, "type": kind, "content": content, **fields}
    response = await client.post("/v1/memories", json=body)
    assert response.status_code == 201, response.text


async def retrieve(client: httpx.AsyncClient, query: str, **fields: Any) -> dict[str, Any]:
    """Build a context and return the answer. fields: further fields of the request."""
    response = await client.post(
        "/v1/retrieve", json={"namespace": "home", "query": query, **fields}
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_question_that_nothing_answers_gets_an_empty_context(
    floored: httpx.AsyncClient,
) -> None:
    """If no memory answers the question, all are below the relevance floor, and the metadata count
    them as dropped.
    """
    answer = await retrieve(floored, UNANSWERED)
    assert (answer["context"], answer["items"], answer["metadata"]["outcome"]) == ("", [], "empty")
    assert answer["metadata"]["floor"] == {"value": DEFAULT_FLOOR, "dropped": len(MEMORIES)}


async def test_a_memory_that_answers_the_question_is_above_the_default_floor(
    floored: httpx.AsyncClient,
) -> None:
    answer = await retrieve(floored, ANSWERED)
    assert answer["metadata"]["outcome"] == "ok"
    assert answer["items"][0]["content"] == MEMORIES[0]


async def test_with_another_encoder_there_is_no_floor(
    floored: httpx.AsyncClient, onnx_directory: Path
) -> None:
    """The models of the floor would read vectors that they were not trained on: it is off, and the
    answer says so.
    """
    assert (await retrieve(floored, UNANSWERED))["items"] == []
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    embedder.fingerprint = "another:0123456789abcdef:256"
    store = InMemoryStore(384)
    services = fake_services(lambda: NOW, store, encoders=(embedder, Bm25Encoder()))
    async with connect(services) as client:
        await write(client, "semantic", MEMORIES[0])
        answer = await retrieve(client, UNANSWERED)
    await embedder.aclose()
    assert len(answer["items"]) == 1
    assert answer["metadata"]["floor"] == {"value": 0, "dropped": 0}


async def test_a_floor_of_0_shows_all_memories(floored: httpx.AsyncClient) -> None:
    """With a relevance floor (lowest score that is shown) of 0, a context has even memories that
    answer nothing.
    """
    answer = await retrieve(floored, UNANSWERED, floor=0)
    assert len(answer["items"]) == len(MEMORIES)
    assert answer["metadata"]["floor"] == {"value": 0, "dropped": 0}


@pytest.mark.parametrize(
    ("query", "kind"),
    [("what do you remember about us?", "semantic"), ("which how-to guides exist?", "procedural")],
)
async def test_an_overview_of_one_type_has_memories_below_the_floor(
    floored: httpx.AsyncClient, query: str, kind: str
) -> None:
    """A question for all facts, or for all procedures, is answered by all memories of this type."""
    procedures = ["Bleed the radiators from the ground floor up.", "Prune the vines in February."]
    if kind == "procedural":
        for content in procedures:
            await write(floored, kind, content, "guides")
        await write(floored, "semantic", MEMORIES[1], "guides")
    answer = await retrieve(floored, query, namespace="guides" if kind == "procedural" else "home")
    contents = {item["content"] for item in answer["items"] if item["type"] == kind}
    assert contents == set(procedures if kind == "procedural" else MEMORIES)


async def test_a_higher_floor_shows_fewer_memories(floored: httpx.AsyncClient) -> None:
    contexts = [
        [
            item["id"]
            for item in sorted((await retrieve(floored, ANSWERED, floor=floor))["items"], key=_rank)
        ]
        for floor in (0.0, 0.5, 0.99, 1.0)
    ]
    for more, fewer in pairwise(contexts):
        assert fewer == [memory_id for memory_id in more if memory_id in fewer]
    assert (len(contexts[0]), contexts[-1]) == (len(MEMORIES), [])


def _rank(item: dict[str, Any]) -> int:
    rank: int = item["rank"]
    return rank


async def test_a_search_has_no_floor_unless_it_asks_for_one(floored: httpx.AsyncClient) -> None:
    """A search has no relevance floor by default. If the request sets one, the answer counts the
    hits below it.
    """
    body = {"namespace": "home", "query": UNANSWERED}
    plain = (await floored.post("/v1/search", json=body)).json()
    assert (len(plain["hits"]), plain["floor"]) == (len(MEMORIES), {"value": 0, "dropped": 0})
    floored_search = (await floored.post("/v1/search", json=body | {"floor": 0.5})).json()
    assert (floored_search["hits"], floored_search["floor"]) == (
        [],
        {"value": 0.5, "dropped": len(MEMORIES)},
    )


@pytest.mark.parametrize("path", ["/v1/search", "/v1/retrieve"])
@pytest.mark.parametrize("floor", [-0.1, 1.1, "high"])
async def test_a_floor_outside_of_0_to_1_is_refused(
    floored: httpx.AsyncClient, path: str, floor: object
) -> None:
    """A relevance floor that is no number from 0 to 1 is a 422 that names the field `floor`."""
    response = await floored.post(
        path, json={"namespace": "home", "query": ANSWERED, "floor": floor}
    )
    assert response.status_code == 422
    assert response.json()["errors"][0]["path"] == "floor"


@pytest.mark.parametrize("query", [ANSWERED, UNANSWERED])
async def test_a_receipt_lists_the_memories_below_the_floor(
    floored: httpx.AsyncClient, query: str
) -> None:
    answer = await retrieve(floored, query, floor=0.6)
    path = f"/v1/receipts/{answer['receipt_id']}"
    receipt = (await floored.get(path)).json()
    assert receipt["request"]["floor"] == 0.6
    below = [
        candidate
        for candidate in receipt["candidates"]
        if candidate["outcome"] == "below_threshold"
    ]
    assert len(below) == answer["metadata"]["floor"]["dropped"] > 0
    assert all(candidate["certainty"] < 0.6 for candidate in below)
    assert (await floored.post(f"{path}/verify")).json()["valid"]
    assert (await floored.post(f"{path}/replay")).json()["identical"]


async def test_the_relevance_floor_applies_to_prompts(floored: httpx.AsyncClient) -> None:
    """Prompts have the default relevance floor (lowest score that is shown), unless the request
    sets another.
    """
    body = {"namespace": "home", "session_id": "s", "prompt": UNANSWERED}
    assert (await floored.post("/v1/hooks/prompt-submit", json=body)).json()["items"] == []
    answer = (await floored.post("/v1/hooks/prompt-submit", json=body | {"floor": 0})).json()
    assert len(answer["items"]) == len(MEMORIES)


async def test_a_recurring_to_do_is_shown_only_for_questions_about_it(
    floored: httpx.AsyncClient,
) -> None:
    """Tasks for the same chore every week are shown for a question about the chore, and for no
    other question.
    """
    for week in range(3):
        due = (NOW + timedelta(days=7 * week + 2)).isoformat()
        await write(
            floored, "prospective", f"Water the plants on the roof, week {week}", "roof", due_at=due
        )
    await write(floored, "semantic", MEMORIES[0], "roof")
    answer = await retrieve(floored, "When do I have to water the plants?", namespace="roof")
    assert "prospective" in {item["type"] for item in answer["items"]}
    other = await retrieve(floored, UNANSWERED, namespace="roof")
    assert other["metadata"]["outcome"] == "empty"


async def test_a_prompt_shows_due_intentions_whatever_the_floor(floored: httpx.AsyncClient) -> None:
    """The first prompt shows a due task even if its score is below the relevance floor. Later
    prompts do not.
    """
    await write(
        floored,
        "prospective",
        "Call the dentist",
        "due",
        due_at=(NOW - timedelta(hours=1)).isoformat(),
    )
    body = {"namespace": "due", "session_id": "s", "prompt": UNANSWERED}
    first = (await floored.post("/v1/hooks/prompt-submit", json=body)).json()
    second = (await floored.post("/v1/hooks/prompt-submit", json=body)).json()
    assert [item["content"] for item in first["items"]] == ["Call the dentist"]
    assert second["items"] == []


async def test_a_question_for_tasks_gets_tasks(floored: httpx.AsyncClient) -> None:
    """The question "what is left to do?" gets tasks, although no task shares a word with it."""
    for content in ("Renew the certificate", "Book the flights to Oslo"):
        await write(floored, "prospective", content, "open")
    await write(floored, "semantic", MEMORIES[2], "open")
    answer = await retrieve(floored, "what is left to do?", namespace="open")
    assert {item["content"] for item in answer["items"]} >= {
        "Renew the certificate",
        "Book the flights to Oslo",
    }


async def test_an_unrelated_task_is_not_shown_for_a_question_about_something_else(
    floored: httpx.AsyncClient,
) -> None:
    """A task needs to be more likely to help than other memories, unless tasks are asked for."""
    for content in ("The lighthouse of Palagruza is 26 metres tall.", "The lighthouse is white."):
        await write(floored, "semantic", content, "coast")
    for content in ("Call the dentist", "Paint the gate", "Tell Luka about the lighthouse trip"):
        await write(floored, "prospective", content, "coast")
    tall = await retrieve(floored, query="How tall is the lighthouse?", namespace="coast")
    assert "26 metres" in tall["context"]
    assert not {"Call the dentist", "Paint the gate"} & {item["content"] for item in tall["items"]}
    trip = await retrieve(
        floored, query="Who shall hear of the lighthouse trip?", namespace="coast"
    )
    assert "Tell Luka" in trip["context"]
    todo = await retrieve(floored, query="what do I still have to do?", namespace="coast")
    assert "Call the dentist" in todo["context"]


ROOMS = ("Amber", "Birch", "Cedar", "Dune", "Elm", "Fjord", "Grove", "Harbor", "Iris", "Juniper")
PROVIDER = "The checkout's payment provider is Stripe."


@pytest.mark.parametrize(
    "query",
    [
        "What is the checkout's payment provider?",
        "Which payment provider does the checkout use?",
        "checkout's payment provider",
    ],
)
@pytest.mark.parametrize("rooms", [3, 10])
async def test_a_hit_that_answers_does_not_bring_all_others_of_a_small_namespace(
    floored: httpx.AsyncClient, query: str, rooms: int
) -> None:
    namespace = f"rooms-{rooms}"
    if not (await floored.get(f"/v1/memories?namespace={namespace}")).json()["total"]:
        for number, room in enumerate(ROOMS[:rooms], 1):
            await write(floored, "semantic", f"The {room} room seats {2 * number}.", namespace)
        await write(floored, "semantic", PROVIDER, namespace)
    answer = await retrieve(floored, query, namespace=namespace, budget=200)
    assert [item["content"] for item in answer["items"]] == [PROVIDER]
    assert answer["metadata"]["floor"]["dropped"] == rooms
    assert (await floored.post(f"/v1/receipts/{answer['receipt_id']}/verify")).json()["valid"]
