"""The five memory types: validation of drafts, stored payloads, and the texts that are embedded or
shown.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest.working.working_memory import TTL_S
from memtypes.model.memory import (
    MAX_CONTENT,
    MAX_EARLIER,
    Draft,
    Memory,
    Source,
    State,
    TokenCount,
    first_line,
)
from memtypes.model.policy import LONG_TERM, POLICIES, MemoryType, Visibility
from memtypes.model.times import rfc3339
from memtypes.model.types import DRAFT, MEMORY_CLASSES, from_payload

AT = datetime(2023, 1, 20, 16, 4, tzinfo=UTC)


def memory(kind: str, content: str = "Lost my job as a banker.", **fields: Any) -> Memory:
    """A memory of type `kind`, with simple default values for fields that are not in `fields`."""
    base = {
        "id": "m",
        "type": kind,
        "tenant": "t",
        "namespace": "n",
        "content": content,
        "visibility": "namespace",
        "created_at": AT,
        "updated_at": AT,
        "valid_from": AT,
        "content_hash": "h",
        "tokens": TokenCount(count=3, tokenizer="cl100k_base"),
    }
    return MEMORY_CLASSES[MemoryType(kind)].model_validate(base | fields)


@pytest.mark.parametrize("kind", list(MemoryType))
def test_a_draft_needs_only_type_and_content(kind: str) -> None:
    draft = DRAFT.validate_python({"type": kind, "content": "x"})
    assert (draft.type, draft.content, draft.importance) == (kind, "x", 5)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"content": ""}, "at least 1 character"),
        ({"content": " \n\t"}, "must not be blank"),
        ({"content": "a\x00b"}, "control characters"),
        ({"content": "\ud800"}, "string_unicode|control|surrogate|valid string"),
        ({"content": "x" * 500_001}, "at most 500000 characters"),
        ({"content": 5}, "valid string"),
        ({"importance": 0}, "greater than or equal to 1"),
        ({"importance": 11}, "less than or equal to 10"),
        ({"importance": "5"}, "valid integer"),
        ({"importance": True}, "valid integer"),
        ({"importance": 5.0}, "valid integer"),
        ({"pinned": "yes"}, "valid boolean"),
        ({"created_at": "2026-01-01T00:00:00"}, "time and offset"),
        ({"created_at": "2026-01-01"}, "RFC 3339"),
        ({"created_at": 1700000000}, "RFC 3339"),
        ({"created_at": "1700000000"}, "RFC 3339"),
        ({"created_at": "0001-01-01T00:00:00+05:00"}, "between the years 1 and 9999"),
        ({"tags": ["x" * 129]}, "at most 128 characters"),
        ({"tags": ["x"] * 65}, "at most 64 items"),
        ({"tags": "x"}, "valid list"),
        ({"metadata": {"k": "x" * 17_000}}, "at most 16384 bytes"),
        ({"metadata": {"tenant": "other"}}, "must not name a memory's own fields"),
        ({"metadata": {"x": float("inf")}}, "plain JSON"),
        ({"namespace": "other"}, "Extra inputs"),
        ({"tenant": "other"}, "Extra inputs"),
        ({"id": "chosen"}, "Extra inputs"),
        ({"content_hash": "x"}, "Extra inputs"),
        ({"session_id": ""}, "at least 1 character"),
        ({"emotional_valence": 3}, "less than or equal to 2"),
        ({"event_type": "party"}, "Input should be"),
        ({"confidence": 0.5}, "Extra inputs"),
    ],
)
def test_an_invalid_draft_is_refused(fields: dict[str, Any], why: str) -> None:
    """A draft with an invalid field is refused with an error that says what is wrong."""
    with pytest.raises(ValidationError, match=why):
        DRAFT.validate_python({"type": "episodic", "content": "x"} | fields)


def test_a_time_with_any_offset_is_stored_as_utc() -> None:
    draft = DRAFT.validate_python(
        {"type": "semantic", "content": "x", "created_at": "2026-01-01T01:30:00+01:30"}
    )
    assert draft.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert rfc3339(draft.created_at) == "2026-01-01T00:00:00Z"


def test_a_source_may_be_a_name() -> None:
    """If a draft's `source` is a string, that string becomes the `caller` of its source."""
    draft = DRAFT.validate_python({"type": "semantic", "content": "x", "source": "import"})
    assert draft.source is not None
    assert draft.source.caller == "import"


def test_a_captured_message_of_before_the_field_is_recognised_by_its_caller() -> None:
    older = {"thread_id": "s", "turns": [3], "caller": "session-stop"}
    assert Source.model_validate(older) == Source.of_message("s", 3)
    assert Source.of_message("s", 3).captured
    assert not Source.model_validate({**older, "caller": "import"}).captured


