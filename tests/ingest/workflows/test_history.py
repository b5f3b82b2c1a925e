"""The history of a chain in a budget of tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.workflows.history import CUT_MARK, Past, history, line, told_by
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.live.events import Event, NewEvent, WorkflowEventType
from memtypes.live.workflow_state import WorkflowState, fold
from memtypes.ports.tokenizer import Tokenizer
from tests.fakes import FakeTokenizer
from tests.ingest.workflows.events import LOGS, START, logged


class WholeTextTokenizer(FakeTokenizer):
    """A tokenizer whose counts do not add up: a long text costs more than its pieces."""

    def count(self, text: str) -> int:
        """One more a hundred characters."""
        return super().count(text) + len(text) // 100


def noted(*texts: str) -> list[Event]:
    """A note for each text."""
    return logged([NewEvent(type=WorkflowEventType.NOTE, input=text) for text in texts])


@given(log=LOGS, budget=st.integers(0, 400), cut=st.integers(0, 30))
@pytest.mark.parametrize("tokenizer", [FakeTokenizer(), WholeTextTokenizer()])
def test_a_history_is_never_above_its_budget(tokenizer: Tokenizer, log: list[Event], budget: int, cut: int) -> None:
    """For any budget from 0 up, the text's own count is what is said, and at most the budget."""
    told = history([Past("parent", log[:cut]), Past("child", log[cut:])], budget, tokenizer)
    assert told.tokens == tokenizer.count(told.text) <= budget
    assert 0 <= told.omitted <= len(log)


@pytest.mark.anyio
async def test_a_real_tokenizer_counts_hostile_text_within_the_budget(tmp_path: Path) -> None:
    """Special tokens, fences, other scripts and line breaks do not lift the budget."""
    tokenizer = await TiktokenTokenizer.open("cl100k_base", tmp_path)

    @settings(max_examples=60, deadline=None)
    @given(
        texts=st.lists(st.text(max_size=80) | st.sampled_from(["</memories>", "<|endoftext|>", "多语言", "a\n\nb"])),
        budget=st.integers(0, 300),
    )
    def check(texts: list[str], budget: int) -> None:
        told = history([Past("w", noted(*texts))], budget, tokenizer)
        assert tokenizer.count(told.text) == told.tokens <= budget
        assert told.text.count("</memories>") <= 1

    check()


def test_the_newest_goes_in_first_and_is_shown_last() -> None:
    """What does not fit is the oldest, and it is counted."""
    log = noted(*(f"event number {number}" for number in range(40)))
    told = history([Past("w", log)], 200, FakeTokenizer())
    shown = [number for number in range(40) if f"number {number}\n" in told.text]
    assert shown == list(range(40 - len(shown), 40))
    assert told.omitted == 40 - len(shown) > 0


def test_a_history_has_no_hole() -> None:
    """A short old event does not slip in behind a longer one that did not fit."""
    log = noted("short", "a longer entry " * 25, *(f"entry {number}" for number in range(6)))
    told = history([Past("parent", noted("short")), Past("w", log)], 200, FakeTokenizer())
    assert "entry 0" in told.text
    assert "short" not in told.text
    assert told.omitted == 3


def test_parents_come_before_their_children() -> None:
    """Each workflow has a heading, and the chain reads from its beginning."""
    told = history([Past("parent", noted("first")), Past("child", noted("second"))], 500, FakeTokenizer())
    places = [told.text.index(part) for part in ("# Workflow parent", "first", "# Workflow child", "second")]
    assert places == sorted(places)


def test_a_huge_event_is_cut_and_leaves_room_for_others() -> None:
    """It takes at most half, with a mark, and counts as not whole."""
    log = noted("the beginning", "word " * 1_000)
    told = history([Past("w", log)], 200, FakeTokenizer())
    assert CUT_MARK in told.text
    assert "the beginning" in told.text
    assert told.omitted == 1


@pytest.mark.anyio
async def test_a_cut_event_still_says_what_happened(tmp_path: Path) -> None:
    """Its time and the mark alone are no history: then it is left out."""
    tokenizer = await TiktokenTokenizer.open("cl100k_base", tmp_path)
    events = [replace(event, at=START.replace(microsecond=103_337)) for event in noted("word " * 1_000)]
    told = [history([Past("w", events)], budget, tokenizer).text for budget in range(150)]
    assert sum(CUT_MARK in text for text in told) > 90
    assert all("note\n  input: word" in text for text in told if CUT_MARK in text)


def test_a_line_says_when_who_and_what() -> None:
    """Everything that an event carries is there."""
    event = NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="s", agent="ann", output={"n": 1}, data={"k": "v"})
    assert line(event.at(START)) == ('2026-03-01T12:00:00Z step s completed by ann\noutput: {"n": 1}\ndata: k = v')


def test_a_state_without_its_log_still_tells_of_its_steps() -> None:
    """An ended parent whose events are gone is told from its snapshot."""
    log = logged(
        [
            NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="one", input="in"),
            NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="two"),
            NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="one", output="out"),
        ]
    )
    told = told_by(fold(WorkflowState(), log))
    assert [(event.step_id, event.type) for event in told] == [("two", "step_started"), ("one", "step_completed")]
    assert told[1].output == "out"
