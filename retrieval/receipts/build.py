"""Builds the body of a retrieval's receipt: plain JSON that lists the best candidates and counts
the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.receipts import canonical, digest
from memtypes.search.candidates import TYPES, Candidates
from retrieval.answer import ContextMessage, RetrieveAnswer
from retrieval.context.budget import BudgetFill, ChosenEntry, demand_of
from retrieval.context.render import ShownMemory
from retrieval.context.writer import Fills
from retrieval.query.profiles import SIGNALS
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import CandidateOutcome, RankedCandidates
from retrieval.ranking.signals import comes_first
from retrieval.receipts.model import SHORT_ID

VERSION = 1
"""Version of the receipt format."""

LISTED = 128
"""Number of best hits that a receipt lists. It also lists all working items and hits in the
context.
"""

SIGNAL_DIGITS = 9
"""Decimal places to which a receipt rounds signals."""

OTHERS_LISTED = 32
"""Number of candidates that a receipt lists of those that are no hits: duplicates first, then the
best.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """A finished retrieval with everything that its receipt records.

    as_of: the time that the request asks about. weights: of the signals. embedder: fingerprint of
    the encoder. ended: memories that had expired or were superseded at `as_of`. shown: memories in
    the context, working items first.
    """

    scope: Scope
    request: RetrieveRequest
    as_of: datetime
    weights: Mapping[str, float]
    embedder: str
    tokenizer: Tokenizer
    ranked: RankedCandidates
    ended: Candidates
    fills: Fills
    shown: tuple[ShownMemory, ...]
    answer: RetrieveAnswer


def receipt_body(retrieval: Retrieval, receipt_id: str, created_at: str) -> dict[str, Any]:
    """The JSON object of a receipt, without the members that link it to the previous receipt.

    It lists the LISTED best hits, the hits in the context, the working items, the nearest memories
    that are no longer valid, and OTHERS_LISTED of the other candidates (duplicates of hits, or
    below a required minimum).
    """
    hits = _HitColumns.of(retrieval)
    scope = retrieval.scope
    metadata = retrieval.answer.metadata
    long_term = retrieval.fills.long_term
    scope_members = {
        "namespace": scope.namespace,
        "session_id": scope.session_id,
        "agent_id": scope.agent_id,
    }
    ranks = long_term.entries.ranks
    # Hits that were offered to the budget before a better one
    descents = np.flatnonzero(ranks[:-1] > ranks[1:])
    return {
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
            "initial": long_term.initial,
            "shifted": long_term.shifted,
            "final": long_term.used,
        },
        "long_term": {
            **_terms(long_term, hits.listed),
            "first": ranks[: descents.max(initial=-1) + 1].tolist(),
        },
        "working": _terms(retrieval.fills.working, hits.listed),
        "candidates": [
            *_hit_rows(retrieval, hits),
            *_other_rows(retrieval.ranked),
            *_ended_rows(retrieval.ended, retrieval.as_of),
        ],
        "unlisted": _unlisted(retrieval.ranked, hits),
        "total_tokens": metadata.total_tokens,
        "context_sha256": context_digest(retrieval.answer.context),
    }


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


def _terms(filled: BudgetFill, listed: NDArray[np.bool_]) -> dict[str, Any]:
    """The `FillTerms` of a budget, by which a check fills it again. listed: whether each hit is in
    the receipt.
    """
    plan = filled.plan
    overheads = filled.overheads
    entries = filled.entries
    is_listed = listed[entries.ranks - 1]
    in_window = entries.take(np.flatnonzero(is_listed[: filled.window]))
    listed_demand = demand_of(plan.types, in_window, overheads)
    groups = [entries.headings[group] for group in set(entries.groups[is_listed].tolist()) - {-1}]
    return {
        "total": plan.total,
        "types": list(plan.types),
        "caps": dict(plan.caps),
        "task_like": plan.task_like,
        "by_due": plan.task_like,
        "how_to": plan.how_to,
        "cut": plan.oversize == "cut",
        "excerpt": plan.oversize == "excerpt",
        "due_tokens": plan.due_tokens,
        "wrapper": overheads.wrapper,
        "headings": {kind: overheads.headings[kind] for kind in plan.types},
        "groups": {group: overheads.groups[group] for group in groups},
        "used": filled.used,
        "sight": len(in_window),
        "unlisted": {kind: filled.demand[kind] - listed_demand[kind] for kind in plan.types},
    }


