"""The contract of a store of workflows, on each implementation."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import pytest

from memtypes.live.events import Event, WorkflowEventType
from memtypes.live.workflow_state import WorkflowState, WorkflowStatus, fold
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.ports.workflows import MAX_CHAIN, AppendEvent, IdempotentAnswer, NewWorkflow, WorkflowStore
from memtypes.stores.redis.workflows import RedisWorkflows
from tests.fakes_workflows import FakeWorkflows
from tests.live import LIVE, fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["fake", *LIVE])
def store(request: pytest.FixtureRequest) -> WorkflowStore:
    """Each implementation."""
    return FakeWorkflows() if request.param == "fake" else RedisWorkflows(request.getfixturevalue(request.param))


@pytest.fixture
def scope() -> Scope:
    """A scope of the test's own."""
    return fresh_scope()


def begun(workflow_id: str = "w", parent_id: str | None = None) -> NewWorkflow:
    """A workflow that begins."""
    return NewWorkflow(workflow_id, parent_id, WorkflowState(data={"about": workflow_id}), NOW)


def event(kind: str = "note", **fields: object) -> Event:
    """An event."""
    return Event(WorkflowEventType(kind), NOW, **fields)  # type: ignore[arg-type]


async def test_a_workflow_begins_and_has_its_events(store: WorkflowStore, scope: Scope) -> None:
    """Each event gets the next version, and comes back as it was."""
    await store.create(scope, begun())
    sent = [event(input={"n": [1, None, "é"]}), event("step_started", step_id="a"), event(data={"k": "v"})]
    versions = [(await store.append(scope, AppendEvent("w", one))).version for one in sent]
    assert versions == [1, 2, 3]
    log = await store.load(scope, "w")
    assert (log.version, log.parent_id, log.ancestors, log.lost) == (3, None, (), False)
    assert [one.version for one in log.events] == versions
    assert [(one.input, one.step_id, one.data) for one in log.events] == [
        (one.input, one.step_id, one.data) for one in sent
    ]
    assert fold(log.base, log.events).data == {"about": "w", "k": "v"}


async def test_what_is_unknown_is_not_found(store: WorkflowStore, scope: Scope) -> None:
    """Every call says so, for an id that does not exist and for one of another scope."""
    await store.create(scope, begun())
    for where, workflow_id in ((scope, "other"), (fresh_scope(), "w")):
        for call in (
            store.append(where, AppendEvent(workflow_id, event())),
            store.load(where, workflow_id),
            store.events(where, workflow_id, 0, 10),
            store.chain(where, workflow_id),
            store.create(where, begun("child", workflow_id)),
        ):
            with pytest.raises(NotFound):
                await call


async def test_an_id_is_given_once(store: WorkflowStore, scope: Scope) -> None:
    """A second workflow of the same id is refused, and the first stays."""
    await store.create(scope, begun())
    await store.append(scope, AppendEvent("w", event()))
    with pytest.raises(Conflict):
        await store.create(scope, begun())
    assert (await store.load(scope, "w")).version == 1


async def test_another_version_than_expected_is_refused(store: WorkflowStore, scope: Scope) -> None:
    """Nothing is appended, and the current version is told."""
    await store.create(scope, begun())
    await store.append(scope, AppendEvent("w", event(), expected=0))
    with pytest.raises(VersionConflict) as raised:
        await store.append(scope, AppendEvent("w", event(), expected=0))
    assert raised.value.current_version == 1
    assert (await store.load(scope, "w")).version == 1


async def test_one_of_many_writers_wins_a_version(store: WorkflowStore, scope: Scope) -> None:
    """Of twenty that expect the same version, one gets it; without expectation nobody loses an event."""
    await store.create(scope, begun())
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
    assert sorted(one.input for one in log.events[1:]) == list(range(20))


async def test_nothing_happens_after_the_end(store: WorkflowStore, scope: Scope) -> None:
    """Every event is refused, with the version that stays."""
    await store.create(scope, begun())
    await store.append(scope, AppendEvent("w", event("completed")))
    with pytest.raises(VersionConflict) as raised:
        await store.append(scope, AppendEvent("w", event()))
    assert raised.value.current_version == 1
    assert (await store.chain(scope, "w"))[0].status is WorkflowStatus.COMPLETED


async def test_a_state_at_a_version_is_the_one_of_then(store: WorkflowStore, scope: Scope) -> None:
    """Before and after a snapshot; a version that is not there yet is refused."""
    await store.create(scope, begun())
    for number in range(6):
        await store.append(scope, AppendEvent("w", event(data={"n": number})))
    log = await store.load(scope, "w", 4)
    await store.snapshot(scope, "w", fold(log.base, log.events))
    for version in range(7):
        log = await store.load(scope, "w", version)
        state = fold(log.base, log.events)
        assert state.version == version
        assert state.data.get("n", -1) == version - 1
    assert (await store.load(scope, "w")).base.version == 4
    with pytest.raises(InvalidRequest):
        await store.load(scope, "w", 7)


