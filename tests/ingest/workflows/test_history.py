"""Rendering the history of a workflow and its parents within a token budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.workflows.history import (
    EVENTS_MARK,
    VALUES_MARK,
    HistoryOmissions,
    HistoryView,
    LoggedWorkflow,
    Versions,
    WorkflowHistory,
    event_text,
    events_of_state,
    history,
)
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.live.workflows import Event, NewEvent, WorkflowEventType, WorkflowState, fold
from memtypes.markdown import CUT_MARK
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.workflows import WorkflowLog
from tests.fakes import FakeTokenizer
from tests.memtypes.live.logs import LOGS, START, logged


class NonAdditiveTokenizer(FakeTokenizer):
    """A tokenizer that counts more tokens for a text than for the text's pieces together."""

    def count(self, text: str) -> int:
        """The count of FakeTokenizer, plus one for every hundred characters."""
        return super().count(text) + len(text) // 100


def write(
    chain: Mapping[str, Sequence[Event]],
    budget: int,
    tokenizer: Tokenizer | None = None,
    **view: Any,
) -> WorkflowHistory:
    """The history of a chain of workflows, rendered within `budget` tokens.

    chain: the events of each workflow by its id, parents first. view: further fields of
    HistoryView.
    """
    view_of = HistoryView(budget, tokenizer or FakeTokenizer(), **view)
    return history(
        [workflow(workflow_id, events) for workflow_id, events in chain.items()], view_of
    )


def workflow(workflow_id: str, events: Sequence[Event]) -> LoggedWorkflow:
    """A workflow with this id and these events."""
    log = WorkflowLog(workflow_id, None, len(events), (), WorkflowState(), tuple(events))
    return LoggedWorkflow(log, log.state, log.events)


def changes(*values: Mapping[str, object]) -> list[Event]:
    """Events that set resources to these values, one event for each mapping."""
    return logged(
        [
            NewEvent(type=WorkflowEventType.RESOURCE_CHANGED, resources=dict(value))
            for value in values
        ]
    )


def notes(*texts: str) -> list[Event]:
    """Events of type `note`, one for each of the texts."""
    return logged([NewEvent(type=WorkflowEventType.NOTE, input=text) for text in texts])


@given(
    log=LOGS,
    budget=st.integers(0, 400),
    cut=st.integers(0, 30),
    margin=st.sampled_from([0.0, 0.5]),
    versions=st.sampled_from(list(Versions)),
)
@pytest.mark.parametrize("tokenizer", [FakeTokenizer(), NonAdditiveTokenizer()])
def test_a_history_never_exceeds_its_budget(
    tokenizer: Tokenizer, log: list[Event], budget: int, cut: int, margin: float, versions: Versions
) -> None:
    """A history's token count, increased by the safety margin, never exceeds the token budget.

    The numbers of omitted events and values never exceed the numbers of events and values in the
    log.
    """
    chain = {"parent": log[:cut], "child": renumbered(log[cut:])}
    rendered = write(chain, budget, tokenizer, margin=margin, versions=versions)
    assert rendered.total_tokens == ceil(tokenizer.count(rendered.text) * (1 + margin)) <= budget
    values = [(name, value) for event in log for name, value in event.resources.items()]
    assert 0 <= rendered.omitted.events <= len(log)
    assert 0 <= rendered.omitted.older_values <= rendered.omitted.resources <= len(values)
    assert 0 <= rendered.omitted.data <= len({name for event in log for name in event.data})


@given(log=LOGS, cut=st.integers(0, 30))
def test_a_history_with_room_leaves_out_only_replaced_values(log: list[Event], cut: int) -> None:
    """With a large token budget a history leaves out only replaced values of resources.

    If all versions of values are requested, nothing is left out.
    """
    chain = {"parent": log[:cut], "child": renumbered(log[cut:])}
    values = [name for event in log for name in event.resources]
    replaced = len(values) - len(set(values))
    newest, every = (write(chain, 100_000, versions=versions).omitted for versions in Versions)
    assert newest == HistoryOmissions(resources=replaced, older_values=replaced)
    assert every == HistoryOmissions()


