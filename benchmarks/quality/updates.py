"""How often a current statement ranks above the one that it replaced, on questions whose set labels both.

A question with current and with stale evidence is a pair. It is won if the best-ranked current statement stands above
the best-ranked stale one; a statement that is not found ranks last, and a pair of which nothing is found is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.harness.report import Cell
from benchmarks.sets.data import EvaluationSet
from benchmarks.sets.loading import Loaded, scope_of
from retrieval.query.request import SearchRequest
from retrieval.retriever import Retriever

DEPTH = 200
COLUMNS = ("set", "pairs", "won", "share won")


@dataclass(frozen=True, slots=True)
class UpdateScores:
    """ranks: for each pair the question's id, the rank of the best current and of the best stale statement."""

    set_name: str
    ranks: tuple[tuple[str, int, int], ...]

    def row(self) -> tuple[Cell, ...]:
        """The row under COLUMNS."""
        won = sum(current < stale for _, current, stale in self.ranks)
        return (self.set_name, len(self.ranks), won, won / len(self.ranks))


async def score_updates(retriever: Retriever, whole: EvaluationSet, loaded: Loaded) -> UpdateScores:
    """The ranks of every pair of the set."""
    ranks = []
    for conversation, question in whole.asked():
        scope, ids = scope_of(whole.name, conversation.name), loaded.ids[conversation.name]
        current = {ids[entry] for entry in question.current_evidence or ()}
        stale = {ids[entry] for entry in question.evidence or ()} - current
        if current and stale:
            request = SearchRequest(
                query=question.text,
                namespace=scope.namespace,
                types=list(whole.types),
                as_of=question.asked_at,
                top_k=DEPTH,
            )
            ranking = [hit.id for hit in (await retriever.search(scope, request)).hits]
            ranks.append((question.id, _best(ranking, current), _best(ranking, stale)))
    return UpdateScores(whole.name, tuple(ranks))


def _best(ranking: Sequence[str], wanted: set[str]) -> int:
    """The rank of the first of `wanted`; DEPTH + 1 if there is none."""
    return next((rank for rank, name in enumerate(ranking, start=1) if name in wanted), DEPTH + 1)