@dataclass(frozen=True, slots=True, eq=False)
class _HitColumns:
    """Columns with a value for each hit, best first, from which the hit's row in the receipt is
    written.

    listed: whether the receipt lists it. tokens: size of its entry; -1 if it was not offered to a
    budget. groups: index in `headings` of the day heading above its entry; -1 for none. places: its
    index among the working items; -1 for other types. fits: whether its entry is not larger than
    the unused tokens of its budget.
    """

    listed: NDArray[np.bool_]
    tokens: NDArray[np.int64]
    groups: NDArray[np.int32]
    places: NDArray[np.int64]
    fits: NDArray[np.bool_]
    headings: Sequence[str]

    @classmethod
    def of(cls, retrieval: Retrieval) -> _HitColumns:
        hits = retrieval.ranked.hits
        tokens = np.full(hits, -1)
        places = np.full(hits, -1)
        groups = np.full(hits, -1, dtype=np.int32)
        listed = np.arange(hits) < LISTED
        fits = np.zeros(hits, dtype=np.bool_)
        working, long_term = retrieval.fills
        for filled in retrieval.fills:
            positions = filled.entries.ranks - 1
            tokens[positions] = filled.entries.tokens
            fits[positions] = filled.entries.tokens <= filled.room
            listed[[entry.rank - 1 for entry in filled.chosen]] = True
        groups[long_term.entries.ranks - 1] = long_term.entries.groups  # working items have none
        places[working.entries.ranks - 1] = np.arange(len(working.entries))
        # Each item's share of the budget depends on their number
        listed[working.entries.ranks - 1] = True
        return cls(listed, tokens, groups, places, fits, long_term.entries.headings)


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


def _hit_rows(retrieval: Retrieval, hits: _HitColumns) -> list[_CandidateRow]:
    positions = np.flatnonzero(hits.listed)
    rows = _rows(retrieval.ranked, positions)
    for_tasks = retrieval.request.include_due or retrieval.fills.long_term.plan.task_like
    is_due = comes_first(
        retrieval.ranked.candidates.take(positions), retrieval.as_of, asked=for_tasks
    ).tolist()
    columns = (hits.tokens, hits.groups, hits.places, hits.fits)
    chosen = {entry.rank: entry for filled in retrieval.fills for entry in filled.chosen}
    shown = {memory.rank: memory for memory in retrieval.shown}
    for row, due, rank, tokens, group, place, fits in zip(
        rows,
        is_due,
        (positions + 1).tolist(),
        *(column[positions].tolist() for column in columns),
        strict=True,
    ):
        row.rank = rank
        if due:
            row.due = True
        row.outcome = CandidateOutcome.OVER_TYPE_BUDGET if fits else CandidateOutcome.OVER_TOTAL
        if tokens < 0:
            row.counted = False
            continue
        row.tokens = tokens
        if group >= 0:
            row.group = hits.headings[group]
        if place >= 0:
            row.place = place
        if rank in chosen:
            _add_chosen(row, chosen[rank], shown.get(rank))
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


def _unlisted(ranked: RankedCandidates, hits: _HitColumns) -> dict[str, Any]:
    """The members of `UnlistedCandidates`: number, outcomes and use counts of the candidates that
    are not listed.
    """
    unlisted_hits = ~hits.listed
    hit_count = int(unlisted_hits.sum())
    fitting_hits = int((unlisted_hits & hits.fits).sum())
    unlisted_others = max(0, len(ranked) - ranked.hits - OTHERS_LISTED)
    unlisted_duplicates = max(0, len(ranked.duplicate_of) - OTHERS_LISTED)
    outcomes = {
        CandidateOutcome.OVER_TYPE_BUDGET: fitting_hits,
        CandidateOutcome.OVER_TOTAL: hit_count - fitting_hits,  # every chosen hit is listed
        CandidateOutcome.DUPLICATE_OF: unlisted_duplicates,
        CandidateOutcome.BELOW_THRESHOLD: unlisted_others - unlisted_duplicates,
    }
    others_mask = np.arange(len(ranked) - ranked.hits) >= OTHERS_LISTED
    access_counts = ranked.candidates.columns.integers("access_count", 0)
    used_positions = np.flatnonzero(
        np.concatenate([unlisted_hits, others_mask]) & (access_counts > 0)
    )
    return {
        "count": hit_count + unlisted_others,
        "outcomes": {outcome: count for outcome, count in outcomes.items() if count},
        "access_counts": {
            "ids": ranked.candidates.ids[used_positions].astype(f"S{SHORT_ID}").tobytes().decode(),
            "counts": access_counts[used_positions].tolist(),
        },
    }
