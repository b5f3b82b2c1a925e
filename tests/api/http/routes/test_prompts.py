"""The hook prompt-submit: the client's to-do list, the thread, token budgets, and due intentions
(tasks).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from api.http.routes.hooks import PROMPT_BUDGET
from tests.api.conftest import NOW
from tests.api.working_client import WorkingClient

pytestmark = pytest.mark.anyio


async def submit(world: WorkingClient, prompt: str = "go on", **body: Any) -> dict[str, Any]:
    """Send a prompt and return the answer, after the use of the shown notes has been recorded."""
    answer = await world.post("/v1/hooks/prompt-submit", prompt=prompt, **body)
    await world.retriever.live_uses.noted()
    return answer


def todo(todo_id: str, content: str, status: str = "pending") -> dict[str, str]:
    """An entry of the to-do list that a client sends with a prompt."""
    return {"id": todo_id, "content": content, "status": status}


async def contents(world: WorkingClient) -> set[str]:
    """The texts of the notes in the session's working memory."""
    return {item["content"] for item in await world.listed()}


async def test_new_to_dos_are_created_and_the_one_in_progress_is_first(
    world: WorkingClient,
) -> None:
    """A prompt with a to-do list makes a note of each open to-do. The note of the one in progress
    is shown first.
    """
    todos = [
        todo("1", "read the parser", "completed"),
        todo("2", "call Ann"),
        todo("3", "port it", "in_progress"),
    ]
    answer = await submit(world, todos=todos, agent_id="a")
    assert [item["content"] for item in answer["items"]] == ["port it", "call Ann"]
    assert {(item["todo_id"], item["agent_id"]) for item in await world.listed()} == {
        ("2", "a"),
        ("3", "a"),
    }
    named = await submit(world, todo_id="2", todos=todos)
    assert [item["content"] for item in named["items"]] == ["call Ann", "port it"]


async def test_to_dos_are_shown_and_listed_in_the_order_of_the_list(world: WorkingClient) -> None:
    """Notes of equal priority keep the order in which they were sent; the to-do in progress is
    shown first.
    """
    texts = [
        "read the spec",
        "write the schema",
        "port the parser",
        "call Ann",
        "run the benchmark",
        "open a PR",
    ]
    answer = await submit(
        world, todos=[*(todo(text, text) for text in texts), todo("7", "port it", "in_progress")]
    )
    assert [item["content"] for item in answer["items"]] == ["port it", *texts]
    assert [item["content"] for item in await world.listed()] == [*texts, "port it"]


async def test_completed_to_dos_are_cleared_with_their_notes(world: WorkingClient) -> None:
    """If a prompt's list has a to-do as completed, the to-do and all notes linked to it are no
    longer shown.
    """
    await submit(world, todos=[todo("1", "port it", "in_progress"), todo("2", "call Ann")])
    await world.make("the parser is in src/parse.py", todo_id="1")
    await world.post(
        "/v1/memories", 201, type="working", content="a stored note", todo_id="1", session_id="s 1"
    )
    answer = await submit(world, todos=[todo("1", "port it", "completed"), todo("2", "call Ann")])
    assert [item["content"] for item in answer["items"]] == ["call Ann"]
    answer = await submit(world, todos=[todo("1", "port it", "in_progress"), todo("2", "call Ann")])
    assert [item["content"] for item in answer["items"]] == ["port it", "call Ann"]


async def test_to_dos_are_taken_as_agents_keep_them(world: WorkingClient) -> None:
    """To-dos need no id, may be cancelled or deleted, and may have members that this service does
    not know.
    """
    kept = [
        {"content": "port it", "status": "in_progress", "activeForm": "Porting", "priority": "low"},
        {"content": "call Ann", "status": "not-started", "priority": "high", "owner": {"a": 1}},
        {"content": "write docs", "status": "pending", "priority": [], "id": 7},
        {"content": "drop it", "status": "cancelled"},
    ]
    answer = await submit(world, todos=kept, transcript="t.jsonl")
    assert "[in progress] port it" in answer["context"]
    assert "[pending] call Ann" in answer["context"]
    assert "drop it" not in answer["context"]
    items = {item["content"]: item for item in await world.listed()}
    assert {
        (item["todo_id"], item["todo_status"], item["priority"]) for item in items.values()
    } == {
        ("port it", "in_progress", 1),
        ("call Ann", "pending", 5),
        ("7", "pending", 3),
    }
    over = [
        {"content": "port it", "status": "completed"},
        {"content": "call Ann", "status": "canceled"},
        {"content": "write docs", "status": "deleted", "id": 7},
    ]
    assert (await submit(world, todos=over))["context"] == ""
    ended = await world.listed(include_cleared="true")
    assert {item["content"]: item["cleared_reason"] for item in ended} == {
        "port it": "completed",
        "call Ann": "cancelled",
        "write docs": "deleted",
    }


