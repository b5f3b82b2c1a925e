"""Calls that classify, review and redact texts."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.settings import Settings
from api.wiring.container import Services
from api.wiring.endpoints import endpoints_of
from api.wiring.services import panel_of
from ingest.screening.judge import Judge
from ingest.screening.redaction.redactor import RedactionRules, RuleBook
from memtypes.model.policy import MemoryType
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.ingest.model_server import Answer, says, serving

pytestmark = pytest.mark.anyio
MAIL = "nora" + "@" + "example.com"
DECISION = "We decided to move the ledger to Postgres because the Redis counters drifted in March."


async def test_classify_returns_the_type_and_the_alternatives(client: httpx.AsyncClient) -> None:
    """Classifying a text returns its type and the other types. A `context` decides the type of an
    ambiguous text.
    """
    answer = (
        await client.post("/v1/classify", json={"content": "remind me to call Tom tomorrow"})
    ).json()
    assert answer["type"] == "prospective"
    assert {answer["type"], *(other["type"] for other in answer["alternatives"])} == {
        "episodic",
        "semantic",
        "prospective",
        "procedural",
        "working",
    }
    unsure = await client.post(
        "/v1/classify",
        json={
            "content": "Blue green",
            "context": "Remind me to book a room for the meeting tomorrow",
        },
    )
    assert unsure.json()["type"] == "prospective"


async def test_classify_returns_parts_of_other_types(client: httpx.AsyncClient) -> None:
    """If a sentence has another type than the whole text, the classification lists it as a part,
    without secrets.
    """
    text = f"I live in Lisbon. Remind me to call {MAIL} tomorrow."
    answer = (await client.post("/v1/classify", json={"content": text})).json()
    parts = [(item["type"], item["content"]) for item in answer["parts"]]
    assert parts
    assert all(kind != answer["type"] for kind, _ in parts)
    assert MAIL not in str(answer)
    assert (await client.post("/v1/classify", json={"content": "I live in Lisbon."})).json()[
        "parts"
    ] == []


async def test_classify_reads_a_state_of_current_work_as_working_memory(
    client: httpx.AsyncClient,
) -> None:
    answer = (
        await client.post(
            "/v1/classify", json={"content": "Currently at row 40 of 90, two still open"}
        )
    ).json()
    assert answer["type"] == "working"


async def test_review_rejects_a_type_that_the_rules_exclude_as_a_write_does() -> None:
    """A review rejects the type that the body names, or that the text has, with the reason that a
    write would give.
    """
    rules = RuleBook(default=RedactionRules(never_keep_types=frozenset({MemoryType.PROSPECTIVE})))
    task = {"content": "Remind me to call Tom tomorrow about the ledger.", "namespace": "n"}
    async with connect(fake_services(lambda: NOW, book=rules)) as client:
        for body in (
            task,
            task | {"type": "prospective"},
            {**task, "content": DECISION, "type": "prospective"},
        ):
            answer = (await client.post("/v1/review", json=body)).json()
            write = (await client.post("/v1/memories", json=body)).json()
            assert (answer["decision"], answer["votes"]) == ("reject", [])
            assert (
                answer["reason"]
                == write["reason"]
                == "memories of type prospective are not stored here"
            )
        assert (await client.post("/v1/review", json=task | {"type": "semantic"})).json()["votes"]


async def test_review_returns_votes_without_writing(client: httpx.AsyncClient) -> None:
    """A review returns the vote of each reviewer and stores nothing. Secrets are removed from the
    text before.
    """
    body = {"content": f"We decided to ask {MAIL} about the ledger.", "namespace": "n"}
    answer = (await client.post("/v1/review", json=body)).json()
    assert (answer["decision"], answer["tier"], answer["redacted"]) == ("store", "consensus", True)
    assert [vote["reviewer"] for vote in answer["votes"]] == ["importance", "relevance", "novelty"]
    assert MAIL not in str(answer)
    assert (await client.get("/v1/memories?namespace=n")).json()["total"] == 0
    assert (await client.post("/v1/review", json={"content": "ok", "namespace": "n"})).json()[
        "decision"
    ] == "reject"


async def test_a_field_of_one_type_asks_for_the_type(client: httpx.AsyncClient) -> None:
    body = {"namespace": "n", "content": "See the dentist", "due_at": "2030-01-01T09:00:00Z"}
    response = await client.post("/v1/memories", json=body)
    assert response.status_code == 422
    assert response.json()["detail"] == "due_at is a field of the type prospective: name the type"


async def test_untyped_memories_are_classified(client: httpx.AsyncClient) -> None:
    """A memory that is written without a type gets a type, and the answer says that it was
    classified.
    """
    answer = (
        await client.post("/v1/memories", json={"namespace": "n", "content": "Alice likes tea"})
    ).json()
    assert (answer["status"], answer["memory"]["type"], answer["classified"]["type"]) == (
        "stored",
        "semantic",
        "semantic",
    )
    items = [{"content": "remind me to pay Tom"}, {"type": "episodic", "content": "Tom was paid."}]
    batch = (
        await client.post("/v1/memories/batch", json={"namespace": "n", "items": items})
    ).json()
    assert batch["counts"]["stored"] == 2
    assert "classified" not in batch["results"][1]


@pytest.mark.parametrize("session", [None, "s"])
async def test_a_text_without_a_session_does_not_become_working_memory(
    client: httpx.AsyncClient, session: str | None
) -> None:
    """A note on the current task is working memory in a session, and gets another type without one.

    `POST /v1/classify` calls it working memory in both cases.
    """
    note = "Right now: fixing the parser, tests are red"
    assert (await client.post("/v1/classify", json={"content": note})).json()["type"] == "working"
    answer = await client.post(
        "/v1/memories", json={"namespace": "n", "content": note, "session_id": session}
    )
    assert (answer.json()["classified"]["type"] == "working") is (session is not None)


async def test_secrets_are_removed_from_writes_changes_and_problems(
    client: httpx.AsyncClient,
) -> None:
    """In writes and changes, secrets become markers such as [redacted:email]. Error answers do not
    quote them.
    """
    body = {
        "namespace": "n",
        "type": "semantic",
        "content": f"Ask {MAIL}",
        "metadata": {"who": MAIL},
    }
    answer = (await client.post("/v1/memories", json=body)).json()
    assert answer["redactions"] == {"email": 2}
    assert answer["memory"]["content"] == "Ask [redacted:email]"
    path = f"/v1/memories/{answer['id']}?namespace=n"
    assert (await client.patch(path, json={"content": f"Or {MAIL}"})).json()[
        "content"
    ] == "Or [redacted:email]"
    wrong = await client.post("/v1/memories", json={**body, "importance": MAIL})
    assert wrong.status_code == 422
    assert MAIL not in wrong.text


@pytest.mark.parametrize("field", ["session_id", "agent_id"])
async def test_a_secret_in_an_id_is_refused_and_in_other_fields_redacted(
    client: httpx.AsyncClient, field: str
) -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    body = {"namespace": "n", "type": "semantic", "content": "Ann owns the deploy"}
    refused = (await client.post("/v1/memories", json={**body, field: token})).json()
    assert (refused["status"], refused["reason"].partition(":")[0]) == ("rejected", field)
    assert token not in str(refused)
    stored = (
        await client.post(
            "/v1/memories", json={**body, "related": [f"uses {token}"], "tags": [token]}
        )
    ).json()
    assert (stored["status"], stored["redactions"], token in str(stored)) == (
        "stored",
        {"github_token": 2},
        False,
    )


@pytest.mark.parametrize(
    ("review", "status"), [(None, "stored"), ("skip", "stored"), ("auto", "rejected")]
)
async def test_filler_is_rejected_only_if_a_review_is_requested(
    client: httpx.AsyncClient, review: str | None, status: str
) -> None:
    """A text such as "ok" is only rejected if the write requests a review.

    A stored memory has the review's decision.
    """
    body = {
        "namespace": "n",
        "type": "semantic",
        "content": "ok",
        **({"review": review} if review else {}),
    }
    answer = (await client.post("/v1/memories", json=body)).json()
    assert answer["status"] == status
    assert ("review" in answer) is (review == "auto")
    fact = {"namespace": "n", "type": "semantic", "content": "Alice likes tea", "review": "auto"}
    stored = (await client.post("/v1/memories", json=fact)).json()
    assert stored["memory"]["reviewed"]["decision"] == stored["review"]["decision"] == "store"


@pytest.mark.parametrize("kind", [{}, {"type": "semantic"}])
async def test_a_trivial_write_asks_no_reviewer(services: Services, kind: dict[str, str]) -> None:
    """The pre-filter rejects "ok" before the language model could say that it is worth storing."""
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> tuple[int, str]:
        asked.append(request)
        return scoring({"importance": 9, "relevance": 9})(request)

    body = {"namespace": "n", "review": "auto", **kind}
    async with reviewed_by(services, answer) as client:
        trivial = (await client.post("/v1/memories", json={**body, "content": "ok"})).json()
        assert asked == []
        stored = (await client.post("/v1/memories", json={**body, "content": DECISION})).json()
    assert (trivial["status"], trivial["review"]["tier"], trivial["review"]["votes"]) == (
        "rejected",
        "prefilter",
        [],
    )
    assert trivial["reason"].startswith("trivial")
    assert (stored["status"], len(asked)) == ("stored", 2)


async def test_each_reviewer_judges_by_itself(client: httpx.AsyncClient) -> None:
    """Importance, relevance and novelty each may find a text trivial that the others do not."""

    async def opinions(content: str) -> tuple[bool, ...]:
        body = {"content": content, "namespace": "n"}
        review = (await client.post("/v1/review", json=body)).json()
        return tuple(vote["trivial"] for vote in review["votes"])

    assert await opinions(DECISION) == (False, False, False)
    assert await opinions("ok") == (True, True, False)
    assert await opinions("The sun is finally out.") == (False, True, False)
    fact = {"content": DECISION, "namespace": "n", "type": "semantic"}
    await client.post("/v1/memories", json=fact)
    assert await opinions(DECISION) == (False, False, True)


async def test_two_reviewers_that_find_a_text_trivial_reject_it(services: Services) -> None:
    """A text that is stored already is nothing new, and the model of relevance calls it noise."""

    def noise(request: dict[str, Any]) -> tuple[int, str]:
        trivial = "Judge relevance:" in request["messages"][0]["content"]
        return says(json.dumps({"score": 7, "trivial": trivial, "reason": "so"}))(request)

    body = {"namespace": "n", "content": DECISION, "type": "semantic"}
    async with reviewed_by(services, noise) as client:
        before = (await client.post("/v1/review", json=body)).json()
        await client.post("/v1/memories", json=body)
        after = (await client.post("/v1/review", json=body)).json()
    assert before["decision"] == "store"
    assert after["decision"] == "reject"
    assert after["reason"].startswith("2 reviewers find it trivial")


async def test_a_verdict_after_prose_counts(services: Services) -> None:
    verdict = json.dumps({"score": 8, "trivial": False, "reason": "a decision"})
    prose = f"<think>A {{decision}}, so not {{}}.</think>\nHere is my verdict:\n{verdict}\nBye!"
    async with reviewed_by(services, says(prose)) as client:
        review = (
            await client.post("/v1/review", json={"content": DECISION, "namespace": "n"})
        ).json()
    assert (review["tier"], review["importance"], review["relevance"]) == ("consensus", 8, 8)


def scoring(scores: Mapping[str, int]) -> Answer:
    """A fake language model.

    It answers with the score of the reviewer that asks, or with a 500 if `scores` has none.
    """

    def answer(request: dict[str, Any]) -> tuple[int, str]:
        instructions = request["messages"][0]["content"]
        reviewer = next((name for name in scores if f"Judge {name}:" in instructions), None)
        if reviewer is None:
            return 500, "away"
        return says(
            json.dumps({"score": scores[reviewer], "trivial": False, "reason": "so it seems"})
        )(request)

    return answer


@asynccontextmanager
async def reviewed_by(services: Services, answer: Answer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service whose reviewers ask a fake language model, for which `answer` produces
    the answers.
    """
    with serving(answer) as server:
        settings = Settings(reviewer_url=server.endpoint[0])
        async with httpx.AsyncClient() as http:
            model = endpoints_of(settings, http).reviewer
            panel = panel_of(services.store, Judge.shipped(), model, settings.reviewer_seats)
            ingestor = replace(services.ingestor, panel=panel)
            examiner = replace(services.examiner, panel=panel)
            async with connect(replace(services, ingestor=ingestor, examiner=examiner)) as client:
                yield client


