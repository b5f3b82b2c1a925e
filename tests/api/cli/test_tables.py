"""Tables that the command line prints for the service's answers."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from api.cli.tables import MAX_TEXT, context_view, hits_table, shortened
from retrieval.answer import RetrieveAnswer, SearchAnswer

NOW = "2026-01-01T00:00:00Z"
FLOOR = {"value": 0.1, "dropped": 0}


def test_shortened_text_is_one_line() -> None:
    """A long text is cut at the end, and its white space becomes single blanks."""
    assert shortened("a\n\n b\tc") == "a b c"
    assert len(shortened("x" * 1_000)) == MAX_TEXT


def printed(view: Any) -> str:
    """Render `view` as terminal text."""
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(view)
    return " ".join(console.export_text().split())


def test_markup_in_memories_is_escaped() -> None:
    """Markup in a memory's text is printed literally and does not style the table."""
    hit = {
        "rank": 1,
        "id": "a",
        "score": 0.5,
        "type": "semantic",
        "memory": {"content": "[red]alarm[/red]"},
    }
    weights = {"similarity": 1.0}
    settings = {
        "profile": "default",
        "weights": weights,
        "degraded": ["embedder"],
        "as_of": NOW,
        "floor": FLOOR,
    }
    answer = SearchAnswer.model_validate({"hits": [hit], **settings})
    text = printed(hits_table(answer))
    assert "[red]alarm[/red]" in text
    assert "without embedder" in text
    assert "Nothing found" in printed(hits_table(answer.model_copy(update={"hits": []})))


def test_messages_are_shown_by_content() -> None:
    """For a context that was retrieved as chat messages, the texts of the messages are printed."""
    metadata = {
        "total_tokens": 3,
        "tokenizer": "cl100k_base",
        "working_tokens": 0,
        "budget": 10,
        "utilization": 0.3,
        "per_type": {"semantic": 3},
        "candidates": 1,
        "trimmed_count": 0,
        "outcome": "ok",
        "floor": FLOOR,
        "as_of": NOW,
    }
    answer = {
        "context": [{"role": "user", "content": "- A [fact]."}],
        "items": [],
        "metadata": metadata,
    }
    text = printed(context_view(RetrieveAnswer.model_validate(answer)))
    assert "- A [fact]." in text
    assert "used 30.0%" in text
