"""A retrieval to the body of its receipt: plain JSON members, bounded in size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.candidates import TYPES, Candidates
from memtypes.receipts import canonical, digest
from memtypes.times import rfc3339
from retrieval.answer import Message
from retrieval.budget import Chosen
from retrieval.entries import Entry, demand_of, in_sight
from retrieval.outcome import Outcome
from retrieval.profiles import SIGNALS
from retrieval.ranking import Lefts, Scored
from retrieval.render import Shown
from retrieval.written import Filled, Passed, Retrieval

VERSION = 1
LISTED = 128
"""Hits that are listed whatever became of them; what is in the context is listed beyond that, the rest is counted."""

LEFT_LISTED = 32
"""Candidates that were no hit and are listed, the best first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """Which hits are listed, by their places, and what is known of those, by their ranks."""

    listed: NDArray[np.bool_]
    chosen: Mapping[int, Chosen]
    shown: Mapping[int, Shown]
    entries: Mapping[int, Entry]
    refused: Mapping[int, Outcome]
    places: Mapping[int, int]

    @classmethod
    def of(cls, retrieval: Retrieval) -> _Told:
        """Listed are the hits that were chosen, and the LISTED best besides."""
        parts = (retrieval.written.long_term, retrieval.written.working)
        chosen = {one.rank: one for part in parts for one in part.fill.chosen}
        listed = np.arange(len(retrieval.ranking.hits)) < LISTED
        listed[np.array([*chosen], dtype=np.intp) - 1] = True
        entries: dict[int, Entry] = {}
        refused: dict[int, Outcome] = {}
        for part in parts:
            own = part.entries.take(np.flatnonzero(listed[part.entries.ranks - 1]))
            by_rank = dict(zip(own.ranks.tolist(), own, strict=True))
            entries |= by_rank
            refused |= {rank: part.fill.refused(entry.tokens) for rank, entry in by_rank.items()}
        shown = {one.rank: one for one in retrieval.written.shown}
        places = {rank: place for place, rank in enumerate(parts[1].entries.ranks.tolist())}
        return cls(listed, chosen, shown, entries, refused, places)

    def outcome(self, rank: int) -> Outcome:
        """What became of a listed hit."""
        if rank in self.chosen:
            return Outcome.INCLUDED if rank in self.shown else Outcome.REMOVED
        return self.refused.get(rank, Outcome.OVER_TOTAL)


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
    written, told = retrieval.written, _Told.of(retrieval)
    hits, left = retrieval.ranking.hits.scored, retrieval.ranking.left
    places = np.flatnonzero(told.listed)
    listed = zip(_members(hits.take(places)), (places + 1).tolist(), strict=True)
    candidates = [_hit_members(one, rank, told) for one, rank in listed]
    candidates += _left_members(left)
    candidates += [_passed_members(one) for one in retrieval.passed]
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
        "long_term": _terms(written.long_term, told.listed),
        "working": _terms(written.working, told.listed),
        "candidates": candidates,
        "unlisted": _unlisted(retrieval, told.listed),
        "total_tokens": written.answer.metadata.total_tokens,
        "context_sha256": context_digest(written.answer.context),
    }


def _request(retrieval: Retrieval) -> dict[str, Any]:
    """The request, with the session and the agent that it was asked in."""
    scope = retrieval.scope
    asked_in = {"namespace": scope.namespace, "session_id": scope.session_id, "agent_id": scope.agent_id}
    told = {name: value for name, value in asked_in.items() if value is not None}
    return retrieval.request.model_dump(mode="json", exclude_none=True) | told


def _hit_members(members: dict[str, Any], rank: int, told: _Told) -> dict[str, Any]:
    members |= {"rank": rank, "outcome": told.outcome(rank)}
    entry, shown = told.entries.get(rank), told.shown.get(rank)
    if entry is None:
        members["counted"] = False
        return members
    members["tokens"] = entry.tokens
    if entry.group:
        members["group"] = entry.group
    if rank in told.places:
        members["place"] = told.places[rank]
    if shown is not None:
        members |= {"tokens": shown.tokens, "entry_sha256": digest(shown.entry)}
        if shown.tokens != entry.tokens or shown.cut:
            members |= {"whole": entry.tokens, "allowed": shown.allowed or told.chosen[rank].allowed}
    return members


