"""A retrieval to the body of its receipt: plain JSON members, bounded in size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.model.times import rfc3339
from memtypes.ports.receipts import canonical, digest
from retrieval.answer import Message
from retrieval.context.entries import demand_of
from retrieval.context.written import Filled, Retrieval
from retrieval.receipts.candidate_rows import Offered, counted_told, hits_told, lefts_told, passed_told

VERSION = 1
"""Version of the receipt format."""


def context_digest(context: str | Sequence[Message]) -> str:
    """SHA-256 of a context: of its text, or of its messages as canonical JSON."""
    return digest(context.encode() if isinstance(context, str) else canonical(plain_context(context)))


def plain_context(context: str | Sequence[Message]) -> str | list[dict[str, Any]]:
    """A context as plain JSON."""
    return context if isinstance(context, str) else [one.model_dump() for one in context]


def receipt_body(retrieval: Retrieval, receipt_id: str, created_at: str) -> dict[str, Any]:
    """The members of the receipt but those that join it to its chain.

    Listed are the hits that are in the context, the LISTED best besides, and LEFT_LISTED of those that were no hit.
    """
    written, ranking = retrieval.written, retrieval.ranking
    hits = ranking.hits.scored
    offered = Offered.of(written, len(ranking.hits))
    return {
        "id": receipt_id,
        "version": VERSION,
        "created_at": created_at,
        "request": _request(retrieval),
        "as_of": rfc3339(retrieval.as_of),
        "degraded": list(written.answer.metadata.degraded),
        "embedder": retrieval.embedder,
        "tokenizer": {"name": retrieval.tokenizer.name, "sha256": retrieval.tokenizer.sha256},
        "weights": dict(retrieval.weights),
        "budgets": _budgets(written.long_term),
        "long_term": _terms(written.long_term, offered.listed),
        "working": _terms(written.working, offered.listed),
        "candidates": [
            *hits_told(hits, offered, written),
            *(lefts_told(ranking.left) if ranking.left else ()),
            *(passed_told(retrieval.passed) if retrieval.passed else ()),
        ],
        "unlisted": counted_told(hits, ranking.left, offered),
        "total_tokens": written.answer.metadata.total_tokens,
        "context_sha256": context_digest(written.answer.context),
    }


def _request(retrieval: Retrieval) -> dict[str, Any]:
    """The request, with the session and the agent that it was asked in."""
    scope = retrieval.scope
    asked_in = {"namespace": scope.namespace, "session_id": scope.session_id, "agent_id": scope.agent_id}
    told = {name: value for name, value in asked_in.items() if value is not None}
    return retrieval.request.model_dump(mode="json", exclude_none=True) | told


def _budgets(part: Filled) -> dict[str, Any]:
    return {"initial": part.fill.initial, "shifted": part.fill.shifted, "final": part.fill.final}


def _terms(part: Filled, listed: NDArray[np.bool_]) -> dict[str, Any]:
    plan, costs = part.plan, part.costs
    shown = listed[part.entries.ranks - 1]
    kept = part.entries.take(np.flatnonzero(shown[: part.fill.seen]))
    own = demand_of(plan.types, kept, costs)
    groups = [part.entries.headings[group] for group in set(part.entries.groups[shown].tolist()) - {-1}]
    return {
        "total": plan.total,
        "types": list(plan.types),
        "caps": dict(plan.caps),
        "task_like": plan.task_like,
        "how_to": plan.how_to,
        "cut": part.cut,
        "excerpt": plan.excerpt,
        "wrapper": costs.wrapper,
        "headings": {kind: costs.headings[kind] for kind in plan.types},
        "groups": {group: costs.groups[group] for group in groups},
        "used": part.fill.used,
        "sight": len(kept),
        "unlisted": {kind: part.fill.demand[kind] - own[kind] for kind in plan.types},
    }
