"""The hooks session-stop, which stores a conversation, and prompt-submit, which returns a
context.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from tests.api.conftest import NOW

pytestmark = pytest.mark.anyio

TALK = [
    {
        "role": "user",
        "content": "We moved the billing service to Postgres last week.",
        "timestamp": "2026-03-01T10:00:00Z",
    },
    {
        "role": "assistant",
        "content": "Noted: the billing service runs on Postgres now.",
        "timestamp": "2026-03-01T10:01:00Z",
    },
    {
        "role": "user",
        "content": "Great. Remind me to rotate the keys tomorrow at 3pm. Thanks!",
        "timestamp": "2026-03-01T10:02:00Z",
    },
]


async def _stop(
    client: httpx.AsyncClient,
    messages: list[dict[str, Any]],
    session_id: str = "s1",
    review: str = "auto",
) -> dict[str, Any]:
    body = {"namespace": "ann", "session_id": session_id, "messages": messages, "review": review}
    response = await client.post("/v1/hooks/session-stop", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def _listed(client: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
    got = await client.get("/v1/memories", params={"namespace": "ann", "type": kind})
    memories: list[dict[str, Any]] = got.json()["memories"]
    return memories


async def test_an_answer_is_redacted_if_the_question_before_it_asks_for_a_password(
    client: httpx.AsyncClient,
) -> None:
    secret = "Lampe!" + "Regal204"
    messages = [
        ("user", "What is the wifi password?"),
        ("assistant", secret),
        ("user", "Our office is in Kiel."),
    ]
    body = {
        "namespace": "n",
        "session_id": "s",
        "messages": [{"role": who, "content": text} for who, text in messages],
    }
    response = await client.post("/v1/hooks/session-stop", json={**body, "review": "skip"})
    decisions = await client.get("/v1/decisions", params={"namespace": "n"})
    memories = await client.get("/v1/memories", params={"namespace": "n"})
    stored = f"{response.text} {decisions.text} {memories.text}"
    assert "Kiel" in stored
    assert "[redacted:password]" in stored
    assert secret not in stored


async def test_session_stop_stores_each_message_under_its_type(client: httpx.AsyncClient) -> None:
    answer = await _stop(client, TALK)
    assert [item["index"] for item in answer["results"]] == [0, 1, 2]
    assert [item["status"] for item in answer["results"]] == ["stored", "rejected", "stored"]
    assert answer["counts"] == {"stored": 2, "merged": 0, "rejected": 1, "failed": 0}
    assert answer["results"][1]["reason"]
    assert "prospective" in answer["results"][2]["types"]
    (event,) = await _listed(client, "episodic")
    assert (event["speaker"], event["session_id"], event["event_type"]) == (
        "user",
        "s1",
        "user_query",
    )
    assert event["created_at"] == "2026-03-01T10:00:00Z"
    later = (await _listed(client, "prospective"))[0]
    assert later["due_at"] == "2026-03-02T15:00:00Z"
    for memory in (event, later):
        assert memory["reviewed"]["tier"] == "consensus"
        assert memory["reviewed"]["importance"] >= 4
        assert memory["reviewed"]["relevance"] >= 5
        assert memory["reviewed"]["reason"]


MEETING = [
    "The staging database is called heron-17 and runs in Frankfurt.",
    "We decided to use Postgres advisory locks for the ledger.",
    "Remind me to rotate the signing keys on 12 March 2026.",
    "Our minimum iOS version is 16.4, because of web push.",
    "Then Safari 16.4 is the oldest browser that we must test.",
    "Invoices are rounded half to even, as the auditor Moser asked.",
    "I changed the rounding in billing.py to half to even.",
    "The nightly import must finish before 05:40.",
    "The import now takes 35 minutes and starts at 04:30.",
    "Ann moved to the Vienna office in January.",
    "The brand colour is teal #0f766e, never the old orange.",
    "The queue pelican had 312 mails and I emptied it.",
]


@pytest.mark.parametrize("second", [MEETING, MEETING[4:], MEETING[6:] + MEETING[:6]])
async def test_two_calls_of_one_session_at_once_store_each_message_once(
    client: httpx.AsyncClient, second: list[str]
) -> None:
    """A message is stored by one of them, unless each judges by itself that it is not worth it."""
    calls = [[{"role": "user", "content": text} for text in texts] for texts in (MEETING, second)]
    answers = dict[int, dict[str, Any]]()

    async def stop(number: int) -> None:
        answers[number] = await _stop(client, calls[number])

    async with anyio.create_task_group() as tasks:
        for number in range(len(calls)):
            tasks.start_soon(stop, number)
    results = {text: list[dict[str, Any]]() for text in MEETING}
    for number, texts in enumerate((MEETING, second)):
        for text, result in zip(texts, answers[number]["results"], strict=True):
            results[text].append(result)
    for text, outcomes in results.items():
        repeated = [each for each in outcomes if "duplicate" in each.get("reason", "")]
        stored = [each for each in outcomes if each["status"] in ("stored", "merged")]
        assert stored or not repeated, (text, outcomes)
        assert len({memory_id for each in stored for memory_id in each["ids"][:1]}) <= 1
    assert (
        sum(any(each["status"] == "stored" for each in each_of) for each_of in results.values()) > 8
    )


async def test_repeated_session_stop_adds_nothing(client: httpx.AsyncClient) -> None:
    """If a conversation is sent again, none of its messages is stored twice. Messages that are new
    are stored.
    """
    await _stop(client, TALK[:2])
    repeated = await _stop(client, TALK)
    assert repeated["counts"] == {"stored": 1, "merged": 1, "rejected": 1, "failed": 0}
    assert all(item["evidence_count"] == 1 for item in await _listed(client, "episodic"))
    total = (await client.get("/v1/memories", params={"namespace": "ann"})).json()["total"]
    await _stop(client, TALK)
    assert (await client.get("/v1/memories", params={"namespace": "ann"})).json()["total"] == total


FACT = "My landlord is Mr Okafor and the rent is 940 euros a month."
TASK = "Remind me to call the dentist about the crown on Friday."


async def test_a_statement_of_a_message_names_the_message_and_shows_who_said_it(
    client: httpx.AsyncClient,
) -> None:
    await _stop(client, [{"role": "user", "content": f"{FACT} {TASK}"}])
    (message,) = await _listed(client, "episodic")
    (fact,) = await _listed(client, "semantic")
    (task,) = await _listed(client, "prospective")
    assert (fact["content"], fact["from_message"]) == (FACT, message["id"])
    assert (task["content"], task["from_message"]) == (TASK, message["id"])
    assert (fact["speaker"], task["speaker"]) == ("user", "user")
    assert message["from_message"] is None
    await client.delete(f"/v1/memories/{message['id']}", params={"namespace": "ann"})
    query = {"namespace": "ann", "query": "Who is the landlord?", "budget": 300, "floor": 0}
    context = (await client.post("/v1/retrieve", json=query)).json()["context"]
    assert f"- user: {FACT}" in context


async def test_the_statements_of_a_long_session_name_their_own_messages(
    client: httpx.AsyncClient,
) -> None:
    """Its messages and statements are written in several pieces."""
    sizes = ("kitchen", "attic", "cellar", "garage", "garden", "office", "balcony", "bathroom")
    texts = ["The staging database is read-only on Sundays, so exports run on Mondays."]
    texts += [
        f"My {room} costs {number}40 euros a month. {TASK}"
        for number, room in enumerate((*sizes, *(f"second {room}" for room in sizes)), 1)
    ]
    await _stop(client, [{"role": "user", "content": text} for text in texts])
    contents = {memory["id"]: memory["content"] for memory in await _listed(client, "episodic")}
    facts = [fact for fact in await _listed(client, "semantic") if fact["content"] != texts[0]]
    assert len(facts) > len(sizes)
    for fact in facts:
        assert contents[fact["from_message"]] == f"{fact['content']} {TASK}"


async def test_a_statement_of_a_message_that_is_not_stored_names_none(
    client: httpx.AsyncClient,
) -> None:
    await _stop(client, [{"role": "user", "content": FACT}])
    (fact,) = await _listed(client, "semantic")
    assert (fact["speaker"], fact["from_message"]) == ("user", None)


@pytest.mark.parametrize(
    "content", ["ok thanks", "Great question! Let me look into that for you.", "haha"]
)
async def test_noise_of_a_session_is_rejected_and_kept_on_request(
    client: httpx.AsyncClient, content: str
) -> None:
    """Session-stop rejects messages such as thanks. A request that skips the review stores them."""
    message = {"role": "assistant", "content": content, "timestamp": "2026-03-01T10:00:00Z"}
    rejected = (await _stop(client, [message]))["results"][0]
    assert rejected["status"] == "rejected"
    assert rejected["reason"]
    body = {"namespace": "ann", "session_id": "s1", "messages": [message], "review": "skip"}
    skipped = (await client.post("/v1/hooks/session-stop", json=body)).json()["results"][0]
    assert (skipped["status"], len(skipped["ids"]), len(skipped["types"])) == ("stored", 1, 1)


@pytest.mark.parametrize(
    "content",
    [
        (
            "total 16\ndrwxr-xr-x 2 ann ann 4096 Mar 3 09:12 .\n-rw-r--r-- 1 ann ann 812 Mar 3 "
            "09:12 Makefile"
        ),
        (
            '{"page": 1, "items": [{"id": 1, "state": "running"}, {"id": 2, "state": '
            '"stopped"}], "cached": true}'
        ),
        (
            "2026-02-28 02:00:01 INFO starting\n2026-02-28 02:00:04 ERROR timeout\n2026-02-28 "
            "02:00:04 INFO stopped"
        ),
    ],
)
async def test_raw_output_of_a_tool_is_not_stored_even_alone(
    client: httpx.AsyncClient, content: str
) -> None:
    """A directory listing, JSON or a log from a tool is rejected, even as the only message of its
    session.
    """
    result = (await _stop(client, [{"role": "tool", "content": content}]))["results"][0]
    assert result["status"] == "rejected", result


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("We always use spaces, never tabs, in this repository.", "semantic"),
        ("I'm allergic to peanuts.", "semantic"),
        ("Remind me to renew the passport before 30 June.", "prospective"),
        (
            (
                "On Tuesday the deployment failed because the certificate had expired, we "
                "rolled it back."
            ),
            "episodic",
        ),
        (
            (
                "To release: first bump the version, then run the tests, then tag the commit "
                "and push the tag."
            ),
            "procedural",
        ),
    ],
)
async def test_messages_are_classified_by_their_text(
    client: httpx.AsyncClient, content: str, kind: str
) -> None:
    """Rules become facts, requests become tasks, incidents become events, and lists of steps become
    procedures.
    """
    answer = await _stop(
        client, [{"role": "user", "content": content, "timestamp": "2026-03-01T10:00:00Z"}]
    )
    assert answer["results"][0]["status"] == "stored"
    assert answer["results"][0]["types"][0] == kind


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        (
            "Since our staging cluster is in Frankfurt, can I deploy from here?",
            "our staging cluster is in Frankfurt",
        ),
        ("Is the cake ok, given that my son is allergic to nuts?", "my son is allergic to nuts"),
    ],
)
async def test_a_fact_within_a_question_is_stored(
    client: httpx.AsyncClient, question: str, fact: str
) -> None:
    """Of the question "Since our cluster is in Frankfurt, can I deploy?", the fact about the
    cluster is stored.
    """
    talk = [{"role": "user", "content": "hey"}, {"role": "user", "content": question}]
    await _stop(client, [*talk, {"role": "assistant", "content": "Let me look."}])
    assert any(fact in memory["content"] for memory in await _listed(client, "semantic"))


async def test_one_bad_message_does_not_lose_a_conversation(client: httpx.AsyncClient) -> None:
    """Messages that are empty or have a control character or an invalid time are not stored. The
    other messages are.
    """
    fact = "The staging database is read-only on Sundays, so exports run on Mondays."
    answer = await _stop(
        client,
        [
            {"role": "user", "content": ""},
            {"role": "user", "content": "a\u0000b"},
            {"role": "user", "content": fact, "timestamp": "next week"},
            {"role": "user", "content": fact, "timestamp": "2026-03-01T10:00:00"},
            {"role": "user", "content": fact, "timestamp": "2026-03-01T11:00:00"},
        ],
    )
    results = answer["results"]
    assert [item["status"] for item in results] == [
        "rejected",
        "failed",
        "failed",
        "stored",
        "rejected",
    ]
    assert results[0]["reason"] == "empty"
    assert results[4]["reason"] == "duplicate of one of the last 100 messages"
    (memory,) = (await client.get("/v1/memories", params={"namespace": "ann"})).json()["memories"]
    assert memory["created_at"] == "2026-03-01T10:00:00Z"


async def test_the_same_text_on_another_day_is_no_duplicate(client: httpx.AsyncClient) -> None:
    """The same text, said on two days, is not skipped as a duplicate. The second one is stored or
    merged.
    """
    text = "On call I restarted the gateway because it had run out of memory, and errors stopped."
    days = [
        {"role": "user", "content": text, "timestamp": f"2026-02-2{day}T10:00:00Z"}
        for day in (6, 7)
    ]
    results = (await _stop(client, days))["results"]
    assert results[0]["status"] == "stored"
    assert results[1]["status"] in {"stored", "merged"}


@pytest.mark.parametrize(
    ("role", "content"),
    [
        ("user", "We always use Postgres, e.g. remind me to call Ann tomorrow about the bill."),
        (
            "user",
            (
                "Remind me to send order no. 88, the parcel was lost on Tuesday because the "
                "label had come off."
            ),
        ),
        (
            "user",
            (
                "I'm allergic to peanuts, please tell Mr. Okafor, he must bring the cake to "
                "the school on Friday."
            ),
        ),
        (
            "user",
            "How to release: 1. remind me to bump the version in Cargo.toml 2. tag it 3. push",
        ),
        ("user", "How to release:\n1. bump the version in Cargo.toml\n2. tag it\n3. push"),
        (
            "user",
            (
                "How to deploy:\n- build the image\n- renew the certificate before 30 June\n- "
                "then restart the service"
            ),
        ),
        (
            "tool",
            (
                "fatal: could not read the repo, the deployment failed.\nPlease renew the "
                "certificate before 30 June."
            ),
        ),
    ],
)
async def test_fragments_steps_and_lines_of_tool_output_are_not_stored_alone(
    client: httpx.AsyncClient, role: str, content: str
) -> None:
    """A text before or after an abbreviation, a step of a how-to or a line of tool output is stored
    in its message.
    """
    await _stop(client, [{"role": role, "content": content, "timestamp": "2026-03-01T10:00:00Z"}])
    kinds = ("episodic", "semantic", "prospective", "procedural")
    assert [memory["content"] for kind in kinds for memory in await _listed(client, kind)] == [
        content
    ]


@pytest.mark.slow
async def test_large_conversations_are_accepted_up_to_10_000_messages(
    client: httpx.AsyncClient,
) -> None:
    messages = [{"role": "user", "content": f"ok {index % 10}"} for index in range(1_001)]
    messages.append({"role": "user", "content": "we walked on and on and " * 140_000})
    answer = await _stop(client, messages)
    assert len(answer["results"]) == len(messages)
    assert sum(answer["counts"].values()) == len(messages)
    body = {
        "namespace": "ann",
        "session_id": "s1",
        "messages": [{"role": "user", "content": "ok"}] * 10_001,
    }
    assert (await client.post("/v1/hooks/session-stop", json=body)).status_code == 422


@pytest.mark.parametrize(
    "before",
    [
        "The pump in Leer has a spare motor in hall 4.",
        "Please renew the insurance of the boat by January 5.",
        "Since our staging cluster is in Frankfurt, can I deploy from here?",
    ],
)
async def test_no_sentence_of_a_repeated_message_is_stored(
    client: httpx.AsyncClient, before: str
) -> None:
    """A message that its session repeats on the same day is rejected with its sentences, whatever
    came before.
    """
    text = (
        "The migration failed at step two because the disk was full. Remind me to call Ann "
        "tomorrow."
    )
    messages = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": before},
        {"role": "user", "content": text},
    ]
    (first, _, repeated) = (await _stop(client, messages))["results"]
    assert first["status"] == "stored"
    assert (repeated["status"], repeated.get("ids")) == ("rejected", None)
    assert repeated["reason"] == "duplicate of one of the last 100 messages"


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "The nightly build failed because the disk was full.",
        "We always run the linter before we push to the main branch.",
    ],
)
async def test_what_four_sessions_say_on_one_day_counts_four(
    client: httpx.AsyncClient,
    text: str,
    *,
    prompted: bool,
) -> None:
    """A session that is sent again does not count again. What a user says again is no echo, though
    the prompt's context showed it.
    """
    for session in ("s1", "s2", "s3", "s4", "s2"):
        if prompted:
            prompt = {"namespace": "ann", "session_id": session, "prompt": text}
            (await client.post("/v1/hooks/prompt-submit", json=prompt)).raise_for_status()
        await _stop(client, [{"role": "user", "content": text}], session_id=session)
    listed = await client.get("/v1/memories", params={"namespace": "ann"})
    (memory,) = listed.json()["memories"]
    assert memory["evidence_count"] == 4
    assert memory["source_sessions"] == ["s1", "s2", "s3", "s4"]
    job = {"namespace": "ann", "dry_run": False}
    promoted = (await client.post("/v1/admin/jobs/promote", json=job)).json()
    assert set(promoted["reasons"].values()) <= {"said in 4 sessions"}
    (fact,) = await _listed(client, "semantic")
    assert (fact["evidence_count"], fact["content"]) == (4, text)
    echo = [{"role": "assistant", "content": text}]
    (result,) = (await _stop(client, echo, session_id="s5"))["results"]
    if prompted:
        assert result["status"] == "rejected"


async def test_prompt_submit_marks_due_tasks_in_the_context_as_fired(
    client: httpx.AsyncClient,
) -> None:
    for content, due in (("pay the rent", NOW), ("pay the tax", NOW + timedelta(days=9))):
        body = {
            "type": "prospective",
            "namespace": "ann",
            "content": content,
            "due_at": due.isoformat(),
        }
        assert (await client.post("/v1/memories", json=body)).status_code == 201
    prompt = {"namespace": "ann", "session_id": "s1", "prompt": "what shall I pay?"}
    answer = await client.post("/v1/hooks/prompt-submit", json=prompt)
    assert answer.status_code == 200, answer.text
    assert "pay the rent" in answer.json()["context"]
    states = {item["content"]: item["status"] for item in await _listed(client, "prospective")}
    assert states == {"pay the rent": "active", "pay the tax": "pending"}


async def test_intentions_outside_the_budget_do_not_fire(client: httpx.AsyncClient) -> None:
    """A due intention that does not fit the retrieval's token budget is not marked as fired."""
    body = {
        "type": "prospective",
        "namespace": "ann",
        "content": "pay the rent",
        "due_at": NOW.isoformat(),
    }
    assert (await client.post("/v1/memories", json=body)).status_code == 201
    prompt = {"namespace": "ann", "session_id": "s1", "prompt": "what shall I pay?", "budget": 0}
    answer = await client.post("/v1/hooks/prompt-submit", json=prompt)
    assert answer.json()["metadata"]["outcome"] == "nothing_fits"
    assert [item["status"] for item in await _listed(client, "prospective")] == ["pending"]


