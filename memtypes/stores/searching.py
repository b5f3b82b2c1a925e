"""Candidates: both legs' best, the exact score of each leg for what only the other one found, and late interaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from memtypes.light import Light
from memtypes.stores import asks
from memtypes.stores.codec import dense_of, sparse_of, tokens_of
from memtypes.stores.conditions import Where, has_ids, within
from memtypes.stores.keys import Key, packed, text_of
from memtypes.stores.steps import Glance, Late, Nearest, Plan, Search, Seen
from memtypes.vectors import DenseVector, SparseVector

Scores: TypeAlias = dict[Key, float]


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """One vector of one search. no_match: the score of what the engine leaves out, None where it leaves out nothing."""

    vector: DenseVector | SparseVector
    depth: int
    no_match: float | None

    @property
    def silent(self) -> bool:
        """Whether it can find nothing: a query without terms."""
        return isinstance(self.vector, SparseVector) and not len(self.vector.indices)


def find_candidates(ask: asks.Candidates) -> Plan[list[asks.Found]]:
    """The candidates of each search: one round for the legs, one for the missing scores, one for the payloads."""
    corpus = within(ask)
    legs = [legs_of(search) for search in ask.searches]
    asked = [
        [Nearest(leg.vector, leg.depth, within(ask, search.where), corpus) for leg in pair if leg and not leg.silent]
        for search, pair in zip(ask.searches, legs, strict=True)
    ]
    best = yield from _search(ask, asked)
    scores = [scored(pair, hits) for pair, hits in zip(legs, best, strict=True)]
    asked = [list(_missing(pair, found, corpus, ask)) for pair, found in zip(legs, scores, strict=True)]
    late = yield from _search(ask, asked)
    for pair, found, hits in zip(legs, scores, late, strict=True):
        fill(pair, found, hits)
    unions = [list(union(found)) for found in scores]
    glances = yield [(search.type, Glance(tuple(one))) for search, one in zip(ask.searches, unions, strict=True)]
    known = [kept(*one) for one in zip(unions, scores, glances, strict=True)]
    best_matches = yield from _maxima(ask, [keys for keys, _ in known])
    return [columns(*one) for one in zip(scores, known, best_matches, strict=True)]


def legs_of(search: asks.TypeSearch) -> tuple[Leg | None, Leg | None]:
    """The dense and the sparse leg; None for one that was not asked for."""
    dense = None if search.dense is None else Leg(dense_of(search.dense), search.depth, None)
    sparse = None
    if search.terms is not None and search.weights is not None:
        sparse = Leg(sparse_of(search.terms, search.weights), search.depth, 0.0)
    return dense, sparse


def scored(pair: tuple[Leg | None, ...], hits: list[list[tuple[Key, float]]]) -> list[Scores | None]:
    """Each leg's scores by id: none for a silent leg, None for one that was not asked for."""
    given = iter(hits)
    return [None if leg is None else {} if leg.silent else dict(next(given)) for leg in pair]


def lacking(leg: Leg | None, own: Scores | None, everything: Iterable[Key]) -> list[Key]:
    """The keys whose score the engine must still be asked for.

    A sparse leg that came back with fewer than its depth has named every memory that shares a term with the query.
    """
    if leg is None or own is None or leg.silent or (leg.no_match is not None and len(own) < leg.depth):
        return []
    return [one for one in everything if one not in own]


def _missing(
    pair: tuple[Leg | None, ...], found: list[Scores | None], corpus: Where, ask: asks.Candidates
) -> Iterator[Nearest]:
    everything = list(union(found))
    for leg, own in zip(pair, found, strict=True):
        ids = lacking(leg, own, everything)
        if leg is not None and ids:
            yield Nearest(leg.vector, len(ids), within(ask, has_ids(map(text_of, ids))), corpus, exact=True)


def fill(pair: tuple[Leg | None, ...], found: list[Scores | None], late: list[list[tuple[Key, float]]]) -> None:
    """Add the late scores, in the order in which they were asked for, and the score of what shares no term."""
    everything, given = list(union(found)), iter(late)
    wanted = [lacking(leg, own, everything) for leg, own in zip(pair, found, strict=True)]
    for leg, own, ids in zip(pair, found, wanted, strict=True):
        if leg is None or own is None:
            continue
        own.update(next(given) if ids else [])
        if leg.no_match is not None:
            own.update({one: leg.no_match for one in everything if one not in own})


def union(found: Iterable[Scores | None]) -> Iterator[Key]:
    """Every key once, in the order of the legs."""
    return iter(dict.fromkeys(one for scores in found for one in scores or {}))


def kept(keys: list[Key], found: list[Scores | None], seen: Seen) -> tuple[list[Key], Light]:
    """The candidates that are still there and have every score; a removal may come between two rounds."""
    own = [scores for scores in found if scores is not None]
    whole = [place for place, key in enumerate(keys) if all(key in scores for scores in own)]
    if len(whole) == len(keys) and seen.found.all():
        return keys, seen.light
    there = np.zeros(len(keys), dtype=np.bool_)
    there[whole] = seen.found[whole]
    left = [key for key, stays in zip(keys, there.tolist(), strict=True) if stays]
    return left, seen.light.take(np.flatnonzero(there[seen.found]))


def columns(found: list[Scores | None], known: tuple[list[Key], Light], late: bytes | None) -> asks.Found:
    """The candidates as they travel."""
    keys, light = known
    dense, sparse = (None if own is None else np.array([own[key] for key in keys], np.float64) for own in found)
    return asks.Found(
        packed(keys),
        None if dense is None else dense.tobytes(),
        None if sparse is None else sparse.tobytes(),
        {path: column.tobytes() for path, column in light.columns.items()},
        {path: list(table) for path, table in light.tables.items()},
        late,
    )


def _maxima(ask: asks.Candidates, keys: list[list[Key]]) -> Plan[list[bytes | None]]:
    """Late interaction's scores of the candidates of each search, where they were asked for."""
    lates = {
        place: Late(tokens_of(search.tokens), tuple(own))
        for place, (search, own) in enumerate(zip(ask.searches, keys, strict=True))
        if search.tokens and own
    }
    matrices = (yield [(ask.searches[place].type, late) for place, late in lates.items()]) if lates else []
    late_of = dict(zip(lates, matrices, strict=True))
    return [late_of[place].tobytes() if place in late_of else None for place in range(len(keys))]


def _search(ask: asks.Candidates, asked: list[list[Nearest]]) -> Plan[list[list[list[tuple[Key, float]]]]]:
    """The hits of every search's queries; a search without a query costs no step."""
    busy = [
        (search.type, Search(tuple(queries))) for search, queries in zip(ask.searches, asked, strict=True) if queries
    ]
    hits = iter((yield list(busy)))
    return [next(hits) if queries else [] for queries in asked]
