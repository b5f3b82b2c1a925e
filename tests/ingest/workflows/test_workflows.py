"""The workflow engine (event log, state and history of workflows) over an in-memory store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest.screening.redaction.redactor import Redactor
from ingest.workflows.history import HistoryOmissions, HistoryView, WorkflowHistory
from ingest.workflows.workflows import ResumeRequest, WorkflowRequest, Workflows
from memtypes.live.workflows import (
    SNAPSHOT_EVENTS,
    NewEvent,
    WorkflowEventType,
    WorkflowState,
    WorkflowStatus,
)
from memtypes.model.errors import Conflict, NotFound, Unavailable, VersionConflict
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, Record
from memtypes.ports.workflows import AppendEvent, EventAppended
from tests.fakes import FakeTokenizer
from tests.fakes_memories import InMemoryStore
from tests.fakes_workflows import FakeWorkflows
from tests.ingest.conversations.builders import NOW, ended_over

pytestmark = pytest.mark.anyio
SCOPE = Scope("t", "n")


class SteppingClock:
    """A clock that advances by a second at each call."""

    def __init__(self) -> None:
        self._now = NOW

    def __call__(self) -> datetime:
        """The time one second after the last call."""
        self._now += timedelta(seconds=1)
        return self._now


class ContestedWorkflows(FakeWorkflows):
    """A workflow store in which another caller appends an event just before each of the first
    `rivals` appends.
    """

    def __init__(self, rivals: int) -> None:
        super().__init__()
        self._rivals = rivals

    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append the event.

        While `rivals` are left, append it twice if the call expects a version, as a rival would.
        """
        if append.expected is not None and self._rivals:
            self._rivals -= 1
            await super().append(scope, AppendEvent(append.workflow_id, append.event))
        return await super().append(scope, append)


class NoSnapshots(FakeWorkflows):
    """A workflow store that cannot save snapshots."""

    async def snapshot(self, _scope: Scope, _workflow_id: str, _state: WorkflowState) -> None:
        """Raise Unavailable, as if the snapshot could not be saved."""
        raise Unavailable("away")