@pytest.mark.parametrize(
    "broken", [{"messages": [{"content": "x"}]}, {"review": "never", "messages": []}, {}]
)
async def test_invalid_conversation_is_422(
    client: httpx.AsyncClient, broken: dict[str, Any]
) -> None:
    """A message without a role, an unknown review mode or a missing list of messages is refused."""
    body = {"namespace": "ann", "session_id": "s1", **broken}
    assert (await client.post("/v1/hooks/session-stop", json=body)).status_code == 422
    assert await _listed(client, "episodic") == []


async def test_recalled_context_is_not_stored_again(client: httpx.AsyncClient) -> None:
    """If a message is or contains a retrieved context, the context is not stored, and the result
    says so.
    """
    await _stop(client, TALK[:2])
    response = await client.post(
        "/v1/retrieve", json={"namespace": "ann", "query": "billing service Postgres"}
    )
    context = response.json()["context"]
    assert "Postgres" in context
    answer = await _stop(
        client,
        [
            {"role": "tool", "content": context, "timestamp": "2026-03-01T11:00:00Z"},
            {
                "role": "user",
                "content": f"{context}From all this I take it that the invoices live elsewhere.",
                "timestamp": "2026-03-01T11:01:00Z",
            },
        ],
        review="skip",
    )
    assert [(item["index"], item["status"]) for item in answer["results"]] == [
        (0, "rejected"),
        (1, "stored"),
    ]
    assert answer["results"][0]["reason"] == "it contains only text that was recalled from memory"
    assert answer["results"][1]["reason"] == "text that was recalled from memory was removed"
    assert answer["counts"] == {"stored": 1, "merged": 0, "rejected": 1, "failed": 0}
    texts = [
        memory["content"]
        for memory in (await client.get("/v1/memories?namespace=ann")).json()["memories"]
    ]
    assert "From all this I take it that the invoices live elsewhere." in texts
    assert context not in texts


