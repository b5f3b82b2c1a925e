"""A retrieval to the body of its receipt: plain JSON members, bounded in size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memtypes.ports import Candidate
from memtypes.receipts import canonical, digest
from memtypes.times import rfc3339
from retrieval.answer import Message
from retrieval.budget import Chosen, Entry, demand_of
from retrieval.outcome import Outcome
from retrieval.render import Shown
from retrieval.scoring import Hit, Left
from retrieval.written import Filled, Passed, Retrieval

VERSION = 1
LISTED = 128
"""Hits that are listed whatever became of them; what is in the context is listed beyond that, the rest is counted."""

LEFT_LISTED = 32
"""Candidates that were no hit and are listed, the best first."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the hits, by id."""

    entries: Mapping[str, Entry]
    chosen: Mapping[str, Chosen]
    shown: Mapping[str, Shown]
    places: Mapping[str, int]
    outcomes: Mapping[str, Outcome]

    def outcome(self, one: str) -> Outcome:
        if one in self.chosen:
            return Outcome.INCLUDED if one in self.shown else Outcome.REMOVED
        return self.outcomes.get(one, Outcome.OVER_TOTAL)


def context_digest(context: str | Sequence[Message]) -> str:
    """SHA-256 of a context: of its text, or of its messages as canonical JSON."""
    return digest(context if isinstance(context, str) else canonical(plain_context(context)))


def plain_context(context: str | Sequence[Message]) -> str | list[dict[str, Any]]:
    """A context as plain JSON."""
    return context if isinstance(context, str) else [one.model_dump() for one in context]


def receipt_body(retrieval: Retrieval, receipt_id: str, created_at: str) -> dict[str, Any]:
    """The members of the receipt but those that join it to its chain.

    Listed are the hits that are in the context, the LISTED best besides, and LEFT_LISTED of those that were no hit.
    """
    written, known = retrieval.written, _known(retrieval)
    hits = retrieval.ranking.hits
    listed = [hit for hit in hits if hit.rank <= LISTED or hit.candidate.id in known.chosen]
    left = retrieval.ranking.left
    candidates = [_hit_members(hit, known) for hit in listed]
    candidates += [_left_members(one) for one in left[:LEFT_LISTED]]
    candidates += [_passed_members(one) for one in retrieval.passed]
    ids = {hit.candidate.id for hit in listed}
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
        "long_term": _terms(written.long_term, ids),
        "working": _terms(written.working, ids),
        "candidates": candidates,
        "unlisted": _unlisted([hit for hit in hits if hit.candidate.id not in ids], left[LEFT_LISTED:], known),
        "total_tokens": written.answer.metadata.total_tokens,
        "context_sha256": context_digest(written.answer.context),
    }


def _request(retrieval: Retrieval) -> dict[str, Any]:
    """The request, with the session and the agent that it was asked in."""
    scope = retrieval.scope
    asked_in = {"namespace": scope.namespace, "session_id": scope.session_id, "agent_id": scope.agent_id}
    told = {name: value for name, value in asked_in.items() if value is not None}
    return retrieval.request.model_dump(mode="json", exclude_none=True) | told


def _known(retrieval: Retrieval) -> _Known:
    parts = (retrieval.written.long_term, retrieval.written.working)
    return _Known(
        entries={entry.id: entry for part in parts for entry in part.entries},
        chosen={one.entry.id: one for part in parts for one in part.fill.chosen},
        shown={one.memory.id: one for one in retrieval.written.shown},
        places={entry.id: place for place, entry in enumerate(retrieval.written.working.entries)},
        outcomes={one: outcome for part in parts for one, outcome in part.fill.outcomes.items()},
    )


def _hit_members(hit: Hit, known: _Known) -> dict[str, Any]:
    one = hit.candidate.id
    members = _members(hit.candidate, hit.score, hit.signals) | {"rank": hit.rank, "outcome": known.outcome(one)}
    entry, shown = known.entries.get(one), known.shown.get(one)
    if entry is None:
        members["counted"] = False
        return members
    members["tokens"] = entry.tokens
    if entry.group:
        members["group"] = entry.group
    if one in known.places:
        members["place"] = known.places[one]
    if shown is not None:
        members |= {"tokens": shown.tokens, "entry_sha256": digest(shown.entry)}
        if shown.tokens != entry.tokens or shown.cut:
            members |= {"whole": entry.tokens, "allowed": shown.allowed or known.chosen[one].allowed}
    return members


def _left_members(left: Left) -> dict[str, Any]:
    members = _members(left.candidate, left.score, left.signals) | _NO_HIT | {"outcome": left.outcome}
    return members if left.of is None else members | {"of": left.of}


def _passed_members(passed: Passed) -> dict[str, Any]:
    told = {"outcome": passed.outcome, "since": rfc3339(passed.since)}
    return _members(passed.candidate, 0.0, {}) | _NO_HIT | told


_NO_HIT = {"rank": None, "counted": False}
"""Of a candidate that no fill looked at: its tokens are those that were stored."""


def _members(candidate: Candidate, score: float, signals: Mapping[str, float]) -> dict[str, Any]:
    payload = candidate.payload
    members = {
        "id": candidate.id,
        "type": candidate.type,
        "signals": {name: round(value, 9) for name, value in signals.items()},
        "score": score,
        "tokens": int(payload["tokens"]["line"]),
    }
    return members | {"access_count": payload["access_count"]} if payload.get("access_count") else members


def _budgets(part: Filled) -> dict[str, Any]:
    return {"initial": part.fill.initial, "shifted": part.fill.shifted, "final": part.fill.final}


def _terms(part: Filled, listed: set[str]) -> dict[str, Any]:
    plan, costs = part.plan, part.costs
    kept = [entry for entry in part.entries if entry.id in listed]
    unlisted = {
        kind: demand_of(kind, [entry for entry in part.entries if entry.type == kind], costs)
        - demand_of(kind, [entry for entry in kept if entry.type == kind], costs)
        for kind in plan.types
    }
    groups = {entry.group for entry in kept if entry.group}
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
        "unlisted": unlisted,
    }


def _unlisted(hits: Sequence[Hit], left: Sequence[Left], known: _Known) -> dict[str, Any]:
    outcomes = Counter([*(known.outcome(hit.candidate.id) for hit in hits), *(one.outcome for one in left)])
    candidates = [*(hit.candidate for hit in hits), *(one.candidate for one in left)]
    used = {one.id: one.payload["access_count"] for one in candidates if one.payload.get("access_count")}
    return {"count": len(candidates), "outcomes": dict(outcomes), "access_counts": used}
