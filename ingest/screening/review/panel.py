"""The reviewers side by side, each with its time limit, and the decision on their votes.

Whatever a reviewer does (hang, fail, answer nonsense) costs its own vote and nothing else.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from ingest.screening.prefilter import objection
from ingest.screening.review.consensus import decide
from memtypes.model.errors import RemembrancerError
from memtypes.model.policy import MemoryType
from memtypes.model.review import Reviewed, Vote
from memtypes.model.scope import Scope
from memtypes.search.vectors import DenseVector

TIME_LIMIT_S = 2.0

MAX_READ = 20_000
"""Characters of a text that reviewers are shown: what it is worth shows at its beginning, and reading takes time."""

_log = logging.getLogger(__name__)

_TO_THE_REVIEWER = re.compile(
    r"(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|prompt|rule|above|previous|prior)"
    r"|[\"']?\b(?:importance|relevance|novelty|score|rating|rate)\b[\"']?.{0,30}\b(?:10|ten|highest|maximum|max)\b"
    r"|\b(?:you are|as) (?:a|an|the) (?:reviewer|judge|grader|rater)\b|^[^\S\n]*(?:system|assistant)[^\S\n]*:"
    r"|<\|?\s*(?:system|im_start)",
    re.IGNORECASE | re.MULTILINE,
)


class ReviewFailed(RemembrancerError):
    """A reviewer could not answer; its vote is lost and nothing else."""


@dataclass(frozen=True, slots=True, eq=False)
class UnderReview:
    """A text that is being reviewed.

    dense: its embedding, None when there is none. nearest: the cosine of what is stored nearest, None when not known.
    """

    scope: Scope
    text: str
    type: MemoryType
    dense: DenseVector | None = None
    nearest: float | None = None


class Reviewer(Protocol):
    """One of the three. name: what it looks at. outside: whether a language model outside reads the text."""

    @property
    def name(self) -> str:
        """What it looks at."""
        ...

    async def vote(self, under: UnderReview) -> Vote:
        """Its vote. Raises ReviewFailed, or another RemembrancerError, when it can't."""
        ...


@dataclass(frozen=True, slots=True)
class Seat:
    """A reviewer and, where it is a language model, the local one that takes its place for texts that talk to it."""

    reviewer: Reviewer
    local: Reviewer | None = None

    def taken_by(self, text: str) -> Reviewer:
        """Who reviews `text`. A text that addresses its reviewer is not shown to a language model: it is data."""
        return self.local if self.local is not None and addresses_reviewer(text) else self.reviewer


def addresses_reviewer(text: str) -> bool:
    """Whether `text` reads like orders to whoever judges it."""
    return _TO_THE_REVIEWER.search(text) is not None


@dataclass(frozen=True, slots=True)
class Panel:
    """Three reviewers. limit_s: what each has."""

    seats: Sequence[Seat]
    limit_s: float = TIME_LIMIT_S

    async def review(self, under: UnderReview) -> Reviewed:
        """The decision on the votes of all seats, in the order of the seats."""
        under, votes = replace(under, text=under.text[:MAX_READ]), dict[int, Vote]()

        async def ask(place: int, reviewer: Reviewer) -> None:
            votes[place] = await self._vote(reviewer, under)

        async with anyio.create_task_group() as tasks:
            for place, seat in enumerate(self.seats):
                tasks.start_soon(ask, place, seat.taken_by(under.text))
        given = [votes[place] for place in sorted(votes)]
        return decide(given, None if any(vote.ok for vote in given) else objection(under.text))

    async def _vote(self, reviewer: Reviewer, under: UnderReview) -> Vote:
        began = time.perf_counter()
        try:
            with anyio.fail_after(self.limit_s):
                vote = await reviewer.vote(under)
        except TimeoutError:
            vote = Vote(reviewer=reviewer.name, ok=False, reason=f"no answer within {self.limit_s:g} s")
        except RemembrancerError as error:
            vote = Vote(reviewer=reviewer.name, ok=False, reason=str(error))
        if not vote.ok:
            _log.warning("reviewer %s: %s", reviewer.name, vote.reason)
        return vote.model_copy(update={"ms": round((time.perf_counter() - began) * 1_000, 3)})
