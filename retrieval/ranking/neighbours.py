"""Finds candidates that are neighbours: turns, or facts taken from turns, at most two places apart in one session.

Ranking uses them to raise a candidate's value by the values of the turns around it. `seq` is a turn's number in its
session. A turn that is not a candidate has no effect. As most candidates have no neighbour, only pairs are stored.
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
    """Indices of neighbouring candidates: the candidate `neighbours[i]` is near `candidates[i]` in a conversation."""

    candidates: NDArray[np.intp]
    neighbours: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Which candidates are neighbours, that is, turns that are near each other in a session (a conversation).

    near: pairs of each candidate with the turn just before it, and pairs with the turn just after it. far: pairs with
    the turns two places before, and two places after. in_sessions: indices of the candidates that are not alone in
    their session, grouped by session. starts: index in `in_sessions` at which each session begins.
    """

    near: tuple[Pairs, Pairs]
    far: tuple[Pairs, Pairs]
    in_sessions: NDArray[np.intp]
    starts: NDArray[np.intp]

    def next_to(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The larger of `values` (not negative) of the turns just before and after; 0 if there are none."""
        return _raised(np.zeros_like(values), values, self.near)

    def two_away(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each candidate, the larger value of the turns two before and two after it; 0 if there are none."""
        return _raised(np.zeros_like(values), values, self.far)

    def session_sums(self, values: NDArray[np.float64], best: int) -> NDArray[np.float64]:
        """For each candidate, the sum of the `best` largest values in its session; its own value if alone there."""
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
        """Raise each candidate's value to the largest of its own and of its session's other turns, reduced by distance.

        next_to, two_away, in_session: factors, at most 1, that reduce the values of turns one place away, of turns two
        places away, and of any turns in the session. values: shape (candidates, ...), not negative.
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
    """The neighbours among `candidates`: turns of one session whose numbers (`seq`) differ by 1 or 2."""
    columns = candidates.columns
    positions = np.flatnonzero(_IS_ORDERED[candidates.kinds] & columns.known("session_id") & columns.known("seq"))
    ordered = columns.take(positions)
    # The keys of neighbours differ by 1 or 2, as their numbers do: larger gaps become _GAP, also between two sessions.
    numbers, ranks = np.unique(ordered.column("seq"), return_inverse=True)
    gaps = np.minimum(np.diff(numbers).view(np.uint64), _GAP).astype(np.int64)  # a difference may exceed int64
    narrowed = np.concatenate([[0], np.cumsum(gaps)])
    width = int(narrowed[-1]) + _GAP
    keys = ordered.column("session_id").astype(np.int64) * width + narrowed[ranks]
    order = np.argsort(keys, kind="stable")
    keys, positions = keys[order], positions[order]
    before, after, second_before, second_after = (_pairs(keys, positions, offset) for offset in (-1, 1, -2, 2))
    begins = np.diff(keys // width, prepend=-1) != 0
    shared = ~begins | np.append(~begins[1:], [False])[: len(begins)]
    return Neighbours((before, after), (second_before, second_after), positions[shared], np.flatnonzero(begins[shared]))


def _pairs(keys: NDArray[np.int64], positions: NDArray[np.intp], offset: int) -> Pairs:
    """Pairs of candidates whose `keys` (ascending) differ by `offset`. positions: the candidates with these keys."""
    last = np.searchsorted(keys, keys + offset, side="right") - 1
    paired = np.flatnonzero(keys[last] == keys + offset)  # index -1 wraps round to a key that differs
    return Pairs(positions[paired], positions[last[paired]])


def _raised(
    least: NDArray[np.float64], values: NDArray[np.float64], sides: tuple[Pairs, Pairs], factor: float = 1.0
) -> NDArray[np.float64]:
    """Raise `least` in place to `factor` times the neighbours' `values`. sides: pairs before, and pairs after."""
    for pairs in sides:
        if len(pairs.candidates):
            least[pairs.candidates] = np.maximum(least[pairs.candidates], factor * values[pairs.neighbours])
    return least