@pytest.mark.parametrize(
    ("content", "scores", "tier", "status", "importance"),
    [
        (DECISION, {"importance": 8, "relevance": 9}, "consensus", "stored", 8),
        (DECISION, {"importance": 3, "relevance": 9}, "consensus", "rejected", 3),
        (DECISION, {"importance": 3}, "partial", "stored", 3),
        (DECISION, {"importance": 2}, "partial", "rejected", 2),
        ("ok thanks", {"importance": 9}, "partial", "rejected", 9),
        (DECISION, {}, "fallback", "stored", 5),
        ("ok thanks", {}, "fallback", "rejected", 5),
    ],
)
async def test_a_local_reviewer_votes_in_place_of_a_failed_language_model(
    services: Services,
    content: str,
    scores: Mapping[str, int],
    tier: str,
    status: str,
    importance: int,
) -> None:
    """If a reviewer's language model fails, a local reviewer votes in its place.

    The tier of the review (consensus, partial or fallback) says how many failed. A write with a
    trivial text is rejected without asking the model.
    """
    body = {"namespace": "n", "content": content, "type": "semantic"}
    async with reviewed_by(services, scoring(scores)) as client:
        review = (await client.post("/v1/review", json=body)).json()
        answer = (await client.post("/v1/memories", json={**body, "review": "auto"})).json()
    decisions = [review, answer["review"]]
    if content != DECISION:
        assert decisions.pop()["tier"] == "prefilter"
    for decision in decisions:
        assert (decision["tier"], decision["importance"]) == (tier, importance)
        failed = [
            (vote["reviewer"], vote["stand_in"]) for vote in decision["votes"] if not vote["ok"]
        ]
        assert failed == [
            (name, False) for name in ("importance", "relevance") if name not in scores
        ]
        stand_ins = [vote["reviewer"] for vote in decision["votes"] if vote["stand_in"]]
        assert stand_ins == [name for name, _ in failed]
    assert (answer["status"], review["decision"]) == (
        status,
        "store" if status == "stored" else "reject",
    )
    if status == "stored":
        assert answer["memory"]["importance"] == importance
        assert answer["memory"]["reviewed"]["tier"] == tier


