"""The contract of WorkflowStore, tested on each implementation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from memtypes.live.workflows import Event, OnEnd, WorkflowEventType, WorkflowState, WorkflowStatus
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.ports.workflows import (
    MAX_CHAIN,
    AppendEvent,
    IdempotentAnswer,
    NewWorkflow,
    WorkflowListing,
    WorkflowMembers,
    WorkflowPage,
    WorkflowStore,
    WorkflowSummary,
)
from memtypes.stores.redis.workflows import RedisWorkflows
from tests.fakes_workflows import FakeWorkflows
from tests.live import LIVE, fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["fake", *LIVE])
def store(request: pytest.FixtureRequest) -> WorkflowStore:
    """The WorkflowStore under test: a test runs once with each implementation."""
    return (
        FakeWorkflows()
        if request.param == "fake"
        else RedisWorkflows(request.getfixturevalue(request.param))
    )


@pytest.fixture
def scope() -> Scope:
    """A scope that no other test uses."""
    return fresh_scope()


def new_workflow(workflow_id: str = "w", parent_id: str | None = None) -> NewWorkflow:
    """A new workflow whose state has its id as data."""
    return NewWorkflow(workflow_id, parent_id, WorkflowState(data={"about": workflow_id}), NOW)


def event(kind: str = "note", **fields: object) -> Event:
    """An event of type `kind` to append."""
    return Event(WorkflowEventType(kind), NOW, **fields)  # type: ignore[arg-type]


async def test_events_are_returned_as_they_were_appended(
    store: WorkflowStore, scope: Scope
) -> None:
    """A workflow is loaded with its appended events, their fields unchanged, numbered from 1 by
    version.
    """
    await store.create(scope, new_workflow())
    sent = [
        event(input={"n": [1, None, "é"]}),
        event("step_started", step_id="a"),
        event(data={"k": "v"}),
    ]
    versions = [(await store.append(scope, AppendEvent("w", entry))).version for entry in sent]
    assert versions == [1, 2, 3]
    log = await store.load(scope, "w")
    assert (log.version, log.parent_id, log.ancestors, log.lost) == (3, None, (), False)
    assert [entry.version for entry in log.events] == versions
    assert [(entry.input, entry.step_id, entry.data) for entry in log.events] == [
        (entry.input, entry.step_id, entry.data) for entry in sent
    ]
    assert log.state.data == {"about": "w", "k": "v"}


async def test_an_unknown_workflow_raises_not_found(store: WorkflowStore, scope: Scope) -> None:
    """Every call raises NotFound for a workflow id that does not exist, or that exists in another
    scope only.
    """
    await store.create(scope, new_workflow())
    for where, workflow_id in ((scope, "other"), (fresh_scope(), "w")):
        for call in (
            store.append(where, AppendEvent(workflow_id, event())),
            store.load(where, workflow_id),
            store.events(where, workflow_id, 0, 10),
            store.create(where, new_workflow("child", workflow_id)),
        ):
            with pytest.raises(NotFound):
                await call


async def test_an_id_can_be_used_once(store: WorkflowStore, scope: Scope) -> None:
    """Creating a second workflow with the same id raises Conflict and leaves the first workflow
    unchanged.
    """
    await store.create(scope, new_workflow())
    await store.append(scope, AppendEvent("w", event()))
    with pytest.raises(Conflict):
        await store.create(scope, new_workflow())
    assert (await store.load(scope, "w")).version == 1


async def test_an_event_for_another_version_is_refused(store: WorkflowStore, scope: Scope) -> None:
    """An event that expects another version than the workflow's is not appended. The error has the
    current version.
    """
    await store.create(scope, new_workflow())
    await store.append(scope, AppendEvent("w", event(), expected=0))
    with pytest.raises(VersionConflict) as raised:
        await store.append(scope, AppendEvent("w", event(), expected=0))
    assert raised.value.current_version == 1
    assert (await store.load(scope, "w")).version == 1


async def test_one_of_many_concurrent_appends_gets_a_version(
    store: WorkflowStore, scope: Scope
) -> None:
    await store.create(scope, new_workflow())
    won: list[int] = []

    async def expecting() -> None:
        try:
            won.append((await store.append(scope, AppendEvent("w", event(), expected=0))).version)
        except VersionConflict:
            return

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(expecting)
    assert won == [1]
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(store.append, scope, AppendEvent("w", event(input=number)))
    log = await store.load(scope, "w")
    assert sorted(entry.input for entry in log.events[1:]) == list(range(20))


async def test_an_ended_workflow_accepts_no_events(store: WorkflowStore, scope: Scope) -> None:
    """Appending to an ended workflow raises an error that has the workflow's last version."""
    await store.create(scope, new_workflow())
    await store.append(scope, AppendEvent("w", event("completed")))
    with pytest.raises(VersionConflict) as raised:
        await store.append(scope, AppendEvent("w", event()))
    assert raised.value.current_version == 1
    assert (await store.load(scope, "w")).state.status is WorkflowStatus.COMPLETED


