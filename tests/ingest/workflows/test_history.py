"""Rendering of a workflow chain's history within a token budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.workflows.history import CUT_MARK, event_text, events_of_state, history
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.live.workflows import Event, NewEvent, WorkflowEventType, WorkflowState, fold
from memtypes.ports.encoders import Tokenizer
from tests.fakes import FakeTokenizer
from tests.memtypes.live.logs import LOGS, START, logged


class NonAdditiveTokenizer(FakeTokenizer):
    """A tokenizer that counts more for a text than for its pieces."""

    def count(self, text: str) -> int:
        """One more for every hundred characters."""
        return super().count(text) + len(text) // 100


def notes(*texts: str) -> list[Event]:
    """Note events with these texts."""
    return logged([NewEvent(type=WorkflowEventType.NOTE, input=text) for text in texts])


@given(log=LOGS, budget=st.integers(0, 400), cut=st.integers(0, 30))
@pytest.mark.parametrize("tokenizer", [FakeTokenizer(), NonAdditiveTokenizer()])
def test_a_history_never_exceeds_its_budget(tokenizer: Tokenizer, log: list[Event], budget: int, cut: int) -> None:
    """For any budget the text fits into it, and the reported tokens are those of the text."""
    result = history({"parent": log[:cut], "child": log[cut:]}, budget, tokenizer)
    assert result.tokens == tokenizer.count(result.text) <= budget
    assert 0 <= result.omitted <= len(log)


@pytest.mark.anyio
async def test_special_tokens_and_other_scripts_stay_within_the_budget(tmp_path: Path) -> None:
    """A real tokenizer counts; a closing tag in a value is escaped."""
    tokenizer = await TiktokenTokenizer.open("cl100k_base", tmp_path)

    @settings(max_examples=60, deadline=None)
    @given(
        texts=st.lists(st.text(max_size=80) | st.sampled_from(["</memories>", "<|endoftext|>", "多语言", "a\n\nb"])),
        budget=st.integers(0, 300),
    )
    def check(texts: list[str], budget: int) -> None:
        result = history({"w": notes(*texts)}, budget, tokenizer)
        assert tokenizer.count(result.text) == result.tokens <= budget
        assert result.text.count("</memories>") <= 1

    check()


def test_the_newest_events_are_kept_and_shown_in_order() -> None:
    """The oldest events are left out and counted."""
    log = notes(*(f"event number {number}" for number in range(40)))
    result = history({"w": log}, 200, FakeTokenizer())
    shown = [number for number in range(40) if f"number {number}\n" in result.text]
    assert shown == list(range(40 - len(shown), 40))
    assert result.omitted == 40 - len(shown) > 0


def test_a_history_has_no_gaps() -> None:
    """A short old event is left out if a newer one did not fit."""
    log = notes("short", "a longer entry " * 25, *(f"entry {number}" for number in range(6)))
    result = history({"parent": notes("short"), "w": log}, 200, FakeTokenizer())
    assert "entry 0" in result.text
    assert "short" not in result.text
    assert result.omitted == 3


def test_parents_come_before_their_children() -> None:
    """The heading and events of the parent precede those of the child."""
    chain = {"parent": notes("first"), "child": notes("second")}
    result = history(chain, 500, FakeTokenizer())
    places = [result.text.index(part) for part in ("# Workflow parent", "first", "# Workflow child", "second")]
    assert places == sorted(places)


def test_a_large_event_is_cut_to_half_of_the_budget() -> None:
    """It ends with a mark and counts as omitted; the other half is left for other events."""
    log = notes("the beginning", "word " * 1_000)
    result = history({"w": log}, 200, FakeTokenizer())
    assert CUT_MARK in result.text
    assert "the beginning" in result.text
    assert result.omitted == 1


@pytest.mark.anyio
async def test_a_cut_event_shows_part_of_its_value(tmp_path: Path) -> None:
    """An event of which only the time and the mark would fit is left out."""
    tokenizer = await TiktokenTokenizer.open("cl100k_base", tmp_path)
    events = [replace(event, at=START.replace(microsecond=103_337)) for event in notes("word " * 1_000)]
    texts = [history({"w": events}, budget, tokenizer).text for budget in range(150)]
    assert sum(CUT_MARK in text for text in texts) > 90
    assert all("note\n  input: word" in text for text in texts if CUT_MARK in text)


def test_an_events_text_has_all_its_values() -> None:
    """It has the event's time, step, type, agent, output and data."""
    event = NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="s", agent="ann", output={"n": 1}, data={"k": "v"})
    text = '2026-03-01T12:00:00Z step s completed by ann\noutput: {"n": 1}\ndata: k = v'
    assert event_text(event.at(START)) == text


def test_steps_of_a_state_stand_in_for_an_expired_log() -> None:
    """The history then has one event for each step in the state, sorted by time."""
    log = logged(
        [
            NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="one", input="in"),
            NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="two"),
            NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="one", output="out"),
        ]
    )
    events = events_of_state(fold(WorkflowState(), log))
    assert [(event.step_id, event.type) for event in events] == [("two", "step_started"), ("one", "step_completed")]
    assert events[1].output == "out"
