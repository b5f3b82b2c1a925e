"""Candidates: both legs' best, the exact score of each leg for what only the other one found, and late interaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from memtypes.light import Light
from memtypes.policy import MemoryType
from memtypes.stores import asks
from memtypes.stores.codec import dense_of, sparse_of, tokens_of
from memtypes.stores.conditions import Where, has_ids, within
from memtypes.stores.keys import Key, packed, text_of
from memtypes.stores.steps import Count, Glance, Late, Nearest, Plan, Search, Seen
from memtypes.vectors import DenseVector, SparseVector

Scores: TypeAlias = dict[Key, float]


WHOLE = 2
"""A namespace of up to so many times the depth is scored whole: that takes less than asking for what a leg lacks."""


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """One vector of one search. depth: how many of its best are candidates. limit: how many are asked for.

    no_match: the score of what the engine leaves out, None where it leaves out nothing.
    """

    vector: DenseVector | SparseVector
    depth: int
    limit: int
    no_match: float | None

    @property
    def silent(self) -> bool:
        """Whether it can find nothing: a query without terms."""
        return isinstance(self.vector, SparseVector) and not len(self.vector.indices)


Legs: TypeAlias = tuple[Leg | None, Leg | None]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The candidates of one search. keys: the union of each leg's best. scores: each leg's, of these and maybe more."""

    legs: Legs
    keys: list[Key]
    scores: list[Scores | None]


def find_candidates(ask: asks.Candidates) -> Plan[list[asks.Found]]:
    """The candidates of each search: rounds for the sizes, the legs, the missing scores, the payloads and late ones."""
    corpus = within(ask)
    bounds = {str(search.where): within(ask, search.where) for search in ask.searches}  # many searches share theirs
    legs = yield from _legs(ask, corpus)
    asked = [_nearest(pair, bounds[str(one.where)], corpus) for one, pair in zip(ask.searches, legs, strict=True)]
    best = yield from _search(ask, asked)
    pools = [pooled(pair, hits) for pair, hits in zip(legs, best, strict=True)]
    rest = yield from _search(ask, [list(_missing(pool, corpus, ask)) for pool in pools])
    for pool, hits in zip(pools, rest, strict=True):
        fill(pool, hits)
    glances = yield from _glances(ask, pools)
    known = [kept(pool, seen) for pool, seen in zip(pools, glances, strict=True)]
    best_matches = yield from _maxima(ask, [keys for keys, _ in known])
    return [columns(pool.scores, own, late) for pool, own, late in zip(pools, known, best_matches, strict=True)]


def _legs(ask: asks.Candidates, corpus: Where) -> Plan[list[Legs]]:
    """The legs of each search; how many memories there are is asked only where two legs are to be joined."""
    joined = [place for place, one in enumerate(ask.searches) if one.dense is not None and one.terms is not None]
    counted: list[int] = yield [(ask.searches[place].type, Count(corpus)) for place in joined]
    counts = dict(zip(joined, counted, strict=True))
    return [legs_of(search, counts.get(place)) for place, search in enumerate(ask.searches)]


def legs_of(search: asks.TypeSearch, count: int | None) -> Legs:
    """The dense and the sparse leg; None for one that was not asked for.

    count: memories of the type in the scope; None where one leg is alone, which never lacks a score.
    """
    limit = search.depth if count is None or count > WHOLE * search.depth else max(count, search.depth)
    dense = None if search.dense is None else Leg(dense_of(search.dense), search.depth, limit, None)
    sparse = None
    if search.terms is not None and search.weights is not None:
        sparse = Leg(sparse_of(search.terms, search.weights), search.depth, limit, 0.0)
    return dense, sparse


def _nearest(legs: Legs, where: Where, corpus: Where) -> list[Nearest]:
    return [Nearest(leg.vector, leg.limit, where, corpus) for leg in legs if leg and not leg.silent]


