"""Calls for threads over HTTP, with a real Redis server."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.api.thread_client import begun, client_with, kept_turns, say, words

pytestmark = pytest.mark.anyio

POLICIES = """
threads:
  support: {type: token_based, max_tokens: 200, max_turns: 500, key: "support:{{ session.id }}"}
  notes: {type: buffer, max_messages: 5, eviction: {policy: lru}}
  brief: {type: token_based, max_tokens: 200, max_turns: 500, flush: {strategy: hybrid_summary,
    summary_tokens: 30}}
  quiet: {privacy: {redact: ["secret-[0-9]+"], never_keep_roles: [tool]}}
agents:
  three: {memories: [{id: support}, {id: notes, key: "notes:{{ user.id }}", mode: read-only}]}
"""


PROJECT = """
agents:
  - {id: simple, memory: chat, memory_key: "chat-{{ .workflow.input.conversationId }}"}
  - id: careful
    memories: [{id: chat, mode: read-only, key: "chat-{{ .workflow.input.conversationId }}"}]
"""

client = client_with(POLICIES)
project_client = client_with(PROJECT)


async def test_flushed_turns_are_replaced_by_a_summary(client: httpx.AsyncClient) -> None:
    """A flush keeps the first and last turns, and replaces the others by a summary, which counts
    towards the limit.
    """
    thread = (await begun(client, resource="brief", key="k"))["id"]
    for number in range(16):
        await say(client, thread, f"We decided on step {number} because it must be {words(2)}")
    page = (await client.get(f"/v1/threads/{thread}")).json()
    indices = [turn["index"] for turn in page["turns"]]
    assert indices[0] == 0
    assert page["thread"]["summary"]
    assert page["thread"]["tokens"] <= 160
    assert sorted([*indices, *await kept_turns(client)]) == list(range(16))
    assert (await client.get(f"/v1/threads/{thread}/health")).json()["ok"]


async def test_the_least_recently_used_turn_is_evicted(client: httpx.AsyncClient) -> None:
    """With the eviction policy `lru`, the evicted turn is the one that was not written or read for
    longest.
    """
    thread = (await begun(client, resource="notes", key="k"))["id"]
    for number in range(5):
        await say(client, thread, f"note {number}")
    await client.get(f"/v1/threads/{thread}", params={**client.params, "limit": 1})
    assert (await say(client, thread, "note 5"))["evicted"] == 1
    turns = (await client.get(f"/v1/threads/{thread}")).json()["turns"]
    assert [turn["index"] for turn in turns] == [0, 2, 3, 4, 5]
    assert await kept_turns(client) == [1]


async def test_refused_turns_change_nothing(client: httpx.AsyncClient) -> None:
    """A turn is refused if it exceeds the token limit or expects another version."""
    support = (await begun(client, resource="support", variables={"session": {"id": "s"}}))["id"]
    await say(client, support, words(201), status=422)
    assert (await say(client, support, "hello", expected_version=0))["version"] == 1
    conflict = await say(client, support, "hello", expected_version=0, status=409)
    assert conflict["current_version"] == 1
    quiet = (await begun(client, resource="quiet"))["id"]
    assert (await say(client, quiet, "my secret-42"))["turn"]["content"] == "my [redacted]"
    assert (await client.get(f"/v1/threads/{support}/stats")).json()["turns"] == 1
    assert (await client.get(f"/v1/threads/{uuid.uuid4()}")).status_code == 404


async def test_an_agent_gets_a_thread_with_its_access_mode_for_each_resource(
    client: httpx.AsyncClient,
) -> None:
    """An agent opens one thread for each of its resources, the thread policies that the policy file
    lists for it.

    It may not write to the thread of a resource that is listed with the mode `read-only`.
    """
    variables = {"session": {"id": "s9"}, "user": {"id": "u1"}}
    opened = await begun(client, agent_id="three", variables=variables)
    support, notes = opened["threads"]
    assert (support["thread"]["key"], notes["thread"]["key"]) == ("support:s9", "notes:u1")
    assert notes["mode"] == "read-only"
    await say(client, notes["thread"]["id"], "no", agent_id="three", status=403)
    await say(client, support["thread"]["id"], "yes", agent_id="three")
    reopened = await begun(client, status=200, agent_id="three", variables=variables)
    assert reopened["threads"][0]["thread"]["id"] == support["thread"]["id"]
    await begun(client, status=422, agent_id="three", variables={"session": {"id": "s9"}})


@pytest.mark.parametrize(
    ("key", "placeholder", "right"),
    [
        ("chat:{user.id}", "{user.id}", "write {{ user.id }}"),
        ("chat:${user.id}", "${user.id}", "write {{ user.id }}"),
        ("{ .session.id }:{{ user.id }}", "{ .session.id }", "write {{ session.id }}"),
        ("chat:$user.id", "$user.id", "write {{ user.id }}"),
        ("chat:%(user.id)s", "%(user.id)s", "write {{ user.id }}"),
        ("chat:<user.id>", "<user.id>", "write {{ user.id }}"),
        ("chat:{user}", "{user}", "write {{ user.id }}"),
        ("chat:{user_id}", "{user_id}", "written as {{ user.id }}"),
    ],
)
async def test_a_key_that_looks_like_a_template_in_another_spelling_is_refused(
    client: httpx.AsyncClient, key: str, placeholder: str, right: str
) -> None:
    """Taken literally it would give all users the same thread. The error has the right spelling."""
    variables = {"user": {"id": "u1"}, "session": {"id": "s1"}}
    refused = await begun(client, status=422, key=key, variables=variables)
    (error,) = refused["errors"]
    assert error["path"] == "key"
    assert repr(placeholder) in error["message"]
    assert right in error["message"]


@pytest.mark.parametrize("key", ["100% {1-2} b", "$5 <now> [x]", "user.id"])
async def test_a_key_with_brackets_that_is_no_template_is_taken_literally(
    client: httpx.AsyncClient, key: str
) -> None:
    assert (await begun(client, key=key))["key"] == key


async def test_agents_of_a_project_use_resources_that_no_file_defines(
    project_client: httpx.AsyncClient,
) -> None:
    """Such a resource has the default limits, and is refused to agents that may not use it."""
    client = project_client
    variables = {"workflow": {"input": {"conversationId": "c7"}}}
    (entry,) = (await begun(client, agent_id="simple", variables=variables))["threads"]
    thread = entry["thread"]
    assert (thread["resource"], thread["key"]) == ("chat", "chat-c7")
    assert (await client.get(f"/v1/threads/{thread['id']}/stats")).json()["max_messages"] == 50
    await say(client, thread["id"], "yes", agent_id="simple")
    await say(client, thread["id"], "no", agent_id="careful", status=403)
    await begun(client, status=200, resource="chat", agent_id="careful", key="chat-c7")
    await begun(client, status=403, resource="chat", agent_id="stranger", key="chat-c7")
    unknown = await begun(client, status=422, resource="chit")
    assert "there are: chat" in unknown["detail"]


async def test_unknown_agents_and_resources_are_refused(client: httpx.AsyncClient) -> None:
    """Opening a thread for an unknown agent or resource (thread policy) is a 422 that lists the
    known ones.

    Opening or writing a thread of a resource that only other agents may use is a 403.
    """
    unknown = await begun(client, status=422, agent_id="four")
    assert unknown["errors"] == [
        {
            "path": "agent_id",
            "message": "there is no agent 'four'; there are: three; or name a resource",
            "got": "four",
        }
    ]
    assert (
        "there are: brief, notes"
        in (await begun(client, status=422, resource="suport"))["errors"][0]["message"]
    )
    await begun(client, status=403, resource="notes", key="k", agent_id="four")
    notes = await begun(client, resource="notes", key="k")
    await say(client, notes["id"], "no", agent_id="four", status=403)
    await say(client, notes["id"], "nobody in particular")
    short = await begun(client, resource="quiet", agent_id="four")
    await say(client, short["id"], "a resource of no agent", agent_id="four")
    await say(client, short["id"], "but not of this one", agent_id="three", status=403)


async def test_thread_answer_names_its_policy(client: httpx.AsyncClient) -> None:
    """A thread that is opened for a resource, such as "notes", has the policy with that name in the
    policy file.

    Answers for the thread give the policy's name; it is null if the thread was opened without a
    resource.
    """
    notes = await begun(client, resource="notes")
    plain = await begun(client)
    assert (notes["policy"], plain["policy"]) == ("notes", None)
    for item, policy in ((notes, "notes"), (plain, None)):
        assert (await client.get(f"/v1/threads/{item['id']}")).json()["thread"]["policy"] == policy
        assert (await client.get(f"/v1/threads/{item['id']}/stats")).json()["policy"] == policy


async def test_a_key_in_the_request_selects_a_thread_in_each_of_the_agents_resources(
    client: httpx.AsyncClient,
) -> None:
    support, notes = (await begun(client, agent_id="three", key="shared"))["threads"]
    assert (support["thread"]["key"], notes["thread"]["key"]) == ("shared", "shared")
    assert support["thread"]["id"] != notes["thread"]["id"]


async def test_chain_reports_gaps_and_is_limited_to_twenty(client: httpx.AsyncClient) -> None:
    """The chain of a thread (its ancestors and itself) has `gap` true if an ancestor was deleted.

    A thread with twenty ancestors cannot be opened.
    """
    ids = [(await begun(client))["id"]]
    for _ in range(19):
        ids.append((await begun(client, parent_id=ids[-1]))["id"])
    await begun(client, status=422, parent_id=ids[-1])
    await begun(client, status=404, parent_id="nobody")
    chain = (await client.get(f"/v1/threads/{ids[-1]}/chain")).json()
    assert [item["id"] for item in chain["threads"]] == ids
    assert (chain["gap"], chain["cycle"]) == (False, False)
    assert (await client.delete(f"/v1/threads/{ids[5]}")).status_code == 204
    chain = (await client.get(f"/v1/threads/{ids[-1]}/chain")).json()
    assert (len(chain["threads"]), chain["gap"]) == (19, True)
    context = (await client.post(f"/v1/threads/{ids[-1]}/context", json={"budget": 100})).json()
    assert context["metadata"]["gap"]
    root = (await begun(client, key="root"))["id"]
    child = (await begun(client, parent_id=root))["id"]
    await begun(client, status=422, key="root", parent_id=child)


async def test_thread_context_fits_its_budget(client: httpx.AsyncClient) -> None:
    """A thread's context has the newest turns, its parent's included, that fit into the token
    budget, oldest first.

    It lists each file that these turns mention once.
    """
    parent = (await begun(client))["id"]
    await say(client, parent, "the parent said this", files=["a.py", "b.py"])
    child = (await begun(client, parent_id=parent))["id"]
    for number in range(8):
        await say(client, child, f"turn number {number}", files=["a.py"])
    for budget in (0, 5, 30, 60, 1_000):
        answer = (await client.post(f"/v1/threads/{child}/context", json={"budget": budget})).json()
        assert answer["metadata"]["total_tokens"] <= budget
        indices = [turn["index"] for turn in answer["turns"] if turn["thread_id"] == child]
        assert indices == list(range(8))[8 - len(indices) :]
        assert answer["omitted"]["turns"] == 9 - len(answer["turns"])
    assert answer["omitted"] == dict.fromkeys(answer["omitted"], 0)
    assert {"path": "a.py", "thread_id": child, "turn": 7} in answer["files"]
    assert [item["path"] for item in answer["files"]] == ["a.py", "b.py"]


async def test_turns_can_be_replaced_cleared_and_restored_from_backup(
    client: httpx.AsyncClient,
) -> None:
    """Clearing a thread can store the cleared turns in a backup and return the backup's id.

    The id alone is enough to read the backup. A read with another namespace is a 404.
    """
    thread = (await begun(client))["id"]
    await say(client, thread, "old")
    turns = [{"role": "user", "content": "new"}, {"role": "assistant", "content": "newer"}]
    replaced = await client.put(
        f"/v1/threads/{thread}/turns", json={"turns": turns, "expected_version": 1}
    )
    assert replaced.json() == {"version": 2}
    cleared = (
        await client.post(f"/v1/threads/{thread}/clear", json={"confirm": True, "backup": True})
    ).json()
    assert cleared["cleared"] == 2
    backup = (await client.get(f"/v1/threads/backups/{cleared['backup_id']}")).json()
    assert [turn["content"] for turn in backup["turns"]] == ["new", "newer"]
    client.params = httpx.QueryParams()  # the id alone is enough, and no other namespace has it
    path = f"/v1/threads/backups/{cleared['backup_id']}"
    assert (await client.get(path)).json() == backup
    assert (await client.get(path, params={"namespace": "other"})).status_code == 404


@pytest.mark.parametrize("sent", ["nope", "no.pe", ".bg", "a.", "a.IA", "a.bg", "a.ü", "a.AA"])
async def test_unknown_backup_is_404(client: httpx.AsyncClient, sent: str) -> None:
    """Reading a thread backup by an unknown or malformed id is a 404."""
    client.params = httpx.QueryParams()
    assert (await client.get(f"/v1/threads/backups/{sent}")).status_code == 404


async def test_clear_needs_confirm(client: httpx.AsyncClient) -> None:
    """Clearing a thread without confirm=true is refused and removes nothing."""
    thread = (await begun(client))["id"]
    assert (
        await client.post(f"/v1/threads/{thread}/clear", json={"confirm": False})
    ).status_code == 422