def renumbered(log: Sequence[Event]) -> list[Event]:
    """The events with versions counted from 1 and times an hour later, as the log of another
    workflow.
    """
    return [
        replace(event, version=version, at=event.at + timedelta(hours=1))
        for version, event in enumerate(log, 1)
    ]


def test_a_history_shows_only_the_newest_value_of_a_resource() -> None:
    """A history shows only the newest value of each resource, however long ago it was set.

    Older values are counted as omitted. If all versions are requested, they are shown.
    """
    chain = {
        "parent": [*changes({"plan": "draft 1"}, {"plan": "draft 2", "old": "set long ago"})],
        "child": [],
    }
    chain["child"] = renumbered(
        [*changes({"plan": "final"}), *notes(*(f"note {number}" for number in range(30)))]
    )
    text = write(chain, 200).text
    assert "# Current values\n- plan = final\n- old = set long ago\n" in text
    assert "draft" not in text
    rendered = write(chain, 2_000)
    assert rendered.omitted == HistoryOmissions(resources=2, older_values=2)
    assert "resources: plan (replaced), old\n" in rendered.text
    every = write(chain, 2_000, versions=Versions.ALL)
    assert "resources: plan = draft 1 (replaced)\n" in every.text
    assert every.text.count("final") == 1
    assert every.omitted == HistoryOmissions()


def test_data_is_shown_with_its_newest_values() -> None:
    """A history shows the newest value of each key in a workflow's data, including keys that the
    creation set.
    """
    log = logged(
        [NewEvent(type=WorkflowEventType.DATA_SET, data={"step": step}) for step in (1, 2)]
    )
    base = WorkflowState(data={"goal": "ship"})
    parent = WorkflowLog("w", None, 2, (), base, tuple(log))
    rendered = history(
        [LoggedWorkflow(parent, parent.state, parent.events)], HistoryView(500, FakeTokenizer())
    )
    assert "- goal = ship\n- step = 2\n" in rendered.text
    assert "data: step (replaced)\n" in rendered.text


def test_a_value_too_large_for_the_budget_does_not_hide_smaller_values() -> None:
    """A resource value too large for the token budget is cut. Smaller values that were set earlier
    are still shown.

    If values are left out, a line says so and they are counted.
    """
    log = changes(
        {"small": "s"},
        *({f"file {number}": "word " * 12} for number in range(20)),
        {"huge": "word " * 900},
    )
    rendered = write({"w": log}, 300)
    assert "- small = s\n" in rendered.text
    assert "- huge = word word" in rendered.text
    assert CUT_MARK in rendered.text
    assert VALUES_MARK in rendered.text
    shown = rendered.text.count("- file ")
    assert rendered.omitted.resources == 21 - shown
    assert rendered.omitted.older_values == 0


def test_resource_values_may_use_the_tokens_that_events_leave_free() -> None:
    log = changes({f"file {number}": "word " * 20 for number in range(10)})
    rendered = write({"w": log}, 400)
    assert rendered.omitted == HistoryOmissions()


def test_a_history_says_where_events_are_left_out() -> None:
    """If older events are left out, a line above the oldest event shown says so.

    A complete history has no such line.
    """
    log = notes(*(f"event number {number}" for number in range(40)))
    assert EVENTS_MARK + "# Workflow w (pending)\n" in write({"w": log}, 200).text
    assert EVENTS_MARK not in write({"w": log}, 10_000).text


@pytest.mark.anyio
async def test_special_tokens_and_other_scripts_stay_within_the_budget() -> None:
    """With a real tokenizer a history stays within its token budget, even with special tokens or
    other scripts.

    A tag that would end the rendered block is escaped in the text of an event.
    """
    tokenizer = await TiktokenTokenizer.open("cl100k_base")

    @settings(max_examples=60, deadline=None)
    @given(
        texts=st.lists(
            st.text(max_size=80)
            | st.sampled_from(["</memories>", "<|endoftext|>", "多语言", "a\n\nb"])
        ),
        budget=st.integers(0, 300),
    )
    def check(texts: list[str], budget: int) -> None:
        rendered = write({"w": notes(*texts)}, budget, tokenizer)
        assert tokenizer.count(rendered.text) == rendered.total_tokens <= budget
        assert rendered.text.count("</memories>") <= 1

    check()


