"""What a text that a reader has read does to tasks: the fields that change, and their undo."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ingest.identity.acts import (
    HALF,
    MAX_PAIRS,
    SURE,
    Deed,
    Told,
    acted_on,
    could_mean,
    deeds_of,
    latest_act,
    pair,
    undone,
)
from ingest.identity.stored import Neighbour
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Prospective, Status, TaskChange
from memtypes.ports.reader import Act
from tests.builders import NOW, make_memory
from tests.fakes_reader import surely

DAY = timedelta(days=1)


def task(**fields: Any) -> Prospective:
    """A task told two days ago."""
    fields = {"created_at": NOW - 2 * DAY, "visibility": "namespace", **fields}
    memory = make_memory(MemoryType.PROSPECTIVE, "Send the lease back.", **fields)
    assert isinstance(memory, Prospective)
    return memory


def told(text: str = "the lease went out yesterday", **fields: Any) -> Told:
    """A message of now that is not kept."""
    return Told(text, NOW, "user", MemoryType.WORKING, **fields)


def after(memory: Prospective, act: Act, probability: float = 0.97, **fields: Any) -> Prospective:
    """The task after a text did this to it with this probability."""
    message = told(**fields)
    made = deeds_of(message, [(memory, surely(act, probability))])
    for deed in made.deeds:
        memory = memory.model_copy(update=acted_on(memory, deed, message, None, NOW))
    return memory


@pytest.mark.parametrize(
    ("act", "status", "how"),
    [
        (Act.DONE, Status.COMPLETED, TaskChange.DONE),
        (Act.CANCELLED, Status.CANCELLED, TaskChange.CANCELLED),
    ],
)
def test_a_text_that_surely_ends_a_task_ends_it_with_its_day_and_words(
    act: Act, status: Status, how: TaskChange
) -> None:
    ended = after(task(), act)
    assert ended.status is status
    assert ended.ended is not None
    assert (ended.ended.how, ended.ended.at) == (how, NOW)
    assert ended.ended.text == "the lease went out yesterday"
    assert ended.ended.reason == f"a later text reads as {act} (0.97)"


def test_a_text_that_may_end_a_task_leaves_it_open_and_is_noted() -> None:
    half = after(task(), Act.DONE, (HALF + SURE) / 2)
    assert half.status is Status.PENDING
    assert half.ended is None
    assert half.said is not None
    assert half.said.how is TaskChange.DONE


@pytest.mark.parametrize("act", [Act.NOTHING, Act.ADDS, Act.RESTATES, Act.REOPENS])
def test_an_attempt_a_wish_or_another_task_changes_nothing(act: Act) -> None:
    assert after(task(), act) == task()


def test_done_and_dropped_count_together_as_an_end() -> None:
    acts = {Act.DONE: SURE - 0.3, Act.CANCELLED: 0.3, Act.NOTHING: 1 - SURE}
    (deed,) = deeds_of(told(), [(task(), acts)]).deeds
    assert deed.sure
    assert deed.act is Act.DONE


def test_a_moved_task_keeps_its_former_time_in_its_history() -> None:
    before = task(due_at=NOW + DAY, due_text="tomorrow", lapses_at=NOW + 2 * DAY, fired_at=NOW)
    moved = after(before, Act.MOVES, due_at=NOW + 5 * DAY)
    assert (moved.due_at, moved.lapses_at) == (NOW + 5 * DAY, NOW + 6 * DAY)
    assert (moved.due_text, moved.fired_at, moved.status) == (None, None, Status.PENDING)
    assert [(act.how, act.due_at) for act in moved.history] == [(TaskChange.MOVED, NOW + DAY)]


def test_an_ended_task_is_reopened_and_never_ended_again() -> None:
    ended = task(status=Status.COMPLETED, completed_at=NOW - DAY)
    assert after(ended, Act.CANCELLED) == ended
    reopened = after(ended, Act.REOPENS)
    assert (reopened.status, reopened.completed_at) == (Status.PENDING, None)


@pytest.mark.parametrize("act", [Act.DONE, Act.CANCELLED, Act.MOVES])
@pytest.mark.parametrize("probability", [0.97, 0.6])
def test_undoing_gives_the_task_back_and_the_text_never_acts_on_it_again(
    act: Act, probability: float
) -> None:
    before = task(due_at=NOW + DAY, lapses_at=NOW + 2 * DAY)
    changed = after(before, act, probability, due_at=NOW + 5 * DAY)
    assert latest_act(changed) is not None
    fields = undone(changed, told().text)
    assert fields is not None
    back = changed.model_copy(update=fields)
    assert back.model_copy(update={"kept_from": []}) == before
    assert latest_act(back) is None
    assert could_mean(told(), [Neighbour(back, 0.9)], NOW) == []
    assert could_mean(told("another text"), [Neighbour(back, 0.9)], NOW) == [back]


def test_a_task_is_known_to_have_ended_from_when_that_was_said_or_arrived() -> None:
    message = Told("the lease went out", NOW + DAY, "user", MemoryType.WORKING)
    deed = Deed("t", Act.DONE, 0.97)
    ends = [acted_on(task(), deed, message, None, now)["closed_at"] for now in (NOW, NOW + 2 * DAY)]
    assert ends == [NOW, NOW + DAY]


def test_a_reopened_task_was_closed_in_between() -> None:
    ended = task(status=Status.COMPLETED, completed_at=NOW - DAY, closed_at=NOW - DAY)
    reopened = after(ended, Act.REOPENS)
    days = (NOW - 2 * DAY, NOW - DAY, NOW)
    assert [reopened.open_at(day) for day in days] == [True, False, True]
    fields = undone(reopened, None)
    assert fields is not None
    back = reopened.model_copy(update=fields)
    assert (back.completed_at, back.open_at(NOW)) == (NOW - DAY, False)


def test_undoing_a_reopened_task_ends_it_again() -> None:
    ended = task(status=Status.CANCELLED)
    fields = undone(after(ended, Act.REOPENS), None)
    assert fields is not None
    assert fields["status"] is Status.CANCELLED


def test_nothing_is_undone_of_a_task_that_no_text_changed() -> None:
    assert undone(task(), "some text") is None


def test_only_the_nearest_that_were_told_before_are_read() -> None:
    near = [Neighbour(task(id=f"t{n}"), 0.3 + n / 100) for n in range(9)]
    assert [memory.id for memory in could_mean(told(), near, NOW)] == [
        f"t{n}" for n in range(8, 8 - MAX_PAIRS, -1)
    ]
    later = task(created_at=NOW + DAY)
    assert could_mean(told(), [Neighbour(later, 0.9), Neighbour(task(), 0.1)], NOW) == []


def test_a_fact_is_read_only_with_a_text_that_states_a_fact() -> None:
    fact: Memory = make_memory(
        MemoryType.SEMANTIC, "Rent is 900.", created_at=NOW - DAY, visibility="namespace"
    )
    near = [Neighbour(fact, 0.9)]
    assert could_mean(told(), near, NOW) == []
    states = Told("Rent is 950.", NOW, "user", MemoryType.SEMANTIC)
    assert could_mean(states, near, NOW) == [fact]


def test_a_commitment_was_said_by_the_agent() -> None:
    assert pair(told(), task(intention_type="commitment")).older.speaker == "agent"
    assert pair(told(), task()).older.speaker == "user"
