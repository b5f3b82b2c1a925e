"""Renders JSON answers of the service as tables and panels for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from retrieval.answer import RetrieveAnswer, SearchAnswer

MAX_TEXT = 160


def hits_table(answer: SearchAnswer) -> RenderableType:
    """A table with a row for each hit of a search. If the answer has signals (the parts of a
    score), they are shown.
    """
    weights = ", ".join(f"{name} {value:g}" for name, value in answer.weights.items() if value)
    title = escape(f"profile {answer.profile}: {weights}" + _degraded(answer.degraded))
    numbers = (Column("rank", justify="right"), Column("score", justify="right"))
    table = Table(*numbers, "type", "memory", title=title, title_justify="left")
    for hit in answer.hits:
        text = shortened(str(hit.memory.get("content")))
        if hit.signals:
            text += "\n" + "  ".join(f"{name} {value:.2f}" for name, value in hit.signals.items())
        table.add_row(str(hit.rank), f"{hit.score:.4f}", hit.type, escape(text))
    return table if answer.hits else Text("Nothing found.")


def context_view(answer: RetrieveAnswer) -> RenderableType:
    """The context of a retrieval in a panel, and a table of its tokens, budget and candidates."""
    metadata = answer.metadata
    rows = {
        "tokens": (
            f"{metadata.tokens_by_tokenizer} by {metadata.tokenizer}, working memory "
            f"{metadata.working_tokens}"
        ),
        "budget": f"{metadata.budget}, used {metadata.utilization:.1%}",
        "per type": counted(metadata.per_type.items()) or "none",
        "candidates": f"{metadata.candidates}, left out {metadata.trimmed_count}",
        "outcome": metadata.outcome + _degraded(metadata.degraded),
    }
    return Group(
        Panel(Text(answer.text or "(empty)"), title="context", title_align="left"),
        names_table(rows),
    )


def checks_table(checks: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """A table with a row for each check: its name, ok or failed, and the detail. checks: results by
    name.
    """
    table = Table("check", "", "detail")
    for name, check in checks.items():
        mark = "[green]ok[/green]" if check["ok"] else "[red]failed[/red]"
        table.add_row(name, mark, escape(str(check.get("detail", ""))))
    return table


def verdict_view(verdict: Mapping[str, Any]) -> RenderableType:
    """The result of verifying a receipt: whether it is valid, and a row for each check."""
    checks = {
        check["name"]: check | {"detail": check["detail"] or ""} for check in verdict["checks"]
    }
    heading = "The receipt is valid." if verdict["valid"] else "The receipt is not valid."
    return Group(Text(heading), checks_table(checks))


def first_lines(lines: Sequence[str], limit: int, *, omitted: int = 0) -> list[Text]:
    """The first `limit` lines, and a line with the number of others. omitted: number of lines that
    `lines` lacks.
    """
    hidden = max(0, len(lines) - limit) + omitted
    return [
        *map(Text, lines[:limit]),
        *([Text(f"... and {hidden} more; --json lists them")] if hidden else []),
    ]


def shortened(text: str) -> str:
    """`text` on one line, cut to MAX_TEXT characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def counted(counts: Iterable[tuple[object, int]]) -> str:
    """Names with their counts on one line, such as `stored 3, merged 1`."""
    return ", ".join(f"{name} {count}" for name, count in counts)


def _degraded(degraded: list[str]) -> str:
    return f" (without {', '.join(degraded)})" if degraded else ""


def names_table(values: Mapping[str, object]) -> Table:
    """A table without a header that has a row for each name and its value."""
    table = Table(show_header=False, box=None)
    for name, value in values.items():
        table.add_row(escape(name), escape(str(value)))
    return table