def test_tags_are_kept_once_in_order() -> None:
    """Repeated tags of a draft are dropped; the others keep their order."""
    assert DRAFT.validate_python(
        {"type": "semantic", "content": "x", "tags": ["b", "a", "b"]}
    ).tags == ["b", "a"]


TYPE_FIELDS: dict[str, dict[str, Any]] = {
    "episodic": {
        "speaker": "Ana",
        "event_type": "decision",
        "emotional_valence": -2,
        "title": "t",
        "context": "c",
    },
    "semantic": {
        "concept": "c",
        "category": "principle",
        "confidence": 0.25,
        "related": ["x"],
        "source_sessions": ["s"],
    },
    "prospective": {
        "due_at": AT,
        "priority": 1,
        "status": "active",
        "trigger_type": "event",
        "trigger_condition": "d",
    },
    "procedural": {"steps": ["a", "b"], "success_rate": 0.5, "usage_count": 2, "last_used_at": AT},
    "working": {"todo_id": "7", "context_type": "state", "scope": "session", "priority": 5},
}


@pytest.mark.parametrize("kind", list(MemoryType))
def test_a_payload_is_decoded_to_the_same_memory(kind: str) -> None:
    """A memory with all optional fields of its type, or with none, is equal after encoding and
    decoding.
    """
    full = memory(
        kind, metadata={"k": [1, {"x": None}]}, tags=["a"], valid_to=AT, **TYPE_FIELDS[kind]
    )
    assert from_payload(full.to_payload()) == full
    bare = memory(kind)
    assert from_payload(bare.to_payload()) == bare
    assert None not in bare.to_payload().values()


def test_a_payload_has_its_times_as_text_in_utc() -> None:
    """Times in payloads are RFC 3339 text in UTC, because the search engines compare only this form
    as instants.
    """
    assert memory("prospective", due_at=AT).to_payload()["due_at"] == "2023-01-20T16:04:00Z"


def test_an_event_is_embedded_with_its_day_in_words_and_its_speaker() -> None:
    text = memory("episodic", speaker="Gina").embedding_text()
    assert text == "20 January 2023 Friday Gina: Lost my job as a banker."


def test_a_title_that_repeats_the_first_line_is_not_embedded_twice() -> None:
    """A title is embedded before the content, unless it equals the content's first line."""
    assert (
        memory("semantic", concept="Lost my job as a banker.").embedding_text()
        == "Lost my job as a banker."
    )
    assert memory("semantic", concept="Work").embedding_text() == "Work: Lost my job as a banker."


def test_the_speaker_is_part_of_an_events_identity() -> None:
    """The same words of two speakers are two events; with two due times, two tasks; with two
    to-dos, two notes.
    """
    assert (
        memory("episodic", speaker="Ana").identity() != memory("episodic", speaker="Ben").identity()
    )
    assert memory("prospective", due_at=AT).identity() != memory("prospective").identity()
    assert memory("working", todo_id="1").identity() != memory("working", todo_id="2").identity()


def test_the_session_is_part_of_a_private_memorys_identity() -> None:
    shared = [memory("semantic", session_id=s).identity() for s in ("a", "b")]
    private = [
        memory("semantic", session_id=s, visibility="session").identity() for s in ("a", "b")
    ]
    assert shared[0] == shared[1]
    assert private[0] != private[1]


def test_the_day_is_part_of_an_events_identity() -> None:
    """The same words on two days are two events, but only one fact."""
    for kind, same in (("episodic", False), ("semantic", True)):
        first, other = (memory(kind, created_at=at) for at in (AT, AT + timedelta(days=1)))
        assert (first.identity() == other.identity()) is same


@pytest.mark.parametrize(
    ("fields", "days", "state"),
    [
        ({}, 0, State.CURRENT),
        ({"valid_to": AT}, -1, State.CURRENT),
        ({"valid_to": AT}, 0, State.REPLACED),
        (
            {"valid_to": AT, "state": State.REPLACED, "state_until": AT + timedelta(days=2)},
            1,
            State.REPLACED,
        ),
        (
            {"valid_to": AT, "state": State.REPLACED, "state_until": AT + timedelta(days=2)},
            2,
            State.CURRENT,
        ),
        ({"state": State.CONTESTED, "state_until": AT + timedelta(days=2)}, 1, State.CONTESTED),
        ({"state": State.CONTESTED, "state_until": AT + timedelta(days=2)}, 2, State.CURRENT),
    ],
)
def test_the_state_changes_with_time_without_a_write(
    fields: dict[str, Any], days: int, state: State
) -> None:
    """A memory is replaced from `valid_to` on, and current again from `state_until` on."""
    fact = memory("semantic", **fields).at(AT + timedelta(days=days))
    assert fact.state is state
    if "state_until" in fields and state is State.CURRENT:
        assert (fact.valid_to, fact.superseded_by, fact.state_until) == (None, None, None)


