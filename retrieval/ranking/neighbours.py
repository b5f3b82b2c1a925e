"""Finds candidates that are neighbours in a session (a turn and the turns around it), to let them raise each other.

Neighbours are up to two places apart; `seq` gives the order. Memories that are no candidates are ignored. Most
candidates have no neighbour among the candidates, so only pairs of neighbours are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import LONG_TERM
from memtypes.search.candidates import TYPES, Candidates

_IS_ORDERED = np.array([kind in LONG_TERM for kind in TYPES])
"""For each memory type in TYPES, whether its memories have an order in a session: turns, or facts from turns."""

_GAP = 3  # numbers that differ by this much or more are no neighbours


class Pairs(NamedTuple):
    """Pairs of neighbours: positions of candidates, and at the same index the position of the candidate's neighbour."""

    candidates: NDArray[np.intp]
    neighbours: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Which candidates are neighbours in a session.

    near: pairs of each candidate and the one just before it, and pairs with the one just after it. far: the same with
    the candidates two places before and after. in_sessions: positions of candidates that share a session with another,
    session by session. starts: where each session begins in in_sessions.
    """

    near: tuple[Pairs, Pairs]
    far: tuple[Pairs, Pairs]
    in_sessions: NDArray[np.intp]
    starts: NDArray[np.intp]

    def next_to(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each candidate, the larger value of the candidates next to it in its session; 0 if none are.

        values: one for each candidate, not negative.
        """
        return _raised(np.zeros_like(values), values, self.near)

    def two_away(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each candidate, the larger value of the candidates two places away in its session; 0 if none are."""
        return _raised(np.zeros_like(values), values, self.far)

    def session_sums(self, values: NDArray[np.float64], best: int) -> NDArray[np.float64]:
        """For each candidate, the sum of the `best` largest `values` in its session; its own value if alone there."""
        sums = values.copy()
        if len(self.in_sessions):
            grouped = values[self.in_sessions]
            sizes = np.diff(self.starts, append=len(grouped))
            sessions = np.arange(len(sizes)).repeat(sizes)
            largest_first = grouped[np.lexsort((-grouped, sessions))]
            places = np.arange(len(grouped)) - self.starts.repeat(sizes)
            totals = np.add.reduceat(np.where(places < best, largest_first, 0.0), self.starts)
            sums[self.in_sessions] = totals.repeat(sizes)
        return sums

    def widened(
        self, values: NDArray[np.float64], next_to: float, two_away: float, in_session: float
    ) -> NDArray[np.float64]:
        """For each candidate, the largest of its own value and the reduced values of its neighbours and its session.

        next_to, two_away: factors, at most 1, that reduce the values of neighbours one and two places away. in_session:
        factor that reduces the largest value in the session. values: shape (candidates, ...), not negative.
        """
        if not len(self.in_sessions):
            return values
        grouped = values[self.in_sessions]
        largest = np.maximum.reduceat(grouped, self.starts, axis=0) * in_session
        sizes = np.diff(self.starts, append=len(grouped))
        widened = values.copy()
        widened[self.in_sessions] = np.maximum(grouped, largest.repeat(sizes, axis=0))
        return _raised(_raised(widened, values, self.near, next_to), values, self.far, two_away)


def neighbours_of(candidates: Candidates) -> Neighbours:
    """Find which of `candidates` are neighbours, that is, in one session and at most two apart in `seq`.

    Of several candidates with the same session and `seq`, only the last counts as a neighbour of other candidates.
    """
    columns = candidates.columns
    positions = np.flatnonzero(_IS_ORDERED[candidates.kinds] & columns.known("session_id") & columns.known("seq"))
    ordered = columns.take(positions)
    sessions = ordered.column("session_id").astype(np.int64)
    keys, width = _keys(sessions, ordered.column("seq"))
    order = np.argsort(keys, kind="stable")
    keys, positions = keys[order], positions[order]
    before, after, second_before, second_after = (_pairs(keys, positions, offset) for offset in (-1, 1, -2, 2))
    return Neighbours((before, after), (second_before, second_after), *_grouped(keys // width, positions))


def _keys(sessions: NDArray[np.int64], numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Integer keys, session * width + number, so that the keys of neighbours differ by 1 or 2; and this width.

    Gaps between numbers are reduced to _GAP if they are larger, so that no key overflows.
    """
    known, ranks = np.unique(numbers, return_inverse=True)
    gaps = np.minimum(np.diff(known).view(np.uint64), _GAP).astype(np.int64)  # a difference may exceed int64
    narrowed = np.concatenate([[0], np.cumsum(gaps)])
    width = int(narrowed[-1]) + _GAP
    return sessions * width + narrowed[ranks], width


def _pairs(keys: NDArray[np.int64], positions: NDArray[np.intp], offset: int) -> Pairs:
    """Pairs of candidates whose keys differ by `offset`. keys: from `_keys`, one for each of `positions`, ascending."""
    last = np.searchsorted(keys, keys + offset, side="right") - 1
    paired = np.flatnonzero(keys[last] == keys + offset)  # index -1 wraps round to a key that differs
    return Pairs(positions[paired], positions[last[paired]])


def _grouped(sessions: NDArray[np.int64], positions: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The `positions` whose session occurs more than once, and where each session begins. sessions: ascending."""
    begins = np.diff(sessions, prepend=-1) != 0
    shared = ~begins | np.append(~begins[1:], [False])[: len(begins)]
    return positions[shared], np.flatnonzero(begins[shared])


def _raised(
    least: NDArray[np.float64], values: NDArray[np.float64], sides: tuple[Pairs, Pairs], factor: float = 1.0
) -> NDArray[np.float64]:
    """Raise `least`, in place, to `factor` times the value of a candidate's neighbour wherever that is larger.

    values: one for each candidate. sides: pairs with the neighbour before, and pairs with the neighbour after.
    """
    for pairs in sides:
        if len(pairs.candidates):
            least[pairs.candidates] = np.maximum(least[pairs.candidates], factor * values[pairs.neighbours])
    return least