async def test_a_plan_in_the_text_of_a_prompt_becomes_to_dos(world: WorkingClient) -> None:
    """Unless the agent sends its own list. A reader that only recalls makes none."""
    answer = await submit(world, "Plan: 1. Read the parser 2. Port it. Then rest.")
    assert "[pending] Read the parser" in answer["context"]
    await world.recall("Plan: 1. Sleep 2. Eat")
    assert await contents(world) == {"Read the parser", "Port it. Then rest."}
    await submit(world, "Plan: 1. Sleep 2. Eat", todos=[todo("1", "port it")])
    assert await contents(world) == {"port it"}


async def test_a_to_do_shows_its_present_status(world: WorkingClient) -> None:
    await submit(world, todos=[todo("1", "port it")])
    answer = await submit(world, todos=[todo("1", "port it", "in_progress")])
    assert answer["context"].count("port it") == 1
    assert "[in progress] port it" in answer["context"]
    used = answer["metadata"]["working_tokens"]
    assert used == (await submit(world))["metadata"]["working_tokens"]


async def test_a_list_without_ids_is_the_whole_list(world: WorkingClient) -> None:
    """A to-do without an id that the next list lacks, or has with another text, has been deleted.

    To-dos with ids and other notes stay.
    """
    unnamed = ("port it", "call Ann", "x" * 300)
    await world.make("a note")
    await submit(world, todos=[todo("1", "of the board")])
    todos = [{"content": content, "status": "pending"} for content in unnamed]
    await submit(world, todos=[*todos, {"content": "port it", "status": "in_progress"}])
    todos = [{"content": content, "status": "pending"} for content in ("call Bob", "x" * 300)]
    await submit(world, todos=todos)
    assert await contents(world) == {"a note", "of the board", "call Bob", "x" * 300}
    ended = await world.listed(include_cleared="true")
    assert {item["cleared_reason"] for item in ended if item["content"] in ("port it", "call Ann")}
    await submit(world)
    assert await contents(world) == {"a note", "of the board", "call Bob", "x" * 300}


async def test_a_to_do_sent_with_another_text_gets_another_item(world: WorkingClient) -> None:
    """If a listed to-do has a new text, a new note replaces its note. With the same text its note
    stays.
    """
    await submit(world, todos=[todo("1", "port the parser")])
    (before,) = await world.listed()
    await submit(world, todos=[todo("1", "port the parser", "in_progress")])
    assert [item["id"] for item in await world.listed()] == [before["id"]]
    await submit(world, todos=[todo("1", "rewrite the whole lexer")])
    assert await contents(world) == {"rewrite the whole lexer"}


async def test_a_to_do_that_is_missing_from_the_list_stays(world: WorkingClient) -> None:
    """A to-do stays open if the next prompt sends no to-do list, or a list without this to-do."""
    await submit(world, todos=[todo("1", "port it"), todo("2", "call Ann")])
    await submit(world, todos=[todo("2", "call Ann")])
    await submit(world)
    assert await contents(world) == {"port it", "call Ann"}


async def test_secrets_in_to_dos_are_redacted(world: WorkingClient) -> None:
    """A secret in the text of a to-do is not stored."""
    await submit(world, todos=[todo("1", "mail the report to ann@example.com")])
    (item,) = await world.listed()
    assert "ann@example.com" not in item["content"]


@pytest.mark.parametrize(
    "todos",
    [
        [todo("1", "a"), todo("1", "b")],
        [todo("1", " ")],
        [todo("1", "a", "done")],
        [{"id": "1", "content": "a"}],
        [todo(str(number), "a") for number in range(201)],
    ],
)
async def test_invalid_lists_of_to_dos_are_422(
    world: WorkingClient, todos: list[dict[str, str]]
) -> None:
    """A to-do list with a repeated id, a blank text, an invalid status or too many entries is
    refused as a whole.
    """
    await world.post("/v1/hooks/prompt-submit", 422, prompt="go on", todos=todos)
    assert await world.listed() == []