def test_an_edited_memory_keeps_its_earlier_texts() -> None:
    """An edited memory keeps its earlier texts, each until the time at which the next text replaced
    it.

    The oldest are dropped if there are too many or their total is too long.
    """
    edited = memory("semantic", "text 0")
    for number in range(1, MAX_EARLIER + 6):
        edited = edited.edited(f"text {number}", AT + timedelta(days=number))
    assert [text.content for text in edited.earlier] == [
        f"text {number}" for number in range(5, MAX_EARLIER + 5)
    ]
    assert all(first.until == following.since for first, following in pairwise(edited.earlier))
    assert edited.replace() == edited
    long = memory("semantic", "x" * MAX_CONTENT).edited("short", AT)
    assert len(long.earlier) == 1
    assert long.edited("other", AT).earlier[0].content == "short"


def test_metadata_keys_may_be_common_words_that_name_memory_fields() -> None:
    """Metadata may have keys such as `state` and `sources`, though memories have such fields, but
    not `pinned`.
    """
    metadata = {"state": "Ohio", "sources": [1]}
    assert memory("semantic", metadata=metadata).metadata == metadata
    assert (
        DRAFT.validate_python({"type": "semantic", "content": "x", "metadata": metadata}).metadata
        == metadata
    )
    with pytest.raises(ValidationError, match="pinned"):
        DRAFT.validate_python({"type": "semantic", "content": "x", "metadata": {"pinned": 1}})


def test_a_copy_is_validated_like_the_original() -> None:
    """Copying a memory with an invalid value for a field is refused."""
    assert memory("semantic").replace(importance=9).importance == 9
    with pytest.raises(ValidationError, match="less than or equal to 10"):
        memory("semantic").replace(importance=11)


@given(st.text(min_size=1).filter(lambda text: bool(text.strip())))
def test_a_default_title_is_neither_blank_nor_long(text: str) -> None:
    """`first_line()` of any content, which is the default title, has 1 to 500 characters and is not
    blank.
    """
    line = first_line(text)
    assert line.strip() == line
    assert 1 <= len(line) <= 500


def test_working_memory_alone_is_private_and_not_kept_for_good() -> None:
    assert MemoryType.WORKING not in LONG_TERM
    private = {kind for kind in MemoryType if POLICIES[kind].visibility is Visibility.SESSION}
    assert private == {MemoryType.WORKING}


def test_the_concepts_page_has_the_defaults_of_each_type() -> None:
    """The table in docs/concepts.md has the visibility and half-life of each type, and the life of
    working memory.
    """
    lines = (
        (Path(__file__).parents[3] / "docs" / "concepts.md")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[3:6]]
        for line in lines
        if "|" in line
    }
    for kind, policy in POLICIES.items():
        half_life = f"{policy.half_life.days} days" if policy.half_life else "none"
        stored_until = (
            "it is deleted" if kind in LONG_TERM else f"{TTL_S // 60} minutes after its last use"
        )
        assert rows[kind] == [stored_until, f"`{policy.visibility}`", half_life]


def test_titles_and_names_default_to_the_first_line_of_the_content() -> None:
    """An event's title and a procedure's name default to the content's first line. A working memory
    has no title.
    """
    draft = Draft(content="\n  First line \nsecond")
    names = {kind: cls.defaults(draft) for kind, cls in MEMORY_CLASSES.items()}
    assert names[MemoryType.EPISODIC] == {"title": "First line"}
    assert names[MemoryType.PROCEDURAL] == {"procedure_name": "First line"}
    assert names[MemoryType.WORKING] == {}


def test_links_due_text_and_firing_time_are_stored_in_the_payload() -> None:
    """A task's links, due text and firing time are unchanged after encoding and decoding."""
    fields: dict[str, Any] = {
        "links": [{"to": "m-1", "type": "derived_from", "strength": 0.5}],
        "due_text": "tomorrow at 3pm",
        "fired_at": "2026-03-01T15:00:00Z",
    }
    task = memory("prospective", **fields)
    assert task.to_payload().items() >= fields.items()
    assert from_payload(task.to_payload()) == task


def test_a_working_memory_of_earlier_versions_is_read_without_its_former_fields() -> None:
    item = memory("working")
    assert from_payload({**item.to_payload(), "live": True, "fence": 3}) == item
