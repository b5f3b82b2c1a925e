"""What a newer fact does to an older one, over HTTP and with the default encoder: replaced,
contested or left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def embedder(onnx_directory: Path) -> AsyncIterator[OnnxEmbedder]:
    """The default ONNX encoder, opened once for this file."""
    opened = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    yield opened
    await opened.aclose()


@pytest.fixture
async def facts(embedder: OnnxEmbedder) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a service that uses the default ONNX encoder."""
    async with connect(fake_services(lambda: NOW, encoders=(embedder, Bm25Encoder()))) as client:
        yield client


async def write(
    client: httpx.AsyncClient, content: str, days: int, **fields: Any
) -> dict[str, Any]:
    """Write a fact dated `days` days ago and return the answer."""
    created: datetime = NOW - timedelta(days=days)
    body = {
        "namespace": "n",
        "type": "semantic",
        "content": content,
        "created_at": created.isoformat(),
        **fields,
    }
    response = await client.post("/v1/memories", json=body)
    assert response.status_code in (200, 201), response.text
    answer: dict[str, Any] = response.json()
    return answer


async def state_of(client: httpx.AsyncClient, memory_id: str) -> str:
    """The state of a memory: current, replaced or contested."""
    state: str = (await client.get(f"/v1/memories/{memory_id}", params={"namespace": "n"})).json()[
        "state"
    ]
    return state


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("Bob is CTO", "Bob moved to Rome"),
        ("We use Redis", "We moved the sessions from Redis to Postgres"),
        ("The service is in Go", "The service is in Kubernetes"),
        ("The default branch is protected", "The default branch is main"),
        ("Alice works in Rome", "Alice works in Engineering"),
        ("The gateway listens on port 8080", "The ledger listens on port 9090"),
        ("The release build is reproducible", "The release build is slow"),
        ("We deploy with Helm", "Should we deploy with Kustomize?"),
        ("We deploy with Helm", "We plan to deploy with Kustomize next year"),
        ("Ann lives in Ghent", "As a student Ann lived in Lille"),
    ],
)
async def test_a_fact_is_not_replaced_by_a_text_about_another_subject(
    facts: httpx.AsyncClient, older: str, newer: str
) -> None:
    old = await write(facts, older, 9)
    new = await write(facts, newer, 2)
    assert "supersedes" not in new
    assert await state_of(facts, old["id"]) != "replaced"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (
            "The customer portal is built with React 18.",
            "We upgraded the customer portal to React 19 last night.",
        ),
        (
            "The flag fast_checkout is on for 10 % of users.",
            "The flag fast_checkout is on for 50 % of users.",
        ),
        ("The standup is at 9:30.", "The standup has been moved to 10:15."),
        (
            "The API allows 100 requests a minute.",
            "We raised the limit of the API to 500 requests a minute.",
        ),
    ],
)
async def test_a_change_in_natural_words_replaces_or_contests_the_older_fact(
    facts: httpx.AsyncClient, older: str, newer: str
) -> None:
    """A change such as "The standup has been moved" replaces or contests the older fact, and is
    found first.
    """
    old = await write(facts, older, 9)
    new = await write(facts, newer, 2)
    assert old["id"] in new.get("supersedes", []) + new.get("contests", [])
    body = {"namespace": "n", "query": older}
    hits = (await facts.post("/v1/search", json=body)).json()["hits"]
    assert hits[0]["id"] == new["id"]


async def test_a_fact_with_other_tags_or_metadata_is_not_replaced_or_contested(
    facts: httpx.AsyncClient,
) -> None:
    """Facts of the same wording with different tags or metadata are about different services, so
    all stay current.
    """
    text = "The service listens on port {}."
    await write(facts, text.format(8080), 9, tags=["gateway"])
    await write(facts, text.format(8081), 8, metadata={"service": "ledger"})
    tagged = await write(
        facts, text.format(9090), 5, tags=["billing"], metadata={"service": "billing"}
    )
    assert "supersedes" not in tagged
    assert tagged["memory"]["state"] == "current"


async def test_another_agent_contests_but_never_replaces(facts: httpx.AsyncClient) -> None:
    """Contradictory facts of two agents are both contested, and the newer one links to the older
    one.
    """
    old = await write(facts, "The gateway listens on port 8080.", 9, agent_id="one")
    new = await write(facts, "The gateway listens on port 9090.", 2, agent_id="two")
    assert new["contests"] == [old["id"]]
    assert await state_of(facts, old["id"]) == "contested"
    (link,) = new["memory"]["links"]
    assert (link["to"], link["type"]) == (old["id"], "contradicts")
    assert 0.0 < link["strength"] < 1.0


