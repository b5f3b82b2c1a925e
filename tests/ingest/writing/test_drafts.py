"""Drafts (memories as callers submit them), and the memories made from them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.writing.drafts import (
    MAX_TRACKED_SESSIONS,
    ArrivalOrder,
    PendingWrite,
    Preparer,
    check_draft,
    gives_value,
)
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Memory
from memtypes.model.policy import Visibility
from memtypes.model.scope import Scope
from retrieval.context.entries import Entries, EntryCounter, EntryFields
from tests.ingest.doubles import NOW, SCOPE, CharTokenizer, LengthSparse, draft

ENTRIES = Entries()
PREPARER = Preparer(LengthSparse(), EntryCounter(CharTokenizer(), ENTRIES))


contents = st.text(
    min_size=1, max_size=60, alphabet=st.characters(exclude_categories=("Cc", "Cs"))
).filter(str.strip)


def prepared(
    content: str, kind: str = "semantic", scope: Scope = SCOPE, **fields: Any
) -> PendingWrite:
    """The pending write (memory to be stored, with its sparse vector) for a draft that arrives at
    NOW.
    """
    return PREPARER.prepare(draft(content, kind, **fields), scope, NOW, 7)


def memory(content: str, kind: str = "semantic", scope: Scope = SCOPE, **fields: Any) -> Memory:
    """The memory made from a draft with these fields that arrives at NOW."""
    return prepared(content, kind, scope, **fields).memory


@given(contents, st.sampled_from(["episodic", "semantic", "prospective", "procedural", "working"]))
def test_ids_are_deterministic(content: str, kind: str) -> None:
    """An id depends on scope, type and normalised content, for events also on the day, and on
    nothing else.
    """
    first = memory(content, kind, importance=2)
    again = PREPARER.prepare(
        draft(f"  {content}\n", kind), SCOPE, NOW + timedelta(minutes=1), 8
    ).memory
    next_day = PREPARER.prepare(draft(content, kind), SCOPE, NOW + timedelta(days=1), 8).memory
    other = memory(content, kind, Scope("acme", "other"))
    assert first.id == again.id
    assert (first.id == next_day.id) is (kind != "episodic")
    assert first.content_hash == again.content_hash
    assert first.id != other.id


def test_tokens_of_the_content_and_of_the_context_line_are_counted() -> None:
    written = memory("Stock is derived.", concept="Ledger")
    assert (written.tokens.count, written.tokens.tokenizer, written.tokens.line) == (
        17,
        "chars",
        len(ENTRIES.markdown(EntryFields.from_memory(written))),
    )


def test_times_default_to_the_arrival() -> None:
    """Without created_at, the memory is created and valid from its arrival on."""
    written = memory("now")
    assert (written.created_at, written.updated_at, written.valid_from, written.seq) == (
        NOW,
        NOW,
        NOW,
        7,
    )


def test_validity_starts_at_created_at_but_not_in_the_future() -> None:
    """A memory is valid from `created_at`, or from its arrival if `created_at` is later than the
    arrival.
    """
    assert memory("old", created_at="2026-01-01T00:00:00Z").valid_from.month == 1
    assert memory("ahead", created_at="2026-11-20T20:00:00Z").valid_from == NOW


def test_session_and_agent_default_to_the_scope() -> None:
    """Without session and agent in the draft, the memory has those of the scope; those in the draft
    take precedence.
    """
    scope = Scope("acme", "shop", session_id="s1", agent_id="a1")
    assert (memory("x", scope=scope).session_id, memory("x", scope=scope).agent_id) == ("s1", "a1")
    assert memory("x", scope=scope, session_id="s2").session_id == "s2"


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("semantic", {"session_id": "s"}, Visibility.NAMESPACE),
        ("prospective", {"session_id": "s", "visibility": "session"}, Visibility.SESSION),
        ("prospective", {"session_id": "s"}, Visibility.NAMESPACE),
        ("prospective", {}, Visibility.NAMESPACE),
        ("working", {"session_id": "s"}, Visibility.SESSION),
    ],
)
def test_each_memory_type_has_a_default_visibility(
    kind: str, fields: dict[str, Any], expected: Visibility
) -> None:
    """A memory's visibility depends on its type if the draft sets none. Without a session it is the
    namespace.
    """
    assert memory("x", kind, **fields).visibility is expected


def test_a_title_defaults_to_the_first_line() -> None:
    """Without a title in the draft, the memory's title is its first line; a title set by the caller
    stays.
    """
    assert memory("First line\nmore", "episodic").model_dump()["title"] == "First line"
    assert memory("First line\nmore", "episodic", title="Mine").model_dump()["title"] == "Mine"


def test_the_session_is_added_to_the_source_sessions() -> None:
    """The memory's session is added after the source sessions set by the caller. No session is
    listed twice.
    """
    assert memory("x", session_id="s", source_sessions=["a", "s"]).source_sessions == ["a", "s"]
    assert memory("x", "episodic", session_id="s").source_sessions == ["s"]


def test_the_sparse_vector_is_computed_from_the_embedded_text() -> None:
    written = prepared("Stock is derived.", concept="Ledger")
    assert written.memory.embedding_text() == "Ledger: Stock is derived."
    assert written.sparse.values.tolist() == [len(written.memory.embedding_text())]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"created_at": "2026-11-21T12:00:01Z"}, "created_at"),
        (
            {"created_at": "2026-11-20T10:00:00Z", "expires_at": "2026-11-20T10:00:00Z"},
            "expires_at",
        ),
        ({"expires_at": "2026-11-20T12:00:00Z"}, "expires_at"),
        ({"visibility": "session"}, "visibility"),
    ],
)
def test_invalid_times_and_visibility_are_refused(fields: dict[str, Any], path: str) -> None:
    """A draft is refused if it is dated over a day ahead, has already expired, or is private
    without a session.
    """
    with pytest.raises(InvalidRequest) as refused:
        check_draft(draft("x", **fields), NOW)
    assert refused.value.path == path


def test_created_at_may_be_a_day_ahead() -> None:
    """A `created_at` exactly one day after the arrival is accepted."""
    check_draft(
        draft("x", created_at="2026-11-21T12:00:00Z", expires_at="2026-11-21T12:00:01Z"), NOW
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=40))
def test_sequence_numbers_rise_by_one_within_a_session(arrivals: list[tuple[int, str]]) -> None:
    """Memories of a session get consecutive sequence numbers, even if other sessions' memories
    arrive in between.

    Every number is small enough for a float to represent it exactly.
    """
    order = ArrivalOrder()
    at = NOW
    last = dict[str, int]()
    for later, session in arrivals:
        at += timedelta(microseconds=later)
        number = order.next_number(at, session)
        assert number < 2**53
        assert session not in last or number == last[session] + 1
        last[session] = number


def test_sequence_numbers_continue_after_a_session_is_no_longer_tracked() -> None:
    """Only the numbers of recent sessions are tracked.

    Another session's next number comes from the clock and is higher.
    """
    order = ArrivalOrder()
    first = order.next_number(NOW, "a")
    for other in range(MAX_TRACKED_SESSIONS):
        order.next_number(NOW, other)
    assert order.next_number(NOW + timedelta(seconds=1), "a") == first + 1_000_000


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("I secured 5 interviews", True),
        ("I have seven women as mentees", True),
        ("The review was postponed", True),
        ("It moved to the other office", True),
        ("I like tea", False),
        ("Thanks, that sounds good!", False),
    ],
)
def test_texts_with_a_number_or_a_word_for_a_change_give_a_value(text: str, gives: bool) -> None:  # noqa: FBT001
    """A text may state a new value of a fact if it has a number or a word for a change, such as
    "moved".
    """
    assert gives_value(text) is gives
