"""Candidates to ranked hits: one weighted sum, ties by id, the same for the same store and clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidate, Candidates
from memtypes.search.columns import Columns
from memtypes.search.terms import Numbers
from retrieval.query.profiles import LATER, SIGNALS
from retrieval.query.windows import Window
from retrieval.ranking.expansion import expansion
from retrieval.ranking.fact_recency import lifts
from retrieval.ranking.fusion import similarity
from retrieval.ranking.maxsim import late_similarity
from retrieval.ranking.neighbours import neighbours
from retrieval.ranking.order import ascending, beginnings, by_text, repeated
from retrieval.ranking.ranked import Hits, Lefts, Ranking, Scored
from retrieval.ranking.signals import context, named_time, signals
from retrieval.ranking.speaker_match import mention


@dataclass(frozen=True, slots=True)
class Scoring:
    """How candidates become hits. weights: of every signal. query: its words. terms: those of them that are searched.

    windows: the times that it names. The gates pass what reaches them.
    """

    weights: Mapping[str, float]
    as_of: datetime
    query: str = ""
    windows: tuple[Window, ...] = ()
    terms: Numbers = field(default_factory=lambda: np.empty(0, dtype=np.uint16))
    min_similarity: float | None = None
    min_score: float | None = None


def rank(candidates: Sequence[Candidate], scoring: Scoring) -> Ranking:
    """`candidates` of all types of one query, ranked together by score = sum(weight * signal)."""
    unsorted = Candidates.of(candidates)
    found = unsorted.take(by_text(unsorted.ids))
    table = _signal_table(found, scoring) if len(found) else np.empty((len(SIGNALS), 0))
    scores = _scores(found, table, scoring)
    passed = _gate(table[SIGNALS.index("similarity")], scores, scoring)
    order = ascending(-scores)
    scored = Scored(replace(found, late=None), scores, table)  # it has said what it had to say, and is the largest
    kept, below = order[passed[order]], order[~passed[order]]
    first = _first_sayings(found.kinds[kept], found.columns.take(kept))
    own = np.arange(len(kept)) == first
    of = [found.ids[kept[place]].decode() for place in first[~own].tolist()]
    return Ranking(Hits(scored.take(kept[own])), Lefts(scored.take(np.concatenate([kept[~own], below])), of))


def _scores(found: Candidates, table: NDArray[np.float64], scoring: Scoring) -> NDArray[np.float64]:
    """The weighted sum of each candidate's signals; adds to `table` those that follow from the scores of all others."""
    weights = np.array([scoring.weights[name] for name in SIGNALS])
    scores: NDArray[np.float64] = weights @ table
    if scoring.weights["expansion"] and len(found):
        table[SIGNALS.index("expansion")] = expansion(found, scores, scoring.terms)
        scores = weights @ table
    if scoring.weights["current"] and len(found):
        table[SIGNALS.index("current")] = np.minimum(lifts(found, scores) / scoring.weights["current"], 1.0)
        scores = weights @ table
    return scores


def _signal_table(found: Candidates, scoring: Scoring) -> NDArray[np.float64]:
    """The signals of each candidate, shape (signals, candidates), in the order of SIGNALS."""
    near = neighbours(found)
    similar = similarity(_leg(found.dense), _leg(found.sparse), late_similarity(found, near))
    table = {
        "similarity": similar,
        "context": context(similar, near, found),
        "mention": mention(scoring.query, found),
        "time": named_time(scoring.windows, found),
        **signals(found, scoring.as_of),
        **dict.fromkeys(LATER, np.zeros(len(found))),
    }
    return np.vstack([table[name] for name in SIGNALS])


def _leg(scores: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    return None if scores is None else np.nan_to_num(scores, nan=0.0)


def _gate(similar: NDArray[np.float64], scores: NDArray[np.float64], scoring: Scoring) -> NDArray[np.bool_]:
    passed = np.ones(scores.shape, dtype=np.bool_)
    if scoring.min_similarity is not None:
        passed &= similar >= scoring.min_similarity
    if scoring.min_score is not None:
        passed &= scores >= scoring.min_score
    return passed


def _first_sayings(kinds: NDArray[np.int8], light: Columns) -> NDArray[np.intp]:
    """For each the place of the first with its words, of the same type and speaker and due at the same time."""
    first = np.arange(len(kinds), dtype=np.intp)
    hashes = light.column("content_hash")
    again = repeated(beginnings(hashes))  # and few others, if any: a digest is told by its beginning
    if not len(again):
        return first
    columns = (again, kinds[again], hashes[again], light.column("speaker")[again], light.column("due_at")[again])
    seen: dict[tuple[object, ...], int] = {}
    for place, *said in zip(*(column.tolist() for column in columns), strict=True):
        first[place] = seen.setdefault(tuple(said), place)
    return first
