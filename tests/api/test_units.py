"""Small parts on their own: loopback, sockets, paths of errors, what is shown of a value, tables."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from rich.console import Console

from api.auth.guards import is_loopback
from api.auth.keys import KeyEntry, KeyRing, Role
from api.cli.tables import MAX_TEXT, context_view, hits_table, shortened
from api.http.routes.memories import list_filter
from api.http.routes.memory_shapes import ListQuery, MemoryPost
from api.http.serve import check_exposure, listen
from api.http.validation import MAX_SHOWN, InvalidInput, checked, path_text, shown
from api.settings import BadSettings
from memtypes.model.filters import All
from memtypes.model.memory import Draft
from memtypes.model.semantic import SemanticDraft

KEYS = KeyRing.of([KeyEntry(key="abcdefgh", tenant="t", role=Role.ADMIN)])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    """Addresses of this very machine."""
    assert is_loopback(host)
    check_exposure(host, KeyRing())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org", "localhost.example.org"])  # noqa: S104
def test_any_other_address_needs_keys(host: str) -> None:
    """Without them it refuses to start, and says the way out."""
    check_exposure(host, KEYS)
    with pytest.raises(BadSettings, match="--keys FILE"):
        check_exposure(host, KeyRing())


def test_a_taken_port_is_named() -> None:
    """Before anything is opened."""
    with listen("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(BadSettings, match=f"cannot listen on 127.0.0.1:{port}"):
            listen("127.0.0.1", port)


@pytest.mark.anyio
async def test_answers_are_sent_at_once() -> None:
    """A connection does not hold back the second half of an answer until the first one is acknowledged."""
    delayed: asyncio.Queue[int] = asyncio.Queue()

    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        delayed.put_nowait(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen("127.0.0.1", 0) as bound:
        async with await asyncio.start_server(accepted, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            assert await asyncio.wait_for(delayed.get(), 10) != 0
            writer.close()


def test_an_address_that_is_none_is_named() -> None:
    """A host that can't be resolved."""
    with pytest.raises(BadSettings, match="cannot listen on"):
        listen("no.such.host.invalid", 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON | st.text(st.characters(categories=["Cs"]), min_size=1))
def test_what_is_shown_is_short_and_plain(value: Any) -> None:
    """Anything can be quoted in a problem."""
    text = json.dumps(shown(value), allow_nan=False, ensure_ascii=False).encode()
    assert len(text) < 12 * MAX_SHOWN


@given(JSON)
def test_anything_wrong_is_an_invalid_input_with_paths(value: Any) -> None:
    """Whatever is validated, the errors can be sent."""
    with pytest.raises(InvalidInput) as caught:
        checked(MemoryPost, value)
    assert json.dumps([one.members() for one in caught.value.errors], allow_nan=False, ensure_ascii=False).encode()


def test_a_path_reads_like_the_body() -> None:
    """Dots for names, brackets for places in a list."""
    assert path_text(["items", 3, "tags", 0]) == "items[3].tags[0]"
    assert path_text([2, "content"]) == "[2].content"
    assert path_text([]) == ""


def test_a_posted_memory_gives_the_draft_alone() -> None:
    """What is said about the writing is no part of the memory, and nothing else is lost."""
    sent = {"type": "semantic", "content": "A fact.", "importance": 7, "created_at": "2026-01-01T00:00:00Z"}
    draft: Draft = checked(MemoryPost, {**sent, "namespace": "n", "review": "skip"}).root.draft()
    assert draft == TypeAdapter(SemanticDraft).validate_python(sent)
    assert draft.model_fields_set == sent.keys()


def test_a_list_without_conditions_still_leaves_out_what_has_passed() -> None:
    """Unless it is asked for."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert isinstance(list_filter(ListQuery(namespace="n"), now), All)
    assert list_filter(ListQuery(namespace="n", include_expired=True), now) is None


def test_a_long_text_is_one_short_line() -> None:
    """White space is one blank, and the end is cut."""
    assert shortened("a\n\n b\tc") == "a b c"
    assert len(shortened("x" * 1_000)) == MAX_TEXT


def printed(view: Any) -> str:
    """What a terminal shows of `view`."""
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(view)
    return " ".join(console.export_text().split())


def test_markup_in_a_memory_is_text() -> None:
    """A memory can't colour the table."""
    hit = {"rank": 1, "score": 0.5, "type": "semantic", "memory": {"content": "[red]alarm[/red]"}}
    answer = {"hits": [hit], "profile": "default", "weights": {"similarity": 1.0}, "degraded": ["embedder"]}
    text = printed(hits_table(answer))
    assert "[red]alarm[/red]" in text
    assert "without embedder" in text
    assert "Nothing found" in printed(hits_table(answer | {"hits": []}))


def test_messages_are_shown_as_their_contents() -> None:
    """A context of messages reads like one text."""
    metadata = {
        "total_tokens": 3, "tokenizer": "cl100k_base", "working_tokens": 0, "budget": 10, "utilization": 0.3,
        "per_type": {"semantic": 3}, "candidates": 1, "trimmed_count": 0, "outcome": "ok", "degraded": [],
    }  # fmt: skip
    answer = {"context": [{"role": "user", "content": "- A [fact]."}], "metadata": metadata}
    text = printed(context_view(answer))
    assert "- A [fact]." in text
    assert "used 30.0%" in text
