"""What ranking gives, as columns: candidates with their scores and signals, the hits among them, and what is left.

A hit is an object only when somebody asks for it: of a thousand that are ranked, a few are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidate, Candidates
from retrieval.context.outcome import Outcome
from retrieval.query.profiles import SIGNALS
from retrieval.ranking.order import ascending, by_text


@dataclass(frozen=True, slots=True)
class Hit:
    """A ranked candidate. rank: 1-based. signals: those that made its score."""

    rank: int
    candidate: Candidate
    score: float
    signals: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Left:
    """A candidate that was scored and is no hit. of: the id of the hit that it repeats."""

    candidate: Candidate
    score: float
    signals: Mapping[str, float]
    outcome: Outcome
    of: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Candidates with their scores, and the signals of each as a column, in the order of SIGNALS."""

    found: Candidates
    scores: NDArray[np.float64]
    table: NDArray[np.float64]

    def take(self, places: NDArray[Any]) -> Scored:
        """The candidates at these places, in this order."""
        return Scored(self.found.take(places), self.scores[places], self.table.take(places, axis=1))

    @classmethod
    def joined(cls, one: Scored, other: Scored) -> Scored:
        """The candidates of both."""
        scores, table = np.concatenate([one.scores, other.scores]), np.hstack([one.table, other.table])
        return cls(Candidates.joined([one.found, other.found]), scores, table)

    def best_first(self) -> Scored:
        """The candidates by score; ties by id."""
        order = by_text(self.found.ids)
        return self.take(order[ascending(-self.scores[order])])

    def signals(self, place: int) -> dict[str, float]:
        """The signals of one candidate, by name."""
        return dict(zip(SIGNALS, self.table[:, place].tolist(), strict=True))


class Hits(Sequence[Hit]):
    """Ranked candidates, best first, as columns; a hit is made when it is asked for."""

    def __init__(self, scored: Scored) -> None:
        self.scored = scored

    @property
    def found(self) -> Candidates:
        """The candidates, best first."""
        return self.scored.found

    def __len__(self) -> int:
        return len(self.scored.scores)

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, place: int | slice) -> Hit | tuple[Hit, ...]:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(*place.indices(len(self))))
        at = range(len(self))[place]
        return Hit(at + 1, self.found[at], float(self.scored.scores[at]), self.scored.signals(at))


class Lefts(Sequence[Left]):
    """Candidates that are no hits, as columns. of: the ids of the hits that the first ones repeat."""

    def __init__(self, scored: Scored, of: Sequence[str]) -> None:
        self.scored = scored
        self.of = of

    def __len__(self) -> int:
        return len(self.scored.scores)

    @overload
    def __getitem__(self, place: int) -> Left: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Left, ...]: ...
    def __getitem__(self, place: int | slice) -> Left | tuple[Left, ...]:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(*place.indices(len(self))))
        at = range(len(self))[place]
        of = self.of[at] if at < len(self.of) else None
        why = Outcome.BELOW_THRESHOLD if of is None else Outcome.DUPLICATE_OF
        return Left(self.scored.found[at], float(self.scored.scores[at]), self.scored.signals(at), why, of)


@dataclass(frozen=True, slots=True)
class Ranking:
    """hits: best first. left: what repeated a better hit, then what a gate held back."""

    hits: Hits
    left: Lefts
