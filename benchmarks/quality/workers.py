"""Shares the questions of a set among processes, each with an encoder on the same store."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_process

from benchmarks.harness.stores import open_parts, settings_in
from benchmarks.quality.evaluation import Evaluation, Manner, QuestionScore, Slice, evaluate
from benchmarks.sets.data import EvaluationSet
from benchmarks.sets.loading import Loaded


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
        evaluation = Evaluation(opened.retriever, opened.tokenizer.count, work.manner)
        return await evaluate(evaluation, work.whole, work.loaded, part)
