"""Gives the candidates of a query the statuses that tasks had at the time it asks about.

The store has statuses as they are now. A task that was completed later was open at that time, one
whose time was over had lapsed, and what a text said of it later was not said yet. The token count
that is stored with such a task is that of another line, so it holds no more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.model.prospective import CLOSED, Status, status_at
from memtypes.search.candidates import Candidates
from memtypes.search.columns import ColumnKind, Columns
from retrieval.ranking.signals import to_datetime64


class _Task(NamedTuple):
    """The fields of a candidate that determine its status at a time."""

    status: Status
    lapses_at: datetime | None
    closed_at: datetime | None
    reopened_at: datetime | None


def as_of(candidates: Candidates, moment: datetime) -> Candidates:
    """The candidates with their status at `moment`, and without what was said of them later."""
    columns = candidates.columns
    changes = _statuses_that_differ(columns, moment)
    said_later = columns.column("said.at") > to_datetime64(moment)
    if not changes and not said_later.any():
        return candidates

    texts = tuple(map(str, Status))
    stored = columns.texts("status")
    statuses = [
        ColumnKind.TEXT.none if text is None else texts.index(changes.get(row, Status(text)))
        for row, text in enumerate(stored)
    ]
    changed = np.array(sorted(changes), dtype=np.intp)
    reopened = [row for row, status in changes.items() if status not in CLOSED]
    completed_at = _without(columns, "completed_at", np.array(reopened, dtype=np.intp))
    said_at = _without(columns, "said.at", np.flatnonzero(said_later))
    other_line = np.union1d(changed, np.flatnonzero(said_later))
    renderers = _without(columns, "tokens.renderer", other_line)

    columns = columns.changed("status", np.array(statuses, dtype=ColumnKind.TEXT.dtype), texts)
    columns = columns.changed("completed_at", completed_at)
    columns = columns.changed("said.at", said_at)
    columns = columns.changed(
        "tokens.renderer", renderers, columns.tables.get("tokens.renderer", ())
    )
    return replace(candidates, columns=columns)


def _statuses_that_differ(columns: Columns, moment: datetime) -> dict[int, Status]:
    """The status at `moment` of each row whose stored status is another one."""
    at = to_datetime64(moment)
    lapses_at = columns.column("lapses_at")
    is_marked = columns.where("status", Status.LAPSED.__eq__)
    # A time that is missing is neither earlier nor later
    marked_too_early = is_marked & (lapses_at > at)
    unmarked = ~is_marked & (lapses_at <= at)
    closed_later = columns.column("closed_at") > at
    reopened_later = columns.column("reopened_at") > at
    rows = np.flatnonzero(marked_too_early | unmarked | closed_later | reopened_later)

    tasks = columns.take(rows)
    times = (_times(tasks, path) for path in ("lapses_at", "closed_at", "reopened_at"))
    changes: dict[int, Status] = {}
    for row, text, *ends in zip(rows.tolist(), tasks.texts("status"), *times, strict=True):
        if text is not None:
            stored = Status(text)
            status = status_at(moment, _Task(stored, *ends))
            if status is not stored:
                changes[row] = status
    return changes


def _times(columns: Columns, path: str) -> list[datetime | None]:
    """The times of the field at `path`; None for a missing one."""
    times: list[datetime | None] = columns.column(path).tolist()
    return [None if time is None else time.replace(tzinfo=UTC) for time in times]


def _without(columns: Columns, path: str, rows: NDArray[np.intp]) -> NDArray[Any]:
    """The column of the field at `path` without the values in `rows`."""
    column = columns.column(path).copy()
    column[rows] = columns.kinds[path].none
    return column
