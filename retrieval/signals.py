"""The signals besides similarity, each in [0, 1], from what is known of a candidate without its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.policy import POLICIES, MemoryType
from memtypes.ports import Candidate
from memtypes.prospective import OPEN
from retrieval.neighbours import Neighbours
from retrieval.windows import nearness, windows_of

FULL_ACCESS = 100
"""Uses at which the access signal reaches 1."""


_REFERENCE = {MemoryType.PROSPECTIVE: "due_at", MemoryType.PROCEDURAL: "last_used_at"}
_HALF_LIVES = {
    kind: policy.half_life.total_seconds() if policy.half_life else np.inf for kind, policy in POLICIES.items()
}
"""In seconds; endless where age says nothing."""


def signals(candidates: Sequence[Candidate], as_of: datetime) -> dict[str, NDArray[np.float64]]:
    """recency, importance, access and due of each candidate, arrays of shape (candidates,), in [0, 1]."""
    payloads = [candidate.payload for candidate in candidates]
    return {
        "recency": recency(candidates, as_of),
        "importance": importance(np.array([payload.get("importance", 5) for payload in payloads], dtype=np.float64)),
        "access": access(np.array([payload.get("access_count", 0) for payload in payloads], dtype=np.float64)),
        "due": due(candidates, as_of),
    }


def context(similar: NDArray[np.float64], near: Neighbours) -> NDArray[np.float64]:
    """How similar the neighbouring turns are, in [0, 1]: two parts the better neighbour, one part two places away."""
    around: NDArray[np.float64] = (2.0 * near.next_to(similar) + near.two_away(similar)) / 3.0
    return np.minimum(around, 1.0)


def importance(given: NDArray[np.float64]) -> NDArray[np.float64]:
    """(i - 1) / 9 of importances from 1 to 10."""
    return (given - 1.0) / 9.0


def access(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Use counts on a logarithmic scale: 0 for none, 1 from FULL_ACCESS on."""
    scaled: NDArray[np.float64] = np.log1p(counts) / np.log1p(FULL_ACCESS)
    return np.minimum(scaled, 1.0)


def due(candidates: Sequence[Candidate], as_of: datetime) -> NDArray[np.float64]:
    """1 for an open intention whose time has come at `as_of`, else 0."""
    return np.array([float(_is_due(candidate.payload, as_of)) for candidate in candidates], dtype=np.float64)


def _is_due(payload: Mapping[str, Any], as_of: datetime) -> bool:
    at = payload.get("due_at")
    return at is not None and payload.get("status") in OPEN and datetime.fromisoformat(at) <= as_of


def decay(seconds: NDArray[np.float64], half_lives: NDArray[np.float64]) -> NDArray[np.float64]:
    """0.5 ** (age / half-life): 1 at no age, one half after each half-life. A negative age counts as none."""
    scaled: NDArray[np.float64] = np.maximum(seconds, 0.0) / half_lives
    return np.exp2(-scaled)


def recency(candidates: Sequence[Candidate], as_of: datetime) -> NDArray[np.float64]:
    """How recent each candidate is at `as_of`, shape (candidates,), in [0, 1].

    An intention with a due time is measured by the time that is left: 1 once it is due. Where age says nothing, 1.
    """
    instants = reference_times(candidates)
    ages = (np.datetime64(as_of.replace(tzinfo=None), "us") - instants).astype(np.float64) / 1e6
    awaited = np.array([candidate.payload.get("due_at") is not None for candidate in candidates], dtype=np.bool_)
    return decay(np.where(awaited, -ages, ages), np.array([_HALF_LIVES[candidate.type] for candidate in candidates]))


def named_time(query: str, candidates: Sequence[Candidate], as_of: datetime) -> NDArray[np.float64]:
    """How near each candidate is to the times that `query` names, shape (candidates,), in [0, 1]; 0 without any."""
    windows = windows_of(query, as_of)
    return nearness(reference_times(candidates), windows) if windows else np.zeros(len(candidates))


def reference_times(candidates: Sequence[Candidate]) -> NDArray[np.datetime64]:
    """The time from which each candidate counts, in UTC, shape (candidates,)."""
    since = [reference_time(candidate.type, candidate.payload) for candidate in candidates]
    # Read all at once: numpy reads a thousand times in the time that datetime takes for a hundred.
    return np.array([time.removesuffix("Z") for time in since], dtype="datetime64[us]")


def reference_time(kind: MemoryType, payload: Mapping[str, Any]) -> str:
    """The time from which `kind` counts, as in `Memory.reference_time`."""
    field = _REFERENCE.get(kind, "created_at")
    return str(payload.get(field) or payload["created_at"])
