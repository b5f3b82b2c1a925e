"""Trains the model that judges which of two hits took the place of the other, and prints its
quality on unseen authors.

    python -m benchmarks.training.succession [--save]

It learns from the questions of the scenes in tests/data/training/statements, with the texts that
answer them and those that are outdated. --save trains on all authors and writes succession.npz to
retrieval/ranking. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.harness.stores import TENANT, Opened, open_parts, settings_in
from benchmarks.training.scenes import Scene, authors, scenes_by
from memtypes.linear_model import FloatArray, LinearModel, from_binary
from memtypes.model.episodic import EpisodicDraft
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.prospective import ProspectiveDraft
from memtypes.model.scope import Scope
from memtypes.model.semantic import SemanticDraft
from memtypes.model.types import AnyDraft
from memtypes.search.candidates import Candidates
from memtypes.search.vectors import numbered
from retrieval.query.named_times import QueryTimes
from retrieval.query.profiles import weights_for
from retrieval.query.request import SearchRequest
from retrieval.ranking.scoring import Scoring, rank
from retrieval.ranking.succession import best_of_each_text, pairs_of
from retrieval.retriever import Retriever

ROOT = Path(__file__).parents[2]
FILE = ROOT / "retrieval" / "ranking" / "succession.npz"

STRENGTH = 0.05
"""Inverse L2 penalty."""

ONE_SIDED = 0.2
"""Training weight of a pair in which one side answers and the other is about something else, or in
which neither answers. Their order matters less than that of a current and an outdated statement.
"""


TOGETHER = 8
"""Number of scenes in a namespace, so that most memories are about other things than a question."""

_LAST = date(2026, 10, 30)
_DRAFTS = {
    MemoryType.PROSPECTIVE: ProspectiveDraft,
    MemoryType.SEMANTIC: SemanticDraft,
    MemoryType.PROCEDURAL: ProceduralDraft,
    MemoryType.EPISODIC: EpisodicDraft,
}


@dataclass(frozen=True, slots=True)
class GroupQuestion:
    """A question, asked at time `at`. answers, outdated: names of the texts that answer it, and of
    those that did so earlier.
    """

    text: str
    at: datetime
    answers: frozenset[str]
    outdated: frozenset[str]


@dataclass(frozen=True, slots=True)
class SceneGroup:
    """Scenes of one author in one namespace: texts as (name, draft), in order of time, and the
    questions about them. A text that states several things is there as each of them.
    """

    author: str
    namespace: str
    drafts: tuple[tuple[str, AnyDraft], ...]
    questions: tuple[GroupQuestion, ...]


def scene_groups() -> Iterator[SceneGroup]:
    """Yield the scenes with questions of all authors, TOGETHER of them at a time."""
    for author in authors():
        asked = [scene for scene in scenes_by(author) if scene.questions]
        asked.sort(key=lambda scene: scene.language)
        for number, start in enumerate(range(0, len(asked), TOGETHER)):
            yield _group(author, number, asked[start : start + TOGETHER])


def _group(author: str, number: int, scenes: Sequence[Scene]) -> SceneGroup:
    drafts: list[tuple[str, AnyDraft]] = []
    questions: list[GroupQuestion] = []
    for scene in scenes:
        last = max(question.day for question in scene.questions)
        # All scenes end in the same week, on their own weekdays
        shift = timedelta(weeks=(_LAST - last).days // 7)
        drafts += _drafts(scene, shift)
        questions += [
            GroupQuestion(
                question.text,
                datetime.combine(question.day + shift, time(20), UTC),
                frozenset(f"{scene.name}/{name}" for name in question.answers),
                frozenset(f"{scene.name}/{name}" for name in question.outdated),
            )
            for question in scene.questions
        ]
    drafts.sort(key=lambda pair: str(pair[1].created_at))
    return SceneGroup(author, f"{author}-{number}", tuple(drafts), tuple(questions))


def _drafts(scene: Scene, shift: timedelta) -> Iterator[tuple[str, AnyDraft]]:
    for number, text in enumerate(scene.texts):
        day = text.day + shift
        at = datetime.combine(day, time(9), UTC) + timedelta(minutes=4 * number)
        for kind in text.kinds or (MemoryType.EPISODIC,):
            fields: dict[str, Any] = {
                "type": kind,
                "content": text.text,
                "created_at": at,
                "session_id": f"{scene.name}-{day}",
            }
            if kind is MemoryType.EPISODIC:
                fields["speaker"] = "assistant" if text.speaker == "agent" else text.speaker
            yield f"{scene.name}/{text.name}", _DRAFTS[kind](**fields)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A question of `author` and its best hits.

    scores: of the hits, shape (hits,). answers, outdated: masks of them. pairs: positions (earlier,
    later) in these arrays. features: of the pairs.
    """

    author: str
    scores: NDArray[np.float64]
    answers: NDArray[np.bool_]
    outdated: NDArray[np.bool_]
    pairs: Sequence[tuple[int, int]]
    features: FloatArray


async def examples() -> list[Example]:
    """Examples of all questions with an answer, from searches in a temporary store with all
    scenes.
    """
    with tempfile.TemporaryDirectory() as folder:
        async with open_parts(settings_in(Path(folder))) as opened:
            return [
                example for group in scene_groups() async for example in _examples_of(opened, group)
            ]