async def test_quoted_memory_is_not_stored_again(client: httpx.AsyncClient) -> None:
    """If a message quotes a retrieved memory, even in a later session, the quote is not stored."""
    await _stop(client, TALK[:1])
    await client.post(
        "/v1/retrieve", json={"namespace": "ann", "query": "billing service Postgres"}
    )
    (content,) = [memory["content"] for memory in await _listed(client, "episodic")]
    quoting = {
        "role": "assistant",
        "content": f"You said: {content}",
        "timestamp": "2026-03-02T11:00:00Z",
    }
    answer = await _stop(client, [quoting], session_id="s2")
    assert answer["results"][0]["status"] == "rejected"
    assert (await _stop(client, TALK[:1]))["results"][0]["status"] == "merged"
    assert len(await _listed(client, "episodic")) == 1


async def test_session_results_have_the_review(client: httpx.AsyncClient) -> None:
    """Each message's result has the tier, the scores and the reasons of its review."""
    messages = [
        {"role": "user", "content": "ok thanks"},
        {"role": "user", "content": "We decided to move the ledger to Postgres in March."},
    ]
    session = {"namespace": "n", "session_id": "s", "messages": messages}
    answer = (await client.post("/v1/hooks/session-stop", json=session)).json()
    trivial, stored = answer["results"]
    assert (trivial["status"], trivial["review"]["tier"]) == ("rejected", "prefilter")
    assert trivial["review"]["reason"].startswith("trivial: ")
    assert (stored["status"], stored["review"]["tier"]) == ("stored", "consensus")
    assert all(1 <= stored["review"][name] <= 10 for name in ("importance", "relevance", "novelty"))
    votes = [(vote["reviewer"], bool(vote["reason"])) for vote in stored["review"]["votes"]]
    assert votes == [("importance", True), ("relevance", True), ("novelty", True)]
    skipped = await client.post("/v1/hooks/session-stop", json={**session, "review": "skip"})
    assert all("review" not in result for result in skipped.json()["results"])
