"""How an import tells how far it is: a port, silence, and a bar on a terminal with rate and time left."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn


class ImportProgress(Protocol):
    """Is told of the start, of each finished batch, and of the end."""

    def start(self, total: int | None) -> None:
        """Begin; `total` bytes are to be read, None when nobody knows."""
        ...

    def advance(self, position: int, rows: int) -> None:
        """`position` bytes are read and `rows` rows have ended, both since the start."""
        ...

    def finish(self) -> None:
        """Nothing more comes."""
        ...


class Quiet:
    """Says nothing."""

    def start(self, total: int | None) -> None:
        """Say nothing."""

    def advance(self, position: int, rows: int) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class Bar:
    """A bar by bytes read, with rows, rows a second and the time left; nothing where `console` is no terminal."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("importing"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]} rows, {task.fields[rate]:.0f}/s,"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task: TaskID | None = None

    def start(self, total: int | None) -> None:
        """Show the empty bar."""
        self._task = self._progress.add_task("import", total=total, rows=0, rate=0.0)
        self._progress.start()

    def advance(self, position: int, rows: int) -> None:
        """Show how far it is."""
        if self._task is None:
            return
        elapsed = self._progress.tasks[self._task].elapsed or 0.0
        self._progress.update(self._task, completed=position, rows=rows, rate=rows / elapsed if elapsed else 0.0)

    def finish(self) -> None:
        """Take the bar away."""
        self._progress.stop()
