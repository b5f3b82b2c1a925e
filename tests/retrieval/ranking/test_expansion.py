"""Memories that share the telling words of the best hits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import Candidate, Candidates
from memtypes.search.terms import heaviest, numbered
from retrieval.query.profiles import PROFILES
from retrieval.ranking.expansion import SEEDS, expansion
from retrieval.ranking.scoring import Scoring, rank
from tests.builders import NOW, make_sparse

NOTHING = numbered(np.empty(0, np.uint32))


def having(name: str, terms: Sequence[int], tokens: int = 10, dense: float = 0.5) -> Candidate:
    """A candidate with these terms."""
    payload = {
        "created_at": "2026-01-01T00:00:00Z",
        "content_hash": name,
        "terms": heaviest(make_sparse(sorted(terms))),
        "tokens": {"count": tokens, "line": tokens},
    }
    return Candidate(name, MemoryType.SEMANTIC, dense, None, payload)


def signals(scores: Sequence[float], found: Sequence[Candidate], asked: Sequence[int] = ()) -> list[float]:
    """The signal of each."""
    numbers = numbered(np.array(asked, np.uint32))
    shared = expansion(Candidates.of(found), np.array(scores), numbers)
    return [round(float(one), 6) for one in shared]


def test_who_shares_a_telling_word_with_the_best_is_found() -> None:
    """A word that everybody has counts less than one that few have."""
    found = [having("a", [1, 9]), having("b", [9]), having("c", [1]), having("d", [9]), having("e", [9, 2])]
    best, common, shares, *_ = signals([1.0, 0.1, 0.0, 0.0, 0.0], found)
    assert best == 1.0
    assert shares > 5 * common > 0.0


def test_words_of_the_query_are_not_counted_again() -> None:
    """Similarity has counted them."""
    found = [having("a", [1]), having("b", [1]), having("c", [])]
    assert signals([1.0, 0.0, 0.0], found, asked=[1]) == [0.0, 0.0, 0.0]


def test_a_long_memory_shares_less() -> None:
    """It has some of any words."""
    found = [having("a", [1]), having("b", [1], tokens=400), having("c", [2])]
    assert signals([1.0, 0.0, 0.0], found)[1] == pytest.approx((1 + 10 / 200) / (1 + 400 / 200), abs=1e-6)


def test_nothing_is_shared_where_nothing_is_known() -> None:
    """Without terms, without scores, without candidates."""
    bare = Candidate("a", MemoryType.SEMANTIC, 0.5, None, {"created_at": "2026-01-01T00:00:00Z", "content_hash": "a"})
    assert signals([1.0], [bare]) == [0.0]
    assert signals([0.0], [having("a", [1])]) == [0.0]
    assert signals([], []) == []


@given(st.lists(st.tuples(st.floats(-1, 1), st.sets(st.integers(1, 40), max_size=40)), min_size=1, max_size=12))
def test_it_is_a_signal(given_parts: list[tuple[float, set[int]]]) -> None:
    """In [0, 1], and the most is 1 where one of the seeds has a term and a score."""
    found = [having(f"{place:02}", sorted(terms)) for place, (_, terms) in enumerate(given_parts)]
    scores = np.array([score for score, _ in given_parts])
    shared = expansion(Candidates.of(found), scores, NOTHING)
    assert ((shared >= 0.0) & (shared <= 1.0)).all()
    seeds = np.argsort(-scores, kind="stable")[:SEEDS]
    if any(given_parts[place][1] and scores[place] > 0.01 for place in seeds):
        assert shared.max() == 1.0


def test_the_score_has_its_share_of_it() -> None:
    """One that shares the best hit's words goes before its equal, by the weight that the profile gives."""
    found = [having("a", [1, 2], dense=0.9), having("b", [5], dense=0.4), having("c", [1, 2], dense=0.4)]
    hits = rank([*found, having("d", [6], dense=0.1)], Scoring(PROFILES["default"], NOW)).hits
    assert [hit.candidate.id for hit in hits] == ["a", "c", "b", "d"]
    assert hits[1].signals["expansion"] > hits[2].signals["expansion"]
