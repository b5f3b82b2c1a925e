"""Which candidates belong together: what was said just before and just after, and in the same session.

Knows the order by the numbers that memories carry (`seq`); a neighbour that was not found is unknown, and counts for
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memtypes.candidates import TYPES, Candidates
from memtypes.policy import MemoryType

ORDERED = frozenset({MemoryType.EPISODIC, MemoryType.SEMANTIC})
"""Types whose memories follow each other: what happened, and what was learnt from it in order."""

_ORDERED = [place for place, kind in enumerate(TYPES) if kind in ORDERED]
_OFFSETS = (-1, 1, -2, 2)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Places among the candidates, shape (candidates,) each; -1 for none. session: a number for each session."""

    previous: NDArray[np.intp]
    following: NDArray[np.intp]
    second_previous: NDArray[np.intp]
    second_following: NDArray[np.intp]
    session: NDArray[np.intp]

    def next_to(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The larger of the two neighbours' values; 0 where there is none. values: (candidates, ...), 0 and up."""
        return _larger(values, self.previous, self.following)

    def two_away(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of those two places away."""
        return _larger(values, self.second_previous, self.second_following)

    def in_session(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest value in the session of each; its own where it has none. values: (candidates, ...)."""
        together = np.argsort(self.session, kind="stable")
        starts = np.flatnonzero(np.diff(self.session[together], prepend=-1))
        largest: NDArray[np.float64] = np.maximum.reduceat(values[together], starts, axis=0)
        return largest[self.session]


def neighbours(found: Candidates) -> Neighbours:
    """Who stands next to whom among the candidates; of two with one number the later one is the neighbour."""
    light = found.light
    ordered = np.isin(found.kinds, _ORDERED) & light.known("session_id") & light.known("seq")
    places = np.flatnonzero(ordered)
    sessions = light.column("session_id")[places].astype(np.int64) * len(TYPES) + found.kinds[places]
    before, after, second_before, second_after = _around(places, sessions, light.column("seq")[places], len(found))
    return Neighbours(before, after, second_before, second_after, _numbered(places, sessions, len(found)))


def _around(
    places: NDArray[np.intp], sessions: NDArray[np.int64], numbers: NDArray[np.int64], count: int
) -> Iterator[NDArray[np.intp]]:
    """The candidates one before, one after, two before and two after each in its session."""
    known, ranks = np.unique(numbers, return_inverse=True)
    keys = sessions * len(known) + ranks
    order = np.argsort(keys, kind="stable")
    for offset in _OFFSETS:
        at = np.full(count, -1, dtype=np.intp)
        if len(places):
            rank = np.minimum(np.searchsorted(known, numbers + offset), len(known) - 1)
            wanted = sessions * len(known) + rank
            last = np.searchsorted(keys[order], wanted, side="right") - 1
            other = order[np.maximum(last, 0)]
            there = (last >= 0) & (keys[other] == wanted) & (known[rank] == numbers + offset)
            at[places] = np.where(there, places[other], -1)
        yield at


def _numbered(places: NDArray[np.intp], sessions: NDArray[np.int64], count: int) -> NDArray[np.intp]:
    """A number for each session and for each candidate without one; from 0, and each is used."""
    own = -1 - np.arange(count)
    own[places] = sessions
    return np.unique(own, return_inverse=True)[1]


def _larger(values: NDArray[np.float64], one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.float64]:
    nothing = np.zeros((1, *values.shape[1:]))
    padded = np.concatenate([values, nothing])  # -1 is the last row
    larger: NDArray[np.float64] = np.maximum(padded[one], padded[other])
    return larger
