"""Candidates: both legs' best, the exact score of each leg for what only the other one found, and late interaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.columns import Light
from memtypes.search.vectors import DenseVector, SparseVector
from memtypes.stores.operations import messages
from memtypes.stores.operations.codec import dense_of, sparse_of, tokens_of
from memtypes.stores.operations.conditions import Where, within
from memtypes.stores.operations.keys import Ids, Keys
from memtypes.stores.operations.steps import Count, Glance, Hits, IdsOf, Late, Nearest, Plan, Search, Seen

Scores: TypeAlias = NDArray[np.float64]
"""Of each key of a pool, in the same order; NaN for one that is not known."""


WHOLE = 2
"""Times the depth: in a namespace of so many it takes less to score all than to ask for what a leg lacks."""


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
    """The candidates of one search. keys: the union of each leg's best. scores: each leg's, None for one not asked."""

    legs: Legs
    keys: Keys
    scores: tuple[Scores | None, Scores | None]


def find_candidates(ask: messages.Candidates, whole: int = WHOLE) -> Plan[list[messages.Found]]:
    """The candidates of each search: rounds for the sizes, the legs, the missing scores, the payloads and late ones.

    A namespace of up to `whole` times the depth is scored whole.
    """
    corpus = within(ask)
    bounds = {str(search.where): within(ask, search.where) for search in ask.searches}  # many searches share theirs
    legs = yield from _legs(ask, corpus, whole)
    asked = [_nearest(pair, bounds[str(one.where)], corpus) for one, pair in zip(ask.searches, legs, strict=True)]
    best = yield from _search(ask, asked)
    pools = [pooled(pair, hits) for pair, hits in zip(legs, best, strict=True)]
    rest = yield from _search(ask, [list(_missing(pool, within(ask), corpus)) for pool in pools])
    pools = [filled(pool, hits) for pool, hits in zip(pools, rest, strict=True)]
    glances = yield from _glances(ask, pools)
    known = [kept(pool, seen) for pool, seen in zip(pools, glances, strict=True)]
    named = yield from _ids(ask, [pool.keys for pool, _ in known])
    late = yield from _maxima(ask, [pool.keys for pool, _ in known])
    return [columns(*own, ids, best_matches) for own, ids, best_matches in zip(known, named, late, strict=True)]


def _legs(ask: messages.Candidates, corpus: Where, whole: int) -> Plan[list[Legs]]:
    """The legs of each search; how many memories there are is asked only where two legs are to be joined."""
    joined = [place for place, one in enumerate(ask.searches) if one.dense is not None and one.terms is not None]
    counted: list[int] = yield [(ask.searches[place].type, Count(corpus)) for place in joined]
    counts = dict(zip(joined, counted, strict=True))
    return [legs_of(search, counts.get(place), whole) for place, search in enumerate(ask.searches)]


def legs_of(search: messages.TypeSearch, count: int | None, whole: int = WHOLE) -> Legs:
    """The dense and the sparse leg; None for one that was not asked for.

    count: memories of the type in the scope; None where one leg is alone, which never lacks a score.
    """
    limit = search.depth if count is None or count > whole * search.depth else max(count, search.depth)
    dense = None if search.dense is None else Leg(dense_of(search.dense), search.depth, limit, None)
    sparse = None
    if search.terms is not None and search.weights is not None:
        sparse = Leg(sparse_of(search.terms, search.weights), search.depth, limit, 0.0)
    return dense, sparse


def _nearest(legs: Legs, where: Where, corpus: Where) -> list[Nearest]:
    return [Nearest(leg.vector, leg.limit, where, corpus) for leg in legs if leg and not leg.silent]


def pooled(legs: Legs, hits: list[Hits]) -> Pool:
    """The candidates that the legs found, each leg's best and then what the next one adds."""
    given = iter(hits)
    found = [None if leg is None or leg.silent else next(given) for leg in legs]
    best = [own.keys[: leg.depth] for leg, own in zip(legs, found, strict=True) if leg and own]
    keys = _union(best) if best else np.empty(0, dtype=np.int64)
    dense, sparse = (_first_scores(leg, keys, own) for leg, own in zip(legs, found, strict=True))
    return Pool(legs, keys, (dense, sparse))


def _union(parts: list[Keys]) -> Keys:
    """The keys of all parts, each where it comes first."""
    if len(parts) == 1:
        return parts[0]
    together = np.concatenate(parts)
    _, first = np.unique(together, return_index=True)
    return together[np.sort(first)]


def _first_scores(leg: Leg | None, keys: Keys, own: Hits | None) -> Scores | None:
    """What a leg says of `keys` at once.

    A sparse leg that came back with fewer than its limit has named every memory that shares a term with the query.
    """
    if leg is None:
        return None
    scores = np.full(len(keys), np.nan) if own is None else scores_of(keys, own)
    if leg.no_match is not None and (own is None or len(own.keys) < leg.limit):
        scores[np.isnan(scores)] = leg.no_match
    return scores


