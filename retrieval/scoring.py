"""Candidates to ranked hits: one weighted sum, ties by id, the same for the same store and clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from memtypes.ports import Candidate
from retrieval.fusion import similarity
from retrieval.late import late_similarity
from retrieval.mention import mention
from retrieval.neighbours import neighbours
from retrieval.outcome import Outcome
from retrieval.profiles import SIGNALS
from retrieval.signals import context, named_time, signals


@dataclass(frozen=True, slots=True)
class Scoring:
    """How candidates become hits. weights: of every signal. query: its words. The gates pass what reaches them."""

    weights: Mapping[str, float]
    as_of: datetime
    query: str = ""
    min_similarity: float | None = None
    min_score: float | None = None


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


@dataclass(frozen=True, slots=True)
class Ranking:
    """hits: best first. left: what a gate held back, and what repeated a better hit."""

    hits: tuple[Hit, ...]
    left: tuple[Left, ...] = ()


def rank(candidates: Sequence[Candidate], scoring: Scoring) -> Ranking:
    """`candidates` of all types of one query, ranked together by score = sum(weight * signal)."""
    if not candidates:
        return Ranking(())
    found = sorted(candidates, key=lambda candidate: candidate.id)
    table = _signal_table(found, scoring)
    scores = np.array([scoring.weights[name] for name in SIGNALS]) @ np.vstack([table[name] for name in SIGNALS])
    passed = _gate(table["similarity"], scores, scoring)
    order = np.argsort(-scores, kind="stable")
    kept = [int(index) for index in order if passed[index]]
    repeats = _repetitions(found, kept)
    unique = [index for index in kept if index not in repeats]
    hits = tuple(_hit(place, found[index], float(scores[index]), index, table) for place, index in enumerate(unique, 1))
    below = {int(index): None for index in order if not passed[index]}
    left = tuple(
        Left(found[index], float(scores[index]), _signals(index, table), _why(of), of)
        for index, of in {**repeats, **below}.items()
    )
    return Ranking(hits, left)


def _why(of: str | None) -> Outcome:
    return Outcome.BELOW_THRESHOLD if of is None else Outcome.DUPLICATE_OF


def _signal_table(found: Sequence[Candidate], scoring: Scoring) -> dict[str, NDArray[np.float64]]:
    near = neighbours(found)
    similar = similarity(_leg(found, "dense"), _leg(found, "sparse"), late_similarity(found, near))
    return {
        "similarity": similar,
        "context": context(similar, near),
        "mention": mention(scoring.query, found),
        "time": named_time(scoring.query, found, scoring.as_of),
        **signals(found, scoring.as_of),
    }


def _leg(found: Sequence[Candidate], name: str) -> NDArray[np.float64] | None:
    scores = [getattr(candidate, name) for candidate in found]
    if all(score is None for score in scores):
        return None
    return np.array([0.0 if score is None else score for score in scores], dtype=np.float64)


def _gate(similar: NDArray[np.float64], scores: NDArray[np.float64], scoring: Scoring) -> NDArray[np.bool_]:
    passed = np.ones(scores.shape, dtype=np.bool_)
    if scoring.min_similarity is not None:
        passed &= similar >= scoring.min_similarity
    if scoring.min_score is not None:
        passed &= scores >= scoring.min_score
    return passed


def _repetitions(found: Sequence[Candidate], order: Sequence[int]) -> dict[int, str]:
    """Those of `order` whose words a better one of the same type and speaker has already, with the id of that one."""
    seen: dict[tuple[object, ...], str] = {}
    repeats: dict[int, str] = {}
    for index in order:
        payload = found[index].payload
        said = (found[index].type, payload["content_hash"], payload.get("speaker"), payload.get("due_at"))
        first = seen.setdefault(said, found[index].id)
        if first != found[index].id:
            repeats[index] = first
    return repeats


def _signals(index: int, table: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    return {name: float(table[name][index]) for name in SIGNALS}


def _hit(place: int, candidate: Candidate, score: float, index: int, table: Mapping[str, NDArray[np.float64]]) -> Hit:
    return Hit(place, candidate, score, _signals(index, table))