async def test_the_default_budget_of_a_prompt_is_1500_tokens(world: WorkingClient) -> None:
    """A context for a prompt takes up to 1,500 tokens, unless the request has another budget."""
    assert PROMPT_BUDGET == 1_500
    for number in range(40):
        await world.post(
            "/v1/memories",
            201,
            type="semantic",
            content=f"fact {number} of the parser: " + "word " * 60,
        )
    answer = await submit(world, "what of the parser?")
    assert answer["metadata"]["budget"] == PROMPT_BUDGET
    assert 1_000 < sum(answer["metadata"]["per_type"].values()) <= PROMPT_BUDGET
    await world.make("port the parser")
    small = await submit(
        world, "what of the parser?", budget=90, working_budget=0, profile="recent"
    )
    assert (small["metadata"]["working_tokens"], small["metadata"]["budget"]) == (0, 90)
    await world.post("/v1/hooks/prompt-submit", 422, prompt="go on", profile="unknown")


async def test_a_long_prompt_is_searched_for_by_both_of_its_ends(world: WorkingClient) -> None:
    """A prompt with a long pasted text in the middle is searched for by its first and last
    words.
    """
    await world.post("/v1/memories", 201, type="semantic", content="The parser is in src/parse.py")
    prompt = "Where is the parser? " + "pasted-word " * 30_000 + "Tell me the file of the parser."
    assert "src/parse.py" in (await submit(world, prompt, floor=0))["context"]
    await world.post("/v1/hooks/prompt-submit", 422, prompt="x" * 500_001)


async def test_the_context_of_a_thread_counts_towards_the_budget_of_a_prompt(
    world: WorkingClient,
) -> None:
    """If a prompt names a thread, the thread's newest turns take at most half of the budget, and
    memories the rest.
    """
    where = {"namespace": world.space["namespace"]}
    thread = await world.client.post("/v1/threads", json=where)
    thread_id = thread.json()["id"]
    for number in range(30):
        turn = {"role": "user", "content": f"turn {number} about the parser"}
        await world.client.post(f"/v1/threads/{thread_id}/turns", params=where, json=turn)
        await world.post(
            "/v1/memories", 201, type="semantic", content=f"fact {number} of the parser"
        )
    answer = await submit(world, "what of the parser?", thread_id=thread_id, budget=200)
    metadata = answer["metadata"]
    assert "turn 29 about the parser" in answer["context"]
    assert "turn 0 about the parser" not in answer["context"]
    assert "of the parser" in answer["context"].partition("<memory_thread>")[0]
    assert 50 < metadata["thread_tokens"] <= 100
    assert metadata["total_tokens"] <= 200
    assert metadata["budget"] == 200
    alone = await submit(world, "what of the parser?", budget=200)
    assert "thread_tokens" not in alone["metadata"]
    await world.post("/v1/hooks/prompt-submit", 404, prompt="go on", thread_id="nothing")


async def test_a_due_intention_is_shown_with_one_prompt_only(world: WorkingClient) -> None:
    """A prompt shows a due task and marks it as fired. It does neither with a private task of
    another session.
    """
    due = {"type": "prospective", "due_at": (NOW - timedelta(hours=1)).isoformat()}
    for content, private in (
        ("pay the rent", {}),
        ("pay the tax", {"session_id": "s 2", "visibility": "session"}),
    ):
        await world.post(
            "/v1/memories", 201, **due, **{"content": content, "session_id": "s 1", **private}
        )
    assert "pay the rent" in (await submit(world, "what shall I pay?"))["context"]
    where = {"namespace": world.space["namespace"]}
    tasks = (
        await world.client.get("/v1/memories", params={**where, "type": "prospective"})
    ).json()["memories"]
    assert {item["content"]: item["status"] for item in tasks} == {
        "pay the rent": "active",
        "pay the tax": "pending",
    }


async def test_to_dos_with_the_same_text_are_different_items(world: WorkingClient) -> None:
    """Two listed to-dos with the same text get separate notes. Sending the same list again creates
    no notes.
    """
    todos = [
        todo("1", "write the tests", "in_progress"),
        todo("2", "write the tests"),
        todo("3", "Write the tests."),
    ]
    await submit(world, todos=todos)
    before = await world.listed()
    assert sorted(item["todo_id"] for item in before) == ["1", "2", "3"]
    world.later(1)
    await submit(world, todos=[*todos, todo("4", "call Ann", "completed")])
    assert [item["id"] for item in await world.listed()] == [item["id"] for item in before]
