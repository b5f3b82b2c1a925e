"""`RankedCandidates`: the candidates of a retrieval in their final order, with one array for each
field.
"""

from __future__ import annotations

from datetime import UTC, datetime

from memtypes.model.policy import MemoryType
from retrieval.query.profiles import PROFILES, SIGNALS
from retrieval.ranking.ranked import RankedCandidates
from retrieval.ranking.scoring import Scoring, rank
from tests.candidates import CandidateRow, make_candidates
from tests.retrieval.builders import hit_rows


def ranking() -> RankedCandidates:
    """A ranking with the hits a and c, the candidate b as a duplicate of a, and d with a score
    below the threshold.
    """
    rows = {"a": (0.9, "same"), "b": (0.8, "same"), "c": (0.7, "other"), "d": (0.0, "last")}
    candidates = [
        CandidateRow(
            name,
            MemoryType.SEMANTIC,
            dense,
            None,
            {"created_at": "2026-01-01T00:00:00Z", "content_hash": content},
        )
        for name, (dense, content) in rows.items()
    ]
    scoring = Scoring(PROFILES["relevance"], datetime(2026, 3, 1, tzinfo=UTC), min_score=0.5)
    return rank(make_candidates(candidates), scoring)


def test_hits_come_first_then_duplicates_then_candidates_below_a_threshold() -> None:
    ranked = ranking()
    assert [candidate.id for candidate in ranked.candidates] == ["a", "c", "b", "d"]
    assert (ranked.hits, ranked.duplicate_of) == (2, ("a",))


def test_unscored_hits_follow_the_scored_ones_by_id() -> None:
    """Hits that are added without scores, such as live items, come after the scored hits, in the
    order of their ids.

    Their score and their signals are 0. Duplicates and candidates below the threshold come after
    them.
    """
    added = [
        CandidateRow(name, MemoryType.WORKING, None, None, {"created_at": "2026-01-01T00:00:00Z"})
        for name in "zy"
    ]
    ranked = ranking().with_unscored_hits(make_candidates(added))
    assert [hit.id for hit in hit_rows(ranked)] == ["a", "c", "y", "z"]
    assert hit_rows(ranked)[2].signals == dict.fromkeys(SIGNALS, 0.0)
    assert [candidate.id for candidate in ranked.candidates][4:] == ["b", "d"]
