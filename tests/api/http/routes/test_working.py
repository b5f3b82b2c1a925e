"""Calls for working memory (notes of a session and its to-dos), on a real Redis server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.erasure import LiveState
from tests.api.working_client import WorkingClient

pytestmark = pytest.mark.anyio


async def test_new_item_has_every_field(world: WorkingClient) -> None:
    """A new note in working memory is returned with every field, and with defaults for those that
    were left out.
    """
    item = await world.make("port the parser", todo_id="t1", priority=4, agent_id="a")
    assert item == {
        "id": item["id"],
        "namespace": world.space["namespace"],
        "session_id": "s 1",
        "agent_id": "a",
        "todo_id": "t1",
        "todo_status": None,
        "workflow_id": None,
        "content": "port the parser",
        "context_type": "task_context",
        "scope": "task",
        "priority": 4,
        "created_at": "2026-03-01T12:00:00Z",
        "accessed_at": None,
        "expires_at": "2026-03-02T12:00:00Z",
        "cleared_at": None,
        "cleared_reason": None,
        "tokens": {"count": 3, "tokenizer": "cl100k_base"},
    }
    assert await world.listed() == [item]


async def test_items_of_a_to_do_live_until_it_is_completed(world: WorkingClient) -> None:
    """Notes linked to a to-do stay until it is completed, unless they were given a ttl_s.

    Other notes expire after five minutes without use.
    """
    await world.post("/v1/hooks/todo-created", todo_id="t1", content="port the parser")
    await world.make("the parser is in src/parse.py", todo_id="t1")
    await world.make("a note of no to-do")
    await world.post(
        "/v1/hooks/todo-created", todo_id="t2", content="call Ann", ttl_s=60, agent_id="a"
    )
    world.later(23 * 3_600)
    contents = {"port the parser", "the parser is in src/parse.py"}
    assert {item["content"] for item in await world.listed()} == contents
    assert "port the parser" in (await world.recall())["context"]
    world.later(23 * 3_600)
    assert {item["content"] for item in await world.listed()} == contents
    assert (await world.post("/v1/hooks/todo-completed", todo_id="t1"))["cleared"] == 2
    assert await world.listed() == []


async def test_items_of_an_abandoned_to_do_expire_after_a_day(world: WorkingClient) -> None:
    """Notes linked to a to-do that is never completed expire a day after their last use."""
    await world.post("/v1/hooks/todo-created", todo_id="t1", content="port the parser")
    world.later(24 * 3_600 + 1)
    assert await world.listed() == []


async def test_a_to_do_that_is_created_again_replaces_its_item(world: WorkingClient) -> None:
    """If a to-do is created again, the note with its old text is cleared. Other notes linked to it
    are kept.
    """
    first = await world.post("/v1/hooks/todo-created", todo_id="t1", content="port the parser")
    await world.make("the parser is in src/parse.py", todo_id="t1")
    await world.post("/v1/hooks/todo-created", todo_id="t2", content="call Ann")
    second = await world.post(
        "/v1/hooks/todo-created", todo_id="t1", content="rewrite the whole lexer", agent_id="b"
    )
    assert second["working_id"] != first["working_id"]
    shown = {item["content"]: item["agent_id"] for item in await world.listed()}
    assert shown == {
        "the parser is in src/parse.py": None,
        "call Ann": None,
        "rewrite the whole lexer": "b",
    }
    cleared = [
        item["content"] for item in await world.listed(include_cleared="true") if item["cleared_at"]
    ]
    assert cleared == ["port the parser"]


async def test_stored_working_items_end_with_their_to_do(world: WorkingClient) -> None:
    """Completing a to-do also clears notes on it that were written as memories, but not those of
    other sessions.
    """
    body = {"type": "working", "todo_id": "t1"}
    for content, session in (("ours", "s 1"), ("of no session", None), ("theirs", "s 2")):
        await world.post("/v1/memories", 201, content=content, session_id=session, **body)
    assert "ours" in (await world.recall())["context"]
    assert (await world.post("/v1/hooks/todo-completed", todo_id="t1"))["cleared"] == 2
    assert (await world.recall())["context"] == ""
    assert (await world.post("/v1/hooks/todo-completed", todo_id="t1"))["cleared"] == 0
    theirs = await world.recall("what now", session_id="s 2")
    assert "theirs" in theirs["context"]


async def test_stored_working_items_are_cleared_like_live_ones(world: WorkingClient) -> None:
    """A note that was written as a memory of the type `working` can be cleared by its id or with
    its whole session.
    """
    ids = []
    for content, session in (("one", "s 1"), ("two", "s 1"), ("three", "s 2")):
        body = {"type": "working", "content": content, "session_id": session}
        ids.append((await world.post("/v1/memories", 201, **body))["id"])
    await world.make("live")
    assert await world.post("/v1/working/clear", id=ids[0]) == {"cleared": 1}
    assert await world.post("/v1/working/clear", id=ids[2]) == {"cleared": 0}
    assert await world.post("/v1/working/clear") == {"cleared": 2}
    assert (await world.recall())["context"] == ""
    cleared = {item["content"] for item in await world.listed(include_cleared="true")}
    assert cleared == {"one", "two", "live"}


async def test_all_items_of_a_session_end_with_session_stop(world: WorkingClient) -> None:
    """To-dos, notes and stored working memories of an ended session are in no context, but in the
    audit trail.
    """
    await world.post("/v1/hooks/todo-created", todo_id="t1", content="port the parser")
    await world.make("a note of no to-do")
    stored = {"type": "working", "content": "a stored note", "session_id": "s 1"}
    await world.post("/v1/memories", 201, **stored)
    await world.post("/v1/memories", 201, **{**stored, "session_id": "s 2"})
    await world.post("/v1/hooks/session-stop", messages=[])
    assert await world.listed() == []
    assert (await world.recall())["context"] == ""
    assert (await world.post("/v1/hooks/prompt-submit", prompt="go on"))["context"] == ""
    ended = await world.listed(include_cleared="true")
    assert {item["content"]: item["cleared_reason"] for item in ended} == {
        "port the parser": "session_ended",
        "a note of no to-do": "session_ended",
        "a stored note": "session_ended",
    }
    assert all(item["cleared_at"] for item in ended)
    assert "a stored note" in (await world.recall(session_id="s 2"))["context"]


async def test_a_session_that_goes_on_keeps_its_items(world: WorkingClient) -> None:
    await world.post("/v1/hooks/todo-created", todo_id="t1", content="port the parser")
    await world.post("/v1/hooks/session-stop", messages=[], ended=False)
    assert "port the parser" in (await world.recall())["context"]


async def test_an_expired_item_leaves_an_audit_trail(world: WorkingClient) -> None:
    """An expired item says when and why it ended, before and after it is moved to the memory
    store.
    """
    item = await world.make("port the parser", ttl_s=60)
    world.later(61)
    await world.make("another")
    assert [each["content"] for each in await world.listed()] == ["another"]

    async def expired() -> dict[str, Any]:
        listed = await world.listed(include_cleared="true")
        (ended,) = [each for each in listed if each["cleared_at"]]
        return ended

    before = await expired()
    end = (item["id"], item["expires_at"], "expired")
    assert (before["id"], before["cleared_at"], before["cleared_reason"]) == end
    memory = await world.memory(item["id"])
    assert memory["cleared_reason"] == "expired"
    assert await world.memories() == {}
    await world.working.sweep()
    assert list(await world.memories()) == [item["id"]]
    assert await expired() == before
    assert await world.memory(item["id"]) == memory


async def test_a_stored_note_expires_and_leaves_an_audit_trail(world: WorkingClient) -> None:
    """Without an `expires_at` it expires after a day. Upkeep that deletes what expired keeps it."""
    note = {"type": "working", "content": "port the parser", "session_id": "s 1"}
    stored = await world.post("/v1/memories", 201, **note)
    memory = await world.memory(stored["id"])
    assert memory["expires_at"] == "2026-03-02T12:00:00Z"
    assert memory["cleared_at"] is None
    assert "port the parser" in (await world.recall())["context"]
    world.later(24 * 3_600)
    assert (await world.recall())["context"] == ""
    memory = await world.memory(stored["id"])
    assert (memory["cleared_at"], memory["cleared_reason"]) == ("2026-03-02T12:00:00Z", "expired")
    job = {"namespace": world.space["namespace"], "dry_run": False, "expired_days": 0}
    report = (await world.client.post("/v1/admin/jobs/expire", json=job)).json()
    assert report["counts"]["removed"] == 0
    (item,) = await world.listed(include_cleared="true")
    assert (item["content"], item["cleared_reason"]) == ("port the parser", "expired")
    assert await world.listed() == []
    where = {"namespace": world.space["namespace"]}
    later = {"expires_at": "2026-03-09T12:00:00Z"}
    changed = await world.client.patch(f"/v1/memories/{stored['id']}", params=where, json=later)
    assert changed.json()["cleared_at"] is None
    assert "port the parser" in (await world.recall())["context"]


@pytest.mark.parametrize(
    ("hook", "body"),
    [
        ("prompt-submit", {"prompt": "go on"}),
        ("session-stop", {"messages": [{"role": "user", "content": "Hello Ann.", "uuid": "u"}]}),
        ("todo-created", {"todo_id": "t", "content": "port it"}),
        ("todo-completed", {"todo_id": "t"}),
    ],
)
async def test_an_unknown_member_never_fails_a_hook(
    world: WorkingClient, hook: str, body: dict[str, Any]
) -> None:
    await world.post(f"/v1/hooks/{hook}", **body, hook_event_name="X", cwd="/", effort={"level": 1})


async def test_expires_at_is_the_same_when_read_again(world: WorkingClient) -> None:
    """The answer to a new note has the same expires_at as a later list, in milliseconds as Redis
    stores it.
    """
    world.later(0.123_456)
    item = await world.make("port the parser")
    assert item["expires_at"] == "2026-03-01T12:05:00.123000Z"
    assert await world.listed() == [item]


async def test_retrieval_extends_the_life_of_an_item(world: WorkingClient) -> None:
    """A note expires five minutes after its creation or last retrieval. Listing notes does not
    extend their life.
    """
    await world.make("port the parser")
    world.later(200)
    answer = await world.recall()
    assert "port the parser" in answer["context"]
    world.later(200)
    (item,) = await world.listed()
    assert (item["accessed_at"], item["expires_at"]) == (
        "2026-03-01T12:03:20Z",
        "2026-03-01T12:08:20Z",
    )
    world.later(101)
    assert await world.listed() == []
    assert (await world.recall())["context"] == ""


async def test_items_survive_a_clock_that_is_set_back(world: WorkingClient) -> None:
    """If the service's clock is set back, notes can still be retrieved and cleared, and do not
    expire earlier.
    """
    await world.make("port the parser")
    world.later(-3_600)
    assert "port the parser" in (await world.recall())["context"]
    assert [item["expires_at"] for item in await world.listed()] == ["2026-03-01T12:05:00Z"]
    assert await world.post("/v1/working/clear") == {"cleared": 1}
    assert (await world.recall())["context"] == ""


async def test_live_items_are_in_every_retrieval(world: WorkingClient) -> None:
    """A context has the session's notes even if they do not match the query. Those of the current
    to-do come first.
    """
    await world.make("urgent other thing", priority=5, todo_id="t2")
    await world.make("the task at hand", priority=1, todo_id="t1")
    answer = await world.recall("zebras", todo_id="t1", min_score=0.99, min_similarity=0.99)
    assert [item["content"] for item in answer["items"]] == [
        "the task at hand",
        "urgent other thing",
    ]
    assert answer["context"].index("the task at hand") < answer["context"].index(
        "urgent other thing"
    )
    assert answer["metadata"]["working_tokens"] > 0
    assert answer["metadata"]["degraded"] == []
    unasked = await world.recall("zebras", include_working=False)
    assert unasked["context"] == ""


async def test_live_items_are_visible_in_their_session_only(world: WorkingClient) -> None:
    """A note is neither retrieved nor listed in other sessions, or in the same session of another
    namespace.
    """
    await world.make("secret of session one")
    other = {**world.space, "session_id": "s 2"}
    for space in (other, {"namespace": "elsewhere", "session_id": "s 1"}):
        got = await world.client.post(
            "/v1/retrieve", json={**space, "query": "secret of session one"}
        )
        assert got.json()["context"] == ""
        assert (await world.client.get("/v1/working", params=space)).json() == {"items": []}


async def test_working_budget_is_never_exceeded(world: WorkingClient) -> None:
    """The notes in a context fit the token budget `working_budget`. Notes that are left out do not
    count as used.
    """
    for number in range(30):
        await world.make(f"note number {number} of the task at hand", priority=1 + number % 5)
    answer = await world.recall(working_budget=60)
    assert 0 < answer["metadata"]["working_tokens"] <= 60
    item_ids = {item["id"] for item in answer["items"]}
    used = {item["id"] for item in await world.listed() if item["accessed_at"]}
    assert used == item_ids
    assert 0 < len(item_ids) < 30


async def test_todo_hooks_create_and_clear_an_item(world: WorkingClient) -> None:
    """The hook todo-created makes a note of the to-do.

    The hook todo-completed clears the note and stores when it did.
    """
    created = await world.post("/v1/hooks/todo-created", todo_id="t1", content="port the parser")
    assert [item["id"] for item in await world.listed(todo_id="t1")] == [created["working_id"]]
    world.later(10)
    done = await world.post("/v1/hooks/todo-completed", todo_id="t1", steps=["read", "write"])
    assert done == {"cleared": 1, "procedural_id": None}
    assert await world.listed() == []
    assert (await world.recall())["context"] == ""
    (stored,) = await world.listed(include_cleared="true")
    assert stored["cleared_at"] == "2026-03-01T12:00:10Z"
    assert (await world.memory(created["working_id"]))["cleared_at"] == stored["cleared_at"]
    assert (await world.post("/v1/hooks/todo-completed", todo_id="t1"))["cleared"] == 0


async def test_a_to_do_that_is_created_again_shows_its_new_status(world: WorkingClient) -> None:
    todo: dict[str, Any] = {"todo_id": "t1", "content": "port the parser"}
    await world.post("/v1/hooks/todo-created", **todo)
    assert "- [pending] port the parser" in (await world.recall())["context"]
    body = {**world.space, **todo, "status": "in_progress"}
    assert (await world.client.post("/v1/hooks/todo-created", json=body)).status_code == 200
    context = (await world.recall())["context"]
    assert "- [in progress] port the parser" in context
    assert context.count("port the parser") == 1


async def test_todo_of_more_than_five_steps_becomes_a_procedure(world: WorkingClient) -> None:
    """A to-do completed with six steps is stored as a procedure with its text as name.

    If the same completion is sent again, no second procedure is stored.
    """
    await world.post("/v1/hooks/todo-created", todo_id="t1", content="port the parser")
    steps = ["read", "list", "write", "test", "measure", "ship"]
    done = await world.post("/v1/hooks/todo-completed", todo_id="t1", steps=steps)
    path = f"/v1/memories/{done['procedural_id']}"
    learnt = (await world.client.get(path, params={"namespace": world.space["namespace"]})).json()
    assert (learnt["procedure_name"], learnt["steps"]) == ("port the parser", steps)
    repeated = await world.post("/v1/hooks/todo-completed", todo_id="t1", steps=steps)
    assert repeated == {"cleared": 0, "procedural_id": done["procedural_id"]}


async def test_items_are_cleared_by_id_by_to_do_or_all_at_once(world: WorkingClient) -> None:
    """Notes are cleared by id, by to-do or for the whole session. The answer counts the notes that
    were still live.
    """
    item = await world.make("one")
    for content, todo in (("two", "t"), ("three", "t"), ("four", "u")):
        await world.make(content, todo_id=todo)
    assert await world.post("/v1/working/clear", id=item["id"]) == {"cleared": 1}
    assert await world.post("/v1/working/clear", id=item["id"]) == {"cleared": 0}
    assert await world.post("/v1/working/clear", todo_id="t") == {"cleared": 2}
    assert await world.post("/v1/working/clear") == {"cleared": 1}
    assert await world.post("/v1/working/clear", 422, todo_id="t", id="x")


async def test_cleared_item_can_be_created_again(world: WorkingClient) -> None:
    first = await world.make("port the parser")
    await world.post("/v1/working/clear")
    world.later(5)
    repeated = await world.make("port the parser", priority=5, ttl_s=10)
    assert (repeated["id"], repeated["cleared_at"], repeated["priority"]) == (first["id"], None, 5)
    assert repeated["expires_at"] == "2026-03-01T12:00:15Z"
    assert await world.listed(include_cleared="true") == [repeated]
    assert "port the parser" in (await world.recall())["context"]


async def test_a_cleared_item_is_listed_with_the_fields_of_its_last_creation(
    world: WorkingClient,
) -> None:
    await world.make("port the parser", context_type="state", priority=4)
    repeated = await world.make("port the parser", priority=5, scope="session")
    await world.post("/v1/working/clear")
    await world.working.sweep()
    (cleared,) = await world.listed(include_cleared="true")
    names = ("priority", "context_type", "scope")
    assert (
        [cleared[name] for name in names]
        == [repeated[name] for name in names]
        == [5, "task_context", "session"]
    )


async def test_a_sweep_moves_expired_and_cleared_items_to_the_memory_store(
    world: WorkingClient,
) -> None:
    """While an item lives, the memory store does not have it. An ended item is a memory that says
    when it ended.
    """
    expiring = await world.make("port the parser")
    cleared = await world.make("write the tests")
    world.later(100)
    await world.recall()
    await world.post("/v1/working/clear", id=cleared["id"])
    await world.working.sweep()
    assert list(await world.memories()) == [cleared["id"]]
    world.later(1_000)
    await world.working.sweep()
    ended = await world.memories()
    assert ended.keys() == {expiring["id"], cleared["id"]}
    used_at = world.now - timedelta(seconds=1_000)
    assert ended[cleared["id"]].cleared_at == used_at
    assert ended[expiring["id"]].accessed_at == used_at
    assert ended[expiring["id"]].expires_at == used_at + timedelta(seconds=300)
    due = await world.working.items.due_namespaces(world.now, 1_000)
    assert world.space["namespace"] not in [entry.scope.namespace for entry in due]


async def test_a_live_item_is_read_by_its_id_like_a_memory(world: WorkingClient) -> None:
    item = await world.make("port the parser", todo_id="t1")
    memory = await world.memory(item["id"])
    assert (memory["type"], memory["content"], memory["todo_id"]) == (
        "working",
        "port the parser",
        "t1",
    )
    await world.post("/v1/working/clear")
    before = await world.memory(item["id"])
    assert before["cleared_at"] == "2026-03-01T12:00:00Z"
    await world.working.sweep()
    assert await world.memory(item["id"]) == before


async def test_a_live_item_that_was_cleared_before_is_read_in_its_new_state(
    world: WorkingClient,
) -> None:
    await world.make("port the parser")
    await world.post("/v1/working/clear")
    await world.working.sweep()
    item = await world.make("port the parser")
    assert (await world.memory(item["id"]))["cleared_at"] is None


async def test_a_live_item_is_not_found_by_searches_and_lists_of_memories(
    world: WorkingClient,
) -> None:
    await world.make("port the parser")
    found = await world.post("/v1/search", query="port the parser")
    assert found["hits"] == []
    assert await world.memories() == {}


async def test_a_live_item_cannot_be_changed(world: WorkingClient) -> None:
    item = await world.make("port the parser")
    path = f"/v1/memories/{item['id']}"
    where = {"namespace": item["namespace"]}
    refused = await world.client.patch(path, params=where, json={"content": "x"})
    assert refused.status_code == 409
    assert "/v1/working/clear" in refused.json()["detail"]
    await world.post("/v1/working/clear")
    await world.working.sweep()
    changed = await world.client.patch(path, params=where, json={"importance": 7})
    assert changed.json()["importance"] == 7


async def test_retrieval_of_the_past_does_not_count_as_use(world: WorkingClient) -> None:
    """A retrieval as of an earlier time shows the notes that existed then, and does not extend
    their life.
    """
    await world.make("port the parser")
    world.later(100)
    past = await world.recall(as_of="2026-03-01T12:00:50Z")
    assert "port the parser" in past["context"]
    assert (await world.recall(as_of="2026-03-01T11:59:00Z"))["context"] == ""
    (item,) = await world.listed()
    assert item["accessed_at"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"ttl_s": 0},
        {"ttl_s": 604_801},
        {"priority": 6},
        {"content": "  "},
        {"scope": "life"},
        {"ttl": 3},
    ],
)
async def test_invalid_items_are_422(world: WorkingClient, body: dict[str, Any]) -> None:
    """A note with an invalid field, such as an empty content, is refused, and nothing is
    created.
    """
    await world.post("/v1/working", 422, **{"content": "x", **body})
    assert await world.listed() == []


@pytest.mark.parametrize("how", ["one", "session", "namespace"])
async def test_deleting_a_working_memory_removes_its_live_item(
    world: WorkingClient, how: str
) -> None:
    """A note deleted as a memory, alone or with its session or namespace, is neither listed nor
    recalled.
    """
    item = await world.make("a secret")
    where: dict[str, Any] = {"namespace": item["namespace"]}
    if how == "one":
        got = await world.client.delete(f"/v1/memories/{item['id']}", params=where)
    else:
        session = {"session_id": "s 1"} if how == "session" else {}
        got = await world.client.delete(
            "/v1/memories", params={**where, **session, "confirm": "true"}
        )
    assert got.status_code in (200, 204)
    if how != "one":
        assert got.json() == {"deleted": 1, "remaining": 0}
    await world.working.sweep()
    assert await world.memories() == {}
    assert await world.listed(include_cleared="true") == []
    assert (await world.recall("a secret"))["context"] == ""


async def test_deleting_another_session_or_type_keeps_items(world: WorkingClient) -> None:
    item = await world.make("a task")
    for other in ({"session_id": "s 2"}, {"type": "semantic"}):
        params = {"namespace": item["namespace"], "confirm": "true", **other}
        assert (await world.client.delete("/v1/memories", params=params)).status_code == 200
    assert [entry["id"] for entry in await world.listed()] == [item["id"]]


async def test_deleting_an_item_that_lives_again_removes_its_earlier_life(
    world: WorkingClient,
) -> None:
    await world.make("a secret")
    await world.post("/v1/working/clear")
    await world.working.sweep()
    item = await world.make("a secret")
    path = f"/v1/memories/{item['id']}"
    where = {"namespace": item["namespace"]}
    assert (await world.client.delete(path, params=where)).status_code == 204
    assert (await world.client.get(path, params=where)).status_code == 404
    assert (await world.client.delete(path, params=where)).status_code == 404
    assert await world.listed(include_cleared="true") == []


@pytest.mark.parametrize("how", ["one", "namespace"])
@pytest.mark.parametrize("ended", [False, True])
async def test_erasing_removes_items_from_both_stores(
    world: WorkingClient, how: str, *, ended: bool
) -> None:
    item = await world.make("a secret")
    if ended:
        await world.post("/v1/working/clear")
    body = {"namespace": item["namespace"]}
    if how == "one":
        body["memory_id"] = item["id"]
    erased = (await world.client.post("/v1/admin/erase", json=body)).json()
    assert erased["erased"]["working"] == 1
    assert set(erased["remaining"].values()) == {0}
    await world.working.sweep()
    assert await world.memories() == {}
    assert await world.listed(include_cleared="true") == []


async def test_erasing_a_key_of_redis_removes_the_item_in_it(
    world: WorkingClient, live: LiveClient
) -> None:
    item = await world.make("a secret")
    state = LiveState(live)
    scope = Scope("default", item["namespace"])
    assert await state.remaining(scope, item["id"]) == 1
    assert await state.erase(scope, item["id"]) == 1
    assert await state.remaining(scope, item["id"]) == 0
    assert await world.listed() == []


async def test_a_receipt_shows_the_texts_of_items_while_they_live_and_afterwards(
    world: WorkingClient,
) -> None:
    item = await world.make("port the parser")
    path = f"/v1/receipts/{(await world.recall())['receipt_id']}"

    async def text() -> str:
        answer = await world.client.get(path, params={"contents": "true"})
        return str(answer.json()["contents"]["entries"][item["id"]])

    live = await text()
    assert "port the parser" in live
    await world.post("/v1/working/clear")
    assert await text() == live
    await world.working.sweep()
    assert await text() == live
    assert (await world.client.post(f"{path}/verify")).json()["valid"]


async def test_a_large_item_is_shown_as_an_excerpt(world: WorkingClient) -> None:
    """A note that exceeds the token budget is shown as an excerpt, or left out if the request says
    so.
    """
    sentences = [f"Step {number} of the migration takes a while. " for number in range(400)]
    large = await world.make("".join(sentences) + "The zebra table goes last.", priority=5)
    small = await world.make("call Ann", priority=1)
    answer = await world.recall("when does the zebra table go?", working_budget=300)
    metadata = answer["metadata"]
    assert "The zebra table goes last." in answer["context"]
    assert "call Ann" in answer["context"]
    assert metadata["working_tokens"] <= 300
    assert (metadata["working_excerpted"], metadata["working_left_out"]) == ([large["id"]], [])
    assert [item["id"] for item in answer["items"] if item.get("excerpt")] == [large["id"]]
    skipped = await world.recall("zebra", working_budget=300, oversize="skip")
    assert [item["id"] for item in skipped["items"]] == [small["id"]]
    assert skipped["metadata"]["working_left_out"] == [large["id"]]
    answer = await world.recall("zebra", working_budget=100_000)
    assert answer["metadata"]["working_excerpted"] == answer["metadata"]["working_left_out"] == []


async def test_items_that_do_not_fit_the_budget_are_named(world: WorkingClient) -> None:
    """If the notes of a session exceed the working_budget, the answer has the ids of the notes that
    were left out.
    """
    ids = [(await world.make(f"note number {number} of the task"))["id"] for number in range(30)]
    answer = await world.recall(working_budget=60)
    item_ids = [item["id"] for item in answer["items"]]
    assert 0 < answer["metadata"]["working_tokens"] <= 60
    assert sorted([*item_ids, *answer["metadata"]["working_left_out"]]) == sorted(ids)