async def test_an_older_snapshot_does_not_replace_a_newer(store: WorkflowStore, scope: Scope) -> None:
    """And one of a workflow that is gone is kept nowhere."""
    await store.create(scope, begun())
    for _ in range(3):
        await store.append(scope, AppendEvent("w", event()))
    await store.snapshot(scope, "w", WorkflowState(version=3))
    await store.snapshot(scope, "w", WorkflowState(version=2))
    assert (await store.load(scope, "w")).base.version == 3
    await store.snapshot(scope, "gone", WorkflowState(version=3))
    with pytest.raises(NotFound):
        await store.load(scope, "gone")


async def test_events_come_in_pieces(store: WorkflowStore, scope: Scope) -> None:
    """After a version, at most so many."""
    await store.create(scope, begun())
    for number in range(5):
        await store.append(scope, AppendEvent("w", event(input=number)))
    assert [one.version for one in await store.events(scope, "w", 1, 2)] == [2, 3]
    assert [one.input for one in await store.events(scope, "w", 3, 10)] == [3, 4]
    assert await store.events(scope, "w", 5, 10) == ()


async def test_a_chain_is_oldest_first(store: WorkflowStore, scope: Scope) -> None:
    """Each with its own status and version."""
    await store.create(scope, begun("a"))
    await store.create(scope, begun("b", "a"))
    await store.create(scope, begun("c", "b"))
    await store.append(scope, AppendEvent("b", event("started")))
    links = await store.chain(scope, "c")
    assert [(link.workflow_id, link.parent_id, link.status, link.version) for link in links] == [
        ("a", None, "pending", 0),
        ("b", "a", "running", 1),
        ("c", "b", "pending", 0),
    ]


async def test_a_chain_has_a_limit(store: WorkflowStore, scope: Scope) -> None:
    """Twenty are a chain; the next is refused and not there."""
    await store.create(scope, begun("0"))
    for number in range(1, MAX_CHAIN):
        await store.create(scope, begun(str(number), str(number - 1)))
    assert len(await store.chain(scope, str(MAX_CHAIN - 1))) == MAX_CHAIN
    with pytest.raises(InvalidRequest):
        await store.create(scope, begun("more", str(MAX_CHAIN - 1)))
    with pytest.raises(NotFound):
        await store.load(scope, "more")


async def test_nothing_is_its_own_parent(store: WorkflowStore, scope: Scope) -> None:
    """A workflow that does not exist yet can't be its own parent."""
    with pytest.raises(NotFound):
        await store.create(scope, begun("a", "a"))


async def test_a_repetition_finds_the_first_answer(store: WorkflowStore, scope: Scope) -> None:
    """Also when the version has moved on or the workflow has ended; another question under the same key is refused."""
    await store.create(scope, begun())
    once = IdempotentAnswer("key", "digest", "the answer")
    first = await store.append(scope, AppendEvent("w", event(), expected=0, once=once))
    assert (first.version, first.answer) == (1, None)
    await store.append(scope, AppendEvent("w", event("completed")))
    again = await store.append(
        scope, AppendEvent("w", event(), expected=0, once=IdempotentAnswer("key", "digest", "another"))
    )
    assert (again.version, again.answer) == (1, "the answer")
    with pytest.raises(Conflict):
        await store.append(scope, AppendEvent("w", event(), once=IdempotentAnswer("key", "other", "")))
    assert (await store.load(scope, "w")).version == 2


async def test_one_records_what_has_ended(store: WorkflowStore, scope: Scope) -> None:
    """Nothing before the end; then one claim of many; after it is recorded, none."""
    await store.create(scope, begun())
    assert not await store.claim(scope, "w")
    await store.append(scope, AppendEvent("w", event("failed")))
    assert (scope, "w") in [one async for one in store.unrecorded()]
    assert [await store.claim(scope, "w") for _ in range(3)] == [True, False, False]
    await store.recorded(scope, "w")
    assert (scope, "w") not in [one async for one in store.unrecorded()]
    assert not await store.claim(scope, "w")


@pytest.mark.parametrize("workflow_id", ["a:log", "a:once:b", "{x}", "*", "日本", 'q"uote', "a b"])
async def test_hostile_ids_are_only_names(store: WorkflowStore, scope: Scope, workflow_id: str) -> None:
    """No id reaches another workflow's keys, and each comes back as it was."""
    await store.create(scope, begun("a"))
    await store.create(scope, begun(workflow_id, "a"))
    await store.create(scope, begun("child", workflow_id))
    await store.append(scope, AppendEvent(workflow_id, event()))
    assert [link.workflow_id for link in await store.chain(scope, "child")] == ["a", workflow_id, "child"]
    assert (await store.load(scope, "a")).version == 0
    assert (await store.load(scope, workflow_id)).version == 1
