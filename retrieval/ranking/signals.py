"""The signals besides similarity, each in [0, 1], from what is known of a candidate without its text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import POLICIES, MemoryType
from memtypes.model.prospective import OPEN
from memtypes.search.candidates import TYPES, Candidates
from retrieval.query.windows import Window
from retrieval.ranking.maxsim import token_weights
from retrieval.ranking.neighbours import Neighbours
from retrieval.ranking.order import by_text

HEARD = 0.5
"""What the neighbours of a turn count beside those of a fact."""

FULL_ACCESS = 100
"""Uses at which the access signal reaches 1."""

NEAR = timedelta(days=7)
"""Distance from a named time at which half of the signal is left: events are often told of a few days later."""

SAME_EVENT = 0.6
"""Mean cosine of the tokens of an event's words from which a memory tells of that event.

Nine in ten events of a conversation reach it, and one in five events of other conversations.
"""

_EPISODIC = TYPES.index(MemoryType.EPISODIC)
_REFERENCE = {MemoryType.PROSPECTIVE: "due_at", MemoryType.PROCEDURAL: "last_used_at"}
_HALF_LIVES = np.array(
    [life.total_seconds() if (life := POLICIES[kind].half_life) else np.inf for kind in TYPES], dtype=np.float64
)
"""In seconds, in the order of TYPES; endless where age says nothing."""


def signals(found: Candidates, as_of: datetime) -> dict[str, NDArray[np.float64]]:
    """recency, importance, access and due of each candidate, arrays of shape (candidates,), in [0, 1]."""
    return {
        "recency": recency(found, as_of),
        "importance": importance(found.columns.wholes("importance", 5).astype(np.float64)),
        "access": access(found.columns.wholes("access_count", 0).astype(np.float64)),
        "due": due(found, as_of),
    }


def context(similar: NDArray[np.float64], near: Neighbours, found: Candidates) -> NDArray[np.float64]:
    """How similar the neighbours are, in [0, 1]: three parts the better one next to it, one part two places away.

    Of turns half of that: they are embedded with those before them in view, and so have part of it already.
    """
    around: NDArray[np.float64] = (3.0 * near.next_to(similar) + near.two_away(similar)) / 4.0
    return np.minimum(around * np.where(found.kinds == _EPISODIC, HEARD, 1.0), 1.0)


def importance(given: NDArray[np.float64]) -> NDArray[np.float64]:
    """(i - 1) / 9 of importances from 1 to 10."""
    return (given - 1.0) / 9.0


def access(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Use counts on a logarithmic scale: 0 for none, 1 from FULL_ACCESS on."""
    scaled: NDArray[np.float64] = np.log1p(counts) / np.log1p(FULL_ACCESS)
    return np.minimum(scaled, 1.0)


def due(found: Candidates, as_of: datetime) -> NDArray[np.float64]:
    """1 for an open intention whose time has come at `as_of`, else 0."""
    come = found.columns.column("due_at") <= to_datetime64(as_of)  # false where there is no due time
    return (come & found.columns.where("status", OPEN.__contains__)).astype(np.float64)


def decay(seconds: NDArray[np.float64], half_lives: NDArray[np.float64]) -> NDArray[np.float64]:
    """0.5 ** (age / half-life): 1 at no age, one half after each half-life. A negative age counts as none."""
    scaled: NDArray[np.float64] = np.maximum(seconds, 0.0) / half_lives
    return np.exp2(-scaled)


def recency(found: Candidates, as_of: datetime) -> NDArray[np.float64]:
    """How recent each candidate is at `as_of`, shape (candidates,), in [0, 1].

    An intention with a due time is measured by the time that is left: 1 once it is due. Where age says nothing, 1.
    """
    ages = (to_datetime64(as_of) - reference_times(found)).astype(np.float64) / 1e6
    return decay(np.where(found.columns.known("due_at"), -ages, ages), _HALF_LIVES[found.kinds])


def named_time(windows: Sequence[Window], found: Candidates) -> NDArray[np.float64]:
    """How near each candidate is to the times that a query names, shape (candidates,), in [0, 1]; 0 without any."""
    return nearness(reference_times(found), windows) if windows else np.zeros(len(found))


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
    order = by_text(candidates.ids)
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


def reference_times(found: Candidates) -> NDArray[np.datetime64]:
    """The time from which each candidate counts, in UTC, shape (candidates,), as in `Memory.reference_time`."""
    since: NDArray[np.datetime64] = found.columns.column("created_at")
    for kind, path in _REFERENCE.items():
        own = (found.kinds == TYPES.index(kind)) & found.columns.known(path)
        since = np.where(own, found.columns.column(path), since)
    return since