async def test_the_state_at_an_earlier_version_can_be_read(
    store: WorkflowStore, scope: Scope
) -> None:
    """A workflow's state at each of its versions can be loaded. A later version raises
    InvalidRequest.
    """
    await store.create(scope, new_workflow())
    for number in range(6):
        await store.append(scope, AppendEvent("w", event(data={"n": number})))
    log = await store.load(scope, "w", 4)
    await store.snapshot(scope, "w", log.state)
    for version in range(7):
        log = await store.load(scope, "w", version)
        state = log.state
        assert state.version == version
        assert state.data.get("n", -1) == version - 1
    assert (await store.load(scope, "w")).base.version == 4
    with pytest.raises(InvalidRequest):
        await store.load(scope, "w", 7)


async def test_an_older_snapshot_does_not_replace_a_newer_one(
    store: WorkflowStore, scope: Scope
) -> None:
    """If a workflow has a snapshot (its state at a version), storing the state of an earlier
    version changes nothing.

    A snapshot of an unknown workflow is not stored.
    """
    await store.create(scope, new_workflow())
    for _ in range(3):
        await store.append(scope, AppendEvent("w", event()))
    await store.snapshot(scope, "w", WorkflowState(version=3))
    await store.snapshot(scope, "w", WorkflowState(version=2))
    assert (await store.load(scope, "w")).base.version == 3
    await store.snapshot(scope, "gone", WorkflowState(version=3))
    with pytest.raises(NotFound):
        await store.load(scope, "gone")


async def test_events_are_paged_by_version(store: WorkflowStore, scope: Scope) -> None:
    """`events` returns at most `limit` events of a workflow after the given version."""
    await store.create(scope, new_workflow())
    for number in range(5):
        await store.append(scope, AppendEvent("w", event(input=number)))
    assert [entry.version for entry in await store.events(scope, "w", 1, 2)] == [2, 3]
    assert [entry.input for entry in await store.events(scope, "w", 3, 10)] == [3, 4]
    assert await store.events(scope, "w", 5, 10) == ()


async def test_a_workflow_names_its_ancestors(store: WorkflowStore, scope: Scope) -> None:
    """The ancestors of a workflow are listed oldest first."""
    await store.create(scope, new_workflow("a"))
    await store.create(scope, new_workflow("b", "a"))
    await store.create(scope, new_workflow("c", "b"))
    log = await store.load(scope, "c")
    assert (log.parent_id, log.ancestors) == ("b", ("a", "b"))


async def test_a_chain_of_workflows_has_a_maximum_depth(store: WorkflowStore, scope: Scope) -> None:
    """Creating a workflow raises InvalidRequest if the chain of its parents would be longer than
    MAX_CHAIN.
    """
    await store.create(scope, new_workflow("0"))
    for number in range(1, MAX_CHAIN):
        await store.create(scope, new_workflow(str(number), str(number - 1)))
    assert len((await store.load(scope, str(MAX_CHAIN - 1))).ancestors) == MAX_CHAIN - 1
    with pytest.raises(InvalidRequest):
        await store.create(scope, new_workflow("more", str(MAX_CHAIN - 1)))
    with pytest.raises(NotFound):
        await store.load(scope, "more")


async def test_a_workflow_cannot_be_its_own_parent(store: WorkflowStore, scope: Scope) -> None:
    """Creating a workflow with itself as parent raises NotFound, because the parent does not exist
    yet.
    """
    with pytest.raises(NotFound):
        await store.create(scope, new_workflow("a", "a"))


async def test_a_repeated_idempotency_key_returns_the_first_answer(
    store: WorkflowStore, scope: Scope
) -> None:
    """A repeated append returns the first answer, even after the workflow has ended.

    The same idempotency key with another request digest raises Conflict.
    """
    await store.create(scope, new_workflow())
    once = IdempotentAnswer("key", "digest", "the answer")
    first = await store.append(scope, AppendEvent("w", event(), expected=0, once=once))
    assert (first.version, first.answer) == (1, None)
    await store.append(scope, AppendEvent("w", event("completed")))
    repeated = await store.append(
        scope,
        AppendEvent("w", event(), expected=0, once=IdempotentAnswer("key", "digest", "another")),
    )
    assert (repeated.version, repeated.answer) == (1, "the answer")
    with pytest.raises(Conflict):
        await store.append(
            scope, AppendEvent("w", event(), once=IdempotentAnswer("key", "other", ""))
        )
    assert (await store.load(scope, "w")).version == 2


