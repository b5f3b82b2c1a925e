"""What can be done with workflows, over a store in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.screening.redaction.gate import Redactor
from ingest.workflows.engine import Workflows
from ingest.workflows.requests import Beginning, Resumption
from memtypes.live.events import NewEvent
from memtypes.live.workflow_state import SNAPSHOT_EVERY, WorkflowState, WorkflowStatus
from memtypes.model.errors import Conflict, NotFound, Unavailable, VersionConflict
from memtypes.model.scope import Scope
from memtypes.ports.workflows import AppendEvent, EventAppended
from tests.fakes import FakeTokenizer
from tests.fakes_workflows import FakeRecorder, FakeWorkflows

pytestmark = pytest.mark.anyio
SCOPE = Scope("t", "n")


class Ticking:
    """A clock that moves on by a second at each look."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The next second."""
        self._now += timedelta(seconds=1)
        return self._now


class Rivals(FakeWorkflows):
    """A store where somebody else reports `rivals` events right before ours."""

    def __init__(self, rivals: int) -> None:
        super().__init__()
        self._rivals = rivals

    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Ours, after theirs."""
        if append.expected is not None and self._rivals:
            self._rivals -= 1
            await super().append(scope, AppendEvent(append.workflow_id, append.event))
        return await super().append(scope, append)


class NoSnapshots(FakeWorkflows):
    """A store that keeps no snapshot."""

    async def snapshot(self, _scope: Scope, _workflow_id: str, _state: WorkflowState) -> None:
        """Nothing: it is away."""
        raise Unavailable("away")


def event(kind: str, **fields: object) -> NewEvent:
    """An event to report."""
    return NewEvent.model_validate({"type": kind, **fields})


def workflows(store: FakeWorkflows | None = None, recorder: FakeRecorder | None = None) -> Workflows:
    """The engine over fakes."""
    return Workflows(store or FakeWorkflows(), FakeTokenizer(), Ticking(), recorder or FakeRecorder(), Redactor())


async def begun(engine: Workflows, *kinds: str) -> str:
    """A workflow after notes and ends of these types."""
    workflow_id = (await engine.begin(SCOPE, Beginning())).workflow_id
    for kind in kinds:
        await engine.report(SCOPE, workflow_id, event(kind))
    return workflow_id


async def test_a_made_up_id_is_new_each_time() -> None:
    """Who names no id gets one."""
    engine = workflows()
    assert await engine.begin(SCOPE, Beginning()) != await engine.begin(SCOPE, Beginning())


async def test_a_state_begins_with_its_data() -> None:
    """Version 0 is the data that was given, and nothing else."""
    engine = workflows()
    await engine.begin(SCOPE, Beginning("w", data={"goal": "x"}))
    await engine.report(SCOPE, "w", event("data_set", data={"goal": "y"}))
    assert (await engine.look(SCOPE, "w")).state.data == {"goal": "y"}
    seen = await engine.look(SCOPE, "w", 0)
    assert (seen.state.data, seen.state.status) == ({"goal": "x"}, WorkflowStatus.PENDING)


async def test_a_long_log_is_read_from_its_snapshot() -> None:
    """After every fifty events the state is kept, and no read folds more."""
    store = FakeWorkflows()
    engine = workflows(store)
    workflow_id = (await engine.begin(SCOPE, Beginning(data={"k": 0}))).workflow_id
    for number in range(2 * SNAPSHOT_EVERY + 3):
        await engine.report(SCOPE, workflow_id, event("data_set", data={"k": number}))
    log = await store.load(SCOPE, workflow_id)
    assert (log.base.version, len(log.events)) == (2 * SNAPSHOT_EVERY, 3)
    assert (await engine.look(SCOPE, workflow_id)).state.data == {"k": 2 * SNAPSHOT_EVERY + 2}
    assert (await engine.look(SCOPE, workflow_id, 7)).state.data == {"k": 6}


async def test_a_missing_snapshot_costs_no_event() -> None:
    """What was reported is kept, whatever becomes of the snapshot."""
    engine = workflows(NoSnapshots())
    workflow_id = await begun(engine, *["note"] * SNAPSHOT_EVERY)
    assert (await engine.look(SCOPE, workflow_id)).state.version == SNAPSHOT_EVERY


async def test_an_end_is_recorded_once() -> None:
    """The answer names the memory, and later upkeep finds nothing to do."""
    recorder = FakeRecorder()
    engine = workflows(recorder=recorder)
    workflow_id = await begun(engine, "started")
    reported = await engine.report(SCOPE, workflow_id, event("completed", output="done"))
    assert reported.memories == {"episodic": f"memory of {workflow_id}"}
    assert await engine.record_ended() == 0
    assert [(one, state.status, state.output) for one, state in recorder.recorded] == [
        (workflow_id, "completed", "done")
    ]


async def test_a_record_that_failed_is_made_up_for() -> None:
    """The end stands though the record waits; the next upkeep after the claim has lapsed makes it."""
    recorder, store = FakeRecorder(), FakeWorkflows()
    engine = workflows(store, recorder)
    recorder.failure = Unavailable("no encoder")
    workflow_id = await begun(engine)
    reported = await engine.report(SCOPE, workflow_id, event("cancelled"))
    assert (reported.version, reported.memories) == (1, {})
    recorder.failure = None
    assert await engine.record_ended() == 0
    store.forget_claims()
    assert await engine.record_ended() == 1
    assert len(recorder.recorded) == 1


async def test_what_expired_before_its_record_is_let_go() -> None:
    """Upkeep does not try for ever."""
    recorder, store = FakeRecorder(), FakeWorkflows()
    engine = workflows(store, recorder)
    recorder.failure = Unavailable("no encoder")
    workflow_id = await begun(engine, "completed")
    store.forget_claims()
    store.expire(SCOPE, workflow_id)
    assert await engine.record_ended() == 0
    assert [one async for one in store.unrecorded()] == []


async def test_a_gap_is_told() -> None:
    """An ancestor that expired is missing from the chain, which says so."""
    store = FakeWorkflows()
    engine = workflows(store)
    for name, parent in (("a", None), ("b", "a"), ("c", "b")):
        await engine.begin(SCOPE, Beginning(name, parent))
    assert not (await engine.chain(SCOPE, "c")).gap
    store.expire(SCOPE, "b")
    chain = await engine.chain(SCOPE, "c")
    assert ([link.workflow_id for link in chain.links], chain.gap, chain.cycle) == (["a", "c"], True, False)
    assert (await engine.resume(SCOPE, "c", Resumption("on", 500))).version == 1


async def test_the_newest_resource_of_a_chain_wins() -> None:
    """By when it was set, whichever workflow of the chain set it; newest first."""
    engine = workflows()
    await engine.begin(SCOPE, Beginning("parent"))
    await engine.begin(SCOPE, Beginning("child", "parent"))
    await engine.report(SCOPE, "parent", event("resource_changed", resources={"file": 1, "port": 80}))
    await engine.report(SCOPE, "child", event("resource_changed", resources={"file": 2}))
    await engine.report(SCOPE, "parent", event("resource_changed", resources={"port": 81}))
    found = await engine.resources(SCOPE, "child")
    assert [(one.id, one.resource.value, one.workflow_id) for one in found] == [
        ("port", 81, "parent"),
        ("file", 2, "child"),
    ]
    assert [one.id for one in await engine.resources(SCOPE, "parent")] == ["port", "file"]


async def test_going_on_tells_the_whole_chain_and_keeps_the_input() -> None:
    """The history is what was before; the input is the next event, and starts a workflow that had not begun."""
    engine = workflows()
    await engine.begin(SCOPE, Beginning("parent"))
    await engine.report(SCOPE, "parent", event("step_completed", step_id="dig", output="a hole"))
    await engine.begin(SCOPE, Beginning("child", "parent"))
    first = await engine.resume(SCOPE, "child", Resumption("fill it", 500))
    assert "a hole" in first.history
    assert "fill it" not in first.history
    assert (await engine.look(SCOPE, "child")).state.status is WorkflowStatus.RUNNING
    second = await engine.resume(SCOPE, "child", Resumption("and plant", 500))
    assert "fill it" in second.history
    assert (first.version, second.version, second.omitted) == (1, 2, 0)
    assert second.total_tokens == FakeTokenizer().count(second.history) <= 500


async def test_a_history_of_thousands_is_read_from_its_end() -> None:
    """The newest events are there, and those left out are counted."""
    engine = workflows()
    workflow_id = (await engine.begin(SCOPE, Beginning())).workflow_id
    for number in range(3 * SNAPSHOT_EVERY):
        await engine.report(SCOPE, workflow_id, event("note", input=f"entry {number}"))
    resumed = await engine.resume(SCOPE, workflow_id, Resumption("on", 200))
    assert f"entry {3 * SNAPSHOT_EVERY - 1}" in resumed.history
    shown = resumed.history.count("entry")
    assert resumed.omitted == 3 * SNAPSHOT_EVERY - shown > 0


async def test_an_ended_parent_without_its_log_is_told_from_its_state() -> None:
    """Its steps are still there."""
    store = FakeWorkflows()
    engine = workflows(store)
    await engine.begin(SCOPE, Beginning("parent"))
    await engine.report(SCOPE, "parent", event("step_completed", step_id="dig", output="a hole"))
    await engine.report(SCOPE, "parent", event("completed"))
    await engine.begin(SCOPE, Beginning("child", "parent"))
    store.lose_log(SCOPE, "parent")
    assert "a hole" in (await engine.resume(SCOPE, "child", Resumption("on", 500))).history
    assert (await engine.look(SCOPE, "parent")).state.status is WorkflowStatus.COMPLETED
    with pytest.raises(NotFound):
        await engine.look(SCOPE, "parent", 1)


async def test_the_same_key_gets_the_same_answer() -> None:
    """Word for word, and the input is there once; another input under it is refused."""
    engine = workflows()
    workflow_id = await begun(engine, "started")
    first = await engine.resume(SCOPE, workflow_id, Resumption("on", 500, "key"))
    await engine.report(SCOPE, workflow_id, event("note", input="meanwhile"))
    assert await engine.resume(SCOPE, workflow_id, Resumption("on", 500, "key")) == first
    assert len(await engine.events(SCOPE, workflow_id, 0, 100)) == 3
    with pytest.raises(Conflict):
        await engine.resume(SCOPE, workflow_id, Resumption("off", 500, "key"))
    await engine.report(SCOPE, workflow_id, event("completed"))
    assert await engine.resume(SCOPE, workflow_id, Resumption("on", 500, "key")) == first


async def test_going_on_reads_again_when_others_were_faster() -> None:
    """The history holds what they reported; where they always are, the conflict is told."""
    engine = workflows(Rivals(3))
    workflow_id = await begun(engine, "started")
    resumed = await engine.resume(SCOPE, workflow_id, Resumption("on", 500))
    assert resumed.version == 5
    assert resumed.history.count("note") == 3
    late = workflows(Rivals(1_000))
    workflow_id = await begun(late)
    with pytest.raises(VersionConflict):
        await late.resume(SCOPE, workflow_id, Resumption("on", 500))


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_nobody_goes_on_after_the_end(end: str) -> None:
    """The conflict says how to go on instead."""
    engine = workflows()
    workflow_id = await begun(engine, end)
    with pytest.raises(VersionConflict):
        await engine.resume(SCOPE, workflow_id, Resumption("on", 500))
