"""The signals besides similarity, each in [0, 1], from what is known of a candidate without its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.policy import POLICIES, MemoryType
from memtypes.ports import Candidate

FULL_ACCESS = 100
"""Uses at which the access signal reaches 1."""


def signals(candidates: Sequence[Candidate], as_of: datetime) -> dict[str, NDArray[np.float64]]:
    """recency, importance and access of each candidate, arrays of shape (candidates,), in [0, 1]."""
    payloads = [candidate.payload for candidate in candidates]
    return {
        "recency": np.array([recency(found.type, found.payload, as_of) for found in candidates], dtype=np.float64),
        "importance": importance(np.array([payload.get("importance", 5) for payload in payloads], dtype=np.float64)),
        "access": access(np.array([payload.get("access_count", 0) for payload in payloads], dtype=np.float64)),
    }


def importance(given: NDArray[np.float64]) -> NDArray[np.float64]:
    """(i - 1) / 9 of importances from 1 to 10."""
    return (given - 1.0) / 9.0


def access(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Use counts on a logarithmic scale: 0 for none, 1 from FULL_ACCESS on."""
    scaled: NDArray[np.float64] = np.log1p(counts) / np.log1p(FULL_ACCESS)
    return np.minimum(scaled, 1.0)


def decay(seconds: float, half_life_seconds: float) -> float:
    """0.5 ** (age / half-life): 1 at no age, one half after each half-life. A negative age counts as none."""
    return float(0.5 ** (max(0.0, seconds) / half_life_seconds))


def recency(kind: MemoryType, payload: Mapping[str, Any], as_of: datetime) -> float:
    """How recent a memory of type `kind` is at `as_of`, in [0, 1].

    An intention with a due time is measured by the time that is left: 1 once it is due. Where age says nothing, 1.
    """
    half_life = POLICIES[kind].half_life
    if half_life is None:
        return 1.0
    due = payload.get("due_at") if kind is MemoryType.PROSPECTIVE else None
    if due is not None:
        return decay((datetime.fromisoformat(due) - as_of).total_seconds(), half_life.total_seconds())
    since = payload.get("last_used_at") if kind is MemoryType.PROCEDURAL else None
    age = as_of - datetime.fromisoformat(since or payload["created_at"])
    return decay(age.total_seconds(), half_life.total_seconds())