async def test_an_ended_workflow_can_be_claimed_once(store: WorkflowStore, scope: Scope) -> None:
    """Of the callers that claim an ended workflow to write its memories, one succeeds.

    A claim fails before the workflow has ended, and after its memories were written.
    """
    await store.create(scope, new_workflow())
    assert not await store.claim(scope, "w")
    await store.append(scope, AppendEvent("w", event("failed")))
    assert (scope, "w") in [entry async for entry in store.unrecorded()]
    assert [await store.claim(scope, "w") for _ in range(3)] == [True, False, False]
    await store.recorded(scope, "w")
    assert (scope, "w") not in [entry async for entry in store.unrecorded()]
    assert not await store.claim(scope, "w")


async def test_workflows_are_listed_latest_first_in_pages(
    store: WorkflowStore, scope: Scope
) -> None:
    ids = [f"w {number}/é" for number in range(7)]
    for number, workflow_id in enumerate(ids):
        await store.create(
            scope,
            replace(new_workflow(workflow_id), created_at=NOW + timedelta(seconds=number // 2)),
        )
    await store.create(fresh_scope(), new_workflow("elsewhere"))
    listed = []
    listing = WorkflowListing(limit=3)
    while True:
        page = await store.page(scope, listing)
        listed += [workflow.workflow_id for workflow in page.workflows]
        if page.next_cursor is None:
            break
        listing = replace(listing, cursor=page.next_cursor)
    assert listed == ids[::-1]
    assert (await store.page(scope, WorkflowListing(limit=7))).next_cursor is None
    with pytest.raises(InvalidRequest):
        await store.page(scope, WorkflowListing(cursor="from elsewhere"))


async def test_workflows_are_listed_by_status_and_parent(
    store: WorkflowStore, scope: Scope
) -> None:
    """Each listed workflow has its parent, status, version, and the times of its creation and last
    event.
    """
    await store.create(scope, new_workflow("a"))
    await store.create(scope, replace(new_workflow("b", "a"), on_end=OnEnd.KEEP))
    await store.create(scope, new_workflow("c", "b"))
    later = NOW + timedelta(hours=1)
    await store.append(scope, AppendEvent("b", replace(event("failed"), at=later)))
    (failed,) = (await store.page(scope, WorkflowListing(WorkflowStatus.FAILED))).workflows
    assert failed == WorkflowSummary("b", "a", WorkflowStatus.FAILED, 1, OnEnd.KEEP, NOW, later)
    children = (await store.page(scope, WorkflowListing(parent_id="b"))).workflows
    assert [workflow.workflow_id for workflow in children] == ["c"]
    assert await store.page(scope, WorkflowListing(WorkflowStatus.FAILED, "b")) == WorkflowPage(
        (), None
    )


async def test_threads_and_sessions_join_a_workflow_until_it_ends(
    store: WorkflowStore, scope: Scope
) -> None:
    """Threads and sessions that join a workflow are listed once each.

    Joining an unknown or ended workflow raises an error.
    """
    await store.create(scope, replace(new_workflow(), on_end=OnEnd.DELETE))
    for thread in ("t1", "t2", "t1"):
        await store.join(scope, "w", thread=thread)
    await store.join(scope, "w", session="s")
    assert await store.members(scope, "w") == WorkflowMembers(("t1", "t2"), ("s",))
    with pytest.raises(NotFound):
        await store.join(scope, "nobody", thread="t1")
    await store.append(scope, AppendEvent("w", event("completed")))
    with pytest.raises(Conflict):
        await store.join(scope, "w", thread="t3")
    assert await store.members(scope, "w") == WorkflowMembers(("t1", "t2"), ("s",))
    assert (await store.load(scope, "w")).on_end is OnEnd.DELETE


@pytest.mark.parametrize("workflow_id", ["a:log", "a:once:b", "{x}", "*", "日本", 'q"uote', "a b"])
async def test_special_characters_in_ids_are_literal(
    store: WorkflowStore, scope: Scope, workflow_id: str
) -> None:
    """A workflow id that looks like part of a Redis key reaches no other workflow."""
    await store.create(scope, new_workflow("a"))
    await store.create(scope, new_workflow(workflow_id, "a"))
    await store.create(scope, new_workflow("child", workflow_id))
    await store.append(scope, AppendEvent(workflow_id, event()))
    assert (await store.load(scope, "child")).ancestors == ("a", workflow_id)
    assert (await store.load(scope, "a")).version == 0
    assert (await store.load(scope, workflow_id)).version == 1