class UnreliableStore(InMemoryStore):
    """A memory store whose writes raise Unavailable while `available` is false."""

    available = True

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Write the memories. While `available` is false, raise Unavailable."""
        if not self.available:
            raise Unavailable("away")
        await super().write(scope, records, changes)


def event(kind: str, **fields: object) -> NewEvent:
    """A workflow event of this type, to be appended."""
    return NewEvent.model_validate({"type": kind, **fields})


def engine_over(
    store: FakeWorkflows | None = None, memories: InMemoryStore | None = None
) -> Workflows:
    """A workflow engine over fake stores."""
    store = store or FakeWorkflows()
    return Workflows(
        store,
        ended_over(store, memories or InMemoryStore()),
        FakeTokenizer(),
        SteppingClock(),
        Redactor(),
    )


async def started(engine: Workflows, *kinds: str) -> str:
    """Start a workflow, append events of these types, and return its id."""
    workflow_id, _ = await engine.create(SCOPE, WorkflowRequest())
    for kind in kinds:
        await engine.append(SCOPE, workflow_id, event(kind))
    return workflow_id


async def resume(
    engine: Workflows, workflow_id: str, text: str, *, budget: int, key: str | None = None
) -> tuple[WorkflowHistory, int]:
    """Resume a workflow with `text` as input; return its history in at most `budget` tokens, and
    its new version.
    """
    request = ResumeRequest(input=text, budget=budget, idempotency_key=key)
    written, version, _ = await engine.resume(
        SCOPE, workflow_id, request, HistoryView(budget, FakeTokenizer())
    )
    return written, version


async def episodes(memories: InMemoryStore) -> int:
    """Number of episodic memories in the store."""
    return (await memories.page(SCOPE, Listing((MemoryType.EPISODIC,)))).total


async def test_a_workflow_without_an_id_gets_a_new_one() -> None:
    engine = engine_over()
    assert await engine.create(SCOPE, WorkflowRequest()) != await engine.create(
        SCOPE, WorkflowRequest()
    )


async def test_version_0_is_the_initial_data() -> None:
    """Version 0 of a workflow is its initial data. Later events change the current state only."""
    engine = engine_over()
    await engine.create(SCOPE, WorkflowRequest(workflow_id="w", data={"goal": "x"}))
    await engine.append(SCOPE, "w", event("data_set", data={"goal": "y"}))
    assert (await engine.store.load(SCOPE, "w")).state.data == {"goal": "y"}
    initial = (await engine.store.load(SCOPE, "w", 0)).state
    assert (initial.data, initial.status) == ({"goal": "x"}, WorkflowStatus.PENDING)


async def test_a_long_log_is_read_from_its_snapshot() -> None:
    """The state is saved as a snapshot every fifty events, so a read applies at most fifty
    events.
    """
    store = FakeWorkflows()
    engine = engine_over(store)
    workflow_id, _ = await engine.create(SCOPE, WorkflowRequest(data={"k": 0}))
    for number in range(2 * SNAPSHOT_EVENTS + 3):
        await engine.append(SCOPE, workflow_id, event("data_set", data={"k": number}))
    log = await store.load(SCOPE, workflow_id)
    assert (log.base.version, len(log.events)) == (2 * SNAPSHOT_EVENTS, 3)
    assert (await engine.store.load(SCOPE, workflow_id)).state.data == {
        "k": 2 * SNAPSHOT_EVENTS + 2
    }
    assert (await engine.store.load(SCOPE, workflow_id, 7)).state.data == {"k": 6}


async def test_the_number_of_events_between_snapshots_is_a_setting() -> None:
    """With `snapshot_events` of 3, seven events leave the latest snapshot at version 6."""
    store = FakeWorkflows()
    engine = replace(engine_over(store), snapshot_events=3)
    workflow_id = await started(engine, *["note"] * 7)
    assert (await store.load(SCOPE, workflow_id)).base.version == 6


async def test_a_failed_snapshot_does_not_fail_the_event() -> None:
    """If a snapshot cannot be saved, the event that triggered it is still stored."""
    engine = engine_over(NoSnapshots())
    workflow_id = await started(engine, *["note"] * SNAPSHOT_EVENTS)
    assert (await engine.store.load(SCOPE, workflow_id)).state.version == SNAPSHOT_EVENTS


async def test_an_ended_workflow_is_recorded_once() -> None:
    """Appending the event that ends a workflow stores the workflow as a memory and returns the
    memory's id.

    A later call of `record_all` records nothing more.
    """
    memories = InMemoryStore()
    engine = engine_over(memories=memories)
    workflow_id = await started(engine, "started")
    *_, ended = await engine.append(SCOPE, workflow_id, event("completed", output="done"))
    assert await engine.ended.record_all() == 0
    stored = await memories.get(SCOPE, list(ended.memories.values()))
    (memory,) = stored.values()
    assert list(ended.memories) == ["episodic"]
    assert memory.content.endswith("\noutput: done")


async def test_a_workflow_that_could_not_be_recorded_is_recorded_later() -> None:
    """The event that ends a workflow is accepted even if the workflow cannot be stored as a memory.

    A later `record_all` stores the memory, once the first attempt's claim (a temporary reservation)
    has expired.
    """
    store = FakeWorkflows()
    memories = UnreliableStore()
    engine = engine_over(store, memories)
    memories.available = False
    workflow_id = await started(engine)
    version, _, ended = await engine.append(SCOPE, workflow_id, event("cancelled"))
    assert (version, ended.memories) == (1, {})
    memories.available = True
    assert await engine.ended.record_all() == 0
    store.expire_claims()
    assert await engine.ended.record_all() == 1
    assert await episodes(memories) == 1


async def test_an_expired_workflow_is_no_longer_waiting_to_be_stored_as_a_memory() -> None:
    """An expired workflow is removed from the list of workflows to store as memories, so it is not
    retried forever.
    """
    store = FakeWorkflows()
    memories = UnreliableStore()
    engine = engine_over(store, memories)
    memories.available = False
    workflow_id = await started(engine, "completed")
    store.expire_claims()
    store.expire(SCOPE, workflow_id)
    assert await engine.ended.record_all() == 0
    assert [entry async for entry in store.unrecorded()] == []


async def test_a_workflow_whose_time_is_over_is_ended_as_expired_once() -> None:
    store = FakeWorkflows()
    workflows = engine_over(store)
    late, _ = await workflows.create(SCOPE, WorkflowRequest())
    ended, _ = await workflows.create(SCOPE, WorkflowRequest())
    await workflows.append(SCOPE, ended, NewEvent(type=WorkflowEventType.COMPLETED))
    for workflow_id in (late, ended):
        store.pass_deadline(SCOPE, workflow_id)
    assert await workflows.expire() == 1
    assert await workflows.expire() == 0
    state = (await store.load(SCOPE, late)).state
    assert state.status is WorkflowStatus.EXPIRED
    assert state.changes[-1].reason == "no event within its time to live"
    assert (await store.load(SCOPE, ended)).state.status is WorkflowStatus.COMPLETED


async def test_an_expired_ancestor_is_left_out_of_the_chain() -> None:
    """If the parent of a workflow has expired, the chain still lists the workflow and its
    grandparent.
    """
    store = FakeWorkflows()
    engine = engine_over(store)
    for name, parent in (("a", None), ("b", "a"), ("c", "b")):
        await engine.create(SCOPE, WorkflowRequest(workflow_id=name, parent_id=parent))
    store.expire(SCOPE, "b")
    assert [log.workflow_id for log in await engine.chain(SCOPE, "c")] == ["a", "c"]
    assert (await resume(engine, "c", "on", budget=500))[1] == 1


async def test_the_newest_value_of_a_chains_resource_wins() -> None:
    """If several workflows in a chain (parents and children) set a resource, the value set last is
    listed.

    Resources are listed with the latest change first.
    """
    engine = engine_over()
    await engine.create(SCOPE, WorkflowRequest(workflow_id="parent"))
    await engine.create(SCOPE, WorkflowRequest(workflow_id="child", parent_id="parent"))
    await engine.append(
        SCOPE, "parent", event("resource_changed", resources={"file": 1, "port": 80})
    )
    await engine.append(SCOPE, "child", event("resource_changed", resources={"file": 2}))
    await engine.append(SCOPE, "parent", event("resource_changed", resources={"port": 81}))
    resources = await engine.resources(SCOPE, "child")
    assert [(entry.id, entry.value, entry.workflow_id) for entry in resources] == [
        ("port", 81, "parent"),
        ("file", 2, "child"),
    ]
    assert [entry.id for entry in await engine.resources(SCOPE, "parent")] == ["port", "file"]


async def test_resuming_returns_the_history_before_the_input() -> None:
    """Resuming a workflow appends the input as its next event, and returns the history before it.

    A workflow without events can be resumed, too.
    """
    engine = engine_over()
    await engine.create(SCOPE, WorkflowRequest(workflow_id="parent"))
    await engine.append(SCOPE, "parent", event("step_completed", step_id="dig", output="a hole"))
    await engine.create(SCOPE, WorkflowRequest(workflow_id="child", parent_id="parent"))
    first, version = await resume(engine, "child", "fill it", budget=500)
    assert version == 1
    assert "a hole" in first.text
    assert "fill it" not in first.text
    assert (await engine.store.load(SCOPE, "child")).state.status is WorkflowStatus.RUNNING
    second, version = await resume(engine, "child", "and plant", budget=500)
    assert "fill it" in second.text
    assert (version, second.omitted) == (2, HistoryOmissions())
    assert second.total_tokens == FakeTokenizer().count(second.text) <= 500


async def test_a_long_history_has_the_newest_events() -> None:
    """A history that exceeds its token budget shows the newest events and counts the others as
    omitted.
    """
    engine = engine_over()
    workflow_id, _ = await engine.create(SCOPE, WorkflowRequest())
    for number in range(3 * SNAPSHOT_EVENTS):
        await engine.append(SCOPE, workflow_id, event("note", input=f"entry {number}"))
    written, _ = await resume(engine, workflow_id, "on", budget=200)
    assert f"entry {3 * SNAPSHOT_EVENTS - 1}" in written.text
    shown = written.text.count("entry")
    assert written.omitted.events == 3 * SNAPSHOT_EVENTS - shown > 0


async def test_the_history_of_a_workflow_survives_the_expiry_of_its_events() -> None:
    """After a workflow's events have expired, its history is made from its last saved state.

    Earlier versions of the workflow can no longer be read and raise NotFound.
    """
    store = FakeWorkflows()
    engine = engine_over(store)
    await engine.create(SCOPE, WorkflowRequest(workflow_id="parent"))
    await engine.append(SCOPE, "parent", event("step_completed", step_id="dig", output="a hole"))
    await engine.append(SCOPE, "parent", event("completed"))
    await engine.create(SCOPE, WorkflowRequest(workflow_id="child", parent_id="parent"))
    store.expire_log(SCOPE, "parent")
    assert "a hole" in (await resume(engine, "child", "on", budget=500))[0].text
    assert (await engine.store.load(SCOPE, "parent")).state.status is WorkflowStatus.COMPLETED
    with pytest.raises(NotFound):
        await engine.store.load(SCOPE, "parent", 1)


async def test_the_same_idempotency_key_gets_the_same_answer() -> None:
    """Resuming twice with one idempotency key appends the input once, even if the workflow ends
    meanwhile.

    The key with another input is a conflict.
    """
    engine = engine_over()
    workflow_id = await started(engine, "started")
    first = await resume(engine, workflow_id, "on", budget=500, key="key")
    await engine.append(SCOPE, workflow_id, event("note", input="meanwhile"))
    assert await resume(engine, workflow_id, "on", budget=500, key="key") == first
    assert len(await engine.store.events(SCOPE, workflow_id, 0, 100)) == 3
    with pytest.raises(Conflict):
        await resume(engine, workflow_id, "off", budget=500, key="key")
    await engine.append(SCOPE, workflow_id, event("completed"))
    assert await resume(engine, workflow_id, "on", budget=500, key="key") == first


async def test_resuming_reads_the_history_again_after_a_conflict() -> None:
    """If other callers append events while a workflow is being resumed, the history is read again
    with these events.

    If this happens at every attempt, VersionConflict is raised.
    """
    engine = engine_over(ContestedWorkflows(3))
    workflow_id = await started(engine, "started")
    written, version = await resume(engine, workflow_id, "on", budget=500)
    assert version == 5
    assert written.text.count("note") == 3
    busy = engine_over(ContestedWorkflows(1_000))
    workflow_id = await started(busy)
    with pytest.raises(VersionConflict):
        await resume(busy, workflow_id, "on", budget=500)


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_an_ended_workflow_cannot_be_resumed(end: str) -> None:
    engine = engine_over()
    workflow_id = await started(engine, end)
    with pytest.raises(VersionConflict):
        await resume(engine, workflow_id, "on", budget=500)
