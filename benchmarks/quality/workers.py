"""The questions of a set shared out among processes, each with an encoder of its own on the one store."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.to_process

from benchmarks.apparatus.opened import open_parts, settings_in
from benchmarks.quality.evaluation import Evaluation, Manner, QuestionScore, Share, evaluate
from benchmarks.quality.remembered import RememberedStore
from benchmarks.sets.data import EvaluationSet
from benchmarks.sets.loading import Loaded
from retrieval.retriever import Retriever


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked of whom. directory: of the store."""

    directory: Path
    asked: EvaluationSet
    loaded: Loaded
    manner: Manner = field(default_factory=Manner)


def cores() -> int:
    """How many processes can work at once."""
    return len(os.sched_getaffinity(0))


async def evaluate_shared(work: Work, workers: int) -> list[QuestionScore]:
    """A score a question, in the order of the set, by so many processes."""
    shares = [Share(first, workers) for first in range(workers)]
    found: dict[int, list[QuestionScore]] = {}

    async def score(share: Share) -> None:
        found[share.first] = await anyio.to_process.run_sync(_scored, work, share, limiter=limiter)

    limiter = anyio.CapacityLimiter(workers)
    async with anyio.create_task_group() as tasks:
        for share in shares:
            tasks.start_soon(score, share)
    return [found[index % workers][index // workers] for index in range(work.asked.questions)]


def _scored(work: Work, share: Share) -> list[QuestionScore]:
    return anyio.run(_score, work, share)


async def _score(work: Work, share: Share) -> list[QuestionScore]:
    async with open_parts(settings_in(work.directory)) as opened:
        retriever = Retriever(replace(opened.parts, store=RememberedStore(opened.store)))
        evaluation = Evaluation(retriever, opened.tokenizer.count, work.manner)
        return await evaluate(evaluation, work.asked, work.loaded, share)
