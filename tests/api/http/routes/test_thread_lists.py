"""Lists of threads over HTTP: filters by key, agent, resource, parent and workflow, order, and keys
of any form.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import httpx
import pytest

from tests.api.thread_client import begun, client_with, say

pytestmark = pytest.mark.anyio

POLICIES = """
threads:
  notes: {key: "notes:{{ user.id }}-{{ session.id }}"}
  facts: {}
"""


client = client_with(POLICIES)


async def listed(client: httpx.AsyncClient, **query: str) -> list[str]:
    """The ids of all the threads that match the query, read in pages of two."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        params: dict[str, Any] = {**client.params, **query, "limit": 2, **cursor}
        answer = (await client.get("/v1/threads", params=params)).raise_for_status().json()
        ids += [thread["id"] for thread in answer["threads"]]
        if answer["next_cursor"] is None:
            return ids
        cursor = {"cursor": answer["next_cursor"]}


async def test_threads_are_listed_by_last_use(client: httpx.AsyncClient) -> None:
    """Threads are listed by their last use, newest first, and filtered by key prefix, agent,
    resource or parent.
    """
    root = (await begun(client))["id"]
    facts = [
        (await begun(client, resource="facts", key=f"team/{n % 2}/{n}", parent_id=root))["id"]
        for n in range(5)
    ]
    own_thread = (await begun(client, agent_id="helper"))["id"]
    await say(client, facts[1], "used")
    newest = [facts[1], own_thread, *reversed(facts[2:]), facts[0], root]
    assert await listed(client) == newest
    assert await listed(client, parent_id=root) == [
        facts[1],
        facts[4],
        facts[3],
        facts[2],
        facts[0],
    ]
    assert await listed(client, resource="facts", key_prefix="team/1") == [facts[1], facts[3]]
    assert await listed(client, agent_id="helper") == [own_thread]
    assert await listed(client, agent_id="nobody") == []
    before = (
        await client.get("/v1/threads", params={**client.params, "key_prefix": "team/0/4"})
    ).json()
    page = (
        await client.get("/v1/threads", params={**client.params, "key_prefix": "team/0/4"})
    ).json()
    assert page == before
    assert before["threads"][0]["parent_id"] == root
    assert before["threads"][0]["used_at"].endswith("Z")
    await client.delete(f"/v1/threads/{facts[0]}")
    assert facts[0] not in await listed(client)
    for cursor in ("x", "-1", "٣"):
        assert (
            await client.get("/v1/threads", params={**client.params, "cursor": cursor})
        ).status_code == 422


async def test_ids_of_any_form_give_each_user_and_session_a_thread_of_its_own(
    client: httpx.AsyncClient,
) -> None:
    """A key made of user id and session id gives each pair its own thread, whatever characters the
    ids have.
    """
    users = (
        "auth0|123",
        "josé@x.org",
        "550e8400-e29b-41d4-a716-446655440000",
        "a",
        "a-b",
        "a%2Db",
        "名前",
        "a b",
        "b",
    )
    sessions = ("s", "b-s", "-", "550e8400-e29b-41d4-a716-446655440001")
    threads: dict[tuple[str, str], str] = {}
    for user in users:
        for session in sessions:
            variables = {"user": {"id": user}, "session": {"id": session}}
            thread = await begun(client, resource="notes", variables=variables)
            assert (await begun(client, 200, resource="notes", variables=variables))[
                "id"
            ] == thread["id"]
            threads[user, session] = thread["id"]
    assert all(threads[left] != threads[right] for left, right in combinations(threads, 2))
    assert len(await listed(client, key_prefix="notes:auth0|123")) == len(sessions)
    assert (await begun(client, key="auth0|123/josé"))["key"] == "auth0|123/josé"


async def test_an_empty_variable_or_invalid_key_is_refused_with_the_field(
    client: httpx.AsyncClient,
) -> None:
    variables = {"user": {"id": "u"}, "session": {"id": ""}}
    problem = await begun(client, 422, resource="notes", variables=variables)
    assert (
        problem["detail"]
        == "variables.session.id: must be a string that is not empty, or an integer"
    )
    problem = await begun(
        client, 422, key="{{ user.id }}%20{{ session.id }}", variables={"user": {"id": "u"}}
    )
    assert problem["detail"].startswith("key: text between two members must not begin with %")