async def test_writes_do_not_wait_for_a_reviewer_that_hangs(services: Services) -> None:
    """Two writes wait for the endpoint; for the third, local reviewers vote at once."""
    waits: list[float] = []
    tiers: list[str] = []
    async with reviewed_by(services, lambda _: (0, "")) as client:
        for number in range(3):
            body = {"namespace": "n", "content": f"{DECISION} Ticket {number}.", "review": "auto"}
            began = time.monotonic()
            answer = (await client.post("/v1/memories", json=body)).json()
            waits.append(time.monotonic() - began)
            tiers.append(answer["review"]["tier"])
    assert tiers == ["fallback"] * 3
    assert waits[0] > 1.5
    assert waits[2] < 1


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("AWS_ACCESS_KEY_ID=AKIA~IOSFODNN7EXAMPLE", "redacted"),
        (
            "aws configure set aws_secret_access_key wJalrXUtnFEMI/K7MDENG/bPx~RfiCYEXAMPLEKEY",
            "redacted",
        ),
        ("curl --user kay:Quark-tasche3 https://api.harbour.test", "redacted"),
        ("The staging password vault lives at the back of the basement, in locker 12", "kept"),
        ("sort key: created_at#4411", "kept"),
        (
            "public key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDexmxBanIR0yUXsU3W6L8bA kay@box",
            "kept",
        ),
    ],
)
async def test_secrets_are_redacted_and_look_alikes_are_not(
    client: httpx.AsyncClient, text: str, outcome: str
) -> None:
    """The tilde keeps this file free of keys that scanners report."""
    content = text.replace("~", "")
    body = {"namespace": "n", "type": "semantic", "content": content}
    answer = (await client.post("/v1/memories", json=body)).json()
    kept = answer["memory"]["content"] == content
    assert outcome == ("kept" if kept else "redacted")
