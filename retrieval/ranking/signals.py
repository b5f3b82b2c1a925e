"""Signals of the ranking besides similarity, each in [0, 1], computed from columns without the memories' texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import POLICIES, MemoryType
from memtypes.model.prospective import OPEN
from memtypes.search.candidates import TYPES, Candidates
from retrieval.query.windows import Window
from retrieval.ranking.neighbours import Neighbours
from retrieval.ranking.similarity import token_weights
from retrieval.ranking.sorting import text_order

TURN_CONTEXT = 0.5
"""Weight of the context signal for turns relative to facts: turns are embedded together with the turns before them."""

FULL_ACCESS = 100
"""Access count at which the access signal reaches 1."""

NEAR = timedelta(days=7)
"""Distance from a named time at which half of the signal is left: events are often told of a few days later."""

SAME_EVENT = 0.6
"""Mean cosine of the tokens of an event's words from which a memory tells of that event.

Nine in ten events of a conversation reach it, and one in five events of other conversations.
"""

_EPISODIC = TYPES.index(MemoryType.EPISODIC)
_REFERENCE_FIELDS = {MemoryType.PROSPECTIVE: "due_at", MemoryType.PROCEDURAL: "last_used_at"}
_HALF_LIVES = np.array(
    [life.total_seconds() if (life := POLICIES[kind].half_life) else np.inf for kind in TYPES], dtype=np.float64
)
"""Recency half-life of each of TYPES, in seconds; infinite for types that do not age."""


def context(similarity: NDArray[np.float64], neighbours: Neighbours, candidates: Candidates) -> NDArray[np.float64]:
    """Similarity of the neighbouring turns: three parts the better direct neighbour, one part the better one beyond."""
    around: NDArray[np.float64] = (3.0 * neighbours.next_to(similarity) + neighbours.two_away(similarity)) / 4.0
    return np.minimum(around * np.where(candidates.kinds == _EPISODIC, TURN_CONTEXT, 1.0), 1.0)


def mention(query: str, candidates: Candidates) -> NDArray[np.float64]:
    """1 for each candidate whose speaker the query names, else 0."""
    return candidates.columns.where("speaker", lambda name: bool(name) and names(query, name)).astype(np.float64)


def names(query: str, name: str) -> bool:
    """Whether `query` contains `name` as a whole word, ignoring case."""
    return re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", query.casefold()) is not None


def named_time(windows: Sequence[Window], candidates: Candidates) -> NDArray[np.float64]:
    """How near each candidate is to the times that the query names; 0 without any."""
    return nearness(reference_times(candidates), windows) if windows else np.zeros(len(candidates))


def nearness(instants: NDArray[np.datetime64], windows: Sequence[Window]) -> NDArray[np.float64]:
    """How near each instant is to the nearest window, in [0, 1]: 1 inside, one half at NEAR before or after.

    instants: in UTC, shape (memories,).
    """
    near = np.zeros(instants.shape)
    for window in windows:
        start, end = to_datetime64(window.start), to_datetime64(window.end)
        outside = np.maximum(start - instants, instants - end).astype("timedelta64[s]").astype(np.float64)
        near = np.maximum(near, np.exp2(-np.maximum(outside, 0.0) / NEAR.total_seconds()))
    return near


def event_time(candidates: Candidates) -> datetime | None:
    """The time of the candidate that tells best of the event searched for, in UTC; None if none tells of it."""
    if candidates.late is None or not candidates.late.size:
        return None
    order = text_order(candidates.ids)
    ordered = candidates.take(order)
    cosines = np.maximum(np.nan_to_num(candidates.late[order]), 0.0).astype(np.float64)
    similarity = cosines @ token_weights(cosines)
    best = int(similarity.argmax())
    if similarity[best] < SAME_EVENT:
        return None
    instant: datetime = reference_times(ordered)[best].astype(datetime)
    return instant.replace(tzinfo=UTC)


def to_datetime64(instant: datetime) -> np.datetime64:
    """`instant`, in UTC, for comparison with arrays of times."""
    return np.datetime64(instant.replace(tzinfo=None), "us")


def recency(candidates: Candidates, as_of: datetime) -> NDArray[np.float64]:
    """0.5 ** (age / half-life) at `as_of`; 1 for types that do not age.

    For an intention with a due time the age is the time that is left: 1 once it is due.
    """
    ages = (to_datetime64(as_of) - reference_times(candidates)).astype(np.float64) / 1e6
    return decay(np.where(candidates.columns.known("due_at"), -ages, ages), _HALF_LIVES[candidates.kinds])


def decay(seconds: NDArray[np.float64], half_lives: NDArray[np.float64]) -> NDArray[np.float64]:
    """0.5 ** (age / half-life). A negative age counts as 0."""
    half_lives_passed: NDArray[np.float64] = np.maximum(seconds, 0.0) / half_lives
    return np.exp2(-half_lives_passed)


def importance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(i - 1) / 9 of importances from 1 to 10."""
    return (values - 1.0) / 9.0


def access(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Access counts on a logarithmic scale: 0 for none, 1 from FULL_ACCESS on."""
    scaled: NDArray[np.float64] = np.log1p(counts) / np.log1p(FULL_ACCESS)
    return np.minimum(scaled, 1.0)


def due(candidates: Candidates, as_of: datetime) -> NDArray[np.float64]:
    """1 for an open intention that is due at `as_of`, else 0."""
    is_due = candidates.columns.column("due_at") <= to_datetime64(as_of)  # False where there is no due time
    return (is_due & candidates.columns.where("status", OPEN.__contains__)).astype(np.float64)


def reference_times(candidates: Candidates) -> NDArray[np.datetime64]:
    """The time from which each candidate ages: a task's due time, a procedure's last use, else its creation; in UTC."""
    times: NDArray[np.datetime64] = candidates.columns.column("created_at")
    for kind, path in _REFERENCE_FIELDS.items():
        has_own = (candidates.kinds == TYPES.index(kind)) & candidates.columns.known(path)
        times = np.where(has_own, candidates.columns.column(path), times)
    return times
