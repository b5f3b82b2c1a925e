"""Which candidates stand next to each other in a session: what was said just before and just after.

Knows the order by the numbers that memories carry (`seq`); a neighbour that was not found is unknown, and counts for
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memtypes.policy import MemoryType
from memtypes.ports import Candidate

ORDERED = frozenset({MemoryType.EPISODIC, MemoryType.SEMANTIC})
"""Types whose memories follow each other: what happened, and what was learnt from it in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Places among the candidates, shape (candidates,) each; -1 for none."""

    previous: NDArray[np.intp]
    following: NDArray[np.intp]
    second_previous: NDArray[np.intp]
    second_following: NDArray[np.intp]

    def next_to(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The larger of the two neighbours' values; 0 where there is none. values: (candidates, ...), 0 and up."""
        return _larger(values, self.previous, self.following)

    def two_away(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of those two places away."""
        return _larger(values, self.second_previous, self.second_following)


def neighbours(candidates: Sequence[Candidate]) -> Neighbours:
    """Who stands next to whom among `candidates`."""
    keys = [_key(candidate) for candidate in candidates]
    place = {key: index for index, key in enumerate(keys) if key is not None}
    return Neighbours(*(_at(keys, place, offset) for offset in (-1, 1, -2, 2)))


_Key = tuple[MemoryType, str, int]


def _key(candidate: Candidate) -> _Key | None:
    payload = candidate.payload
    session, number = payload.get("session_id"), payload.get("seq")
    if candidate.type not in ORDERED or session is None or number is None:
        return None
    return (candidate.type, session, number)


def _at(keys: Sequence[_Key | None], place: dict[_Key, int], offset: int) -> NDArray[np.intp]:
    found = [-1 if key is None else place.get((key[0], key[1], key[2] + offset), -1) for key in keys]
    return np.array(found, dtype=np.intp)


def _larger(values: NDArray[np.float64], one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.float64]:
    nothing = np.zeros((1, *values.shape[1:]))
    padded = np.concatenate([values, nothing])  # -1 is the last row
    larger: NDArray[np.float64] = np.maximum(padded[one], padded[other])
    return larger
