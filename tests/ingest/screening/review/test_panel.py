"""The panel, which votes on a text: concurrent reviewers, lost votes, and the decision that
follows.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.review.panel import (
    MAX_READ,
    MIN_IMPORTANCE,
    MIN_RELEVANCE,
    Panel,
    Reviewer,
    ReviewFailed,
    ReviewRequest,
    decide,
    tier_of,
)
from memtypes.model.memory import Decision, Reviewed, Tier, Vote
from tests.ingest.doubles import SCOPE

FACT = (
    "The team decided to move the ledger to Postgres because the Redis counters drifted in March."
)


def vote(*, ok: bool = True, trivial: bool | None = None, **scores: float) -> Vote:
    """A reviewer's vote with the given scores."""
    return Vote(reviewer="any", ok=ok, scores=scores, trivial=trivial, reason="because")


SCORES = st.dictionaries(
    st.sampled_from(["importance", "relevance", "novelty"]),
    st.floats(1, 10).map(lambda score: round(score, 2)),
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


@dataclass(frozen=True, slots=True)
class StubReviewer:
    """A reviewer that gives the score 8 after `delay_s` seconds, or fails, and records the texts
    that it was shown.
    """

    name: str
    shown: list[str]
    fails: bool = False
    delay_s: float = 0.0
    stand_in: Reviewer | None = None

    async def vote(self, request: ReviewRequest) -> Vote:
        """A vote with the score 8, after `delay_s` seconds. Raises ReviewFailed if `fails` is
        set.
        """
        self.shown.append(request.text)
        await anyio.sleep(self.delay_s)
        if self.fails:
            raise ReviewFailed("out of order")
        return Vote(reviewer=self.name, ok=True, scores={self.name: 8.0}, reason="fine")


def request(text: str = FACT) -> ReviewRequest:
    """A review request without an embedding."""
    return ReviewRequest(SCOPE, text)


@pytest.mark.anyio
async def test_a_failing_reviewer_loses_only_its_own_vote() -> None:
    """If a reviewer fails, the others decide. Its lost vote has a reason, and votes keep the order
    of the reviewers.
    """
    failing = StubReviewer("novelty", [], fails=True)
    slow = StubReviewer("importance", [], delay_s=0.02)
    panel = Panel((slow, StubReviewer("relevance", []), failing))
    decided = await panel.review(request())
    assert (decided.tier, decided.decision) == (Tier.CONSENSUS, Decision.STORE)
    assert [(cast.reviewer, cast.ok) for cast in decided.votes] == [
        ("importance", True),
        ("relevance", True),
        ("novelty", False),
    ]
    assert decided.votes[2].reason == "out of order"


@pytest.mark.anyio
async def test_a_slow_reviewer_loses_its_vote_at_the_time_limit() -> None:
    panel = Panel(
        (StubReviewer("importance", [], delay_s=5), StubReviewer("relevance", [])), limit_s=0.05
    )
    decided = await panel.review(request())
    assert decided.votes[0].reason == "no answer within 0.05 s"
    assert (decided.tier, decided.decision) == (Tier.PARTIAL, Decision.STORE)


@pytest.mark.anyio
async def test_only_the_beginning_of_a_long_text_is_reviewed() -> None:
    """Reviewers are shown only the first MAX_READ characters of a text."""
    reviewer = StubReviewer("importance", [])
    await Panel((reviewer,)).review(request("x" * (MAX_READ + 1)))
    assert [len(text) for text in reviewer.shown] == [MAX_READ]


def judge(votes: list[Vote], prefilter: str | None = None) -> Reviewed:
    """The decision of a panel on the votes. prefilter: why the pre-filter rejects the text; None if
    it does not.
    """
    return decide(votes, tier_of([cast.ok for cast in votes]), prefilter)


@given(VOTES)
def test_a_mean_is_over_the_votes_with_that_score(votes: list[Vote]) -> None:
    decided = judge(votes)
    for name in ("importance", "relevance", "novelty"):
        scores = [cast.scores[name] for cast in votes if cast.ok and name in cast.scores]
        mean = getattr(decided, name)
        if scores:
            assert mean == pytest.approx(statistics.fmean(scores), abs=1e-3)
        elif decided.tier is not Tier.FALLBACK:
            assert mean is None


@given(st.lists(st.booleans(), max_size=3))
def test_the_tier_depends_on_how_many_reviewers_answered(answered: list[bool]) -> None:
    """The tier of a panel's decision is `fallback` if no reviewer answered, and `partial` if only
    one of several did.

    Otherwise it is `consensus`.
    """
    count = sum(answered)
    expected = (
        Tier.FALLBACK
        if not count
        else Tier.PARTIAL
        if count == 1 < len(answered)
        else Tier.CONSENSUS
    )
    assert tier_of(answered) == expected


@pytest.mark.anyio
async def test_a_local_reviewer_votes_in_place_of_a_failed_model() -> None:
    """If a reviewer that asks a model fails, a local reviewer votes in its place. Both votes are
    listed.

    The tier of the decision (such as `partial`) counts only reviewers that ask a model.
    """
    local = StubReviewer("importance", [])
    failing = StubReviewer("importance", [], fails=True, stand_in=local)
    answering = StubReviewer("relevance", [], stand_in=StubReviewer("relevance", []))
    decided = await Panel((failing, answering, StubReviewer("novelty", []))).review(request())
    assert [(cast.reviewer, cast.ok, cast.stand_in) for cast in decided.votes] == [
        ("importance", False, False),
        ("importance", True, True),
        ("relevance", True, False),
        ("novelty", True, False),
    ]
    assert (decided.tier, decided.importance, decided.decision) == (
        Tier.PARTIAL,
        8.0,
        Decision.STORE,
    )
    fallback = await Panel((failing, StubReviewer("relevance", []))).review(request())
    assert (fallback.tier, fallback.importance) == (Tier.FALLBACK, 5.0)


@given(VOTES, st.floats(0, 3))
def test_higher_scores_never_turn_storing_into_a_rejection(
    votes: list[Vote], addition: float
) -> None:
    """If votes decide to store a text, the same votes with higher scores decide to store it,
    too.
    """
    raised = [
        cast.model_copy(
            update={
                "scores": {name: min(10, score + addition) for name, score in cast.scores.items()}
            }
        )
        for cast in votes
    ]
    if judge(votes).decision is Decision.STORE:
        assert judge(raised).decision is Decision.STORE


@pytest.mark.parametrize(
    ("votes", "prefilter", "decision", "tier"),
    [
        (
            [vote(importance=9, trivial=True), vote(relevance=9, trivial=True)],
            None,
            "reject",
            "consensus",
        ),
        ([vote(importance=9, trivial=True), vote(relevance=9)], None, "store", "consensus"),
        ([vote(importance=3.9), vote(relevance=9)], None, "reject", "consensus"),
        ([vote(importance=4), vote(relevance=5)], None, "store", "consensus"),
        ([vote(importance=9), vote(relevance=4.9)], None, "reject", "consensus"),
        ([vote(importance=3), vote(ok=False), vote(ok=False)], None, "store", "partial"),
        ([vote(importance=2.9), vote(ok=False)], None, "reject", "partial"),
        ([vote(importance=9), vote(ok=False)], "filler", "reject", "partial"),
        ([vote(importance=9, trivial=True), vote(ok=False)], None, "reject", "partial"),
        ([vote(novelty=2), vote(ok=False)], None, "store", "partial"),
        ([vote(ok=False)], None, "store", "fallback"),
        ([], "filler", "reject", "fallback"),
    ],
)
def test_votes_decide_at_the_documented_bounds(
    votes: list[Vote], prefilter: str | None, decision: str, tier: str
) -> None:
    """Votes with scores exactly at a bound or just below it lead to the documented decision to
    store or reject.
    """
    decided = judge(votes, prefilter)
    assert (decided.decision, decided.tier) == (decision, tier)


def test_the_documentation_has_the_bounds_of_a_review() -> None:
    """docs/memories.md names the importance and the relevance below which a text is rejected."""
    page = Path(__file__).parents[4].joinpath("docs", "memories.md").read_text(encoding="utf-8")
    assert (
        f"if its importance is below {MIN_IMPORTANCE:g} or its relevance below {MIN_RELEVANCE:g}."
        in page
    )


def test_a_fallback_has_importance_5() -> None:
    """If the panel gets no valid vote, the text is stored with the middle importance, 5."""
    assert judge([vote(ok=False)]).importance == 5