async def test_a_fact_that_arrives_late_is_replaced_as_if_it_had_come_first(
    facts: httpx.AsyncClient,
) -> None:
    """A fact with an earlier date that is written after a newer one is replaced by the newer
    one.
    """
    new = await write(facts, "The upload limit is 50 MB.", 2)
    late = await write(facts, "The upload limit is 20 MB.", 9)
    assert await state_of(facts, late["id"]) == "replaced"
    assert await state_of(facts, new["id"]) == "current"


async def test_batch_results_name_replaced_and_contested_facts(facts: httpx.AsyncClient) -> None:
    texts = (
        "The upload limit is 20 MB.",
        "The upload limit is 50 MB.",
        "We raised the upload limit to 100 MB.",
    )
    items = [
        {
            "type": "semantic",
            "content": text,
            "created_at": (NOW - timedelta(days=9 - at)).isoformat(),
        }
        for at, text in enumerate(texts)
    ]
    results = (
        await facts.post("/v1/memories/batch", json={"namespace": "n", "items": items})
    ).json()["results"]
    assert results[1]["supersedes"] == [results[0]["id"]]
    assert results[2]["contests"] == [results[1]["id"]]


async def test_a_batch_can_reword_a_stored_fact_and_then_replace_it(
    facts: httpx.AsyncClient,
) -> None:
    stored = (await write(facts, "The gateway listens on port 8080.", 2))["id"]
    contents = ("the gateway listens on port 8080", "The gateway listens on port 9090.")
    items = [{"type": "semantic", "content": content} for content in contents]
    answer = (
        await facts.post("/v1/memories/batch", json={"namespace": "n", "items": items})
    ).json()
    first, second = answer["results"]
    assert (first["status"], first["merged_into"], second["supersedes"]) == (
        "merged",
        stored,
        [stored],
    )
    newer = (await facts.get(f"/v1/memories/{second['id']}", params={"namespace": "n"})).json()
    assert [link["to"] for link in newer["links"]] == [stored]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Port: 8080", "Port: 9090"),
        ("The database is hosted in Frankfurt.", "The database is hosted in Dublin."),
    ],
    ids=["replaced", "contested"],
)
@pytest.mark.parametrize("times", [(9, 6, 3), (2, 2, 2)], ids=["days apart", "the same time"])
async def test_a_fact_that_is_said_again_in_a_batch_comes_first(
    facts: httpx.AsyncClient, first: str, second: str, times: tuple[int, ...]
) -> None:
    items = [
        {
            "type": "semantic",
            "content": text,
            "created_at": (NOW - timedelta(days=days)).isoformat(),
        }
        for text, days in zip((first, second, first), times, strict=True)
    ]
    await facts.post("/v1/memories/batch", json={"namespace": "n", "items": items})
    assert (await lines_of(facts, second))[0].startswith(f"- {first}")


async def test_a_contested_fact_that_is_said_again_is_shown_first_with_both_days(
    facts: httpx.AsyncClient,
) -> None:
    await write(facts, "The database is hosted in Frankfurt.", 9)
    await write(facts, "The database is hosted in Dublin.", 6)
    assert (await lines_of(facts, "Where is the database hosted?"))[0].startswith(
        "- The database is hosted in Dublin."
    )
    repeated = await write(facts, "the database is hosted in Frankfurt", 3)
    assert (repeated["status"], "restated_at" in repeated["changed"]) == ("merged", True)
    since, said = (f"{NOW - timedelta(days=days):%Y-%m-%d}" for days in (9, 3))
    lines = await lines_of(facts, "Where is the database hosted?")
    assert lines[0] == f"- The database is hosted in Frankfurt. (since {since}, said again {said})"


async def test_a_late_fact_does_not_replace_one_that_was_said_again_since(
    facts: httpx.AsyncClient,
) -> None:
    """A value dated between two statements of another value is contested, because the other one was
    said last.
    """
    memory = await write(facts, "Port: 8080", 9)
    await write(facts, "Port: 8080", 3)
    late = await write(facts, "Port: 9090", 6)
    assert await state_of(facts, memory["id"]) == await state_of(facts, late["id"]) == "contested"
    assert (await lines_of(facts, "Which port?"))[0].startswith("- Port: 8080")


async def lines_of(client: httpx.AsyncClient, query: str, **fields: Any) -> list[str]:
    """The memories in the context for `query`, each as its line, the first that is shown first."""
    body = {"namespace": "n", "query": query, "floor": 0, **fields}
    context: str = (await client.post("/v1/retrieve", json=body)).json()["context"]
    return [line for line in context.splitlines() if line.startswith("- ")]