def scores_of(keys: Keys, hits: Hits) -> Scores:
    """The score of each key among `hits`."""
    if not len(hits.keys):
        return np.full(len(keys), np.nan)
    order = np.argsort(hits.keys)
    ordered = hits.keys[order]
    places = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return np.where(ordered[places] == keys, hits.scores[order[places]], np.nan)


def _missing(pool: Pool, scope: Where, corpus: Where) -> Iterator[Nearest]:
    """The queries for the scores that the engine must still be asked for."""
    for leg, scores in zip(pool.legs, pool.scores, strict=True):
        if leg is not None and scores is not None and (lacking := np.isnan(scores)).any():
            keys = pool.keys[lacking]
            yield Nearest(leg.vector, len(keys), scope, corpus, among=keys)


def filled(pool: Pool, rest: list[Hits]) -> Pool:
    """`pool` with the missing scores, in the order in which they were asked for; and that of what shares no term."""
    given = iter(rest)
    dense, sparse = (_with(leg, pool.keys, own, given) for leg, own in zip(pool.legs, pool.scores, strict=True))
    return Pool(pool.legs, pool.keys, (dense, sparse))


def _with(leg: Leg | None, keys: Keys, scores: Scores | None, rest: Iterator[Hits]) -> Scores | None:
    if leg is None or scores is None or not (lacking := np.isnan(scores)).any():
        return scores
    scores[lacking] = scores_of(keys[lacking], next(rest))
    return scores if leg.no_match is None else np.nan_to_num(scores, nan=leg.no_match)


def kept(pool: Pool, seen: Seen) -> tuple[Pool, Light]:
    """The candidates that are still there and have every score; a removal may come between two rounds."""
    there = seen.found.copy()
    for scores in pool.scores:
        if scores is not None:
            there &= ~np.isnan(scores)
    if there.all():
        return pool, seen.light
    dense, sparse = (None if scores is None else scores[there] for scores in pool.scores)
    return Pool(pool.legs, pool.keys[there], (dense, sparse)), seen.light.take(np.flatnonzero(there[seen.found]))


def columns(pool: Pool, light: Light, ids: Ids, late: bytes | None) -> messages.Found:
    """The candidates as they travel."""
    dense, sparse = (None if scores is None else scores.tobytes() for scores in pool.scores)
    return messages.Found(
        ids.tobytes(),
        dense,
        sparse,
        {path: light.column(path).tobytes() for path in light.columns},
        {path: list(table) for path, table in light.tables.items()},
        late,
    )


def _ids(ask: messages.Candidates, keys: list[Keys]) -> Plan[list[Ids]]:
    """The ids of the candidates of each search."""
    return (yield [(search.type, IdsOf(own)) for search, own in zip(ask.searches, keys, strict=True)])


def _maxima(ask: messages.Candidates, keys: list[Keys]) -> Plan[list[bytes | None]]:
    """Late interaction's scores of the candidates of each search, where they were asked for."""
    lates = {
        place: Late(tokens_of(search.tokens), own)
        for place, (search, own) in enumerate(zip(ask.searches, keys, strict=True))
        if search.tokens and len(own)
    }
    matrices = (yield [(ask.searches[place].type, late) for place, late in lates.items()]) if lates else []
    late_of = dict(zip(lates, matrices, strict=True))
    return [late_of[place].tobytes() if place in late_of else None for place in range(len(keys))]


def _glances(ask: messages.Candidates, pools: list[Pool]) -> Plan[list[Seen]]:
    """What ranking needs of each pool, and which of it exists; a search that does not want it takes all as found."""
    wanted = [place for place, search in enumerate(ask.searches) if search.light]
    read = yield [(ask.searches[place].type, Glance(pools[place].keys)) for place in wanted]
    seen: dict[int, Seen] = dict(zip(wanted, read, strict=True))
    return [seen.get(place) or unread(pool) for place, pool in enumerate(pools)]


def unread(pool: Pool) -> Seen:
    """All of `pool`, with nothing known of it."""
    return Seen(np.ones(len(pool.keys), dtype=np.bool_), Light(len(pool.keys)))


def _search(ask: messages.Candidates, asked: list[list[Nearest]]) -> Plan[list[list[Hits]]]:
    """The hits of every search's queries; those of one type are one step."""
    queries: dict[MemoryType, list[Nearest]] = {}
    for search, own in zip(ask.searches, asked, strict=True):
        queries.setdefault(search.type, []).extend(own)
    busy = [kind for kind, own in queries.items() if own]
    answers = yield [(kind, Search(tuple(queries[kind]))) for kind in busy]
    hits = {kind: iter(answer) for kind, answer in zip(busy, answers, strict=True)}
    return [[next(hits[search.type]) for _ in own] for search, own in zip(ask.searches, asked, strict=True)]
