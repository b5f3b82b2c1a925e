"""Counts what screening and reviews decided in this process, for the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ingest.screening.submission import RejectionCause
from memtypes.model.memory import Decision, Reviewed, Tier

_BY_PREFILTER = (RejectionCause.TRIVIAL, RejectionCause.DUPLICATE)


@dataclass(slots=True)
class ScreeningCounts:
    """Numbers of texts by what screening decided.

    rejections: by cause. reviews: by tier and decision. passed: texts to review that the pre-filter
    let through. saved: texts to review that it rejected, which saved their review.
    """

    rejections: Counter[RejectionCause] = field(default_factory=Counter)
    reviews: Counter[tuple[Tier, Decision]] = field(default_factory=Counter)
    passed: int = 0
    saved: int = 0

    @property
    def saved_share(self) -> float:
        """The share of the texts to review that the pre-filter decided alone; 0 without any."""
        return self.saved / max(1, self.saved + self.passed)

    def reject(self, cause: RejectionCause, *, to_review: bool = False) -> None:
        """Count a text that screening rejects. to_review: whether it would have been reviewed.

        The sentences of a message that are not stored by themselves are no rejections.
        """
        if cause is RejectionCause.PART:
            return
        self.rejections[cause] += 1
        self.saved += to_review and cause in _BY_PREFILTER

    def review(self, reviewed: Reviewed) -> None:
        """Count the reviewers' decision on a text."""
        self.reviews[reviewed.tier, reviewed.decision] += 1
        if reviewed.cause is not None:
            self.rejections[RejectionCause(f"review_{reviewed.cause}")] += 1