async def _examples_of(opened: Opened, group: SceneGroup) -> AsyncIterator[Example]:
    scope = Scope(TENANT, group.namespace)
    outcomes = await opened.ingestor.write(scope, [draft for _, draft in group.drafts])
    ids: dict[str, set[bytes]] = {}
    for (name, _), outcome in zip(group.drafts, outcomes, strict=True):
        ids.setdefault(name, set()).add(str(outcome.id).encode())
    for question in group.questions:
        if question.answers:
            sides = [
                np.array([one for name in names for one in ids[name]], dtype="S36")
                for names in (question.answers, question.outdated)
            ]
            example = await _example(opened, group.author, scope, question, sides)
            if example is not None:
                yield example


async def _example(
    opened: Opened,
    author: str,
    scope: Scope,
    question: GroupQuestion,
    sides: Sequence[NDArray[np.bytes_]],
) -> Example | None:
    searched: list[Candidates] = []

    def record(candidates: Candidates) -> Candidates:
        searched.append(candidates)
        return candidates

    asked = SearchRequest(query=question.text, namespace=scope.namespace, as_of=question.at)
    _, weights = weights_for(asked, QueryTimes.from_query(question.text, question.at))
    # The order before linked and later ones are raised
    unraised = {**weights, "current": 0.0, "link": 0.0}
    request = asked.model_copy(update={"weights": unraised})
    await Retriever(replace(opened.parts, adjust=record)).search(scope, request)
    terms = numbered(opened.sparse.encode_query(question.text).indices)
    ranked = rank(searched[-1], Scoring(unraised, question.at, question.text, terms=terms))
    hits = ranked.candidates
    positions = best_of_each_text(hits, ranked.scores)
    if len(positions) < 2:
        return None
    places = {position: place for place, position in enumerate(positions.tolist())}
    pairs, features = pairs_of(hits, positions, ranked.scores, terms)
    best = hits.ids[positions]
    return Example(
        author,
        ranked.scores[positions],
        np.isin(best, sides[0]),
        np.isin(best, sides[1]),
        [(places[earlier], places[later]) for earlier, later in pairs],
        features,
    )


def train(rows: Sequence[Example]) -> LinearModel:
    """A model trained on the pairs of `rows`."""
    features: list[FloatArray] = []
    labels: list[bool] = []
    weights: list[float] = []
    for row in rows:
        for (earlier, later), values in zip(row.pairs, row.features, strict=True):
            if row.answers[earlier] and row.answers[later]:
                continue
            is_change = row.outdated[earlier] and row.answers[later]
            features.append(values)
            labels.append(bool(row.answers[later]))
            weights.append(1.0 if is_change or row.answers[earlier] else ONE_SIDED)
    matrix = np.vstack(features)
    scaler = StandardScaler().fit(matrix)
    fitted = LogisticRegression(C=STRENGTH, max_iter=2_000).fit(
        scaler.transform(matrix), np.array(labels), sample_weight=np.array(weights)
    )
    scaled = fitted.coef_[0] / scaler.scale_
    bias = float(fitted.intercept_[0] - (scaled * scaler.mean_).sum())
    return from_binary(("stays", "succeeds"), scaled.astype(np.float32), bias)


def order(row: Example, succeeds: Sequence[bool]) -> list[int]:
    """The hits of `row`, best first, after later statements were raised above earlier ones."""
    scores = row.scores.copy()
    for (earlier, later), is_later_state in zip(row.pairs, succeeds, strict=True):
        if is_later_state:
            scores[later] = max(scores[later], scores[earlier] + 1e-6)
    best: list[int] = np.argsort(-scores, kind="stable").tolist()
    return best


def report(rows: Sequence[Example]) -> None:
    """Print how often the current statement ranks above every outdated one, and the MRR of the
    first answer, by models trained without the author.
    """
    probabilities: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(rows)
    for author in sorted({row.author for row in rows}):
        model = train([row for row in rows if row.author != author])
        for index, row in enumerate(rows):
            if row.author == author:
                probabilities[index] = model.probabilities(row.features)[:, 1]
    print("| raised from | current first | questions | MRR | questions |\n|---|---|---|---|---|")
    for least in (1.1, 0.1, 0.15, 0.2, 0.3, 0.5):
        first: list[bool] = []
        reciprocal: list[float] = []
        for row, judged in zip(rows, probabilities, strict=True):
            best = order(row, (judged >= least).tolist())
            answers = [rank for rank, hit in enumerate(best, 1) if row.answers[hit]]
            outdated = [rank for rank, hit in enumerate(best, 1) if row.outdated[hit]]
            reciprocal.append(1 / answers[0] if answers else 0.0)
            if outdated:
                first.append(bool(answers) and answers[0] < outdated[0])
        name = "never" if least > 1 else f"{least:g}"
        figures = f"{np.mean(first):.3f} | {len(first)} | {np.mean(reciprocal):.3f} | {len(rows)}"
        print(f"| {name} | {figures} |")


def main() -> None:
    """Print the model's quality on unseen authors. --save writes one trained on all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.succession")
    parser.add_argument("--save", action="store_true", help="train on all and write the model")
    options = parser.parse_args()
    rows = asyncio.run(examples())
    report(rows)
    if options.save:
        train(rows).save(FILE)


if __name__ == "__main__":
    main()
