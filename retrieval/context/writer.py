"""Writes the context of ranked candidates, in the steps `texts_to_count`, `fill`, `chosen_texts`
and `answer`.
"""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.model.memory import State
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.memory_store import MemoryStore
from memtypes.search.candidates import TYPES
from retrieval.answer import ContextItem, ContextMetadata, FloorAnswer, RetrieveAnswer
from retrieval.context.budget import (
    BudgetEntries,
    BudgetFill,
    BudgetPlan,
    ChosenEntry,
    Overheads,
    due_room,
    fill,
)
from retrieval.context.entries import EntryFields
from retrieval.context.render import (
    BLOCK,
    WORKING_BLOCK,
    Renderer,
    ShownMemory,
    context_of,
    day_heading,
)
from retrieval.query.intent import NEWEST, OVERVIEW_TYPES, Wish
from retrieval.query.profiles import SIGNALS
from retrieval.query.request import SettledRequest
from retrieval.ranking.ranked import RankedCandidates
from retrieval.ranking.signals import comes_first, first_due, newest, overview

DEFAULT_PRIORITY = 3
"""Priority of a working item that has no priority of its own."""

TASKS_SHARE = 0.3
"""Share of the budget in which tasks come first if a query asks for tasks; events may tell which
are done.
"""

LONG_TEXT = 100_000
"""Characters that take some 10 ms to tokenize; a longer text is tokenized in a thread."""

_WORD = re.compile(r"\w+")
_MARK = re.compile(r"[^\w\s] ")
_ENDING = re.compile(r"[^\w\s]+ |[^\w\s]*$")
_WORKING = TYPES.index(MemoryType.WORKING)
_EPISODIC = TYPES.index(MemoryType.EPISODIC)
_PROSPECTIVE = TYPES.index(MemoryType.PROSPECTIVE)


class Fills(NamedTuple):
    """The filled budgets of a context: that of working memory and that of long-term memory."""

    working: BudgetFill
    long_term: BudgetFill


