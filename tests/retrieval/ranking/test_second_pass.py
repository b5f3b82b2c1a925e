"""The second pass of ranking: it adds terms of the best hits to the query, and raises updates above
outdated facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.vectors import heaviest, numbered
from retrieval.query.named_times import QueryTimes
from retrieval.query.profiles import PROFILES, weights_for
from retrieval.query.request import SearchRequest
from retrieval.ranking.scoring import Scoring, rank
from retrieval.ranking.signals import SEEDS, expansion, newest_first
from tests.builders import NOW, make_sparse
from tests.candidates import CandidateRow, make_candidates
from tests.retrieval.builders import hit_rows

NO_TERMS = numbered(np.empty(0, np.uint32))


def with_terms(
    name: str, terms: Sequence[int], tokens: int = 10, dense: float = 0.5
) -> CandidateRow:
    """A candidate with these sparse terms, number of tokens and dense score."""
    payload = {
        "created_at": "2026-01-01T00:00:00Z",
        "content_hash": name,
        "terms": heaviest(make_sparse(sorted(terms))),
        "tokens": {"count": tokens, "line": tokens},
    }
    return CandidateRow(name, MemoryType.SEMANTIC, dense, None, payload)


def signals(
    scores: Sequence[float], candidates: Sequence[CandidateRow], query_terms: Sequence[int] = ()
) -> list[float]:
    """The expansion signal of each candidate, which measures the terms that it shares with the best
    candidates.

    scores: scores of the candidates. query_terms: terms of the query, which are not counted.
    """
    sparse_terms = numbered(np.array(query_terms, np.uint32))
    shared = expansion(make_candidates(candidates), np.array(scores), sparse_terms)
    return [round(float(value), 6) for value in shared]


def test_a_rare_term_of_the_best_hit_counts_more_than_a_common_one() -> None:
    """A term of the best hit gives another candidate a higher expansion signal if few candidates
    have the term.
    """
    candidates = [
        with_terms("a", [1, 9]),
        with_terms("b", [9]),
        with_terms("c", [1]),
        with_terms("d", [9]),
        with_terms("e", [9, 2]),
    ]
    best, common, shares, *_ = signals([1.0, 0.1, 0.0, 0.0, 0.0], candidates)
    assert best == 1.0
    assert shares > 5 * common > 0.0


def test_terms_of_the_query_add_nothing_to_the_expansion_signal() -> None:
    """The expansion signal, which measures terms shared with the best hits, does not count terms of
    the query.

    The similarity score counts these terms already.
    """
    candidates = [with_terms("a", [1]), with_terms("b", [1]), with_terms("c", [])]
    assert signals([1.0, 0.0, 0.0], candidates, query_terms=[1]) == [0.0, 0.0, 0.0]


def test_a_shared_term_counts_less_in_a_long_memory() -> None:
    """A term that is shared with the best hits gives a long memory a lower expansion signal than a
    short one.
    """
    candidates = [with_terms("a", [1]), with_terms("b", [1], tokens=400), with_terms("c", [2])]
    assert signals([1.0, 0.0, 0.0], candidates)[1] == pytest.approx(
        (1 + 10 / 200) / (1 + 400 / 200), abs=1e-6
    )


def test_the_expansion_signal_is_0_without_terms_or_scores() -> None:
    """The expansion signal is 0 if the candidate has no terms or all scores are 0.

    Without candidates, there are no signals.
    """
    bare = CandidateRow(
        "a",
        MemoryType.SEMANTIC,
        0.5,
        None,
        {"created_at": "2026-01-01T00:00:00Z", "content_hash": "a"},
    )
    assert signals([1.0], [bare]) == [0.0]
    assert signals([0.0], [with_terms("a", [1])]) == [0.0]
    assert signals([], []) == []


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.sets(st.integers(1, 40), max_size=40)),
        min_size=1,
        max_size=12,
    )
)
def test_the_expansion_signal_is_between_0_and_1(rows: list[tuple[float, set[int]]]) -> None:
    """The expansion signal is from 0 to 1.

    If one of the SEEDS best hits has a term and a score above 0.01, the highest signal among the
    candidates is 1.
    """
    candidates = [with_terms(f"{index:02}", sorted(terms)) for index, (_, terms) in enumerate(rows)]
    scores = np.array([score for score, _ in rows])
    shared = expansion(make_candidates(candidates), scores, NO_TERMS)
    assert ((shared >= 0.0) & (shared <= 1.0)).all()
    seeds = np.argsort(-scores, kind="stable")[:SEEDS]
    if any(rows[seed][1] and scores[seed] > 0.01 for seed in seeds):
        assert shared.max() == 1.0


def test_the_expansion_signal_decides_between_equal_scores() -> None:
    """Of two candidates with equal scores, the candidate that shares more terms with the best hit
    ranks first.
    """
    dense = {"a": ([1, 2], 0.9), "b": ([5], 0.4), "c": ([1, 2], 0.4), "d": ([6], 0.1)}
    candidates = [with_terms(name, terms, dense=cosine) for name, (terms, cosine) in dense.items()]
    scoring = Scoring(PROFILES["default"], NOW)
    hits = hit_rows(rank(make_candidates(candidates), scoring))
    assert [hit.id for hit in hits] == ["a", "c", "b", "d"]
    assert hits[1].signals["expansion"] > hits[2].signals["expansion"]


def turn(name: str, seq: int, **fields: Any) -> CandidateRow:
    """A turn of Ann with sequence number `seq` in a session. fields: other fields; None leaves a
    field out.
    """
    payload = {
        "created_at": f"2026-01-01T00:{seq:02}:00Z",
        "session_id": "s1",
        "seq": seq,
        "speaker": "Ann",
        "gives_value": True,
        "content_hash": name,
        **fields,
    }
    present = {field: value for field, value in payload.items() if value is not None}
    return CandidateRow(name, MemoryType.EPISODIC, 0.5, None, present)


def test_a_boost_is_explained_by_a_signal() -> None:
    """The boost of a later statement is reported as the signal `current`. The score stays the
    weighted sum of the signals.
    """
    request = SearchRequest(query="When is my review?", namespace="n")
    weights = weights_for(request, QueryTimes.from_query(request.query, NOW))[1]
    scoring = Scoring(weights, NOW, request.query, terms=numbered(np.array([1, 2], np.uint32)))
    better = replace(with_terms("a", [1, 2, 3]), dense=0.6)
    later = with_terms("b", [1, 2, 4])
    later = replace(later, payload={**later.payload, "created_at": "2026-02-01T00:00:00Z"})
    others = [with_terms(f"other{number}", [number + 9], dense=0.1) for number in range(8)]
    hits = hit_rows(rank(make_candidates([better, later, *others]), scoring))
    assert [hit.id for hit in hits[:2]] == ["b", "a"]
    for hit in hits:
        assert hit.score == pytest.approx(
            sum(weights[name] * value for name, value in hit.signals.items())
        )
    assert hits[0].signals["current"] > 0


@pytest.mark.parametrize(
    ("session", "score", "raised"),
    [(None, 0.1, True), ("s1", 0.4, True), ("s1", 0.2, False)],
    ids=str,
)
def test_the_newer_of_two_contested_memories_ranks_first(
    session: str | None, score: float, *, raised: bool
) -> None:
    """The newer of two contradicting memories ranks first, whatever its score.

    If both come from a session, it ranks first only if its score is at least half of the older
    memory's score.
    """
    candidates = make_candidates(
        [turn("a", 1, session_id=session), turn("b", 5, session_id=session)]
    )
    scores = newest_first(candidates, np.array([0.6, score]), [("b", "a")])
    assert bool(scores[1] > scores[0]) is raised


def test_memories_that_contradict_the_same_memory_come_newest_first() -> None:
    candidates = make_candidates(
        [turn(name, day, session_id=None) for name, day in (("a", 1), ("b", 3), ("c", 5))]
    )
    scores = newest_first(candidates, np.array([0.6, 0.5, 0.1]), [("b", "a"), ("c", "a")])
    assert scores.argsort().tolist() == [0, 1, 2]


def test_an_update_ranks_above_a_memory_raised_for_contradicting_another() -> None:
    request = SearchRequest(query="When is my review?", namespace="n")
    weights = weights_for(request, QueryTimes.from_query(request.query, NOW))[1]
    dense = {"a": (1, 0.9), "b": (3, 0.55), "c": (5, 0.6)}
    links = {"b": [{"to": "a", "type": "contradicts", "strength": 1.0}]}
    candidates = make_candidates(
        [
            replace(turn(name, day, session_id=None, links=links.get(name)), dense=similar)
            for name, (day, similar) in dense.items()
        ]
    )
    scoring = Scoring(weights, NOW, request.query)
    hits = hit_rows(rank(candidates, scoring))
    assert [hit.id for hit in hits] == ["c", "b", "a"]
    past = replace(scoring, prefer_newer=False)
    assert all(hit.signals["link"] == 0 for hit in hit_rows(rank(candidates, past)))
