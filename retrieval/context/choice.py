"""Chooses the hits that a context shows. A pure function of ranked hits, a request and token
counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.search.candidates import TYPES, Candidates
from retrieval.context.budget import BudgetFill, BudgetPlan, Offer, Overheads, due_room, fill
from retrieval.context.entries import EntryFields
from retrieval.context.render import BLOCK, WORKING_BLOCK, Renderer, day_heading
from retrieval.query.intent import NEWEST, OVERVIEW_TYPES, Wish
from retrieval.query.profiles import SIGNALS
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.containment import messages_of
from retrieval.ranking.ranked import RankedCandidates
from retrieval.ranking.signals import (
    by_urgency,
    comes_first,
    due_about_now,
    first_due,
    missed,
    newest,
    overview,
    to_continue,
)

DEFAULT_PRIORITY = 3
"""Priority of a working item that has no priority of its own."""

TASKS_SHARE = 0.3
"""Share of the budget in which tasks come first if a query asks for tasks; events may tell which
are done.
"""

_WORKING = TYPES.index(MemoryType.WORKING)
_EPISODIC = TYPES.index(MemoryType.EPISODIC)
_PROSPECTIVE = TYPES.index(MemoryType.PROSPECTIVE)


class Choice(NamedTuple):
    """The filled budgets of a context: that of working memory and that of long-term memory."""

    working: BudgetFill
    long_term: BudgetFill


@dataclass(frozen=True, slots=True, eq=False)
class RankedHits:
    """What a context is chosen from, besides the budgets of a request.

    as_of: the time that the request asks about. wish: what its query asks for. newest_first:
    whether its query is about the present, so that the context shows the newest first.
    """

    ranked: RankedCandidates
    as_of: datetime
    wish: Wish
    newest_first: bool = False

    @property
    def ids(self) -> list[str]:
        """Ids of the hits, best first."""
        return self.ranked.hit_ids

    @property
    def candidates(self) -> Candidates:
        """The hits as columns, best first."""
        return self.ranked.candidates.take(np.arange(self.ranked.hits))

    @property
    def kinds(self) -> NDArray[np.int8]:
        """Memory types of the hits, as indices into TYPES."""
        return self.ranked.candidates.kinds[: self.ranked.hits]

    @property
    def in_time(self) -> NDArray[np.bool_]:
        """Mask of the hits that are of a time which the query names."""
        times = self.ranked.signals[SIGNALS.index("time"), : self.ranked.hits]
        mask: NDArray[np.bool_] = times == 1.0
        return mask


def choose(
    hits: RankedHits,
    request: RetrieveRequest,
    renderer: Renderer,
    texts: Mapping[str, EntryFields] | None = None,
) -> Choice:
    """Choose the hits of a context: fill the budget of working memory and that of long-term memory.

    texts: the only hits to choose from, by id; None to choose from all hits, by the token counts
    that are stored with them.
    """
    offers = _offers(hits, renderer, texts)
    working = [offers[position] for position in _working(hits, request) if position in offers]
    long_term = [
        offers[position]
        for position in np.flatnonzero(hits.kinds != _WORKING).tolist()
        if position in offers
    ]
    limit = request.working_budget
    working_plan = BudgetPlan(
        limit,
        (MemoryType.WORKING,),
        {MemoryType.WORKING: limit},
        oversize=request.oversize_of(MemoryType.WORKING),
    )
    counted = np.flatnonzero(_counted(hits)).tolist()
    # What a counted task contains is shown for itself
    long_term = [
        offer._replace(part_of=0) if offer.part_of - 1 in counted else offer
        for offer in long_term
        if offer.rank - 1 not in counted
    ]
    due = _due(hits, request).tolist()
    due_offers = [offer for offer in long_term if offer.rank - 1 in due]
    heading = renderer.heading_tokens(MemoryType.PROSPECTIVE, len(counted))
    due_tokens = sum(offer.tokens for offer in due_offers) + heading if due_offers else 0
    plan = _long_term_plan(hits, request, counted, due_tokens)
    # Due tasks are offered first, and what the query asks to list before better hits
    first = dict.fromkeys([*due, *_listed(hits, request).tolist()])
    turns = {position: turn for turn, position in enumerate(first)}

    def turn(offer: Offer) -> tuple[int, int]:
        return turns.get(offer.rank - 1, len(turns)), offer.rank

    return Choice(
        _filled(working_plan, working, renderer, WORKING_BLOCK),
        _filled(plan, sorted(long_term, key=turn), renderer, BLOCK),
    )


def _long_term_plan(
    hits: RankedHits, request: RetrieveRequest, counted: list[int], due_tokens: int
) -> BudgetPlan:
    """How the budget of long-term memory is filled. counted: positions of tasks that are counted in
    one line. due_tokens: tokens of the tasks that are due, with their heading.
    """
    budget = request.allowance
    return BudgetPlan(
        budget.total,
        tuple(kind for kind in LONG_TERM if request.types is None or kind in request.types),
        budget.per_type or {},
        task_like=hits.wish in {Wish.TASKS, Wish.TASKS_ABOUT, Wish.FINISHED},
        how_to=hits.wish in {Wish.HOW_TO, Wish.PROCEDURES},
        oversize=request.oversize_of(MemoryType.SEMANTIC),
        due_tokens=due_tokens,
        counted=tuple(position + 1 for position in counted),
        finished=hits.wish is Wish.FINISHED,
        newest_first=hits.newest_first,
        # An overview of a type, or what a session goes on with, has this first instead
        keeps_shares=hits.wish not in OVERVIEW_TYPES and hits.wish is not Wish.CONTINUE,
    )


def has_stored_counts(hits: RankedHits, renderer: Renderer) -> bool:
    """Whether the token counts stored with the hits are those of their entries in this context."""
    if not renderer.layout.has_stored_counts:
        return False
    columns = hits.ranked.candidates.columns
    same_tokenizer = columns.where("tokens.tokenizer", renderer.tokenizer.name.__eq__)
    same_entries = columns.where("tokens.renderer", renderer.entries.version.__eq__)
    return bool((same_tokenizer & same_entries)[: hits.ranked.hits].all())


def best_to_count(hits: RankedHits, request: RetrieveRequest) -> dict[str, MemoryType]:
    """The hits to offer if their texts must be read first to count their tokens: the best ones, and
    those that come before better ones. Types by id.
    """
    limit = 2 * (request.allowance.total + request.working_budget) + 2_000
    counts = hits.ranked.candidates.columns.integers("tokens.count", 0)[: hits.ranked.hits]
    needed = np.cumsum(counts) - counts < limit
    needed[_due(hits, request)] = True
    needed[_listed(hits, request)] = True
    ids = hits.ids
    return {
        ids[position]: TYPES[hits.kinds[position]] for position in np.flatnonzero(needed).tolist()
    }


def _filled(plan: BudgetPlan, offers: list[Offer], renderer: Renderer, block: str) -> BudgetFill:
    groups = {offer.group for offer in offers if offer.group is not None}
    overheads = Overheads(
        renderer.wrapper_tokens(block),
        {
            kind: renderer.heading_tokens(
                kind, len(plan.counted) if kind is MemoryType.PROSPECTIVE else 0
            )
            for kind in plan.types
        },
        {group: renderer.cost(group) for group in sorted(groups)},
    )
    return fill(plan, offers, overheads)


def _offers(
    hits: RankedHits, renderer: Renderer, texts: Mapping[str, EntryFields] | None
) -> dict[int, Offer]:
    """The hits as offers to a budget, by position."""
    candidates = hits.candidates
    columns = candidates.columns
    tokens = columns.integers("tokens.line", 0).tolist()
    kinds = hits.kinds.tolist()
    scores = hits.ranked.scores.tolist()
    groups: list[str | None] = [None] * len(kinds)
    if renderer.layout.has_days:
        events = np.flatnonzero(hits.kinds == _EPISODIC)
        days, places = np.unique(
            columns.column("created_at")[events].astype("datetime64[D]"), return_inverse=True
        )
        headings = [day_heading(day) for day in days.astype(np.str_).tolist()]
        for position, place in zip(events.tolist(), places.tolist(), strict=True):
            groups[position] = headings[place]
    messages = messages_of(candidates, hits.as_of)
    positions: Sequence[int] = range(len(kinds))
    if texts is not None:
        ids = hits.ids
        positions = [position for position in positions if ids[position] in texts]
        if not has_stored_counts(hits, renderer):
            for position in positions:
                memory = texts[ids[position]]
                tokens[position] = renderer.whole(memory, position + 1).tokens
    return {
        position: Offer(
            position + 1,
            TYPES[kinds[position]],
            tokens[position],
            groups[position],
            messages[position] + 1 if position in messages else 0,
            scores[position],
        )
        for position in positions
    }


def _working(hits: RankedHits, request: RetrieveRequest) -> list[int]:
    """Positions of working items: those of the request's to-do first, then by priority, score, and
    oldest first.
    """
    positions = np.flatnonzero(hits.kinds == _WORKING)
    columns = hits.ranked.candidates.columns.take(positions)
    other_todo = ~columns.where("todo_id", lambda todo: todo == request.todo_id)
    priorities = columns.integers("priority", DEFAULT_PRIORITY)
    scores = hits.ranked.scores[positions]
    created = columns.column("created_at")
    numbers = columns.integers("seq", 0)
    order = np.lexsort((numbers, created, -scores, -priorities, other_todo))
    ordered: list[int] = positions[order].tolist()
    return ordered


def _due(hits: RankedHits, request: RetrieveRequest) -> NDArray[np.intp]:
    """Positions of tasks to offer first, in this order: for a query for tasks those of the time
    that it names, else those due about now; for other queries those due today, in `due_room`.
    """
    candidates = hits.candidates
    if hits.wish is not Wish.TASKS:
        due = comes_first(candidates, hits.as_of, asked=request.include_due)
        return first_due(candidates, due, hits.as_of, due_room(request.allowance.total))
    named = hits.in_time & (hits.kinds == _PROSPECTIVE)
    first = named if named.any() else due_about_now(candidates, hits.as_of)
    positions = by_urgency(candidates, hits.as_of)
    return positions[first[positions]]


def _listed(hits: RankedHits, request: RetrieveRequest) -> NDArray[np.intp]:
    """Positions of hits to offer before better ones: the most urgent tasks, or the newest that the
    query asks for, or what a session goes on with.
    """
    candidates = hits.candidates
    total = request.allowance.total
    in_time = hits.in_time | (not hits.in_time.any())
    if hits.wish is Wish.CONTINUE:
        return to_continue(candidates, in_time, hits.as_of, total)
    if hits.wish not in OVERVIEW_TYPES:
        return np.empty(0, dtype=np.intp)
    listed = overview(candidates, hits.wish, in_time)
    if hits.wish is Wish.TASKS:
        mask = listed & ~_counted(hits)
        return first_due(candidates, mask, hits.as_of, int(TASKS_SHARE * total))
    return newest(candidates, listed & (hits.wish in NEWEST), total)


def _counted(hits: RankedHits) -> NDArray[np.bool_]:
    """Mask of the missed tasks that a context for tasks counts in one line instead of listing them.

    Those of a time that the query names are listed, and so is the latest one if there is no other
    task.
    """
    candidates = hits.candidates
    if hits.wish is not Wish.TASKS:
        return np.zeros(len(candidates), dtype=np.bool_)
    counted = missed(candidates, hits.as_of) & ~hits.in_time
    if counted.any() and not (~counted & (hits.kinds == _PROSPECTIVE)).any():
        positions = by_urgency(candidates, hits.as_of)
        counted[positions[counted[positions]][0]] = False
    return counted
