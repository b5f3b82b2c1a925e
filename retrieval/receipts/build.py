"""A retrieval to the body of its receipt: plain JSON members, bounded in size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

import numpy as np

from memtypes.candidates import TYPES, Candidates
from memtypes.receipts import canonical, digest
from memtypes.times import rfc3339
from retrieval.answer import Message
from retrieval.budget import Chosen, Entry, by_type, demand_of, in_sight
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


_ID = attrgetter("id")


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
    hits, left = retrieval.ranking.hits.scored, retrieval.ranking.left
    chosen = np.isin(hits.found.ids, np.array([one.encode() for one in known.chosen], dtype=np.bytes_))
    listed = chosen | (np.arange(len(hits.scores)) < LISTED)
    told, ids = hits.take(np.flatnonzero(listed)), hits.found.ids[listed].astype(np.str_).tolist()
    ranks = (np.flatnonzero(listed) + 1).tolist()
    candidates = [_hit_members(one, rank, known) for one, rank in zip(_members(told), ranks, strict=True)]
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
        "long_term": _terms(written.long_term, set(ids)),
        "working": _terms(written.working, set(ids)),
        "candidates": candidates,
        "unlisted": _unlisted(hits.take(np.flatnonzero(~listed)), left, known),
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
        entries=dict(chain.from_iterable(zip(map(_ID, part.entries), part.entries, strict=True) for part in parts)),
        chosen={one.entry.id: one for part in parts for one in part.fill.chosen},
        shown={one.memory.id: one for one in retrieval.written.shown},
        places={entry.id: place for place, entry in enumerate(retrieval.written.working.entries)},
        outcomes={**parts[0].fill.outcomes, **parts[1].fill.outcomes},
    )


def _hit_members(members: dict[str, Any], rank: int, known: _Known) -> dict[str, Any]:
    one = members["id"]
    members |= {"rank": rank, "outcome": known.outcome(one)}
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


def _terms(part: Filled, listed: set[str]) -> dict[str, Any]:
    plan, costs = part.plan, part.costs
    seen = part.entries[: in_sight(plan, part.entries)]
    kept = [entry for entry in seen if entry.id in listed]
    every, own = by_type(plan.types, seen), by_type(plan.types, kept)
    unlisted = {kind: demand_of(kind, every[kind], costs) - demand_of(kind, own[kind], costs) for kind in plan.types}
    groups = {entry.group for entry in part.entries if entry.group and entry.id in listed}
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
        "unlisted": unlisted,
    }


def _unlisted(hits: Scored, left: Lefts, known: _Known) -> dict[str, Any]:
    rest = left.scored.take(np.arange(min(LEFT_LISTED, len(left)), len(left)))
    repeats = max(0, len(left.of) - LEFT_LISTED)
    ids = hits.found.ids.astype(np.str_).tolist()  # none of them was chosen: what was is listed
    outcomes = Counter(map(known.outcomes.get, ids, repeat(Outcome.OVER_TOTAL)))
    outcomes += Counter({Outcome.DUPLICATE_OF: repeats, Outcome.BELOW_THRESHOLD: len(rest.scores) - repeats})
    found = Candidates.joined([hits.found, rest.found])
    uses = found.light.wholes("access_count", 0)
    used = np.flatnonzero(uses)
    counts = dict(zip(found.ids[used].astype(np.str_).tolist(), uses[used].tolist(), strict=True))
    return {"count": len(found), "outcomes": dict(outcomes), "access_counts": counts}
