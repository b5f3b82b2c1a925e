"""The sync and the async client against a real service process."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

import pytest

from api.http.shapes.memories import MAX_BATCH
from remembrancer_client import AsyncRemembrancer, Conflict, InvalidRequest, NotFound, Remembrancer
from remembrancer_client.answers import (
    BatchAnswer,
    Memory,
    MessagesAnswer,
    RetrieveAnswer,
    WriteAnswer,
)
from remembrancer_client.request import Upload, UploadAnswer
from tests.processes import Process

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, onnx_directory: Path) -> Iterator[str]:
    """URL of a running service."""
    process = Process(tmp_path_factory.mktemp("client"), onnx_directory)
    try:
        process.wait_until_ready()
        yield process.url
    finally:
        process.stop()


@pytest.fixture
def memory(url: str) -> Iterator[Remembrancer]:
    """A sync client with a new namespace."""
    with Remembrancer(url, namespace=f"n {uuid.uuid4()}") as client:
        yield client


def test_a_memory_is_written_recalled_changed_and_forgotten(memory: Remembrancer) -> None:
    """Each call on a memory returns its answer type, with the data that the service stored or
    changed.
    """
    written = assert_type(
        memory.remember("I drink my coffee black", type="semantic", tags=["café"]), WriteAnswer
    )
    assert written.status == "stored"
    assert written.id is not None
    recalled = assert_type(memory.recall("how do I like my coffee?", budget=500), RetrieveAnswer)
    assert "I drink my coffee black" in recalled.context
    assert recalled.metadata.total_tokens <= 500
    assert recalled.receipt_id is not None
    assert memory.verify(recalled.receipt_id).valid
    assert memory.receipt(recalled.receipt_id).candidates[0].outcome == "included"
    assert memory.replay(recalled.receipt_id).identical
    messages = assert_type(memory.recall_messages("coffee?"), MessagesAnswer)
    assert messages.context[0].role == "user"
    changed = assert_type(memory.update(written.id, importance=9, metadata={"cup": 1}), Memory)
    assert (changed.importance, changed.metadata, changed.tags) == (9, {"cup": 1}, ["café"])
    assert memory.get(written.id).created_at.tzinfo is not None
    assert memory.search("coffee", explain=True).hits[0].signals["similarity"] > 0
    memory.forget(written.id)
    with pytest.raises(NotFound, match="no memory"):
        memory.get(written.id)


def test_namespaces_stay_apart(memory: Remembrancer) -> None:
    """A client does not list memories of another namespace unless the call names that namespace."""
    memory.remember("I drink my coffee black", type="semantic")
    other = memory.within(f"n {uuid.uuid4()}")
    assert list(other.all()) == []
    assert [entry.content for entry in other.all(namespace=memory.stats().namespace)] == [
        "I drink my coffee black"
    ]


def test_a_history_shows_earlier_texts(memory: Remembrancer) -> None:
    """Each version in a memory's history has the memory's text and, as `since`, the time from which
    it applied.
    """
    memory_id = memory.remember("The build runs on Friday", type="semantic").id or ""
    memory.update(memory_id, content="The build runs on Monday")
    versions = memory.history(memory_id).versions
    assert [version.memory.content for version in versions] == [
        "The build runs on Friday",
        "The build runs on Monday",
    ]
    assert isinstance(versions[0].since, datetime)


def test_many_memories_are_streamed_in(
    memory: Remembrancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator with more memories than one request may have is sent in several requests.

    The client's limit for a request does not exceed the service's limit.
    """
    assert Upload.MAX_LINES <= MAX_BATCH
    parts: list[int] = []
    add_answer = Upload.add_answer

    def count_and_add(upload: Upload, answer: BatchAnswer) -> None:
        parts.append(len(answer.results))
        add_answer(upload, answer)

    monkeypatch.setattr(Upload, "MAX_LINES", 50)
    monkeypatch.setattr(Upload, "add_answer", count_and_add)
    result = memory.remember_all(
        {"type": "semantic", "content": f"Fact number {number}"} for number in range(60)
    )
    assert assert_type(result, UploadAnswer).counts.stored == 60
    assert memory.stats().total.count == 60
    assert parts == [50, 10]


def test_an_export_is_restored_in_another_namespace(memory: Remembrancer) -> None:
    """An export can be restored in another namespace, even twice.

    The copy has the same memories with the same times.
    """
    texts = [f"Fact number {number} of the list" for number in range(30)]
    memory.remember_all({"type": "semantic", "content": text} for text in texts)
    times = {entry.content: entry.created_at for entry in memory.all(limit=7)}
    assert sorted(times) == sorted(texts)
    assert len(list(itertools.islice(memory.all(limit=2), 3))) == 3
    copy = memory.within(f"n {uuid.uuid4()}")
    for _ in range(2):
        assert copy.admin.restore(memory.admin.export()).refused == []
        assert {entry.content: entry.created_at for entry in copy.all()} == times


