"""What writing a context leaves behind: the answer, and everything that a receipt tells about how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from memtypes.model.scope import Scope
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.candidates import Candidate
from memtypes.search.passage import Passage
from retrieval.answer import RetrieveAnswer
from retrieval.context.budget import Fill
from retrieval.context.entries import Costs, Entries
from retrieval.context.outcome import Outcome
from retrieval.context.render import Shown
from retrieval.context.shares import BudgetPlan
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import Ranking


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """One fill with what it went by; entries: in the order in which they were offered."""

    plan: BudgetPlan
    entries: Entries
    costs: Costs
    cut: bool
    fill: Fill


@dataclass(frozen=True, slots=True)
class Written:
    """answer: as it is sent. shown: what stands in it, working memory first. The two fills that chose it."""

    answer: RetrieveAnswer
    shown: tuple[Shown, ...]
    long_term: Filled
    working: Filled

    @property
    def passages(self) -> list[Passage]:
        """What the context shows."""
        return [one.passage for one in self.shown]


@dataclass(frozen=True, slots=True)
class Passed:
    """A memory that would have been found, had it been current. since: when it ceased to be."""

    candidate: Candidate
    outcome: Outcome
    since: datetime


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One retrieval, whole. embedder: fingerprint. passed: what was no longer current."""

    scope: Scope
    request: RetrieveRequest
    as_of: datetime
    weights: Mapping[str, float]
    embedder: str
    tokenizer: Tokenizer
    ranking: Ranking
    written: Written
    passed: tuple[Passed, ...] = ()
