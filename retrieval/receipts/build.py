"""Builds the body of a retrieval's receipt: plain JSON that lists the best candidates and counts
the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.ports.receipts import canonical, digest
from memtypes.search.candidates import TYPES, Candidates
from retrieval.answer import ContextMessage
from retrieval.context.budget import MAX_DEMAND_WINDOW, BudgetFill, ChosenEntry
from retrieval.context.render import ShownMemory
from retrieval.query.profiles import SIGNALS
from retrieval.ranking.ranked import CandidateOutcome, RankedCandidates
from retrieval.ranking.signals import comes_first
from retrieval.receipts.model import SHORT_ID, VERSION
from retrieval.result import Retrieval

LISTED = 128
"""Number of best hits that a receipt lists. It also lists all working items, the hits in the
context, sentences of these, and the hits that were offered first.
"""

SIGNAL_DIGITS = 9
"""Decimal places to which a receipt rounds signals."""

OTHERS_LISTED = 32
"""Number of candidates that a receipt lists of those that are no hits: duplicates first, then the
best.
"""


def receipt_body(retrieval: Retrieval, receipt_id: str, created_at: str) -> dict[str, Any]:
    """The JSON object of a receipt, without the members that link it to the previous receipt.

    It lists the hits from which the context can be chosen again (see `_is_listed`), the nearest
    memories that are no longer valid, and OTHERS_LISTED of the other candidates (duplicates of
    hits, or below a required minimum).
    """
    listed = _is_listed(retrieval)
    scope = retrieval.scope
    metadata = retrieval.answer.metadata
    choice = retrieval.choice
    scope_members = {
        "namespace": scope.namespace,
        "session_id": scope.session_id,
        "agent_id": scope.agent_id,
    }
    body = {
        "id": receipt_id,
        "version": VERSION,
        "created_at": created_at,
        "request": retrieval.request.model_dump(mode="json", exclude_none=True)
        | {name: value for name, value in scope_members.items() if value is not None},
        "as_of": rfc3339(retrieval.as_of),
        "degraded": list(metadata.degraded),
        "embedder": retrieval.embedder,
        "tokenizer": {"name": retrieval.tokenizer.name, "sha256": retrieval.tokenizer.sha256},
        "weights": dict(retrieval.weights),
        "budgets": {
            "initial": choice.long_term.initial,
            "shifted": choice.long_term.shifted,
            "final": choice.long_term.used,
        },
        "long_term": _terms(choice.long_term, listed),
        "working": _terms(choice.working, listed),
        "candidates": [
            *_hit_rows(retrieval, listed),
            *_other_rows(retrieval.ranked),
            *_ended_rows(retrieval.ended, retrieval.as_of),
        ],
        "unlisted": _unlisted(retrieval, listed),
        "total_tokens": metadata.tokens_by_tokenizer,
        "context_sha256": context_digest(retrieval.answer.context),
    }
    if retrieval.reader is not None:
        body["reader"] = retrieval.reader
    if retrieval.first is not None:
        first = retrieval.first.model_dump(mode="json", include={"budget", "working_budget"})
        body["first"] = first
    return body


def context_digest(context: str | Sequence[ContextMessage]) -> str:
    """SHA-256 of a context: of its text or, if it is a list of messages, of their canonical
    JSON.
    """
    return digest(
        context.encode() if isinstance(context, str) else canonical(plain_context(context))
    )


def plain_context(context: str | Sequence[ContextMessage]) -> str | list[dict[str, Any]]:
    """A context as plain JSON: its text, or its messages as objects."""
    return context if isinstance(context, str) else [message.model_dump() for message in context]


def _is_listed(retrieval: Retrieval) -> NDArray[np.bool_]:
    """Mask of the hits that a receipt lists: those from which the budgets can be filled again with
    the same result. Others were not chosen, and decide nothing.
    """
    listed = np.arange(retrieval.ranked.hits) < LISTED
    working, long_term = retrieval.choice
    ranks = [
        *(offer.rank for offer in working.offers),
        *(offer.rank for offer in long_term.offers[:MAX_DEMAND_WINDOW]),
        *(entry.rank for entry in long_term.chosen),
        *long_term.repeats,
        *long_term.weighed,
    ]
    listed[np.array(ranks, dtype=np.intp) - 1] = True
    return listed


def _terms(filled: BudgetFill, listed: NDArray[np.bool_]) -> dict[str, Any]:
    """The `FillTerms` of a budget: what `fill` takes, besides the offers."""
    plan = filled.plan
    overheads = filled.overheads
    groups = {offer.group for offer in filled.offers if listed[offer.rank - 1]}
    return {
        "total": plan.total,
        "types": list(plan.types),
        "caps": dict(plan.caps),
        "task_like": plan.task_like,
        "finished": plan.finished,
        "newest_first": plan.newest_first,
        "keeps_shares": plan.keeps_shares,
        "how_to": plan.how_to,
        "oversize": plan.oversize,
        "due_tokens": plan.due_tokens,
        "wrapper": overheads.wrapper,
        "headings": {kind: overheads.headings[kind] for kind in plan.types},
        "groups": {group: overheads.groups[group] for group in groups if group is not None},
        "used": filled.used,
    }


class _CandidateRow(msgspec.Struct, gc=False):
    """A `ReceiptCandidate` as a msgspec struct, which is encoded in two thirds of the time of a
    dictionary.
    """

    id: str
    type: MemoryType
    score: float
    signals: Any
    tokens: int
    access_count: int
    rank: int | None = None
    outcome: CandidateOutcome = CandidateOutcome.OVER_TOTAL
    counted: bool | UnsetType = UNSET
    due: bool | UnsetType = UNSET
    group: str | UnsetType = UNSET
    place: int | UnsetType = UNSET
    part_of: str | UnsetType = UNSET
    entry_sha256: str | UnsetType = UNSET
    certainty: float | UnsetType = UNSET
    whole: int | UnsetType = UNSET
    allowed: int | UnsetType = UNSET
    of: str | UnsetType = UNSET
    since: str | UnsetType = UNSET


_SIGNAL_NAMES = sorted(SIGNALS)
_SIGNAL_ROWS = np.array([SIGNALS.index(name) for name in _SIGNAL_NAMES])
_SignalRow: Any = msgspec.defstruct(
    "_SignalRow", [(name, float | UnsetType, UNSET) for name in _SIGNAL_NAMES], gc=False
)


def _hit_rows(retrieval: Retrieval, listed: NDArray[np.bool_]) -> list[_CandidateRow]:
    positions = np.flatnonzero(listed)
    ids = retrieval.ranked.hit_ids
    for_tasks = retrieval.request.include_due or retrieval.choice.long_term.plan.task_like
    is_due = comes_first(
        retrieval.ranked.candidates.take(positions), retrieval.as_of, asked=for_tasks
    ).tolist()
    places = {
        offer.rank: (place, offer, filled)
        for filled in retrieval.choice
        for place, offer in enumerate(filled.offers)
    }
    chosen = {entry.rank: entry for filled in retrieval.choice for entry in filled.chosen}
    shown = {memory.rank: memory for memory in retrieval.shown}
    not_offered = dict.fromkeys(retrieval.choice.long_term.counts, CandidateOutcome.COUNTED)
    rows = _rows(retrieval.ranked, positions)
    for row, due, rank in zip(rows, is_due, (positions + 1).tolist(), strict=True):
        row.rank = rank
        if due:
            row.due = True
        if rank not in places:
            row.counted = False
            row.outcome = not_offered.get(rank, row.outcome)
            continue
        row.place, offer, filled = places[rank]
        row.tokens = offer.tokens
        row.outcome = filled.refusal(offer.tokens)
        if offer.group is not None:
            row.group = offer.group
        if offer.part_of and listed[offer.part_of - 1]:
            row.part_of = ids[offer.part_of - 1]
        if rank in chosen:
            _add_chosen(row, chosen[rank], shown.get(rank))
        elif rank in filled.repeats:
            row.outcome = CandidateOutcome.DUPLICATE_OF
            row.of = ids[filled.repeats[rank] - 1]
    return rows


def _add_chosen(row: _CandidateRow, chosen: ChosenEntry, shown: ShownMemory | None) -> None:
    if shown is None:
        row.outcome = CandidateOutcome.REMOVED
        return
    row.outcome = CandidateOutcome.INCLUDED
    row.entry_sha256 = sha256(shown.entry.encode()).hexdigest()
    if shown.tokens != row.tokens or shown.cut:
        row.whole = row.tokens
        row.allowed = shown.allowed or chosen.allowed
        row.tokens = shown.tokens


def _other_rows(ranked: RankedCandidates) -> list[_CandidateRow]:
    rows = _rows(ranked, np.arange(ranked.hits, min(ranked.hits + OTHERS_LISTED, len(ranked))))
    for index, row in enumerate(rows):
        row.counted = False
        row.outcome = CandidateOutcome.BELOW_THRESHOLD
        if index < len(ranked.duplicate_of):
            row.outcome = CandidateOutcome.DUPLICATE_OF
            row.of = ranked.duplicate_of[index]
    return rows


def _ended_rows(ended: Candidates, as_of: datetime) -> list[_CandidateRow]:
    """Receipt rows of memories that were superseded or had expired at `as_of`, with score 0."""
    if ended.dense is None:
        return []
    ended = ended.take(np.lexsort((ended.ids, -ended.dense, ended.kinds)))
    unscored = RankedCandidates(ended, np.zeros(len(ended)), np.empty((0, len(ended))), 0)
    rows = _rows(unscored, np.arange(len(ended)))
    paths = ("valid_to", "state_until", "expires_at")
    ends = zip(*(ended.columns.column(path).tolist() for path in paths), strict=True)
    for row, (valid_to, state_until, expires_at) in zip(rows, ends, strict=True):
        restored = state_until is not None and state_until.replace(tzinfo=UTC) <= as_of
        superseded = valid_to is not None and valid_to.replace(tzinfo=UTC) <= as_of and not restored
        row.counted = False
        row.outcome = CandidateOutcome.SUPERSEDED if superseded else CandidateOutcome.EXPIRED
        row.since = rfc3339((valid_to if superseded else expires_at).replace(tzinfo=UTC))
    return rows


def _rows(ranked: RankedCandidates, positions: NDArray[np.intp]) -> list[_CandidateRow]:
    """Receipt rows of the candidates at `positions`, without rank and outcome. The token counts are
    the stored ones.
    """
    signals = (
        ranked.signals[_SIGNAL_ROWS][:, positions]
        if len(ranked.signals)
        else ranked.signals[:, positions]
    )
    columns = ranked.candidates.columns.take(positions)
    certainty = (
        np.full(len(positions), np.nan) if ranked.certainty is None else ranked.certainty[positions]
    )
    members = zip(
        [memory_id.decode() for memory_id in ranked.candidates.ids[positions].tolist()],
        ranked.candidates.kinds[positions].tolist(),
        ranked.scores[positions].tolist(),
        np.round(signals.T, SIGNAL_DIGITS).tolist(),
        columns.integers("tokens.line", 0).tolist(),
        columns.integers("access_count", 0).tolist(),
        [UNSET if math.isnan(value) else value for value in np.round(certainty, 9).tolist()],
        strict=True,
    )
    return [
        _CandidateRow(
            memory_id,
            TYPES[kind],
            score,
            _SignalRow(*values),
            tokens,
            access_count,
            certainty=probability,
        )
        for memory_id, kind, score, values, tokens, access_count, probability in members
    ]


def _unlisted(retrieval: Retrieval, listed: NDArray[np.bool_]) -> dict[str, Any]:
    """The members of `UnlistedCandidates`: number, outcomes and use counts of the candidates that
    are not listed.
    """
    ranked = retrieval.ranked
    outcomes = Counter(
        retrieval.choice.long_term.refusal(offer.tokens)
        for offer in retrieval.choice.long_term.offers
        if not listed[offer.rank - 1]
    )
    counts = retrieval.choice.long_term.counts
    outcomes[CandidateOutcome.COUNTED] = sum(not listed[rank - 1] for rank in counts)
    hits = int((~listed).sum())
    outcomes[CandidateOutcome.OVER_TOTAL] += hits - outcomes.total()  # those not offered
    others = max(0, len(ranked) - ranked.hits - OTHERS_LISTED)
    duplicates = max(0, len(ranked.duplicate_of) - OTHERS_LISTED)
    outcomes[CandidateOutcome.DUPLICATE_OF] = duplicates
    outcomes[CandidateOutcome.BELOW_THRESHOLD] = others - duplicates
    unlisted_others = np.arange(len(ranked) - ranked.hits) >= OTHERS_LISTED
    access_counts = ranked.candidates.columns.integers("access_count", 0)
    used = np.flatnonzero(np.concatenate([~listed, unlisted_others]) & (access_counts > 0))
    return {
        "count": hits + others,
        "outcomes": {outcome: count for outcome, count in outcomes.items() if count},
        "access_counts": {
            "ids": ranked.candidates.ids[used].astype(f"S{SHORT_ID}").tobytes().decode(),
            "counts": access_counts[used].tolist(),
        },
    }