def _left_members(left: Lefts) -> list[dict[str, Any]]:
    """The first of those that were no hit."""
    told = _members(left.scored.take(np.arange(min(LEFT_LISTED, len(left)))))
    for place, members in enumerate(told):
        repeats = place < len(left.of)
        members.update(_NO_HIT, outcome=Outcome.DUPLICATE_OF if repeats else Outcome.BELOW_THRESHOLD)
        if repeats:
            members["of"] = left.of[place]
    return told


def _passed_members(passed: Passed) -> dict[str, Any]:
    found = Candidates.of([passed.candidate])
    (members,) = _members(Scored(found, np.zeros(1), np.empty((0, 1))))
    return members | _NO_HIT | {"outcome": passed.outcome, "since": rfc3339(passed.since)}


_NO_HIT = {"rank": None, "counted": False}
"""Of a candidate that no fill looked at: its tokens are those that were stored."""


def _members(scored: Scored) -> list[dict[str, Any]]:
    """What is told of every candidate alike."""
    light = scored.found.light
    told = zip(
        scored.found.ids.astype(np.str_).tolist(),
        scored.found.kinds.tolist(),
        scored.scores.tolist(),
        np.round(scored.table.T, 9).tolist(),
        light.wholes("tokens.line", 0).tolist(),
        light.wholes("access_count", 0).tolist(),
        strict=True,
    )
    return [
        {
            "id": one,
            "type": TYPES[kind],
            "signals": dict(zip(SIGNALS, signals, strict=False)),
            "score": score,
            "tokens": tokens,
            **({"access_count": uses} if uses else {}),
        }
        for one, kind, score, signals, tokens, uses in told
    ]


def _budgets(part: Filled) -> dict[str, Any]:
    return {"initial": part.fill.initial, "shifted": part.fill.shifted, "final": part.fill.final}


def _terms(part: Filled, listed: NDArray[np.bool_]) -> dict[str, Any]:
    plan, costs = part.plan, part.costs
    shown = listed[part.entries.ranks - 1]
    seen = in_sight(plan, part.entries)
    kept = part.entries.take(np.flatnonzero(shown[:seen]))
    every, own = (demand_of(plan.types, one, costs) for one in (part.entries.take(slice(seen)), kept))
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
        "unlisted": {kind: every[kind] - own[kind] for kind in plan.types},
    }


def _unlisted(retrieval: Retrieval, listed: NDArray[np.bool_]) -> dict[str, Any]:
    hits, left = retrieval.ranking.hits.found, retrieval.ranking.left
    rest = left.scored.found.take(np.arange(min(LEFT_LISTED, len(left)), len(left)))
    repeats = max(0, len(left.of) - LEFT_LISTED)
    unlisted = int((~listed).sum())
    over_type = sum(map(partial(_over_type, listed), (retrieval.written.long_term, retrieval.written.working)))
    outcomes = {
        Outcome.OVER_TYPE_BUDGET: over_type,
        Outcome.OVER_TOTAL: unlisted - over_type,  # none of them was chosen: what was is listed
        Outcome.DUPLICATE_OF: repeats,
        Outcome.BELOW_THRESHOLD: len(rest) - repeats,
    }
    counts = [_uses(hits.take(np.flatnonzero(~listed))), _uses(rest)]
    return {
        "count": unlisted + len(rest),
        "outcomes": {outcome: count for outcome, count in outcomes.items() if count},
        "access_counts": {one: count for own in counts for one, count in own.items()},
    }


def _over_type(listed: NDArray[np.bool_], part: Filled) -> int:
    """How many of the entries that are not listed would have fitted into what stayed free."""
    return int((part.entries.tokens[~listed[part.entries.ranks - 1]] <= part.fill.room).sum())


def _uses(found: Candidates) -> dict[str, int]:
    """The access counts of those that have any, by id."""
    uses = found.light.wholes("access_count", 0)
    used = np.flatnonzero(uses)
    return dict(zip(found.ids[used].astype(np.str_).tolist(), uses[used].tolist(), strict=True))
