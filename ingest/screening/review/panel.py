"""Review: three reviewers score a text at the same time, and their votes decide whether it is
stored.

A reviewer that fails, is too slow or gives an invalid answer only loses its own vote. If it is a
language model, its local stand-in votes in its place.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import anyio

from ingest.screening.judge import Judge, Judgement
from memtypes.model.errors import RemembrancerError
from memtypes.model.memory import Decision, Reviewed, Tier, Vote
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.search.vectors import Embedding

IMPORTANCE = "importance"
RELEVANCE = "relevance"
NOVELTY = "novelty"
TIME_LIMIT_S = 2.0

MIN_IMPORTANCE = 4.0
MIN_RELEVANCE = 5.0
MIN_IMPORTANCE_ALONE = 3.0
"""Minimum importance if only one vote is valid; lower, as there is no second opinion to correct
that vote.
"""

FALLBACK_IMPORTANCE = 5.0

MAX_READ = 20_000
"""Maximum characters of a text that reviewers see: the beginning shows whether it is worth
storing.
"""

_log = logging.getLogger(__name__)


class ReviewFailed(RemembrancerError):
    """A reviewer could not vote."""


@dataclass(frozen=True, slots=True, eq=False)
class ReviewRequest:
    """A text on which reviewers vote, to decide whether it is stored.

    nearest: cosine of the most similar stored memory; None if not searched yet. judgement: how much
    the text matters, as judged within its conversation by the pre-filter; None to let the panel
    judge the text by itself.
    """

    scope: Scope
    text: str
    embedding: Embedding | None = None
    nearest: float | None = None
    judgement: Judgement | None = None

    @property
    def judged(self) -> Judgement:
        """The field `judgement`; raises ReviewFailed if it is None."""
        if self.judgement is None:
            raise ReviewFailed("the text has not been judged")
        return self.judgement


class Reviewer(Protocol):
    """Scores one aspect of a text: importance, relevance or novelty."""

    @property
    def name(self) -> str:
        """The aspect that this reviewer scores: importance, relevance or novelty."""
        ...

    @property
    def stand_in(self) -> Reviewer | None:
        """The local reviewer that votes if this reviewer, a language model, fails; None if this
        reviewer is local.
        """
        ...

    async def vote(self, request: ReviewRequest) -> Vote:
        """The vote on the text of `request`, with score and reason. Raises ReviewFailed or another
        error.
        """
        ...


@dataclass(frozen=True, slots=True)
class Panel:
    """Decides whether a text is stored, by the votes of several reviewers, who are asked at the
    same time.

    judge: judges texts whose request has no judgement yet. limit_s: seconds that a vote may take.
    """

    reviewers: Sequence[Reviewer]
    judge: Judge = field(default_factory=Judge.shipped)
    limit_s: float = TIME_LIMIT_S

    async def review(self, request: ReviewRequest) -> Reviewed:
        """Ask all reviewers; return the decision to store or reject the text, with the votes in
        reviewer order.
        """
        text = request.text[:MAX_READ]
        judgement = request.judgement
        if judgement is None:
            judgement = await offload(
                [text], lambda: self.judge.judged(self.judge.input_of(text, request.embedding))
            )
        request = replace(request, text=text, judgement=judgement)
        ballots = await asyncio.gather(
            *(self._votes(reviewer, request) for reviewer in self.reviewers)
        )
        by_models = [
            votes
            for votes, voter in zip(ballots, self.reviewers, strict=True)
            if voter.stand_in is not None
        ]
        answered = [votes[0].ok for votes in by_models or ballots]
        return decide(
            [vote for ballot in ballots for vote in ballot], tier_of(answered), judgement.objection
        )

    async def _votes(self, reviewer: Reviewer, request: ReviewRequest) -> list[Vote]:
        """The reviewer's vote. If it failed, the list also has the vote of the reviewer's stand-in,
        if there is one.
        """
        vote = await self._vote(reviewer, request)
        if vote.ok or reviewer.stand_in is None:
            return [vote]
        stand_in = await self._vote(reviewer.stand_in, request)
        return [vote, stand_in.model_copy(update={"stand_in": True})]

    async def _vote(self, reviewer: Reviewer, request: ReviewRequest) -> Vote:
        began = time.perf_counter()
        try:
            with anyio.fail_after(self.limit_s):
                vote = await reviewer.vote(request)
        except TimeoutError:
            vote = Vote(
                reviewer=reviewer.name, ok=False, reason=f"no answer within {self.limit_s:g} s"
            )
        except RemembrancerError as error:
            vote = Vote(reviewer=reviewer.name, ok=False, reason=str(error))
        if not vote.ok:
            _log.warning("reviewer %s: %s", reviewer.name, vote.reason)
        return vote.model_copy(update={"ms": round((time.perf_counter() - began) * 1_000, 3)})


def tier_of(answered: Sequence[bool]) -> Tier:
    """How far a decision can be trusted, by the number of reviewers that answered.

    FALLBACK: none. PARTIAL: one of several. CONSENSUS: two or more, or the only one. answered:
    whether each language model answered; if no reviewer is a language model, whether each local
    reviewer answered.
    """
    count = sum(answered)
    if count == 0:
        return Tier.FALLBACK
    return Tier.PARTIAL if count == 1 and len(answered) > 1 else Tier.CONSENSUS


def decide(votes: Sequence[Vote], tier: Tier, prefilter: str | None = None) -> Reviewed:
    """The decision on a text by its `votes`. prefilter: why the pre-filter finds the text trivial;
    None if it does not.

    The tier, which says how many reviewers answered, sets the rules. Consensus: rejected if two
    reviewers find the text trivial, or if the mean importance is below MIN_IMPORTANCE or the mean
    relevance below MIN_RELEVANCE. Partial: stored if the importance is at least
    MIN_IMPORTANCE_ALONE, no vote says trivial and the pre-filter does not object. Fallback: the
    pre-filter decides, and importance is FALLBACK_IMPORTANCE.
    """
    valid = [vote for vote in votes if vote.ok]
    scores = {
        name: [v.scores[name] for v in valid if name in v.scores]
        for name in (IMPORTANCE, RELEVANCE, NOVELTY)
    }
    means = {
        name: round(statistics.fmean(values), 4) if values else None
        for name, values in scores.items()
    }
    importance = means[IMPORTANCE]
    relevance = means[RELEVANCE]
    trivial = [vote.reason for vote in valid if vote.trivial]
    against = None
    cause: Literal["trivial", "importance", "relevance"] = "trivial"
    if tier is Tier.CONSENSUS:
        reason = "the reviewers agree to store it"
        if len(trivial) >= 2:
            against = f"{len(trivial)} reviewers find it trivial: {trivial[0]}"
        elif importance is not None and importance < MIN_IMPORTANCE:
            against = f"importance is below {MIN_IMPORTANCE:g} ({importance:g})"
            cause = "importance"
        elif relevance is not None and relevance < MIN_RELEVANCE:
            against = f"relevance is below {MIN_RELEVANCE:g} ({relevance:g})"
            cause = "relevance"
    elif tier is Tier.PARTIAL:
        reason = "the only reviewer that answered would store it"
        against = prefilter or next(iter(trivial), None)
        if importance is not None and importance < MIN_IMPORTANCE_ALONE:
            against = (
                f"importance is below {MIN_IMPORTANCE_ALONE:g} with a single reviewer "
                f"({importance:g})"
            )
            cause = "importance"
    else:
        reason = "no reviewer answered; the pre-filter has no objection"
        against = prefilter
        means[IMPORTANCE] = FALLBACK_IMPORTANCE
    return Reviewed(
        decision=Decision.REJECT if against else Decision.STORE,
        reason=against or reason,
        tier=tier,
        cause=cause if against else None,
        votes=tuple(votes),
        **means,
    )