async def test_a_question_about_a_past_time_is_shown_what_was_valid_then(
    facts: httpx.AsyncClient,
) -> None:
    """A replaced fact is shown with its days, beside the present one, if the question names a time
    at which it held.
    """
    await write(facts, "The upload limit is 20 MB.", 200)
    await write(facts, "The upload limit is 50 MB.", 20)
    begun, changed = (f"{NOW - timedelta(days=days):%Y-%m-%d}" for days in (200, 20))
    present = f"- The upload limit is 50 MB. (since {changed})"
    former = f"- The upload limit is 20 MB. (from {begun} until {changed})"
    assert sorted(await lines_of(facts, "Which upload limit did we have three months ago?")) == [
        former,
        present,
    ]
    assert await lines_of(facts, "Which upload limit did we have a week ago?") == [present]
    assert await lines_of(facts, "Which upload limit did we have two years ago?") == [present]


async def test_an_event_never_contests_a_fact(facts: httpx.AsyncClient) -> None:
    """What an event states is a fact of its own, which is compared; the event stays as it was."""
    old = await write(facts, "The API listens on port 8080.", 9)
    event = await write(facts, "We moved the API to port 8443.", 2, type="episodic")
    assert not event.get("contests")
    assert await state_of(facts, old["id"]) == "current"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("The ticket costs 12.50 euros.", "The ticket costs \u20ac12,50."),
        ("The worker has 1 GB of memory.", "The worker has 1024 MB of memory."),
        ("The cluster has 3 nodes.", "The cluster has three nodes."),
        ("The shop closes at 8 PM.", "The shop closes at 20:00."),
        ("Der Laden schlie\u00dft um 20 Uhr.", "Der Laden schlie\u00dft um 20:00."),
        ("The discount is 10%.", "The discount is 10 percent."),
        ("Timeout: 90 seconds", "Timeout: 1.5 min"),
    ],
)
async def test_the_same_value_written_otherwise_is_no_change(
    facts: httpx.AsyncClient, older: str, newer: str
) -> None:
    """A fact stays current if a newer one has the same quantity in other digits, words or units."""
    old = await write(facts, older, 9)
    new = await write(facts, newer, 2)
    assert await state_of(facts, old["id"]) == await state_of(facts, new["id"]) == "current"


@pytest.mark.parametrize(
    ("older", "newer", "state"),
    [
        ("The worker has 1 GB of memory.", "The worker has 2048 MB of memory.", "replaced"),
        ("Python: 3.1", "Python: 3.10", "replaced"),
        ("Paid: 40 euros", "Paid: 55 euros", "contested"),
        ("Score: 3:1", "Score: 2:0", "contested"),
    ],
)
async def test_another_quantity_replaces_a_value_but_only_contests_a_past_one(
    facts: httpx.AsyncClient, older: str, newer: str, state: str
) -> None:
    old = await write(facts, older, 9)
    await write(facts, newer, 2)
    assert await state_of(facts, old["id"]) == state


@pytest.mark.parametrize(
    ("other", "edited", "state"),
    [
        ("The upload limit is 20 MB.", "The upload limit is 50 MB.", "replaced"),
        ("The database is hosted in Frankfurt.", "The database is hosted in Dublin.", "contested"),
        ("The cat eats dry food.", "The bird sings.", "current"),
    ],
)
async def test_an_edited_fact_is_compared_with_all_facts(
    facts: httpx.AsyncClient, other: str, edited: str, state: str
) -> None:
    """An edit that contradicts another fact replaces or contests it from the day of the edit, and
    is shown first.

    If the edit is taken back, the other fact is current again.
    """
    memory = await write(facts, other, 5)
    fact = await write(facts, "The web server is old.", 9)
    url = f"/v1/memories/{fact['id']}"
    params = {"namespace": "n"}
    await facts.patch(url, params=params, json={"content": edited})
    assert await state_of(facts, memory["id"]) == state
    since = "" if state == "current" else f" (since {NOW:%Y-%m-%d})"
    assert (await lines_of(facts, edited))[0] == f"- {edited}{since}"
    await facts.patch(url, params=params, json={"content": "The web server is old."})
    assert await state_of(facts, memory["id"]) == "current"


@pytest.mark.parametrize(
    "marked", ["* {}", "- {}", "\u2022 {}", "# {}", "> {}", "**{}**", "*{}*", "- **{}**"]
)
async def test_a_fact_with_other_marks_of_lists_or_emphasis_is_merged(
    facts: httpx.AsyncClient, marked: str
) -> None:
    """A fact that is written again as a list item, a heading or with emphasis is merged into the
    first.
    """
    text = "The staging server is in Frankfurt"
    first = await write(facts, text, 9)
    assert (await write(facts, marked.format(text), 2)).get("merged_into") == first["id"]


@pytest.mark.parametrize(
    ("first", "second"), [("All *.py files are old", "All .py files are old"), ("a*b", "ab")]
)
async def test_an_asterisk_that_is_no_emphasis_makes_another_fact(
    facts: httpx.AsyncClient, first: str, second: str
) -> None:
    """Texts that differ in an asterisk are two memories if it may belong to code."""
    await write(facts, first, 9)
    assert (await write(facts, second, 2))["status"] == "stored"
