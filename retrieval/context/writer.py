"""Ranked hits to the answer of a retrieval: which go in, their texts, the context and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.passage import Passage, passage_of
from retrieval.answer import ContextItem, ContextMetadata, RetrieveAnswer
from retrieval.context.budget import Chosen, fill
from retrieval.context.entries import Costs, Entries, Entry
from retrieval.context.layout import day_heading
from retrieval.context.render import BLOCK, LAYOUTS, WORKING_BLOCK, Block, Renderer, Shown, context_of
from retrieval.context.shares import BudgetPlan
from retrieval.context.written import Filled, Written
from retrieval.query.intent import is_how_to, is_task_like
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import Ranking, Scored
from retrieval.trace import Trace

PRIORITY = 3
"""The priority of a working item that names none."""

LARGE = 100_000
"""Characters that are counted in some 10 ms; more are counted in a thread."""

_ITEMS = TypeAdapter(list[ContextItem])


@dataclass(frozen=True, slots=True)
class Ranked:
    """What was found. degraded: the parts that did not answer. texts: of memories that need not be read again."""

    ranking: Ranking
    as_of: datetime
    degraded: tuple[str, ...]
    texts: Mapping[str, Memory] = field(default_factory=dict)


class ContextWriter:
    """Writes the context of one request."""

    def __init__(self, store: MemoryStore, tokenizer: Tokenizer, scope: Scope, request: RetrieveRequest) -> None:
        self._store = store
        self._tokenizer = tokenizer
        self._scope = scope
        self._request = request
        self._renderer = Renderer(LAYOUTS[request.format], tokenizer)
        self._budget = request.allowance

    async def write(self, ranked: Ranked, trace: Trace) -> Written:
        """The answer, with what it shows and how that was chosen."""
        found = ranked.ranking.hits.found
        is_working = found.kinds == TYPES.index(MemoryType.WORKING)
        working = _task_first(found, np.flatnonzero(is_working), self._request.todo_id)
        with trace.stage("texts"):
            texts = await self._texts_to_count(found) | {one: passage_of(own) for one, own in ranked.texts.items()}
        with trace.stage("budget"):
            chosen, working_chosen = await offload(
                (one.content for one in texts.values()),
                lambda: (
                    self._fill(self._entries(found, np.flatnonzero(~is_working), texts)),
                    self._fill_working(self._entries(found, working, texts)),
                ),
                LARGE,
            )
        entries = [one.entry for one in (*chosen.fill.chosen, *working_chosen.fill.chosen)]
        with trace.stage("texts"):
            texts |= await self._fetch({entry.id: entry.type for entry in entries if entry.id not in texts})
        with trace.stage("render"):
            shown, working_shown = await offload(
                (one.content for one in texts.values()),
                lambda: (self._shown(chosen.fill.chosen, texts), self._shown(working_chosen.fill.chosen, texts)),
                LARGE,
            )
            blocks = (self._renderer.block(WORKING_BLOCK, working_shown), self._renderer.block(BLOCK, shown))
            answer = self._answer(ranked, blocks, (*working_shown, *shown), some=not is_working.all())
        return Written(answer, (*working_shown, *shown), chosen, working_chosen)

    async def _texts_to_count(self, found: Candidates) -> dict[str, Passage]:
        """The memories whose entries must be counted now, because the stored counts are of another form.

        Read in rank order until they are worth twice the budget, so that a small budget stays cheap.
        """
        if self._counts_are_stored(found):
            return {}
        room = 2 * (self._budget.total + self._request.working_budget) + 2_000
        before = np.cumsum(counts := found.columns.wholes("tokens.count", 0)) - counts
        needed = int((before < room).sum())
        kinds = [TYPES[kind] for kind in found.kinds[:needed].tolist()]
        return await self._fetch(dict(zip(found.ids[:needed].astype(np.str_).tolist(), kinds, strict=True)))

    def _counts_are_stored(self, found: Candidates) -> bool:
        if not self._renderer.layout.stored_counts:
            return False
        return bool(found.columns.where("tokens.tokenizer", self._tokenizer.name.__eq__).all())

    async def _fetch(self, wanted: Mapping[str, MemoryType]) -> dict[str, Passage]:
        return await self._store.passages(self._scope, wanted) if wanted else {}

    def _entries(self, found: Candidates, places: NDArray[np.intp], texts: Mapping[str, Passage]) -> Entries:
        """The candidates at `places` as the budget sees them; those whose texts were not read are left out."""
        if self._counts_are_stored(found):
            return stored_entries(found, places)
        counted: list[Entry] = []
        ranks: list[int] = []
        for place in places.tolist():
            passage = texts.get(found.ids[place].decode())
            if passage is not None:
                tokens = self._renderer.shown(passage, place + 1).tokens
                counted.append(Entry(passage.id, passage.type, tokens, self._renderer.layout.group(passage)))
                ranks.append(place + 1)
        return replace(Entries.of(counted), ranks=np.array(ranks, dtype=np.int64))

    def _fill(self, entries: Entries) -> Filled:
        kinds = tuple(kind for kind in LONG_TERM if self._request.types is None or kind in self._request.types)
        query = self._request.query
        caps = self._budget.per_type or {}
        excerpts = self._request.oversize == "excerpt"
        plan = BudgetPlan(self._budget.total, kinds, caps, is_task_like(query), is_how_to(query), excerpts)
        return self._filled(plan, entries, BLOCK)

    def _fill_working(self, entries: Entries) -> Filled:
        """Working memory within its own budget; the to-do at hand first."""
        kinds = (MemoryType.WORKING,)
        limit = self._request.working_budget
        plan = BudgetPlan(limit, kinds, {MemoryType.WORKING: limit})
        return self._filled(plan, entries, WORKING_BLOCK)

    def _filled(self, plan: BudgetPlan, entries: Entries, block: str) -> Filled:
        costs = self._costs(plan.types, entries, block)
        cut = self._request.oversize == "cut"
        return Filled(plan, entries, costs, cut, fill(plan, entries, costs, cut=cut))

    def _costs(self, kinds: Sequence[MemoryType], entries: Entries, block: str) -> Costs:
        return Costs(
            self._renderer.wrapper_tokens(block),
            {kind: self._renderer.heading_tokens(kind) for kind in kinds},
            {heading: self._renderer.cost(heading) for heading in entries.headings},
        )

    def _shown(self, chosen: Sequence[Chosen], texts: Mapping[str, Passage]) -> list[Shown]:
        """The chosen memories with their entries; one that was removed meanwhile is left out."""
        stored_by = self._tokenizer.name if self._renderer.layout.stored_counts else None
        shown: list[Shown] = []
        for one in chosen:
            passage = texts.get(one.entry.id)
            if passage is None:
                continue
            if not one.cut:
                # Its tokens are known, unless it was rewritten since it was ranked.
                rewritten = passage.tokenizer == stored_by and passage.tokens != one.allowed
                shown.append(self._renderer.shown(passage, one.rank, None if rewritten else one.allowed))
            elif (part := self._part(passage, one)) is not None:
                shown.append(part)
        return shown

    def _part(self, passage: Passage, one: Chosen) -> Shown | None:
        if self._request.oversize == "excerpt":
            return self._renderer.shown_excerpt(passage, one.rank, one.allowed, self._request.query)
        return self._renderer.shown_cut(passage, one.rank, one.allowed)

    def _answer(
        self, ranked: Ranked, blocks: tuple[Block, Block], shown: Sequence[Shown], *, some: bool
    ) -> RetrieveAnswer:
        """some: whether there was anything but working memory to choose from."""
        working, long_term = blocks
        hits = ranked.ranking.hits
        total = self._budget.total
        outcome: Literal["ok", "empty", "nothing_fits"] = (
            "ok" if long_term.text else ("nothing_fits" if some else "empty")
        )
        metadata = ContextMetadata(
            total_tokens=working.tokens + long_term.tokens,
            budget=total,
            utilization=long_term.tokens / total if total else 0.0,
            per_type=dict(long_term.per_type),
            working_tokens=working.tokens,
            trimmed_count=len(hits) - len(shown),
            candidates=len(hits),
            tokenizer=self._tokenizer.name,
            model=self._request.model,
            outcome=outcome,
            as_of=ranked.as_of,
            degraded=list(ranked.degraded),
        )
        items = _ITEMS.validate_python([_item(one, hits.scored, explain=self._request.explain) for one in shown])
        context = context_of(self._renderer.layout, blocks, self._request.format)
        return RetrieveAnswer(context=context, items=items, metadata=metadata)


def _task_first(found: Candidates, places: NDArray[np.intp], todo_id: str | None) -> NDArray[np.intp]:
    """Working items of the to-do at hand before the others, then by priority (5 first), then by score."""
    light = found.columns.take(places)
    at_hand = light.where("todo_id", lambda one: one == todo_id)
    priorities = light.wholes("priority", PRIORITY)
    return places[np.lexsort((places, -priorities, ~at_hand))]


def stored_entries(found: Candidates, places: NDArray[np.intp]) -> Entries:
    """The candidates at `places` as the budget sees them, by the counts that were stored with them."""
    kinds, light = found.kinds[places], found.columns.take(places)
    episodic = np.flatnonzero(kinds == TYPES.index(MemoryType.EPISODIC))
    days = light.take(episodic).column("created_at").astype("datetime64[D]")
    distinct, own = np.unique(days, return_inverse=True)
    groups = np.full(len(places), -1, dtype=np.int32)
    groups[episodic] = own
    headings = [day_heading(day) for day in distinct.astype(np.str_).tolist()]
    tokens = light.wholes("tokens.line", 0)
    return Entries(found.ids[places], kinds, tokens, groups, headings, places + 1)


def _item(one: Shown, scored: Scored, *, explain: bool) -> dict[str, Any]:
    """The members of a ContextItem, to be made together with the others: one by one takes twice as long."""
    place = one.rank - 1
    return {
        "id": one.passage.id,
        "type": one.passage.type,
        "rank": one.rank,
        "score": float(scored.scores[place]),
        "tokens": one.tokens,
        "content": one.content,
        "signals": scored.signals(place) if explain else None,
        "cut": True if one.cut else None,
        "excerpt": True if one.excerpt else None,
    }