def test_lines_of_a_file_are_uploaded(memory: Remembrancer, tmp_path: Path) -> None:
    """A JSON Lines file can be uploaded, blank lines included. The answer names rejected lines by
    number.
    """
    file = tmp_path / "memories.ndjson"
    file.write_text(
        '{"content": "Café Zentral opens at nine", "type": "semantic"}\n\n{"content": '
        '"ok", "review": "auto"}\n'
    )
    with file.open("rb") as lines:
        result = memory.remember_all(lines)
    assert (result.counts.stored, result.counts.rejected) == (1, 1)
    assert [entry.index for entry in result.refused] == [1]


def test_a_batch_with_the_same_key_is_written_once(memory: Remembrancer) -> None:
    """A batch that is repeated with its idempotency key and body gets the same answer.

    The key with another body is a conflict.
    """
    key = str(uuid.uuid4())
    first = memory.batch([{"content": "The build runs on Friday"}], idempotency_key=key)
    assert memory.batch([{"content": "The build runs on Friday"}], idempotency_key=key) == first
    with pytest.raises(Conflict, match="another body"):
        memory.batch([{"content": "other"}], idempotency_key=key)


def test_an_invalid_request_names_its_fields(memory: Remembrancer) -> None:
    """The exception for an invalid request has each bad field's path, message and value."""
    with pytest.raises(InvalidRequest) as caught:
        memory.remember("text", importance=11)
    assert [(fault.path, fault.got) for fault in caught.value.errors] == [("importance", 11)]
    with pytest.raises(InvalidRequest, match="confirm"):
        memory.forget_all(confirm=False)


def test_intentions_become_due(memory: Remembrancer) -> None:
    """An intention (task) becomes due at its time, can be snoozed, and is no longer due once
    completed.
    """
    now = datetime.now(UTC)
    memory_id = (
        memory.remember(
            "Renew the certificate", type="prospective", due_at=now + timedelta(hours=1)
        ).id
        or ""
    )
    assert memory.due().due == []
    assert [task.content for task in memory.due(at=now + timedelta(hours=2)).due] == [
        "Renew the certificate"
    ]
    memory.snooze(memory_id, now + timedelta(hours=5))
    assert memory.due(at=now + timedelta(hours=2)).due == []
    assert memory.complete(memory_id).status == "completed"


def test_notes_on_a_to_do_are_in_the_context_until_it_is_completed(memory: Remembrancer) -> None:
    memory.hooks.todo_created("s", "t", "Rename the module")
    memory.working.add("s", "The module is called parser", todo_id="t", ttl_s=60)
    assert len(memory.working.items("s").items) == 2
    assert "parser" in memory.hooks.prompt_submit("s", "what is the module called?").context
    assert memory.hooks.todo_completed("s", "t").cleared == 2
    stopped = memory.hooks.session_stop(
        "s", [{"role": "user", "content": "We decided to use Postgres"}], review="skip", ended=False
    )
    assert stopped.counts.stored == 1
    assert memory.working.clear("s").cleared == 0


def test_threads_are_appended_to_read_replaced_cleared_and_deleted(memory: Remembrancer) -> None:
    thread = memory.threads.open(key="talk")
    assert memory.threads.open(key="talk").id == thread.id
    said = memory.threads.append(thread.id, "user", "hello", metadata={"n": 1})
    assert (
        memory.threads.append(thread.id, "assistant", "hi", expected_version=said.version).version
        == said.version + 1
    )
    with pytest.raises(Conflict) as caught:
        memory.threads.append(thread.id, "user", "late", expected_version=said.version)
    assert caught.value.current_version == said.version + 1
    assert [turn.content for turn in memory.threads.get(thread.id).turns] == ["hello", "hi"]
    assert "hello" in memory.threads.context(thread.id, budget=100).context
    assert [listed.id for listed in memory.threads.all()] == [thread.id]
    memory.threads.replace(thread.id, [{"role": "user", "content": "again"}])
    assert [turn.content for turn in memory.threads.turns(thread.id).turns] == ["again"]
    assert memory.threads.stats(thread.id).turns == 1
    assert memory.threads.health(thread.id).ok
    assert [link.id for link in memory.threads.chain(thread.id).threads] == [thread.id]
    backup = memory.threads.clear(thread.id, confirm=True, backup=True).backup_id or ""
    assert [turn.content for turn in memory.threads.backup(backup).turns] == ["again"]
    assert memory.threads.flush(thread.id, dry_run=True).flushed == 0
    memory.threads.delete(thread.id)
    with pytest.raises(NotFound):
        memory.threads.get(thread.id)


def test_a_workflows_events_state_and_history_are_read(memory: Remembrancer) -> None:
    """Workflow events are appended and listed page by page.

    The workflow's state and history show what the events have reported.
    """
    workflow = memory.workflows.begin(data={"goal": "release"})
    memory.workflows.report(workflow.workflow_id, "started")
    for number in range(5):
        memory.workflows.report(
            workflow.workflow_id, "resource_changed", resources={"version": number}
        )
    assert [e.version for e in memory.workflows.events(workflow.workflow_id, limit=2)] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert memory.workflows.get(workflow.workflow_id).state.resources == {"version": 4}
    assert memory.workflows.get(workflow.workflow_id, at_version=2).state.resources == {
        "version": 0
    }
    assert "release" in memory.workflows.history(workflow.workflow_id, budget=500).history
    assert memory.workflows.resume(workflow.workflow_id, {"go": True}).version == 7
    assert memory.workflows.resources(workflow.workflow_id).resources[0].value == 4
    assert [entry.status for entry in memory.workflows.chain(workflow.workflow_id).workflows] == [
        "running"
    ]
    assert [entry.workflow_id for entry in memory.workflows.all()] == [workflow.workflow_id]


