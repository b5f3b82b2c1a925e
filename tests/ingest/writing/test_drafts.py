"""From a draft to a memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.writing.drafts import MAX_TRACKED_SESSIONS, ArrivalOrder, PendingWrite, Preparer, check_draft
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Memory
from memtypes.model.policy import Visibility
from memtypes.model.scope import Scope
from memtypes.search.piece import piece
from tests.ingest.doubles import NOW, SCOPE, CharTokenizer, LengthSparse, draft

PREPARER = Preparer(LengthSparse(), CharTokenizer())
contents = st.text(min_size=1, max_size=60, alphabet=st.characters(exclude_categories=("Cc", "Cs"))).filter(str.strip)


def prepared(content: str, kind: str = "semantic", scope: Scope = SCOPE, **fields: Any) -> PendingWrite:
    """What a draft becomes."""
    return PREPARER.prepare(draft(content, kind, **fields), scope, NOW, 7)


def memory(content: str, kind: str = "semantic", scope: Scope = SCOPE, **fields: Any) -> Memory:
    """The memory that a draft becomes."""
    return prepared(content, kind, scope, **fields).memory


@given(contents, st.sampled_from(["episodic", "semantic", "prospective", "procedural", "working"]))
def test_the_same_statement_always_gets_the_same_id(content: str, kind: str) -> None:
    """White space aside, an id follows from scope, type and content alone, not from when or how it came."""
    first = memory(content, kind, importance=2)
    again = PREPARER.prepare(draft(f"  {content}\n", kind), SCOPE, NOW + timedelta(days=1), 8).memory
    other = memory(content, kind, Scope("acme", "other"))
    assert first.id == again.id
    assert first.content_hash == again.content_hash
    assert first.id != other.id


def test_tokens_of_content_and_of_its_line_are_counted() -> None:
    """The counts are those of the content and of the entry that a context shows."""
    made = memory("Stock is derived.", concept="Ledger")
    assert (made.tokens.count, made.tokens.tokenizer, made.tokens.line) == (17, "chars", len(piece(made)))


def test_times_default_to_the_arrival() -> None:
    """Without created_at a memory is as old as its arrival, and valid from then on."""
    made = memory("now")
    assert (made.created_at, made.updated_at, made.valid_from, made.seq) == (NOW, NOW, NOW, 7)


def test_a_memory_of_the_past_is_valid_from_then() -> None:
    """valid_from is created_at where that is past, and the arrival where it is ahead."""
    assert memory("old", created_at="2026-01-01T00:00:00Z").valid_from.month == 1
    assert memory("ahead", created_at="2026-11-20T20:00:00Z").valid_from == NOW


def test_the_scope_gives_session_and_agent_where_the_draft_has_none() -> None:
    """Where the caller stands is recorded unless the draft says otherwise."""
    scope = Scope("acme", "shop", session_id="s1", agent_id="a1")
    assert (memory("x", scope=scope).session_id, memory("x", scope=scope).agent_id) == ("s1", "a1")
    assert memory("x", scope=scope, session_id="s2").session_id == "s2"


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("semantic", {"session_id": "s"}, Visibility.NAMESPACE),
        ("prospective", {"session_id": "s"}, Visibility.SESSION),
        ("prospective", {"session_id": "s", "visibility": "namespace"}, Visibility.NAMESPACE),
        ("prospective", {}, Visibility.NAMESPACE),
        ("working", {"session_id": "s"}, Visibility.SESSION),
    ],
)
def test_visibility_follows_the_policy(kind: str, fields: dict[str, Any], expected: Visibility) -> None:
    """The type decides, the caller may override, and what no session wrote is never kept to one."""
    assert memory("x", kind, **fields).visibility is expected


def test_own_defaults_come_from_the_content() -> None:
    """A title that the caller left out is the first line; one that was given stays."""
    assert memory("First line\nmore", "episodic").model_dump()["title"] == "First line"
    assert memory("First line\nmore", "episodic", title="Mine").model_dump()["title"] == "Mine"


def test_the_session_is_among_the_source_sessions() -> None:
    """Sessions that the caller names come first, the writing one is added once."""
    assert memory("x", session_id="s", source_sessions=["a", "s"]).source_sessions == ["a", "s"]
    assert memory("x", "episodic", session_id="s").source_sessions == ["s"]


def test_sparse_terms_are_those_of_the_embedded_text() -> None:
    """Dense and sparse vectors are made from one text."""
    made = prepared("Stock is derived.", concept="Ledger")
    assert made.memory.embedding_text() == "Ledger: Stock is derived."
    assert made.sparse.values.tolist() == [len(made.memory.embedding_text())]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"created_at": "2026-11-21T12:00:01Z"}, "created_at"),
        ({"created_at": "2026-11-20T10:00:00Z", "expires_at": "2026-11-20T10:00:00Z"}, "expires_at"),
        ({"expires_at": "2026-11-20T12:00:00Z"}, "expires_at"),
        ({"visibility": "session"}, "visibility"),
    ],
)
def test_times_that_make_no_sense_are_refused(fields: dict[str, Any], path: str) -> None:
    """A draft from the future, one that is over before it begins, and one that nobody would see are invalid."""
    with pytest.raises(InvalidRequest) as refused:
        check_draft(draft("x", **fields), NOW)
    assert refused.value.path == path


def test_a_day_ahead_is_allowed() -> None:
    """Exactly one day ahead of the clock still counts as a clock that is off."""
    check_draft(draft("x", created_at="2026-11-21T12:00:00Z", expires_at="2026-11-21T12:00:01Z"), NOW)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=40))
def test_numbers_rise_by_one_within_a_session(arrivals: list[tuple[int, str]]) -> None:
    """However sessions alternate, neighbours in one have neighbouring numbers, and all numbers stay exact."""
    order, at, last = ArrivalOrder(), NOW, dict[str, int]()
    for later, session in arrivals:
        at += timedelta(microseconds=later)
        number = order.take(at, session)
        assert number < 2**53
        assert session not in last or number == last[session] + 1
        last[session] = number


def test_only_the_last_sessions_are_remembered() -> None:
    """A session that was written to long ago goes on from the clock, above what it had."""
    order = ArrivalOrder()
    first = order.take(NOW, "a")
    for other in range(MAX_TRACKED_SESSIONS):
        order.take(NOW, other)
    assert order.take(NOW + timedelta(seconds=1), "a") == first + 1_000_000
