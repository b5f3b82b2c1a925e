"""Secrets in messages of sessions, over HTTP: no part of one is stored, even if it spans sentences
or lines.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ingest.screening.redaction.redactor import CustomPattern, RedactionRules, RuleBook, Treatment
from memtypes.model.memory import MAX_CONTENT
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.ingest.screening.redaction.secrets import filler

pytestmark = pytest.mark.anyio

DASH = "-" * 5
KEY = (
    f"{DASH}BEGIN RSA PRIVATE{' '}KEY{DASH}\n{filler(64)}\n{filler(40)}\n{DASH}END RSA "
    f"PRIVATE KEY{DASH}"
)
NOTES = r"Private notes(?s:.*?)End of notes"
TEXTS = {
    "key": (f"Here is the deploy key of the server:\n{KEY}\nThe user is deploy.", filler(40)),
    "password": (
        "I changed the database password yesterday. It is now Moewe-Deich-2231. Tell nobody of it.",
        "Moewe-Deich",
    ),
    "pattern": (
        (
            "Private notes follow. The lease of the depot ends on 3 May. Remind me to renew "
            "the lease. End of notes."
        ),
        "lease",
    ),
}
BEFORE = (
    None,
    "We deployed 0.15.1 at noon and the canary was fine.",
    "Remind me on Friday to water the plants in the office.",
    "Since our staging cluster is in Frankfurt, can I deploy from here?",
)


def book(policy: Treatment, **rules: Any) -> RuleBook:
    """Rules with the pattern "notes", which matches private notes of several sentences."""
    patterns = (CustomPattern(name="notes", regex=NOTES),)
    return RuleBook(default=RedactionRules(policy=policy, patterns=patterns, **rules))


async def stop(
    client: httpx.AsyncClient, *texts: str, role: str = "user", review: str = "auto"
) -> httpx.Response:
    """Send the texts as messages of a session that has ended, and return the response."""
    messages = [{"role": role, "content": text} for text in texts]
    body = {"namespace": "n", "session_id": "s", "review": review, "messages": messages}
    return await client.post("/v1/hooks/session-stop", json=body)


async def everything(client: httpx.AsyncClient) -> str:
    """Everything that the service shows of what it stored: memories, decisions with rejected texts,
    and receipts.
    """
    exported = await client.post("/v1/admin/export", json={"namespace": "n"})
    decisions = await client.get("/v1/decisions", params={"namespace": "n", "limit": 1_000})
    retrieved = await client.post(
        "/v1/retrieve", json={"namespace": "n", "query": "What do you know?", "floor": 0}
    )
    receipt = await client.get(f"/v1/receipts/{retrieved.json()['receipt_id']}")
    answers = (exported, decisions, retrieved, receipt)
    assert all(answer.status_code == 200 for answer in answers), [answer.text for answer in answers]
    return "\n".join(answer.text for answer in answers)


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("policy", [Treatment.REDACT, Treatment.REFUSE])
@pytest.mark.parametrize("name", TEXTS)
async def test_no_sentence_of_a_secret_is_stored(
    name: str, policy: Treatment, before: str | None
) -> None:
    """A secret of several sentences or lines is redacted or refused as a whole; no sentence of it
    becomes a memory.
    """
    text, secret = TEXTS[name]
    async with connect(fake_services(lambda: NOW, book=book(policy))) as client:
        answer = await stop(client, *([before] if before else []), text)
        result = answer.json()["results"][-1]
        assert secret not in answer.text + await everything(client)
        if policy is Treatment.REFUSE:
            assert (result["status"], result.get("ids")) == ("rejected", None)
            assert result["reason"].startswith("contains secrets that are not stored here: ")


async def test_a_secret_where_a_long_message_is_cut_is_redacted() -> None:
    """A secret is redacted even if it begins in one memory of a long message and would end in the
    next one.
    """
    text = f"{'budget ' * (MAX_CONTENT // 7 - 8)}{KEY}{' budget' * 9}"
    async with connect(fake_services(lambda: NOW)) as client:
        answer = await stop(client, text, review="skip")
        assert answer.json()["results"][0]["redactions"] == {"private_key": 1}
        stored = await everything(client)
        assert not any(line in stored for line in KEY.split("\n"))


@pytest.mark.parametrize(
    "text",
    ["We moved the billing to Postgres. Remind me to call Ann on Friday.", *TEXTS["password"][:1]],
)
async def test_messages_of_excluded_roles_are_not_stored(text: str) -> None:
    """If the rules exclude a role, neither its messages nor sentences of them are stored or listed
    as rejected.
    """
    async with connect(
        fake_services(lambda: NOW, book=book(Treatment.REDACT, never_keep_roles={"Tool"}))
    ) as client:
        (result,) = (await stop(client, text, role="tool")).json()["results"]
        assert (result["status"], result["reason"]) == (
            "rejected",
            "texts of this role are not stored here",
        )
        stored = await everything(client)
        assert not any(sentence in stored for sentence in text.split(". "))
        (kept,) = (await stop(client, text)).json()["results"]
        assert kept["status"] == "stored"


async def test_a_secret_in_a_role_is_redacted() -> None:
    """A message's role is stored as its speaker, so secrets in it are redacted, too."""
    role = f"nora.lind{'@'}example.com"
    async with connect(fake_services(lambda: NOW)) as client:
        (result,) = (await stop(client, TEXTS["password"][0], role=role)).json()["results"]
        assert (result["status"], result["redactions"]["email"]) == ("stored", 1)
        assert role not in await everything(client)


async def test_memories_of_excluded_types_are_not_stored() -> None:
    """If the rules exclude a type, texts that screening finds to be of this type are refused, with
    their sentences.
    """
    text = (
        "On Tuesday the deployment failed because the certificate had expired. Remind me "
        "to call Ann."
    )
    rules = book(Treatment.REDACT, never_keep_types={"episodic"})
    async with connect(fake_services(lambda: NOW, book=rules)) as client:
        (result,) = (await stop(client, text)).json()["results"]
        written = (
            await client.post("/v1/memories", json={"namespace": "n", "content": text})
        ).json()
        for answer in (result, written):
            assert (answer["status"], answer["reason"]) == (
                "rejected",
                "memories of type episodic are not stored here",
            )
        stored = await everything(client)
        assert not any(sentence in stored for sentence in text.split(". "))
