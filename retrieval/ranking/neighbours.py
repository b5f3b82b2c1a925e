"""Which candidates belong together: what was said just before and just after, and in the same session.

Knows the order by the numbers that memories carry (`seq`); a neighbour that was not found is unknown, and counts for
nothing. Most candidates have no neighbour among the others: those that have one are named, and no others are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES, Candidates

ORDERED = frozenset({MemoryType.EPISODIC, MemoryType.SEMANTIC})
"""Types whose memories follow each other: what happened, and what was learnt from it in order."""

_FOLLOWING = np.array([kind in ORDERED for kind in TYPES])
_APART = 3
"""Numbers that are so far apart, or further, are no neighbours."""


class Pairs(NamedTuple):
    """Places among the candidates: each of `whose` has the neighbour at the same place of `other`."""

    whose: NDArray[np.intp]
    other: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """near: pairs of which the second stands just before or just after the first. far: the same two places away.

    together: the places of those whose session has another one, session by session; starts: where each session begins.
    """

    near: tuple[Pairs, Pairs]
    far: tuple[Pairs, Pairs]
    together: NDArray[np.intp]
    starts: NDArray[np.intp]

    def next_to(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The larger of the two neighbours' values; 0 where there is none. values: (candidates, ...), 0 and up."""
        return _larger(np.zeros_like(values), values, self.near)

    def two_away(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of those two places away."""
        return _larger(np.zeros_like(values), values, self.far)

    def widened(
        self, values: NDArray[np.float64], next_to: float, two_away: float, in_session: float
    ) -> NDArray[np.float64]:
        """The largest of each one's own value and these parts of its neighbours' and of its session's largest.

        values: (candidates, ...), 0 and up; parts: at most 1.
        """
        if not len(self.together):
            return values
        own = values[self.together]
        largest = np.maximum.reduceat(own, self.starts, axis=0) * in_session
        sizes = np.diff(self.starts, append=len(own))
        widened = values.copy()
        widened[self.together] = np.maximum(own, largest.repeat(sizes, axis=0))
        return _larger(_larger(widened, values, self.near, next_to), values, self.far, two_away)


_NOBODY = np.empty(0, dtype=np.intp)
_NO_PAIRS = (Pairs(_NOBODY, _NOBODY), Pairs(_NOBODY, _NOBODY))
ALONE = Neighbours(_NO_PAIRS, _NO_PAIRS, _NOBODY, _NOBODY)
"""Where no candidate has any other beside it."""


def neighbours(found: Candidates) -> Neighbours:
    """Who stands next to whom among the candidates; of two with one number the later one is the neighbour."""
    light = found.columns
    places = np.flatnonzero(_FOLLOWING[found.kinds] & light.known("session_id") & light.known("seq"))
    if not len(places):
        return ALONE
    ordered = light.take(places)
    sessions = ordered.column("session_id").astype(np.int64) * len(TYPES) + found.kinds[places]
    keys, width = _keys(sessions, ordered.column("seq"))
    order = np.argsort(keys, kind="stable")
    keys, places = keys[order], places[order]
    before, after, second_before, second_after = (_pairs(keys, places, offset) for offset in (-1, 1, -2, 2))
    return Neighbours((before, after), (second_before, second_after), *_grouped(keys // width, places))


def _keys(sessions: NDArray[np.int64], numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """A key for each session and number, and how many there are of a session: neighbours' are as near as they are.

    The gaps between the numbers are no wider than they need to be, so that no key is too large.
    """
    known, ranks = np.unique(numbers, return_inverse=True)
    gaps = np.minimum(np.diff(known).view(np.uint64), _APART).astype(np.int64)  # the widest go beyond an int64
    narrowed = np.concatenate([[0], np.cumsum(gaps)])
    width = int(narrowed[-1]) + _APART
    return sessions * width + narrowed[ranks], width


def _pairs(keys: NDArray[np.int64], places: NDArray[np.intp], offset: int) -> Pairs:
    """Those that have a neighbour so many places on. keys: ascending, of `places`."""
    last = np.searchsorted(keys, keys + offset, side="right") - 1
    having = np.flatnonzero(keys[last] == keys + offset)  # before the first comes the last of all, which is another
    return Pairs(places[having], places[last[having]])


def _grouped(sessions: NDArray[np.int64], places: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Those of `places` whose session has another one, and where each session begins. sessions: ascending."""
    begins = np.diff(sessions, prepend=-1) != 0
    joined = ~begins | np.append(~begins[1:], [False])[: len(begins)]
    return places[joined], np.flatnonzero(begins[joined])


def _larger(
    least: NDArray[np.float64], values: NDArray[np.float64], sides: tuple[Pairs, Pairs], part: float = 1.0
) -> NDArray[np.float64]:
    """`least`, raised in place to `part` of the neighbours' values where that is more."""
    for whose, other in sides:
        if len(whose):
            least[whose] = np.maximum(least[whose], part * values[other])
    return least
