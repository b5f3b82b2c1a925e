"""A second look by the words of what was found first: memories that share the telling words of the best hits.

A question and its answer often use different words, and the best hits show which. The engine is not asked again: the
terms of every candidate are at hand, and how rare a term is, is read off the candidates. After RM3 (Abdul-Jaleel et
al., "UMass at TREC 2004"), over the pool instead of the collection. Knows terms as numbers (see `terms`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidates
from memtypes.search.columns import TERMS
from memtypes.search.terms import NUMBERS, Numbers
from retrieval.ranking.order import best_few

SEEDS = 3
"""The best hits, whose words are looked for. One finds less, five drift."""

WORDS = 15
"""How many of their terms are looked for; 10 to 20 do alike."""

LENGTH = 200
"""Tokens at which a memory's terms count half: a long one shares some of any words."""

_PLACES = 128
"""More than the terms that the seeds can have."""

_COUNTS = 8


def expansion(found: Candidates, scores: NDArray[np.float64], asked: Numbers) -> NDArray[np.float64]:
    """How much of the best hits' telling terms each candidate has, shape (candidates,), in [0, 1]; 1 for the most.

    scores: of everything else. asked: the terms of the query, which have been counted already. A term's weight is that
    of the hits that have it, the square of their scores, and its IDF among the candidates.
    """
    terms: Numbers = found.columns.column(TERMS)
    shorter = 1.0 / (1.0 + found.columns.wholes("tokens.count", 0) / LENGTH)
    best = best_few(scores, SEEDS)
    worth = np.maximum(scores[best], 0.0) ** 2 * shorter[best]
    sought, places = np.unique(terms[best], return_inverse=True)
    summed = np.bincount(places.ravel(), np.repeat(worth, terms.shape[1]), minlength=len(sought))
    summed[(sought == 0) | (sought[:, None] == asked).any(axis=1)] = 0.0
    place_of = np.zeros(NUMBERS, dtype=np.uint8)  # 0 for what is not sought; the seeds have 96 terms at most
    place_of[sought] = np.arange(1, len(sought) + 1)
    having = place_of.take(terms)
    rarity = _idf(_counts(having)[1 : len(sought) + 1], len(found))
    first = np.argsort(-summed * rarity, kind="stable")[:WORDS]
    weights = np.zeros(len(sought) + 1)
    weights[first + 1] = (summed * rarity**2)[first]
    shared: NDArray[np.float64] = weights.take(having).sum(axis=1) * shorter
    most = float(shared.max(initial=0.0))
    return shared / most if most > 0 else shared


def _counts(having: NDArray[np.uint8]) -> NDArray[np.intp]:
    """How often each place stands, shape (_PLACES,).

    Counted in several columns: nearly all are 0, and each step of one count would wait for the step before it.
    """
    apart = having + np.arange(having.shape[1], dtype=np.uint16) % _COUNTS * _PLACES
    by_column = np.bincount(apart.ravel(), minlength=_COUNTS * _PLACES).reshape(_COUNTS, _PLACES)
    counts: NDArray[np.intp] = by_column.sum(axis=0)
    return counts


def _idf(having: NDArray[np.intp], of: int) -> NDArray[np.float64]:
    """BM25's: 0 and up."""
    rarity: NDArray[np.float64] = np.log1p((of - having + 0.5) / (having + 0.5))
    return rarity
