"""What memories look like in a context, and the version of that look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.memory import State, TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Status
from retrieval.context.entries import (
    TEXTS,
    Entries,
    EntryCounter,
    EntryFields,
    day_of,
    sample_fields,
)
from tests.builders import make_memory
from tests.fakes import FakeTokenizer

AT = datetime(2023, 1, 20, 16, 4, tzinfo=UTC)
ENTRIES = Entries()


def text_of(kind: MemoryType, content: str = "a text", **fields: Any) -> str:
    """The text of the entry of a memory with these fields."""
    times = {"created_at": AT, "valid_from": AT}
    return ENTRIES.text_of(make_memory(kind, content, **times, **fields))


def test_an_event_has_its_speaker_and_context() -> None:
    event = {"speaker": "Gina", "context": "on the phone", "title": "Work"}
    assert text_of(MemoryType.EPISODIC, "I moved.", **event) == "Gina: I moved. (on the phone)"
    assert text_of(MemoryType.EPISODIC, "I moved.") == "I moved."


def test_a_fact_has_its_concept_unless_that_is_its_first_line() -> None:
    assert text_of(MemoryType.SEMANTIC, "It is red.", concept="Car") == "Car: It is red."
    assert text_of(MemoryType.SEMANTIC, "Car\nIt is red.", concept="Car") == "Car\nIt is red."


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        (MemoryType.SEMANTIC, ""),
        (MemoryType.PROSPECTIVE, "[pending] "),
        (MemoryType.PROCEDURAL, ""),
    ],
)
def test_a_statement_has_its_speaker_where_it_speaks_of_me(kind: MemoryType, before: str) -> None:
    mine = "I clean my grinder."
    assert text_of(kind, mine, speaker="Gina").startswith(f"{before}Gina: {mine}")
    assert text_of(kind, mine).startswith(f"{before}{mine}")
    assert text_of(kind, "Clean it.", speaker="Gina").startswith(f"{before}Clean it.")


@pytest.mark.parametrize(
    ("fields", "dates"),
    [
        ({}, ""),
        ({"dated": True}, " (since 2023-01-20)"),
        ({"state": State.CONTESTED}, " (since 2023-01-20)"),
        (
            {"dated": True, "restated_at": AT + timedelta(days=2)},
            " (since 2023-01-20, said again 2023-01-22)",
        ),
        ({"dated": True, "restated_at": AT}, " (since 2023-01-20)"),
        (
            {"superseded_by": "m-2", "valid_to": AT + timedelta(days=1)},
            " (from 2023-01-20 until 2023-01-21)",
        ),
        (
            {"superseded_by": "m-2", "valid_to": AT - timedelta(days=1)},
            " (from 2023-01-19 until 2023-01-19)",
        ),
        (
            {
                "dated": True,
                "superseded_by": "m-2",
                "valid_to": AT + timedelta(days=1),
                "state_until": AT + timedelta(days=2),
            },
            " (since 2023-01-20)",
        ),
        ({"dated": True, "superseded_by": "m-2"}, " (since 2023-01-20)"),
    ],
)
def test_a_fact_says_since_or_until_when_it_holds(fields: dict[str, Any], dates: str) -> None:
    """A replacement that will expire gives no end: the fact will be current again."""
    assert text_of(MemoryType.SEMANTIC, "a fact", **fields) == f"a fact{dates}"


def test_an_edited_fact_holds_since_its_last_edit() -> None:
    fact = make_memory(MemoryType.SEMANTIC, "it is old", dated=True, valid_from=AT)
    edited = fact.edited("it is new", AT + timedelta(days=3))
    assert ENTRIES.text_of(edited) == "it is new (since 2023-01-23)"


def test_a_task_has_its_status_due_time_and_trigger() -> None:
    task = {"due_at": AT, "trigger_condition": "after lunch"}
    expected = "[pending] Call the bank (due 2023-01-20 16:04Z) (when: after lunch)"
    assert text_of(MemoryType.PROSPECTIVE, "Call the bank", **task) == expected
    done = {"status": Status.COMPLETED, "completed_at": AT}
    assert text_of(MemoryType.PROSPECTIVE, "Call", **done) == "[completed 2023-01-20] Call"
    cancelled = done | {"status": Status.CANCELLED}
    assert text_of(MemoryType.PROSPECTIVE, "Call", **cancelled) == "[cancelled] Call"


@pytest.mark.parametrize(
    "content", ["We open at nine from today", "Elle arrive demain", "Der Termin ist am Freitag"]
)
def test_a_fact_or_an_undated_task_with_a_relative_time_shows_the_day_of_its_words(
    content: str,
) -> None:
    assert text_of(MemoryType.SEMANTIC, content) == f"{content} (2023-01-20)"
    assert text_of(MemoryType.PROSPECTIVE, content) == f"[pending] {content} (2023-01-20)"


def test_a_known_due_time_or_change_says_more_than_the_day_of_the_words() -> None:
    content = "Call the bank tomorrow"
    due = text_of(MemoryType.PROSPECTIVE, content, due_at=AT)
    assert due == f"[pending] {content} (due 2023-01-20 16:04Z)"
    changed = text_of(MemoryType.SEMANTIC, content, dated=True)
    assert changed == f"{content} (since 2023-01-20)"


def test_a_procedure_has_numbered_steps_and_conditions() -> None:
    procedure = {
        "procedure_name": "Release",
        "steps": ["tag", "upload"],
        "prerequisites": ["a key", "a tag"],
        "success_conditions": ["it is out"],
        "failure_patterns": ["no key"],
    }
    assert text_of(MemoryType.PROCEDURAL, "How to ship.", **procedure) == (
        "Release: How to ship. (2023-01-20)\n1. tag\n2. upload\nNeeds: a key; a tag\n"
        "Done when: it is out\nFails when: no key"
    )


def test_events_alone_stand_under_their_day() -> None:
    days = {
        kind: day_of(EntryFields.from_memory(make_memory(kind, "x", created_at=AT)))
        for kind in MemoryType
    }
    assert days == {**dict.fromkeys(MemoryType), MemoryType.EPISODIC: "2023-01-20"}


def test_the_samples_exercise_every_field_that_an_entry_may_show() -> None:
    """A field whose samples have only its default would not be part of the version."""
    identity = {"id", "type", "tokens", "created_at", "valid_from"}
    identity |= {"lapses_at", "closed_at", "reopened_at"}  # only tell the status at a time
    samples = [msgspec.structs.asdict(sample) for sample in sample_fields()]
    for name in set(EntryFields.__struct_fields__) - identity:
        assert len({str(sample[name]) for sample in samples}) > 1, name
    assert {sample["type"] for sample in samples} == set(MemoryType)
    assert {sample["state"] for sample in samples} == set(State)


READ_FIELDS = {
    MemoryType.EPISODIC: {"content", "speaker", "context"},
    MemoryType.SEMANTIC: {
        "content",
        "concept",
        "dated",
        "earlier",
        "restated_at",
        "speaker",
        "state_until",
        "superseded_by",
        "valid_to",
    },
    MemoryType.PROSPECTIVE: {
        "content",
        "status",
        "completed_at",
        "due_at",
        "speaker",
        "trigger_condition",
    },
    MemoryType.PROCEDURAL: {
        "content",
        "procedure_name",
        "speaker",
        "steps",
        "prerequisites",
        "success_conditions",
        "failure_patterns",
    },
    MemoryType.WORKING: {"content"},
}
DEFAULTS = EntryFields.from_memory(make_memory(MemoryType.WORKING, "default"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, names in READ_FIELDS.items() for name in sorted(names)],
)
def test_entries_that_ignore_a_field_have_another_version(kind: MemoryType, name: str) -> None:
    def without_field(fields: EntryFields) -> str:
        return TEXTS[kind](msgspec.structs.replace(fields, **{name: getattr(DEFAULTS, name)}))

    assert Entries({**TEXTS, kind: without_field}).version != ENTRIES.version


def test_equal_entries_have_the_same_version() -> None:
    assert Entries(dict(TEXTS)).version == ENTRIES.version
    assert len(ENTRIES.version) == 16


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20
).filter(str.strip)
# Bounds are naive
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
LINES = st.lists(TEXT, max_size=3)
COMMON = {
    "created_at": TIMES,
    "valid_from": TIMES,
    "valid_to": TIMES,
    "state_until": TIMES,
    "state": st.sampled_from(State),
    "superseded_by": st.just("m-2"),
    "dated": st.booleans(),
    "restated_at": TIMES,
    "seq": st.integers(0, 2**53 - 1),
}
OF_TYPE: dict[MemoryType, dict[str, st.SearchStrategy[Any]]] = {
    MemoryType.EPISODIC: {"speaker": TEXT, "context": TEXT, "title": TEXT},
    MemoryType.SEMANTIC: {"concept": TEXT, "speaker": TEXT},
    MemoryType.PROSPECTIVE: {
        "due_at": TIMES,
        "trigger_condition": TEXT,
        "status": st.sampled_from(Status),
        "completed_at": TIMES,
    },
    MemoryType.PROCEDURAL: {
        "procedure_name": TEXT,
        "steps": LINES,
        "prerequisites": LINES,
        "success_conditions": LINES,
        "failure_patterns": LINES,
    },
    MemoryType.WORKING: {"todo_id": st.just("one")},
}


@given(st.data())
def test_the_count_of_an_entry_is_that_of_the_stored_fields(data: st.DataObject) -> None:
    """What is counted when a memory is written is what a context shows from the store."""
    kind = data.draw(st.sampled_from(MemoryType))
    optional = st.fixed_dictionaries({}, optional=COMMON | OF_TYPE[kind])
    memory = make_memory(kind, data.draw(TEXT), **data.draw(optional))
    tokenizer = FakeTokenizer()
    tokens = EntryCounter(tokenizer, ENTRIES)(memory)
    stored = memory.model_copy(update={"tokens": tokens}).to_payload()
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=EntryFields)
    assert fields.tokens.line == tokenizer.count(ENTRIES.markdown(fields))
    assert (fields.tokens.tokenizer, fields.tokens.renderer) == (tokenizer.name, ENTRIES.version)


def test_a_task_that_may_have_ended_says_when_that_was_said() -> None:
    said = {"how": "done", "at": AT + timedelta(days=3), "reason": "told"}
    shown = text_of(MemoryType.PROSPECTIVE, "Ring Ron", due_at=AT, said=said)
    assert shown == "[pending] Ring Ron (due 2023-01-20 16:04Z) (said done 2023-01-23)"


def test_an_entry_shows_a_task_as_it_was_at_the_time_that_a_query_asks_about() -> None:
    ended = AT + timedelta(days=2)
    said = {"how": "done", "at": ended, "reason": "told"}
    task = make_memory(
        MemoryType.PROSPECTIVE,
        "Ring Ron",
        status="completed",
        completed_at=ended,
        closed_at=ended,
        tokens=TokenCount(count=2, tokenizer="t", line=5, renderer=ENTRIES.version),
    )
    fields = EntryFields.from_memory(task)
    then = fields.as_of(ended - timedelta(days=1))
    assert ENTRIES.text(then) == "[pending] Ring Ron"
    assert then.tokens.renderer == ""
    assert fields.as_of(ended) is fields
    may_have_ended = EntryFields.from_memory(task.replace(status="pending", said=said))
    assert may_have_ended.as_of(AT).said is None
