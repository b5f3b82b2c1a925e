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
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.harness.stores import TENANT, Opened, open_parts, settings_in
from benchmarks.training.scenes import SceneGroup, SceneQuestion, scene_groups
from memtypes.linear_model import FloatArray, LinearModel, from_binary
from memtypes.model.scope import Scope
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
    question: SceneQuestion,
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
