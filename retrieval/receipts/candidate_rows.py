"""The candidates that a receipt lists, as plain members; and those that it counts.

Everything is a column until a candidate is written: a receipt lists some two hundred of well over a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.search.candidates import TYPES, Candidates
from retrieval.context.budget import Chosen
from retrieval.context.outcome import Outcome
from retrieval.context.render import Shown
from retrieval.context.written import Passed, Written
from retrieval.query.profiles import SIGNALS
from retrieval.ranking.ranked import Lefts, Scored
from retrieval.receipts.model import SHORT

LISTED = 128
"""Hits that are listed whatever became of them; what is in the context is listed beyond that, the rest is counted."""

LEFT_LISTED = 32
"""Candidates that were no hit and are listed, the best first."""


@dataclass(frozen=True, slots=True, eq=False)
class Offered:
    """What the fills saw of the hits, as columns by place.

    listed: whether a receipt lists it. tokens: of its entry, -1 where no fill looked at it. groups: places in
    `headings`. order: its place among the working items offered, -1 for none. fits: whether there was room left for it.
    """

    listed: NDArray[np.bool_]
    tokens: NDArray[np.int64]
    groups: NDArray[np.int32]
    order: NDArray[np.int64]
    fits: NDArray[np.bool_]
    headings: Sequence[str]

    @classmethod
    def of(cls, written: Written, hits: int) -> Offered:
        """Of so many hits. Listed are the LISTED best, and what was chosen besides."""
        tokens, order, groups = np.full(hits, -1), np.full(hits, -1), np.full(hits, -1, dtype=np.int32)
        listed, fits = np.arange(hits) < LISTED, np.zeros(hits, dtype=np.bool_)
        long_term, working = written.long_term.entries, written.working.entries
        for part in (written.long_term, written.working):
            places = part.entries.ranks - 1
            tokens[places] = part.entries.tokens
            fits[places] = part.entries.tokens <= part.fill.room
            listed[[one.rank - 1 for one in part.fill.chosen]] = True
        groups[long_term.ranks - 1] = long_term.groups  # working items have none
        order[working.ranks - 1] = np.arange(len(working))
        return cls(listed, tokens, groups, order, fits, long_term.headings)


class Told(msgspec.Struct, gc=False):
    """A candidate as a receipt tells it, see ReceiptCandidate. A dictionary takes half as long again."""

    id: str
    type: MemoryType
    score: float
    signals: Any
    tokens: int
    access_count: int
    rank: int | None = None
    outcome: Outcome = Outcome.OVER_TOTAL
    counted: bool | UnsetType = UNSET
    group: str | UnsetType = UNSET
    place: int | UnsetType = UNSET
    entry_sha256: str | UnsetType = UNSET
    whole: int | UnsetType = UNSET
    allowed: int | UnsetType = UNSET
    of: str | UnsetType = UNSET
    since: str | UnsetType = UNSET


_NAMES = sorted(SIGNALS)
_ROWS = np.array([SIGNALS.index(name) for name in _NAMES])
_Signals: Any = msgspec.defstruct("_Signals", [(name, float | UnsetType, UNSET) for name in _NAMES], gc=False)
"""Of what was not scored there are none."""


def hits_told(scored: Scored, offered: Offered, written: Written) -> list[Told]:
    """The hits that are listed, in order of rank."""
    places = np.flatnonzero(offered.listed)
    columns = (places + 1, offered.tokens[places], offered.groups[places], offered.order[places], offered.fits[places])
    told = _told(scored.take(places))
    chosen = {one.rank: one for part in (written.long_term, written.working) for one in part.fill.chosen}
    shown = {one.rank: one for one in written.shown}
    for one, rank, tokens, group, order, fits in zip(told, *(column.tolist() for column in columns), strict=True):
        one.rank = rank
        one.outcome = Outcome.OVER_TYPE_BUDGET if fits else Outcome.OVER_TOTAL
        if tokens < 0:
            one.counted = False
            continue
        one.tokens = tokens
        if group >= 0:
            one.group = offered.headings[group]
        if order >= 0:
            one.place = order
        if rank in chosen:
            _tell_chosen(one, chosen[rank], shown.get(rank))
    return told


def _tell_chosen(one: Told, chosen: Chosen, shown: Shown | None) -> None:
    if shown is None:
        one.outcome = Outcome.REMOVED
        return
    one.outcome = Outcome.INCLUDED
    one.entry_sha256 = sha256(shown.entry.encode()).hexdigest()
    if shown.tokens != one.tokens or shown.cut:
        one.whole, one.allowed = one.tokens, shown.allowed or chosen.allowed
        one.tokens = shown.tokens


def lefts_told(left: Lefts) -> list[Told]:
    """The first of those that were no hit."""
    told = _told(left.scored.take(np.arange(min(LEFT_LISTED, len(left)))))
    for place, one in enumerate(told):
        one.counted, one.outcome = False, Outcome.BELOW_THRESHOLD
        if place < len(left.of):
            one.outcome, one.of = Outcome.DUPLICATE_OF, left.of[place]
    return told


def passed_told(passed: tuple[Passed, ...]) -> list[Told]:
    """Those that were no longer current, which were not scored."""
    found = Candidates.of([one.candidate for one in passed])
    told = _told(Scored(found, np.zeros(len(found)), np.empty((0, len(found)))))
    for one, ended in zip(told, passed, strict=True):
        one.counted, one.outcome, one.since = False, ended.outcome, rfc3339(ended.since)
    return told


def _told(scored: Scored) -> list[Told]:
    """What is told of every candidate alike; its tokens are those that were stored."""
    light, table = scored.found.columns, scored.table[_ROWS] if len(scored.table) else scored.table
    columns = zip(
        scored.found.ids.astype(np.str_).tolist(),
        scored.found.kinds.tolist(),
        scored.scores.tolist(),
        np.round(table.T, 9).tolist(),
        light.wholes("tokens.line", 0).tolist(),
        light.wholes("access_count", 0).tolist(),
        strict=True,
    )
    return [
        Told(one, TYPES[kind], score, _Signals(*signals), tokens, uses)
        for one, kind, score, signals, tokens, uses in columns
    ]


def counted_told(scored: Scored, left: Lefts, offered: Offered) -> dict[str, Any]:
    """Those that are not listed: how many, what became of them, and how often those were used that were at all."""
    unlisted = ~offered.listed
    hits, rest = int(unlisted.sum()), max(0, len(left) - LEFT_LISTED)
    repeats = max(0, len(left.of) - LEFT_LISTED)
    fitting = int((unlisted & offered.fits).sum())
    outcomes = {
        Outcome.OVER_TYPE_BUDGET: fitting,
        Outcome.OVER_TOTAL: hits - fitting,  # none of them was chosen: what was is listed
        Outcome.DUPLICATE_OF: repeats,
        Outcome.BELOW_THRESHOLD: rest - repeats,
    }
    late = np.arange(len(left)) >= LEFT_LISTED
    return {
        "count": hits + rest,
        "outcomes": {outcome: count for outcome, count in outcomes.items() if count},
        "access_counts": _uses((scored.found, unlisted), (left.scored.found, late)),
    }


def _uses(*parts: tuple[Candidates, NDArray[np.bool_]]) -> dict[str, Any]:
    """The uses of those that had any, of each part those that are marked."""
    ids, counts = "", []
    for found, marked in parts:
        uses = found.columns.wholes("access_count", 0)
        used = np.flatnonzero(marked & (uses > 0))
        ids += found.ids[used].astype(f"S{SHORT}").tobytes().decode()
        counts += uses[used].tolist()
    return {"ids": ids, "counts": counts}
