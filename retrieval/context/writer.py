"""Writes the context of chosen hits: renders their texts, and makes the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from memtypes.model.memory import State
from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES
from retrieval.answer import ContextItem, ContextMetadata, FloorAnswer, RetrieveAnswer
from retrieval.context.budget import ChosenEntry
from retrieval.context.choice import Choice, RankedHits
from retrieval.context.entries import EntryFields
from retrieval.context.render import BLOCK, WORKING_BLOCK, Renderer, ShownMemory, context_of
from retrieval.query.request import ResolvedRequest
from retrieval.ranking.signals import by_urgency

_WORKING = TYPES.index(MemoryType.WORKING)


@dataclass(frozen=True, slots=True, eq=False)
class ContextWriter:
    """Writes contexts of the hits of one request.

    texts: of the chosen hits, by id, without those that were removed since they were ranked.
    has_stored_counts: whether the hits were chosen by the token counts that are stored with them.
    """

    hits: RankedHits
    resolved: ResolvedRequest
    renderer: Renderer
    texts: Mapping[str, EntryFields]
    has_stored_counts: bool

    def write(
        self, choice: Choice, degraded: Sequence[str]
    ) -> tuple[RetrieveAnswer, tuple[ShownMemory, ...]]:
        """Render the chosen memories; return the answer, and what it shows. degraded: parts that
        did not respond.
        """
        ids = self.hits.ids
        working = self._rendered(ids, choice.working.chosen)
        long_term = self._rendered(ids, choice.long_term.chosen)
        plan = choice.long_term.plan
        if plan.task_like:
            long_term = self._tasks_first(long_term, finished_first=plan.finished)
        shown = (*working, *long_term)
        working_block = self.renderer.block(WORKING_BLOCK, working)
        block = self.renderer.block(
            BLOCK,
            long_term,
            tasks_first=plan.task_like,
            newest_first=plan.newest_first,
            counted=len(choice.long_term.counts),
        )

        ranked = self.hits.ranked
        is_working = self.hits.kinds == _WORKING
        outcome: Literal["ok", "empty", "nothing_fits"] = "empty"
        if not is_working.all():
            outcome = "ok" if block.text else "nothing_fits"
        shown_ids = {each.memory.id for each in shown}
        total = self.resolved.total
        metadata = ContextMetadata(
            total_tokens=working_block.tokens + block.tokens,
            budget=total,
            utilization=block.tokens / total if total else 0.0,
            per_type=dict(block.per_type),
            shares=choice.long_term.initial,
            shifts=choice.long_term.shifts,
            handed_on=choice.long_term.handed_on,
            working_tokens=working_block.tokens,
            working_excerpted=[each.memory.id for each in working if each.cut],
            working_left_out=[
                ids[position]
                for position in np.flatnonzero(is_working).tolist()
                if ids[position] not in shown_ids
            ],
            duplicates=self._duplicates(ids, choice, shown_ids),
            trimmed_count=ranked.hits - len(shown),
            candidates=ranked.hits,
            tokenizer=self.renderer.tokenizer.name,
            model=self.resolved.request.model,
            margin=self.resolved.margin,
            unknown_model=self.resolved.unknown_model or None,
            outcome=outcome,
            floor=FloorAnswer(**ranked.floor._asdict()),
            as_of=self.hits.as_of,
            degraded=list(degraded),
        )
        blocks = (working_block, block)
        context = context_of(self.renderer.layout, blocks, self.resolved.request.format)
        items = [self._item(memory) for memory in shown]
        return RetrieveAnswer(context=context, items=items, metadata=metadata), shown

    def _rendered(self, ids: Sequence[str], chosen: Sequence[ChosenEntry]) -> list[ShownMemory]:
        """The chosen memories as the context shows them, without those that were removed or do not
        fit.
        """
        rendered = []
        for entry in chosen:
            memory = self.texts.get(ids[entry.rank - 1])
            shown = None if memory is None else self._shown(entry, memory)
            if shown is not None:
                rendered.append(shown)
        return rendered

    def _shown(self, entry: ChosenEntry, memory: EntryFields) -> ShownMemory | None:
        renderer = self.renderer
        request = self.resolved.request
        if entry.cut:
            if request.oversize_of(entry.type) == "excerpt":
                return renderer.excerpt(memory, entry.rank, entry.allowed, request.query)
            return renderer.cut(memory, entry.rank, entry.allowed)
        counted = renderer.is_counted(memory) and memory.tokens.line == entry.allowed
        rewritten = self.has_stored_counts and not counted  # since it was ranked
        whole = renderer.whole(memory, entry.rank, None if rewritten else entry.allowed)
        return whole if whole.tokens <= entry.allowed else None

    def _tasks_first(
        self, shown: Sequence[ShownMemory], *, finished_first: bool
    ) -> list[ShownMemory]:
        """`shown` with tasks first, the most urgent first."""
        tasks = [each for each in shown if each.memory.type is MemoryType.PROSPECTIVE]
        others = [each for each in shown if each.memory.type is not MemoryType.PROSPECTIVE]
        positions = np.array([each.rank - 1 for each in tasks], dtype=np.intp)
        candidates = self.hits.ranked.candidates.take(positions)
        order = by_urgency(candidates, self.hits.as_of, finished_first=finished_first).tolist()
        return [*(tasks[place] for place in order), *others]

    def _duplicates(self, ids: Sequence[str], choice: Choice, shown_ids: set[str]) -> list[str]:
        """Ids of the memories that a shown one has the same text as, or contains."""
        ranked = self.hits.ranked
        repeats = {
            ids[rank - 1]: ids[message - 1] for rank, message in choice.long_term.repeats.items()
        }
        copies = ranked.candidates.ids[ranked.hits :].tolist()
        repeats |= {
            memory_id.decode(): original
            for memory_id, original in zip(copies, ranked.duplicate_of, strict=False)
        }
        return [
            memory_id
            for memory_id, original in repeats.items()
            if original in shown_ids or repeats.get(original) in shown_ids
        ]

    def _item(self, shown: ShownMemory) -> ContextItem:
        ranked = self.hits.ranked
        state = shown.memory.state_at(self.hits.as_of)
        explain = self.resolved.request.explain
        return ContextItem(
            id=shown.memory.id,
            type=shown.memory.type,
            rank=shown.rank,
            score=float(ranked.scores[shown.rank - 1]),
            tokens=shown.tokens,
            content=shown.content,
            signals=ranked.signals_at(shown.rank - 1) if explain else None,
            cut=shown.cut or None,
            excerpt=shown.excerpt or None,
            state=None if state is State.CURRENT else state,
        )
