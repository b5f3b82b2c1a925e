"""Redaction of threads (stored conversations), and which agents may change a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.wiring.container import Services
from ingest.screening.redaction.redactor import (
    RedactedValue,
    RedactionRules,
    Redactor,
    RuleBook,
    Treatment,
)
from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.thread_client import begun, say, served
from tests.live import everything

pytestmark = pytest.mark.anyio

POLICIES = """
threads:
  quiet: {privacy: {redact: ["secret-[0-9]+"], never_keep_roles: [tool]}}
  notes: {key: "notes:{{ user.id }}"}
agents:
  reader: {memories: [{id: notes, mode: read-only}, {id: quiet, key: "q:{{ user.id }}"}]}
  elsewhere: {memory: quiet}
"""
MAIL = "ann@example.org"
CARD = "4111 1111 1111 1111"
BOOK = RuleBook(
    default=RedactionRules(never_keep_roles=frozenset({"system"})),
    tenants={
        "strict": RedactionRules(kinds={"card": Treatment.REFUSE}),
        "open": RedactionRules(policy=Treatment.ALLOW),
    },
)


class OfTenant(Redactor):
    """A redactor that applies the rules of one tenant to the texts of all tenants."""

    def __init__(self, tenant: str) -> None:
        super().__init__(BOOK)
        self._tenant = tenant

    def clean(self, _tenant: str, value: Any) -> RedactedValue[Any]:
        """Redact `value` by the rules of this redactor's one tenant."""
        return super().clean(self._tenant, value)


class Broken(Redactor):
    """A redactor that raises Unavailable for every value."""

    def clean(self, _tenant: str, _value: Any) -> RedactedValue[Any]:
        """Always raises Unavailable."""
        raise Unavailable("not stored: redaction could not run")


