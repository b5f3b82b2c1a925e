"""From votes to a decision: a plain function of values."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from memtypes.model.review import Decision, Reviewed, Tier, Vote

IMPORTANCE, RELEVANCE, NOVELTY = "importance", "relevance", "novelty"
LEAST_IMPORTANCE = 4.0
LEAST_RELEVANCE = 5.0
LEAST_ALONE = 3.0
"""The importance from which a text is stored on one reviewer's word: one alone is not asked to be as sure."""

FALLBACK_IMPORTANCE = 5.0


def decide(votes: Sequence[Vote], prefilter: str | None = None) -> Reviewed:
    """The decision on `votes`; `prefilter` is the pre-filter's reason to drop the text, which counts when nobody voted.

    Two or three answers: two that say trivial reject, as does a mean importance under 4 or a mean relevance under 5.
    One answer: stored from importance 3 on. None: the pre-filter decides, and importance is 5.
    """
    answered = [vote for vote in votes if vote.ok]
    means = {name: _mean(answered, name) for name in (IMPORTANCE, RELEVANCE, NOVELTY)}
    if len(answered) >= 2:
        tier, objection, reason = Tier.CONSENSUS, _objection(answered, means), "the reviewers agree to keep it"
    elif answered:
        tier, objection, reason = Tier.PARTIAL, _objection_alone(means), "one reviewer alone answered and keeps it"
    else:
        tier, objection, reason = Tier.FALLBACK, prefilter, "no reviewer answered; the pre-filter lets it through"
        means[IMPORTANCE] = FALLBACK_IMPORTANCE
    decision = Decision.REJECT if objection else Decision.STORE
    return Reviewed(decision=decision, reason=objection or reason, tier=tier, votes=tuple(votes), **means)


def _mean(answered: Sequence[Vote], name: str) -> float | None:
    """The mean over the reviewers that gave this score, not over all of them."""
    given = [vote.scores[name] for vote in answered if name in vote.scores]
    return round(statistics.fmean(given), 4) if given else None


def _objection(answered: Sequence[Vote], means: dict[str, float | None]) -> str | None:
    trivial = [vote for vote in answered if vote.trivial]
    importance, relevance = means[IMPORTANCE], means[RELEVANCE]
    if len(trivial) >= 2:
        return f"{len(trivial)} reviewers find it trivial: {trivial[0].reason}"
    if importance is not None and importance < LEAST_IMPORTANCE:
        return f"importance {importance:g} is under {LEAST_IMPORTANCE:g}"
    if relevance is not None and relevance < LEAST_RELEVANCE:
        return f"relevance {relevance:g} is under {LEAST_RELEVANCE:g}"
    return None


def _objection_alone(means: dict[str, float | None]) -> str | None:
    importance = means[IMPORTANCE]
    if importance is not None and importance < LEAST_ALONE:
        return f"importance {importance:g} is under {LEAST_ALONE:g}, on one reviewer's word"
    return None