def test_items_are_stored_found_and_deleted(memory: Remembrancer) -> None:
    """An item's value is read back unchanged by its path and key.

    The item is found by path, filter and meaning, and can be deleted.
    """
    value = {"text": "The cat sleeps on the sofa", "n": 2**60, "list": [1.5, None, "größe"]}
    first = memory.items.put(["users", "ann"], "pets/1", value)
    assert (
        memory.items.put(["users", "ann"], "pets/1", value, ttl_s=60).created_at == first.created_at
    )
    assert memory.items.get(["users", "ann"], "pets/1").value == value
    found = memory.items.search(
        ["users"], query="a kitten naps on the couch", filter={"n": {"$gt": 3}}
    ).items
    assert [(item.path, item.key) for item in found] == [(["users", "ann"], "pets/1")]
    assert memory.items.paths(match=[{"type": "prefix", "path": ["users"]}]).paths == [
        ["users", "ann"]
    ]
    for _ in range(2):
        memory.items.delete(["users", "ann"], "pets/1")
    with pytest.raises(NotFound):
        memory.items.get(["users", "ann"], "pets/1")


def test_a_string_as_the_path_of_an_item_is_refused(memory: Remembrancer) -> None:
    """An item's path is a list of labels. A string raises TypeError, because each letter would
    count as a label.
    """
    for call in (
        lambda: memory.items.put("users", "k", 1),
        lambda: memory.items.get("users", "k"),
        lambda: memory.items.search("users"),
    ):
        with pytest.raises(TypeError, match=r"list of labels, such as \['users'\]"):
            call()
    assert memory.items.paths().paths == []


@pytest.mark.parametrize("key", ["a-key-of-a-file\n", "a key", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused(url: str, key: str) -> None:
    """An API key that cannot be sent in an HTTP header is refused. The error says why and does not
    contain the key.
    """
    with pytest.raises(ValueError, match="not an API key") as caught:
        Remembrancer(url, key=key)
    assert key not in str(caught.value)


def test_review_model_upkeep_and_key_calls_return_typed_answers(memory: Remembrancer) -> None:
    assert memory.classify("Run the migrations first, then deploy").type in {
        "procedural",
        "semantic",
        "prospective",
    }
    assert memory.review("We decided to use Postgres").decision in {"store", "reject"}
    assert memory.models("fast").models
    assert memory.resolve_model("fast").allocation is not None
    assert (
        memory.resolve_model(name=memory.models().models[0].name).model.name
        == memory.models().models[0].name
    )
    counted = memory.count_tokens("four words of text", model="gpt-4o")
    assert (counted.tokens, counted.tokenizer, counted.source) == (4, "o200k_base", "local")
    chat = memory.count_tokens(messages=[{"role": "user", "content": "four words of text"}])
    assert chat.tokens > counted.tokens
    assert memory.admin.job("forget", max_age_days=1).dry_run
    assert memory.ready().checks["store"].ok
    assert memory.live().status == "ok"
    assert memory.decisions().decisions == []
    assert memory.agent_context("agent", session_id="s", query="anything").context == ""
    assert memory.admin.erase().remaining
    assert memory.admin.keys().keys == []


def test_keys_are_created_listed_and_revoked(memory: Remembrancer) -> None:
    made = memory.admin.create_key("default", "reader", ["ann"], namespace="notes")
    (listed,) = memory.admin.keys().keys
    for key in (made, listed):
        assert (key.tenant, key.role, key.agents, key.namespace) == (
            "default",
            "reader",
            ["ann"],
            "notes",
        )
    memory.admin.revoke_key(made.id)
    assert memory.admin.keys().keys == []


async def test_the_async_client_has_the_methods_of_the_sync_client(url: str) -> None:
    """The methods of the async client are awaited; its lists and exports are async iterators.

    An export can be restored in another namespace.
    """
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        written = assert_type(
            await memory.remember("I drink my coffee black", type="semantic"), WriteAnswer
        )
        assert "coffee" in (await memory.recall("how do I like my coffee?", budget=500)).context
        await memory.remember_all(
            {"type": "semantic", "content": f"Fact number {number}"} for number in range(30)
        )
        entries = [entry async for entry in memory.all(limit=7)]
        assert len(entries) == 31
        assert entries[-1].id == written.id
        copy = memory.within(f"n {uuid.uuid4()}")
        assert (await copy.admin.restore(memory.admin.export())).counts.stored == 31
        thread = await memory.threads.open()
        said = await memory.threads.append(thread.id, "user", "hello")
        assert said.turn is not None
        assert said.turn.index == 0
        with pytest.raises(NotFound):
            await copy.threads.get(thread.id)
        with pytest.raises(InvalidRequest):
            await memory.remember("")