@pytest.fixture
async def client(live: LiveClient, services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a service with the thread policies POLICIES and the redaction rules
    BOOK.
    """
    async with served(live, services, POLICIES, redactor=Redactor(BOOK)) as client:
        yield client


async def raw(live: LiveClient, client: httpx.AsyncClient) -> str:
    """Everything that Redis stores for the namespace, as text."""
    return str(await everything(live, Scope("default", client.params["namespace"])))


async def test_turns_are_stored_without_secrets(
    live: LiveClient, client: httpx.AsyncClient
) -> None:
    """Secrets are redacted in every field of a turn. The answer has the number of redactions by
    kind of secret.
    """
    thread = (await begun(client))["id"]
    turn_answer = await say(
        client,
        thread,
        f"Write to {MAIL}",
        files=[f"/home/{MAIL}/a.txt"],
        images=[{"path": f"{MAIL}/a.jpg"}],
        tool=f"mail {MAIL}",
        metadata={"to": [MAIL]},
    )
    assert turn_answer["redactions"] == {"email": 5}
    assert turn_answer["turn"]["content"] == "Write to [redacted:email]"
    assert MAIL not in str(turn_answer)
    assert MAIL not in await raw(live, client)
    assert "redactions" not in await say(client, thread, "nothing of the kind")


async def test_replacements_and_initial_contexts_are_redacted(
    live: LiveClient, client: httpx.AsyncClient
) -> None:
    """Turns that replace a thread's turns, and initial contexts, are redacted before they are
    stored.

    The tenant's rules and the patterns of the thread's policy apply.
    """
    opened = await begun(client, resource="quiet", initial_context=f"secret-7 of {MAIL}")
    assert opened["initial_context"] == "[redacted] of [redacted:email]"
    assert opened["redactions"] == {"email": 1, "policy": 1}
    turns = [{"role": "user", "content": f"my secret-42, {MAIL}", "files": ["secret-1.txt"]}]
    answer = (await client.put(f"/v1/threads/{opened['id']}/turns", json={"turns": turns})).json()
    assert answer["redactions"] == {"email": 1, "policy": 2}
    stored = await raw(live, client)
    assert MAIL not in stored
    assert "secret-" not in stored


async def test_turns_of_a_role_that_is_never_kept_are_accepted_and_not_stored(
    live: LiveClient, client: httpx.AsyncClient
) -> None:
    """If the tenant's rules or the thread's policy never keep turns of a role, the answer to a turn
    of that role says that it was not kept, and why.

    Of turns that replace others, these are left out and counted.
    """
    thread = (await begun(client, resource="quiet"))["id"]
    rules = {
        "tool": "privacy.never_keep_roles of this thread's policy",
        "system": "never_keep_roles of the redaction rules",
    }
    for role, rule in rules.items():
        answer = await say(client, thread, f"the zanzibar of {role}", status=200, role=role)
        reason = f"turns of role {role!r} are not kept, as {rule} says"
        assert answer == {
            "kept": False,
            "reason": reason,
            "turn": None,
            "version": 0,
            "flushed": 0,
            "evicted": 0,
        }
        await say(client, thread, "x", status=409, role=role, expected_version=7)
    assert (await say(client, thread, "hello"))["kept"] is True
    turns = [{"role": role, "content": f"zanzibar {role}"} for role in ("tool", "user", "system")]
    answer = (await client.put(f"/v1/threads/{thread}/turns", json={"turns": turns})).json()
    assert answer == {"version": 2, "not_kept": 2}
    page = (await client.get(f"/v1/threads/{thread}")).json()
    assert [turn["content"] for turn in page["turns"]] == ["zanzibar user"]
    assert "zanzibar tool" not in await raw(live, client)


async def test_long_turns_are_redacted(live: LiveClient, client: httpx.AsyncClient) -> None:
    thread = (await begun(client))["id"]
    answer = await say(client, thread, f"{'word ' * 5_000}{MAIL}")
    assert answer["redactions"] == {"email": 1}
    assert MAIL not in await raw(live, client)
    await say(client, thread, "a@b.io " * 28_000, status=422)
    assert (await client.get(f"/v1/threads/{thread}")).json()["total"] == 1


@pytest.mark.parametrize(
    ("tenant", "status", "shown"), [("strict", 422, None), ("open", 201, CARD)]
)
async def test_tenants_may_refuse_or_allow_secrets(
    live: LiveClient, services: Services, tenant: str, status: int, shown: str | None
) -> None:
    """A turn with a secret gets a 422 if the tenant refuses secrets, and is stored unchanged if it
    allows them.
    """
    async with served(live, services, POLICIES, redactor=OfTenant(tenant)) as client:
        thread = (await begun(client))["id"]
        answer = await say(client, thread, f"Pay with {CARD}", status=status)
        assert (CARD in str(answer)) == (shown is not None)
        assert (CARD in await raw(live, client)) == (shown is not None)
        assert "redactions" not in answer


async def test_failed_redaction_stores_nothing(live: LiveClient, services: Services) -> None:
    async with served(live, services, POLICIES, redactor=Broken()) as client:
        thread = (await begun(client))["id"]
        await say(client, thread, "hello", status=503)
        assert (await client.get(f"/v1/threads/{thread}")).json()["total"] == 0


async def test_read_only_agents_cannot_change_threads(
    live: LiveClient, client: httpx.AsyncClient
) -> None:
    """An agent gets a 403 for every change of a thread that its policy lists as read-only or does
    not list.
    """
    thread = (await begun(client, resource="notes", variables={"user": {"id": "u"}}))["id"]
    await say(client, thread, "by nobody in particular")
    before = await raw(live, client)
    for agent in ("reader", "elsewhere"):
        by = {**client.params, "agent_id": agent}
        turn = {"role": "user", "content": "no"}
        for call in (
            client.post(f"/v1/threads/{thread}/turns", json={**turn, "agent_id": agent}),
            client.post(f"/v1/threads/{thread}/turns", json=turn, params=by),
            client.put(
                f"/v1/threads/{thread}/turns", json={"turns": [{**turn, "agent_id": agent}]}
            ),
            client.put(f"/v1/threads/{thread}/turns", json={"turns": []}, params=by),
            client.post(f"/v1/threads/{thread}/flush", json={"force": True}, params=by),
            client.post(f"/v1/threads/{thread}/clear", json={"confirm": True}, params=by),
            client.delete(f"/v1/threads/{thread}", params=by),
        ):
            assert (await call).status_code == 403
    await begun(
        client, status=403, resource="notes", key="new", agent_id="reader", initial_context="no"
    )
    for fields in ({"key": "new"}, {"variables": {"user": {"id": "another"}}}):
        refused = await begun(client, status=403, resource="notes", agent_id="reader", **fields)
        assert "may not create threads of 'notes'" in refused["detail"]
    assert await raw(live, client) == before
    found = {"resource": "notes", "agent_id": "reader", "variables": {"user": {"id": "u"}}}
    assert (await begun(client, status=200, **found))["id"] == thread


async def test_initial_context_is_set_only_where_the_agent_may_write(
    client: httpx.AsyncClient,
) -> None:
    opened = await begun(
        client, agent_id="reader", initial_context="hello", variables={"user": {"id": "u"}}
    )
    contexts = [item["thread"]["initial_context"] for item in opened["threads"]]
    assert contexts == [None, "hello"]
    assert [item["thread"]["agent_id"] for item in opened["threads"]] == [None, "reader"]
