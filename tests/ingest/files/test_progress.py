"""What an import shows while it runs."""

from __future__ import annotations

import io

from rich.console import Console

from ingest.files.progress import Bar, ImportProgress, Quiet


def shown(*, terminal: bool) -> str:
    """What a bar writes."""
    out = io.StringIO()
    bar: ImportProgress = Bar(Console(file=out, force_terminal=terminal, width=100))
    bar.advance(1, 1)
    bar.start(100)
    bar.advance(50, 7)
    bar.finish()
    return out.getvalue()


def test_a_terminal_sees_a_bar_with_rows_and_rate() -> None:
    """The share of bytes read, the rows and the rate are there."""
    assert "50%" in shown(terminal=True)
    assert "7 rows" in shown(terminal=True)


def test_a_pipe_sees_nothing() -> None:
    """No bar in a file or a pipe, and none from the quiet one."""
    assert "rows" not in shown(terminal=False)
    quiet: ImportProgress = Quiet()
    quiet.start(None)
    quiet.advance(1, 1)
    quiet.finish()
