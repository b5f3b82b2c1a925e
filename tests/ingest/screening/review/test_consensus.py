"""The decision on votes: means over those who gave the score, and the tiers when reviewers are missing."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.review.consensus import decide
from memtypes.model.review import Decision, Tier, Vote


def vote(*, ok: bool = True, trivial: bool | None = None, **scores: float) -> Vote:
    """A vote."""
    return Vote(reviewer="any", ok=ok, scores=scores, trivial=trivial, reason="because")


SCORES = st.dictionaries(
    st.sampled_from(["importance", "relevance", "novelty"]), st.floats(1, 10).map(lambda score: round(score, 2))
)
VOTES = st.lists(
    st.builds(
        lambda ok, scores, trivial: vote(ok=ok, trivial=trivial, **scores),
        st.booleans(),
        SCORES,
        st.sampled_from([None, True, False]),
    ),
    max_size=3,
)


@given(VOTES)
def test_a_mean_is_over_those_who_gave_the_score(votes: list[Vote]) -> None:
    """A reviewer that did not answer, or gave another score, counts in no mean."""
    decided = decide(votes)
    for name in ("importance", "relevance", "novelty"):
        given_scores = [one.scores[name] for one in votes if one.ok and name in one.scores]
        mean = getattr(decided, name)
        if given_scores:
            assert mean == pytest.approx(statistics.fmean(given_scores), abs=1e-3)
        elif decided.tier is not Tier.FALLBACK:
            assert mean is None


@given(VOTES)
def test_the_tier_is_how_many_answered(votes: list[Vote]) -> None:
    """Two or three are a consensus, one is partial, none is a fallback."""
    answered = sum(one.ok for one in votes)
    assert decide(votes).tier == (Tier.CONSENSUS if answered >= 2 else Tier.PARTIAL if answered else Tier.FALLBACK)


@given(VOTES, st.floats(0, 3))
def test_a_higher_importance_never_rejects(votes: list[Vote], more: float) -> None:
    """Raising a score can't turn a stored text into a rejected one."""
    raised = [
        one.model_copy(update={"scores": {name: min(10, score + more) for name, score in one.scores.items()}})
        for one in votes
    ]
    if decide(votes).decision is Decision.STORE:
        assert decide(raised).decision is Decision.STORE


@pytest.mark.parametrize(
    ("votes", "prefilter", "decision", "tier"),
    [
        ([vote(importance=9, trivial=True), vote(relevance=9, trivial=True)], None, "reject", "consensus"),
        ([vote(importance=9, trivial=True), vote(relevance=9)], None, "store", "consensus"),
        ([vote(importance=3.9), vote(relevance=9)], None, "reject", "consensus"),
        ([vote(importance=4), vote(relevance=5)], None, "store", "consensus"),
        ([vote(importance=9), vote(relevance=4.9)], None, "reject", "consensus"),
        ([vote(importance=3), vote(ok=False), vote(ok=False)], None, "store", "partial"),
        ([vote(importance=2.9)], None, "reject", "partial"),
        ([vote(novelty=2)], None, "store", "partial"),
        ([vote(ok=False)], None, "store", "fallback"),
        ([], "filler", "reject", "fallback"),
    ],
)
def test_the_rules_at_their_bounds(votes: list[Vote], prefilter: str | None, decision: str, tier: str) -> None:
    """Each rule holds exactly from its bound on."""
    decided = decide(votes, prefilter)
    assert (decided.decision, decided.tier) == (decision, tier)


def test_a_fallback_stores_with_the_middle_importance() -> None:
    """Nobody voted: importance is 5."""
    assert decide([vote(ok=False)]).importance == 5