@dataclass(eq=False)
class ContextWriter:
    """Writes the context of one request: chooses hits of `ranked`, reads and renders their texts,
    counts tokens.

    settled: the request. as_of: the time that it asks about. wish: what its query asks for.
    """

    store: MemoryStore
    renderer: Renderer
    scope: Scope
    settled: SettledRequest
    as_of: datetime
    wish: Wish
    ranked: RankedCandidates

    def __post_init__(self) -> None:
        self._request = self.settled.request
        self._ids = self.ranked.hit_ids
        self._kinds = self.ranked.candidates.kinds[: self.ranked.hits]
        self._has_stored_counts = self._are_counts_stored()
        self._in_time: NDArray[np.bool_] = self.ranked.signals[SIGNALS.index("time")] == 1.0

    async def texts_to_count(self) -> dict[str, EntryFields]:
        """Read the hits whose tokens must be counted: none if the stored counts are right, else the
        best ones.
        """
        if self._has_stored_counts:
            return {}
        budget = 2 * (self._request.allowance.total + self._request.working_budget) + 2_000
        counts = self.ranked.candidates.columns.integers("tokens.count", 0)[: self.ranked.hits]
        needed = np.cumsum(counts) - counts < budget
        needed[[*self._due(), *self._first()]] = True
        return await self._fetch(
            {self._ids[at]: TYPES[self._kinds[at]] for at in np.flatnonzero(needed).tolist()}
        )

    async def fill(self, texts: Mapping[str, EntryFields]) -> Fills:
        """Choose the context's hits: fill the working and the long-term budget. texts: from
        `texts_to_count`.
        """
        request = self._request
        budget = self._request.allowance
        limit = self._request.working_budget
        oversize = request.oversize_of(MemoryType.WORKING)
        working_plan = BudgetPlan(
            limit, (MemoryType.WORKING,), {MemoryType.WORKING: limit}, oversize=oversize
        )
        kinds = tuple(kind for kind in LONG_TERM if request.types is None or kind in request.types)
        intent = (
            self.wish in {Wish.TASKS, Wish.FINISHED},
            self.wish in {Wish.HOW_TO, Wish.PROCEDURES},
        )
        oversize = request.oversize_of(MemoryType.SEMANTIC)
        plan = BudgetPlan(budget.total, kinds, budget.per_type or {}, *intent, oversize)
        working = self._working()
        long_term = np.flatnonzero(self._kinds != _WORKING)
        return await offload(
            (memory.content for memory in texts.values()),
            lambda: Fills(
                self._filled(working_plan, self._entries(working, texts), WORKING_BLOCK),
                self._filled_with_due(plan, self._entries(long_term, texts)),
            ),
            LONG_TEXT,
        )

    async def chosen_texts(
        self, fills: Fills, texts: Mapping[str, EntryFields]
    ) -> dict[str, EntryFields]:
        """Read the chosen memories that `texts` lacks; return all by id. Memories removed meanwhile
        are left out.
        """
        chosen = {self._ids[entry.rank - 1]: entry.type for part in fills for entry in part.chosen}
        return {
            **texts,
            **await self._fetch({each: kind for each, kind in chosen.items() if each not in texts}),
        }

    async def repeats(self, fills: Fills, texts: Mapping[str, EntryFields]) -> dict[str, str]:
        """Map each chosen hit whose text is part of another one of the same time to the id of that
        hit.

        Neither is replaced. A contested hit is only left out if the other one is contested too, and
        so tells it.
        """
        by_time: dict[datetime, list[tuple[ChosenEntry, EntryFields]]] = {}
        for entry in sorted(fills.long_term.chosen):
            memory = texts.get(self._ids[entry.rank - 1])
            if memory is not None and memory.state_at(self.as_of) is not State.REPLACED:
                by_time.setdefault(memory.created_at, []).append((entry, memory))
        groups = [group for group in by_time.values() if len(group) > 1]
        contents = (memory.content for group in groups for _, memory in group)
        return await offload(
            contents,
            lambda: dict(pair for group in groups for pair in self._repeats(group)),
            LONG_TEXT,
        )

    def _repeats(
        self, group: Sequence[tuple[ChosenEntry, EntryFields]]
    ) -> Iterator[tuple[str, str]]:
        """Yield (id, id of a memory that contains its text). Only texts that have its rarest word
        are compared.
        """
        lines = [" ".join(self.renderer.entries.text(memory).split()) for _, memory in group]
        states = [memory.state_at(self.as_of) for _, memory in group]
        by_word: defaultdict[str, list[int]] = defaultdict(list)
        for position in sorted(range(len(group)), key=lambda position: -len(lines[position])):
            entry, memory = group[position]
            words = {*_WORD.findall(lines[position]), ""}
            for longer in min((by_word[word] for word in words), key=len):
                is_told = states[position] in {State.CURRENT, states[longer]}
                if is_told and _has_part(lines[longer], lines[position]):
                    yield memory.id, group[longer][1].id
                    break
            else:
                if not entry.cut:
                    for word in words:
                        by_word[word].append(position)

    def without(self, repeats: Mapping[str, str]) -> ContextWriter:
        """A writer of the same context in which hits whose ids are keys of `repeats` are
        duplicates, not hits.
        """
        return replace(self, ranked=self.ranked.without_repeats(repeats)) if repeats else self

    def chosen_ids(self, fills: Fills) -> set[str]:
        """Ids of the memories chosen for the context."""
        return {self._ids[entry.rank - 1] for part in fills for entry in part.chosen}

    async def answer(
        self, fills: Fills, texts: Mapping[str, EntryFields], degraded: Sequence[str]
    ) -> tuple[RetrieveAnswer, tuple[ShownMemory, ...]]:
        """Render the chosen memories; return the answer, and what it shows. degraded: parts that
        did not respond.
        """
        working, long_term = await offload(
            (memory.content for memory in texts.values()),
            lambda: [
                list(filter(None, (self._part(entry, texts) for entry in part.chosen)))
                for part in fills
            ],
            LONG_TEXT,
        )
        task_like = fills.long_term.plan.task_like
        long_term = self._by_due(long_term) if task_like else long_term
        shown = (*working, *long_term)
        shown_ids = {each.memory.id for each in shown}
        repeated = zip(
            self.ranked.candidates.ids[self.ranked.hits :].tolist(),
            self.ranked.duplicate_of,
            strict=False,
        )
        of_working = (
            self._ids[position] for position in np.flatnonzero(self._kinds == _WORKING).tolist()
        )
        working_block = self.renderer.block(WORKING_BLOCK, working)
        block = self.renderer.block(BLOCK, long_term, tasks_first=task_like)
        outcome: Literal["ok", "empty", "nothing_fits"] = "empty"
        if (self._kinds != _WORKING).any():
            outcome = "ok" if block.text else "nothing_fits"
        total = self.settled.total
        metadata = ContextMetadata(
            total_tokens=working_block.tokens + block.tokens,
            budget=total,
            utilization=block.tokens / total if total else 0.0,
            per_type=dict(block.per_type),
            working_tokens=working_block.tokens,
            working_excerpted=[each.memory.id for each in working if each.cut],
            working_left_out=[memory_id for memory_id in of_working if memory_id not in shown_ids],
            duplicates=[memory_id.decode() for memory_id, hit in repeated if hit in shown_ids],
            trimmed_count=self.ranked.hits - len(shown),
            candidates=self.ranked.hits,
            tokenizer=self.renderer.tokenizer.name,
            model=self._request.model,
            margin=self.settled.margin,
            outcome=outcome,
            floor=FloorAnswer(**self.ranked.floor._asdict()),
            as_of=self.as_of,
            degraded=list(degraded),
        )
        context = context_of(self.renderer.layout, (working_block, block), self._request.format)
        return RetrieveAnswer(
            context=context, items=[self._item(memory) for memory in shown], metadata=metadata
        ), shown

    async def _fetch(self, ids: Mapping[str, MemoryType]) -> dict[str, EntryFields]:
        return await self.store.read_as(self.scope, ids, EntryFields) if ids else {}

    def _are_counts_stored(self) -> bool:
        """Whether all hits have a token count of their entry in this layout, by this tokenizer."""
        if not self.renderer.layout.has_stored_counts:
            return False
        columns = self.ranked.candidates.columns
        same_tokenizer = columns.where("tokens.tokenizer", self.renderer.tokenizer.name.__eq__)
        same_entries = columns.where("tokens.renderer", self.renderer.entries.version.__eq__)
        return bool((same_tokenizer & same_entries)[: self.ranked.hits].all())

    def _entries(
        self, positions: NDArray[np.intp], texts: Mapping[str, EntryFields]
    ) -> BudgetEntries:
        """The hits at `positions` as budget entries, with stored token counts or else those counted
        in `texts`.
        """
        if not self._has_stored_counts:
            layout = self.renderer.layout
            rows = []
            for position in positions.tolist():
                if (memory := texts.get(self._ids[position])) is not None:
                    tokens = self.renderer.whole(memory, position + 1).tokens
                    rows.append((position + 1, memory.type, tokens, layout.group(memory)))
            return BudgetEntries.of(rows)
        kinds = self._kinds[positions]
        columns = self.ranked.candidates.columns.take(positions)
        events = kinds == _EPISODIC
        groups = np.full(len(positions), -1, dtype=np.int32)
        days, groups[events] = np.unique(
            columns.column("created_at")[events].astype("datetime64[D]"), return_inverse=True
        )
        headings = [day_heading(day) for day in days.astype(np.str_).tolist()]
        return BudgetEntries(
            kinds, columns.integers("tokens.line", 0), groups, headings, positions + 1
        )

    def _working(self) -> NDArray[np.intp]:
        """Positions of working items: those of the request's to-do first, then by priority, score,
        and oldest first.
        """
        positions = np.flatnonzero(self._kinds == _WORKING)
        columns = self.ranked.candidates.columns.take(positions)
        of_todo = columns.where("todo_id", lambda todo: todo == self._request.todo_id)
        priorities = columns.integers("priority", DEFAULT_PRIORITY)
        created = columns.column("created_at")
        scores = self.ranked.scores[positions]
        return positions[
            np.lexsort((columns.integers("seq", 0), created, -scores, -priorities, ~of_todo))
        ]

    def _filled(self, plan: BudgetPlan, entries: BudgetEntries, block: str) -> BudgetFill:
        overheads = Overheads(
            self.renderer.wrapper_tokens(block),
            {kind: self.renderer.heading_tokens(kind) for kind in plan.types},
            {heading: self.renderer.cost(heading) for heading in entries.headings},
        )
        return fill(plan, entries, overheads)

    def _filled_with_due(self, plan: BudgetPlan, entries: BudgetEntries) -> BudgetFill:
        """Fill the long-term budget with `entries`, which are in order of rank.

        Tokens that due tasks need are reserved for them. They are offered first, then those of
        `_first`.
        """
        is_due = np.isin(entries.ranks, self._due() + 1)
        heading = self.renderer.heading_tokens(MemoryType.PROSPECTIVE)
        due_tokens = int(entries.tokens[is_due].sum()) + heading if is_due.any() else 0
        first = (self._first() + 1).tolist()
        turns = {rank: turn for turn, rank in enumerate(first, -len(first))}
        offered = np.lexsort(([turns.get(rank, rank) for rank in entries.ranks.tolist()], ~is_due))
        return self._filled(replace(plan, due_tokens=due_tokens), entries.take(offered), BLOCK)

    def _due(self) -> NDArray[np.intp]:
        """Positions of tasks to show first: of the time that a query for tasks names, else due
        ones, in `due_room`.
        """
        positions = np.flatnonzero(self._kinds == _PROSPECTIVE)
        tasks = self.ranked.candidates.take(positions)
        for_tasks = self.wish is Wish.TASKS
        named = self._in_time[positions]
        due = comes_first(tasks, self.as_of, asked=self._request.include_due or for_tasks)
        if for_tasks:
            return positions[named if named.any() else due]
        return positions[first_due(tasks, due, due_room(self._request.allowance.total))]

    def _first(self) -> NDArray[np.intp]:
        """Positions of hits to offer before better ones: tasks due soonest, or the newest that the
        query asks for.
        """
        if self.wish not in OVERVIEW_TYPES:
            return np.empty(0, dtype=np.intp)
        hits = self.ranked.candidates.take(np.arange(self.ranked.hits))
        in_time = self._in_time[: self.ranked.hits]
        listed = overview(hits, self.wish, in_time | (not in_time.any()))
        total = self._request.allowance.total
        if self.wish is Wish.TASKS:
            return first_due(hits, listed, int(TASKS_SHARE * total))
        return newest(hits, listed & (self.wish in NEWEST), total)

    def _by_due(self, shown: Sequence[ShownMemory]) -> list[ShownMemory]:
        """`shown` by due time, finished tasks by when they were completed; those without either
        last.
        """
        columns = self.ranked.candidates.columns.take(
            np.array([memory.rank - 1 for memory in shown], dtype=np.intp)
        )
        due = np.where(
            columns.has_value("completed_at"),
            columns.column("completed_at"),
            columns.column("due_at"),
        )
        return [shown[place] for place in np.argsort(due, kind="stable").tolist()]

    def _part(self, entry: ChosenEntry, texts: Mapping[str, EntryFields]) -> ShownMemory | None:
        """Render the chosen memory; None if it was removed or does not fit into entry.allowed
        tokens.
        """
        if (memory := texts.get(self._ids[entry.rank - 1])) is None:
            return None
        if not entry.cut:
            counted = self.renderer.is_counted(memory) and memory.tokens.line == entry.allowed
            # Since it was ranked
            rewritten = self._has_stored_counts and not counted
            whole = self.renderer.whole(memory, entry.rank, None if rewritten else entry.allowed)
            return whole if whole.tokens <= entry.allowed else None
        if self._request.oversize_of(entry.type) == "excerpt":
            return self.renderer.excerpt(memory, entry.rank, entry.allowed, self._request.query)
        return self.renderer.cut(memory, entry.rank, entry.allowed)

    def _item(self, shown: ShownMemory) -> ContextItem:
        state = shown.memory.state_at(self.as_of)
        return ContextItem(
            id=shown.memory.id,
            type=shown.memory.type,
            rank=shown.rank,
            score=float(self.ranked.scores[shown.rank - 1]),
            tokens=shown.tokens,
            content=shown.content,
            signals=self.ranked.signals_at(shown.rank - 1) if self._request.explain else None,
            cut=shown.cut or None,
            excerpt=shown.excerpt or None,
            state=None if state is State.CURRENT else state,
        )


def _has_part(whole: str, text: str) -> bool:
    """Whether `whole` contains `text` between punctuation marks, or between one and its beginning
    or end.
    """
    words = text.rstrip(string.punctuation)
    place = whole.find(words) if words else -1
    while place >= 0:
        if (not place or _MARK.fullmatch(whole, place - 2, place)) and _ENDING.match(
            whole, place + len(words)
        ):
            return True
        place = whole.find(words, place + 1)
    return False