def pooled(legs: Legs, hits: list[list[tuple[Key, float]]]) -> Pool:
    """The candidates that the legs found: scores are none for a silent leg, None for one that was not asked for."""
    given = iter(hits)
    found = [[] if leg is None or leg.silent else next(given) for leg in legs]
    keys = dict.fromkeys(key for leg, own in zip(legs, found, strict=True) if leg for key, _ in own[: leg.depth])
    return Pool(legs, list(keys), [None if leg is None else dict(own) for leg, own in zip(legs, found, strict=True)])


def lacking(leg: Leg | None, own: Scores | None, keys: Iterable[Key]) -> list[Key]:
    """The keys whose score the engine must still be asked for.

    A sparse leg that came back with fewer than its limit has named every memory that shares a term with the query.
    """
    if leg is None or own is None or leg.silent or (leg.no_match is not None and len(own) < leg.limit):
        return []
    return [one for one in keys if one not in own]


def _missing(pool: Pool, corpus: Where, ask: asks.Candidates) -> Iterator[Nearest]:
    for leg, own in zip(pool.legs, pool.scores, strict=True):
        keys = lacking(leg, own, pool.keys)
        if leg is not None and keys:
            yield Nearest(leg.vector, len(keys), within(ask, has_ids(map(text_of, keys))), corpus, exact=True)


def fill(pool: Pool, rest: list[list[tuple[Key, float]]]) -> None:
    """Add the missing scores, in the order in which they were asked for, and the score of what shares no term."""
    given = iter(rest)
    for leg, own in zip(pool.legs, pool.scores, strict=True):
        if leg is None or own is None:
            continue
        own.update(next(given) if lacking(leg, own, pool.keys) else [])
        if leg.no_match is not None:
            own.update({one: leg.no_match for one in pool.keys if one not in own})


def kept(pool: Pool, seen: Seen) -> tuple[list[Key], Light]:
    """The candidates that are still there and have every score; a removal may come between two rounds."""
    own = [scores.keys() for scores in pool.scores if scores is not None]
    whole = set(pool.keys).intersection(*own)
    if len(whole) == len(pool.keys) and seen.found.all():
        return pool.keys, seen.light
    there = seen.found & np.array([key in whole for key in pool.keys], dtype=np.bool_)
    left = [key for key, stays in zip(pool.keys, there.tolist(), strict=True) if stays]
    return left, seen.light.take(np.flatnonzero(there[seen.found]))


def columns(found: list[Scores | None], known: tuple[list[Key], Light], late: bytes | None) -> asks.Found:
    """The candidates as they travel."""
    keys, light = known
    dense, sparse = (None if own is None else np.array([own[key] for key in keys], np.float64) for own in found)
    return asks.Found(
        packed(keys),
        None if dense is None else dense.tobytes(),
        None if sparse is None else sparse.tobytes(),
        {path: light.column(path).tobytes() for path in light.columns},
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


def _glances(ask: asks.Candidates, pools: list[Pool]) -> Plan[list[Seen]]:
    """What ranking needs of each pool, and which of it exists; a search that does not want it takes all as found."""
    wanted = [place for place, search in enumerate(ask.searches) if search.light]
    read = yield [(ask.searches[place].type, Glance(tuple(pools[place].keys))) for place in wanted]
    seen: dict[int, Seen] = dict(zip(wanted, read, strict=True))
    return [seen.get(place) or unread(pool) for place, pool in enumerate(pools)]


def unread(pool: Pool) -> Seen:
    """All of `pool`, with nothing known of it."""
    return Seen(np.ones(len(pool.keys), dtype=np.bool_), Light(len(pool.keys)))


def _search(ask: asks.Candidates, asked: list[list[Nearest]]) -> Plan[list[list[list[tuple[Key, float]]]]]:
    """The hits of every search's queries; those of one type are one step."""
    queries: dict[MemoryType, list[Nearest]] = {}
    for search, own in zip(ask.searches, asked, strict=True):
        queries.setdefault(search.type, []).extend(own)
    busy = [kind for kind, own in queries.items() if own]
    answers = yield [(kind, Search(tuple(queries[kind]))) for kind in busy]
    hits = {kind: iter(answer) for kind, answer in zip(busy, answers, strict=True)}
    return [[next(hits[search.type]) for _ in own] for search, own in zip(ask.searches, asked, strict=True)]
