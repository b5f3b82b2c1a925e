"""Shares the questions of a set among processes, each with an encoder and a cache on the same store."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import anyio
import anyio.to_process
from numpy.typing import NDArray

from benchmarks.harness.stores import open_parts, settings_in
from benchmarks.quality.evaluation import Evaluation, Manner, QuestionScore, Slice, evaluate
from benchmarks.sets.data import EvaluationSet
from benchmarks.sets.loading import Loaded
from memtypes.model.filters import Filter
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore, Page, Record, TypeStats
from memtypes.search.candidates import Candidates
from retrieval.retriever import Retriever

_SEARCHES = 64
"""Cached searches: a few times those of the questions under way, at a few hundred candidates each."""


@dataclass(frozen=True, slots=True)
class Work:
    """The set to evaluate, in the store in `directory`."""

    directory: Path
    whole: EvaluationSet
    loaded: Loaded
    manner: Manner = field(default_factory=Manner)


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


async def evaluate_shared(work: Work, workers: int) -> list[QuestionScore]:
    """A score for each question, in the order of the set, from `workers` processes."""
    scores: dict[int, list[QuestionScore]] = {}
    limiter = anyio.CapacityLimiter(workers)

    async def score(part: Slice) -> None:
        scores[part.first] = await anyio.to_process.run_sync(_run, work, part, limiter=limiter)

    async with anyio.create_task_group() as tasks:
        for first in range(workers):
            tasks.start_soon(score, Slice(first, workers))
    return [scores[index % workers][index // workers] for index in range(work.whole.questions)]


def _run(work: Work, part: Slice) -> list[QuestionScore]:
    return anyio.run(_score, work, part)


async def _score(work: Work, part: Slice) -> list[QuestionScore]:
    async with open_parts(settings_in(work.directory)) as opened:
        retriever = Retriever(replace(opened.parts, store=CachedStore(opened.store)))
        evaluation = Evaluation(retriever, opened.tokenizer.count, work.manner)
        return await evaluate(evaluation, work.whole, work.loaded, part)


class CachedStore(MemoryStore):
    """Reads of `store`, cached: a question with many budgets is searched for once. Writing is refused."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._memories: dict[tuple[Scope, str], Memory] = {}
        self._searches: dict[Hashable, Candidates] = {}

    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """The memories of `ids`; each is read from the store once."""
        unread = [name for name in ids if (scope, name) not in self._memories]
        if unread:
            wanted = {name: ids[name] for name in unread} if isinstance(ids, Mapping) else unread
            memories = await self._store.get(scope, wanted)
            self._memories |= {(scope, name): memory for name, memory in memories.items()}
        return {name: self._memories[scope, name] for name in ids if (scope, name) in self._memories}

    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[Candidates]:
        """The candidates of each search; recent searches are not repeated."""
        keys = [_key(scope, search) for search in searches]
        found = {key: self._searches.pop(key) for key in dict.fromkeys(keys) if key in self._searches}
        new = {key: search for key, search in zip(keys, searches, strict=True) if key not in found}
        if new:
            found |= dict(zip(new, await self._store.candidates(scope, list(new.values())), strict=True))
        self._searches |= found
        for oldest in list(self._searches)[:-_SEARCHES]:
            del self._searches[oldest]
        return [found[key] for key in keys]

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """The store's page."""
        return await self._store.page(scope, listing)

    async def stats(self, scope: Scope) -> dict[MemoryType, TypeStats]:
        """The store's counts."""
        return await self._store.stats(scope)

    async def namespaces(self, tenant: str) -> list[str]:
        """The store's namespaces."""
        return await self._store.namespaces(tenant)

    async def ping(self) -> None:
        """Ping the store."""
        await self._store.ping()

    async def aclose(self) -> None:
        """Do nothing: whoever opened the store closes it."""

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> NoReturn:
        """Raise NotImplementedError."""
        raise NotImplementedError

    async def patch(
        self,
        scope: Scope,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        removed: Sequence[str] = (),
        fence: int | None = None,
    ) -> NoReturn:
        """Raise NotImplementedError."""
        raise NotImplementedError

    async def delete(self, scope: Scope, ids: Sequence[str]) -> NoReturn:
        """Raise NotImplementedError."""
        raise NotImplementedError

    async def delete_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> NoReturn:
        """Raise NotImplementedError."""
        raise NotImplementedError


def _key(scope: Scope, search: CandidateSearch) -> Hashable:
    """The search as a value; arrays by their bytes, a filter by its repr, which has all of it."""
    sparse = search.sparse
    return (
        scope,
        search.depth,
        repr(dict(search.filters)),
        _bytes(search.dense),
        None if sparse is None else (_bytes(sparse.indices), _bytes(sparse.values)),
        _bytes(search.tokens),
    )


def _bytes(array: NDArray[Any] | None) -> bytes | None:
    return None if array is None else array.tobytes()
