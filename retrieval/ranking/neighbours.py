"""Finds candidates that are neighbours: turns, or facts taken from turns, at most two places apart
in one session.

Ranking raises a candidate's value by the values of the turns around it. `seq` is a turn's number in
its session. A turn that is not a candidate has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import LONG_TERM
from memtypes.search.candidates import TYPES, Candidates

_IS_ORDERED = np.array([kind in LONG_TERM for kind in TYPES])
"""For each memory type in TYPES, whether its memories have an order in a session: turns, or facts
from turns.
"""

_GAP = 3  # turns whose numbers differ by this much or more are no neighbours


class Pairs(NamedTuple):
    """Indices of neighbouring candidates: the candidate `neighbours[i]` is near `candidates[i]` in
    a conversation.
    """

    candidates: NDArray[np.intp]
    neighbours: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Pairs of candidates that are neighbours: turns near each other in a session (a conversation).

    adjacent: pairs of each candidate with the turn just before it, and with the turn just after it.
    two_apart: pairs with the turns two places before, and two places after. in_sessions: indices of
    the candidates that are not alone in their session, grouped by session. starts: index in
    `in_sessions` at which each session begins.
    """

    adjacent: tuple[Pairs, Pairs]
    two_apart: tuple[Pairs, Pairs]
    in_sessions: NDArray[np.intp]
    starts: NDArray[np.intp]

    def next_to(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each candidate, the larger of `values` (not negative) of the turns just before and
        after it; else 0.
        """
        return _raise_to_neighbours(np.zeros_like(values), values, self.adjacent)

    def two_away(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each candidate, the larger of `values` (not negative) of the turns two before and
        after it; else 0.
        """
        return _raise_to_neighbours(np.zeros_like(values), values, self.two_apart)

    def session_sums(self, values: NDArray[np.float64], best: int) -> NDArray[np.float64]:
        """For each candidate, the sum of the `best` largest values in its session; its own value if
        alone there.
        """
        sums = values.copy()
        if len(self.in_sessions):
            grouped = values[self.in_sessions]
            sizes = np.diff(self.starts, append=len(grouped))
            sessions = np.arange(len(sizes)).repeat(sizes)
            largest_first = grouped[np.lexsort((-grouped, sessions))]
            session_ranks = np.arange(len(grouped)) - self.starts.repeat(sizes)
            totals = np.add.reduceat(
                np.where(session_ranks < best, largest_first, 0.0), self.starts
            )
            sums[self.in_sessions] = totals.repeat(sizes)
        return sums

    def spread(
        self, values: NDArray[np.float64], next_to: float, two_away: float, in_session: float
    ) -> NDArray[np.float64]:
        """`values`, each raised to the largest value in its session, where other turns' values are
        reduced by distance.

        next_to, two_away, in_session: factors, at most 1, for the values of turns one place away,
        two places away, and anywhere in the session. values: shape (candidates, ...), not negative.
        """
        if not len(self.in_sessions):
            return values
        grouped = values[self.in_sessions]
        largest = np.maximum.reduceat(grouped, self.starts, axis=0) * in_session
        sizes = np.diff(self.starts, append=len(grouped))
        spread = values.copy()
        spread[self.in_sessions] = np.maximum(grouped, largest.repeat(sizes, axis=0))
        _raise_to_neighbours(spread, values, self.adjacent, next_to)
        return _raise_to_neighbours(spread, values, self.two_apart, two_away)


def neighbours_of(candidates: Candidates) -> Neighbours:
    """The neighbours among `candidates`: turns of one session whose numbers (`seq`) differ by 1 or
    2.
    """
    columns = candidates.columns
    positions = np.flatnonzero(
        _IS_ORDERED[candidates.kinds] & columns.has_value("session_id") & columns.has_value("seq")
    )
    ordered = columns.take(positions)
    # A key joins session and number. Gaps between numbers are narrowed to _GAP, so that keys fit
    # into int64.
    numbers, ranks = np.unique(ordered.column("seq"), return_inverse=True)
    # A difference may exceed int64
    gaps = np.minimum(np.diff(numbers).view(np.uint64), _GAP).astype(np.int64)
    compact = np.concatenate([[0], np.cumsum(gaps)])
    width = int(compact[-1]) + _GAP
    keys = ordered.column("session_id").astype(np.int64) * width + compact[ranks]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    positions = positions[order]
    before, after, second_before, second_after = (
        _pairs(keys, positions, offset) for offset in (-1, 1, -2, 2)
    )
    starts_session = np.diff(keys // width, prepend=-1) != 0
    not_alone = ~starts_session | np.append(~starts_session[1:], [False])[: len(starts_session)]
    starts = np.flatnonzero(starts_session[not_alone])
    return Neighbours((before, after), (second_before, second_after), positions[not_alone], starts)


def _pairs(keys: NDArray[np.int64], positions: NDArray[np.intp], offset: int) -> Pairs:
    """Pairs of candidates whose `keys` (ascending) differ by `offset`. positions: the candidates
    with these keys.
    """
    last = np.searchsorted(keys, keys + offset, side="right") - 1
    # Index -1 wraps round to a key that differs
    paired = np.flatnonzero(keys[last] == keys + offset)
    return Pairs(positions[paired], positions[last[paired]])


def _raise_to_neighbours(
    base: NDArray[np.float64],
    values: NDArray[np.float64],
    sides: tuple[Pairs, Pairs],
    factor: float = 1.0,
) -> NDArray[np.float64]:
    """Raise `base` in place to `factor` times the neighbours' `values`; return it. sides: pairs
    before, and after.
    """
    for pairs in sides:
        if len(pairs.candidates):
            base[pairs.candidates] = np.maximum(
                base[pairs.candidates], factor * values[pairs.neighbours]
            )
    return base