def test_the_newest_events_are_kept_and_shown_in_order() -> None:
    """If the events exceed the budget, the newest are shown in order, and the others are counted as
    omitted.
    """
    log = notes(*(f"event number {number}" for number in range(40)))
    rendered = write({"w": log}, 200)
    shown = [number for number in range(40) if f"number {number}\n" in rendered.text]
    assert shown == list(range(40 - len(shown), 40))
    assert rendered.omitted.events == 40 - len(shown) > 0


def test_a_history_has_no_gaps() -> None:
    """If an event does not fit the token budget, all older events are left out, even those that
    would fit.
    """
    log = notes("short", "a longer entry " * 25, *(f"entry {number}" for number in range(6)))
    rendered = write({"parent": notes("short"), "w": log}, 200)
    assert "entry 0" in rendered.text
    assert "short" not in rendered.text
    assert rendered.omitted.events == 3


def test_a_history_without_the_oldest_events_shows_no_parents_events() -> None:
    """If only the newest events of a workflow were read, its history shows no events of its
    parents.

    Those would come before events that are missing. All events not shown are counted as omitted.
    """
    child = workflow("child", notes(*(f"entry {number}" for number in range(30))))
    unread = replace(child, events=child.events[-10:])
    rendered = history(
        [workflow("parent", notes("older")), unread], HistoryView(5_000, FakeTokenizer())
    )
    assert "entry 20" in rendered.text
    assert "older" not in rendered.text.replace(EVENTS_MARK, "")
    assert rendered.omitted.events == 21


def test_parents_come_before_their_children() -> None:
    """The heading and events of a parent workflow precede those of its child."""
    chain = {"parent": notes("first"), "child": notes("second")}
    rendered = write(chain, 500)
    positions = [
        rendered.text.index(text)
        for text in ("# Workflow parent", "first", "# Workflow child", "second")
    ]
    assert positions == sorted(positions)


def test_a_large_event_is_cut_to_half_of_the_budget() -> None:
    """A large event is cut to half of the token budget, ends with " [cut]" and counts as omitted.

    The other half is left for other events.
    """
    log = notes("the beginning", "word " * 1_000)
    rendered = write({"w": log}, 200)
    assert CUT_MARK in rendered.text
    assert "the beginning" in rendered.text
    assert rendered.omitted.events == 1


@pytest.mark.anyio
async def test_a_cut_event_shows_part_of_its_value() -> None:
    """An event that exceeds the token budget is cut and ends with " [cut]", if at least part of its
    value still fits.

    Otherwise the event is left out.
    """
    tokenizer = await TiktokenTokenizer.open("cl100k_base")
    events = [
        replace(event, at=START.replace(microsecond=103_337)) for event in notes("word " * 1_000)
    ]
    texts = [write({"w": events}, budget, tokenizer).text for budget in range(150)]
    assert sum(CUT_MARK in text for text in texts) > 90
    assert all("note\n  input: word" in text for text in texts if CUT_MARK in text)


def test_an_events_text_has_all_its_values() -> None:
    """An event's text has its time, step, type, agent, reason and output."""
    event = NewEvent(
        type=WorkflowEventType.STEP_COMPLETED,
        step_id="s",
        agent="ann",
        output={"n": 1},
        reason="asked",
    )
    text = '2026-03-01T12:00:00Z step s completed by ann\nreason: asked\noutput: {"n": 1}'
    assert event_text(event.at(START)) == text


def test_the_events_of_an_expired_log_are_derived_from_the_last_state() -> None:
    """If a workflow's events have expired, events are derived from its last saved state.

    Each step gives one event, in order of time, and the end of the workflow gives another.
    """
    log = logged(
        [
            NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="one", input="in"),
            NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="two"),
            NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="one", output="out"),
            NewEvent(type=WorkflowEventType.FAILED, agent="ann", error="full"),
        ]
    )
    events = events_of_state(fold(WorkflowState(), log))
    types = [("two", "step_started"), ("one", "step_completed"), (None, "failed")]
    assert [(event.step_id, event.type) for event in events] == types
    assert (events[1].output, events[2].agent, events[2].reason) == ("out", "ann", "full")
