"""Trains the models that judge which memories answer a question, and prints their quality on unseen
projects.

    python -m benchmarks.training.helpfulness --data ../shared/data/behaviour [--save]

Questions come from tests/data/training/questions.jsonl and from projects/*.json in the `--data`
folder. Each is also used without the memories that answer it, as a question without an answer, and
with only a few memories in the store. --save trains on all questions and writes answerable.npz and
helps.npz to retrieval/ranking. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.harness.stores import TENANT, Opened, open_parts, settings_in
from benchmarks.training.embedding import trained_on
from memtypes.linear_model import LinearModel, from_binary
from memtypes.model.episodic import EpisodicDraft
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.semantic import SemanticDraft
from memtypes.model.types import AnyDraft
from memtypes.search.candidates import Candidates
from memtypes.search.vectors import numbered
from retrieval.query.profiles import SIGNALS
from retrieval.query.request import SearchRequest
from retrieval.ranking.helpfulness import Matches, hit_features, question_features
from retrieval.ranking.scoring import Scoring, rank
from retrieval.retriever import Retriever

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "retrieval" / "ranking"
TEXTS = ROOT / "tests" / "data" / "training" / "questions.jsonl"
TOGETHER = "all of them"
"""Namespace with the memories of all authored projects, where most memories are on other topics
than the question.
"""

FACTS = "all of them, as facts"
"""Namespace like TOGETHER, but the memories are facts, which are embedded without the preceding
turns.
"""

STRENGTH = 3e-4
HIT_STRENGTH = 0.1
"""Inverse L2 penalties; 0.0001 to 0.001 do about equally well on unseen projects."""

WITHOUT_EVIDENCE = 0.15
DATED = 0.5
"""Training weights of altered questions: with some memories removed, and with a date added to the
text.
"""

MAX_SAMPLE = 8
"""Maximum number of memories, besides the evidence, that a question keeps as an example of a small
store.
"""

SHARE_ANSWERED = 0.9
"""Share of questions with an answer, as assumed in calibration. In training, half of the weight is
on them.
"""

_START = datetime(2026, 1, 5, 9, tzinfo=UTC)
_DATES = (
    "in May 2025",
    "on 16 August, 2025",
    "as of November 2025",
    "during the summer of 2025",
    "on October 3, 2025",
    "in the last week of December",
    "in 2025",
    "on Monday",
    "last week",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, asked at time `at`. evidence: names of the memories that answer it. weight: in
    training.
    """

    text: str
    at: datetime
    evidence: frozenset[str]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class World:
    """A project's memories as (name, draft), and questions about them. group: the project's name in
    every namespace.
    """

    group: str
    namespace: str
    drafts: tuple[tuple[str, AnyDraft], ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """Features and labels of a question and of its hits, for training. helps: whether each hit
    answers the question.

    answered: whether any hit does. group: project of the question. unaltered: False if some
    candidates were removed.
    """

    group: str
    question: NDArray[np.float32]
    hits: NDArray[np.float32]
    helps: NDArray[np.bool_]
    answered: bool
    weight: float
    unaltered: bool


def projects(folder: Path) -> Iterator[World]:
    """Yield the project of each JSON file in `folder`: its messages as memories, and the questions
    about them.
    """
    for path in sorted(folder.glob("*.json")):
        world = json.loads(path.read_text("utf-8"))
        drafts = [
            (message["id"], _draft(session["id"], message, datetime.fromisoformat(message["at"])))
            for session in world["sessions"]
            for message in session["messages"]
        ]
        questions = [
            Question(
                row["text"], datetime.fromisoformat(row["asked_at"]), frozenset(row["evidence"])
            )
            for row in world["questions"]
        ]
        yield World(world["name"], world["name"], tuple(drafts), tuple(questions))


def authored(path: Path) -> Iterator[World]:
    """Yield each project of the file `path` three times: in a namespace of its own, in TOGETHER and
    in FACTS.

    In its own namespace, each question is also asked with a date added to its text.
    """
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for namespace, as_facts in ((None, False), (TOGETHER, False), (FACTS, True)):
        for number, row in enumerate(rows):
            drafts = tuple(_named_drafts(row, number, as_facts=as_facts))
            questions = []
            for labels in row["questions"]:
                evidence = frozenset(f"{row['world']}/{index}" for index in labels["evidence"])
                questions.append(Question(labels["text"], _START + timedelta(days=60), evidence))
            if namespace is None:
                rng = random.Random(row["world"])  # noqa: S311 - not for security
                dated = [
                    f"{question.text.rstrip('? ')} {rng.choice(_DATES)}?" for question in questions
                ]
                questions += [
                    replace(row, text=text, weight=DATED)
                    for row, text in zip(questions, dated, strict=True)
                ]
            yield World(row["world"], namespace or row["world"], drafts, tuple(questions))


def _named_drafts(
    row: Mapping[str, Any], number: int, *, as_facts: bool
) -> Iterator[tuple[str, AnyDraft]]:
    for index, message in enumerate(row["messages"]):
        session = index // 8
        at = _START + timedelta(days=3 * session, hours=7 * number, minutes=index)
        yield (
            f"{row['world']}/{index}",
            _draft(f"{row['world']}/{session}", message, at, as_fact=as_facts),
        )


def _draft(
    session: str, message: Mapping[str, Any], at: datetime, *, as_fact: bool = False
) -> AnyDraft:
    speaker = message["role"]
    content = message["content"]
    if as_fact:
        return SemanticDraft(
            type=MemoryType.SEMANTIC, content=content, session_id=session, created_at=at
        )
    return EpisodicDraft(
        type=MemoryType.EPISODIC,
        content=content,
        speaker=speaker,
        session_id=session,
        created_at=at,
    )


async def examples(worlds: Sequence[World]) -> list[Example]:
    """Training examples from searches for all questions, in a temporary store with the memories of
    `worlds`.
    """
    with tempfile.TemporaryDirectory() as folder:
        async with open_parts(settings_in(Path(folder))) as opened:
            ids: dict[tuple[str, str], dict[str, str]] = {}
            for world in worlds:
                scope = Scope(TENANT, world.namespace)
                outcomes = await opened.ingestor.write(scope, [draft for _, draft in world.drafts])
                names = (name for name, _ in world.drafts)
                ids[world.group, world.namespace] = {
                    name: str(outcome.id) for name, outcome in zip(names, outcomes, strict=True)
                }
            asked = [(world, question) for world in worlds for question in world.questions]
            return [
                row
                for world, question in asked
                async for row in _examples_of(opened, world, question, ids)
            ]


async def _examples_of(
    opened: Opened,
    world: World,
    question: Question,
    ids: Mapping[tuple[str, str], Mapping[str, str]],
) -> AsyncIterator[Example]:
    """Search for `question`. Yield up to four examples: one with all candidates, the others with
    some removed.
    """
    searched: list[Candidates] = []

    def record(candidates: Candidates) -> Candidates:
        searched.append(candidates)
        return candidates

    request = SearchRequest(query=question.text, namespace=world.namespace, as_of=question.at)
    answer = await Retriever(replace(opened.parts, adjust=record)).search(
        Scope(TENANT, world.namespace), request
    )
    terms = numbered(opened.sparse.encode_query(question.text).indices)
    tokens = (await opened.embedder.embed_query(question.text)).tokens
    scoring = Scoring(answer.weights, question.at, question.text, terms=terms, tokens=tokens)
    evidence = np.array(
        [ids[world.group, world.namespace][name].encode() for name in question.evidence],
        dtype="S36",
    )
    candidates = searched[-1]
    helps = np.isin(candidates.ids, evidence)
    other_rows = np.flatnonzero(~helps)
    rng = random.Random(question.text)  # noqa: S311 - not for security
    sampled_rows = np.array(
        rng.sample(other_rows.tolist(), min(rng.randint(1, MAX_SAMPLE), len(other_rows))), np.intp
    )
    row_subsets = [other_rows] if question.evidence else []
    row_subsets += [
        sampled_rows,
        *([np.concatenate([np.flatnonzero(helps), sampled_rows])] if helps.any() else []),
    ]
    for subset in (candidates, *(candidates.take(rows) for rows in row_subsets)):
        unaltered = subset is candidates
        features, hits, hit_ids = _features(subset, scoring)
        is_evidence = np.isin(hit_ids, evidence)
        weight = question.weight if unaltered else WITHOUT_EVIDENCE * question.weight
        yield Example(
            world.group, features, hits, is_evidence, bool(is_evidence.any()), weight, unaltered
        )


def _features(
    candidates: Candidates, scoring: Scoring
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bytes_]]:
    """The features of the question, those of each hit, and the ids of the hits."""
    if scoring.tokens is None:
        raise ValueError("the encoder returns no token vectors, which the features need")
    ranked = rank(candidates, scoring)
    hit_ids = ranked.candidates.ids[: ranked.hits]
    position = {memory_id: index for index, memory_id in enumerate(candidates.ids.tolist())}
    hits = candidates.take(np.array([position[memory_id] for memory_id in hit_ids.tolist()]))
    similarity, context = (
        ranked.signals[SIGNALS.index(name), : ranked.hits] for name in ("similarity", "context")
    )
    matches = Matches.from_hits(scoring.terms, hits, similarity, context)
    if matches is None:
        raise ValueError("the store returns no token similarities, which the features need")
    return question_features(matches, scoring.tokens), hit_features(matches), hit_ids


@dataclass(frozen=True, slots=True)
class Models:
    """Two linear models. answerable: whether any memory answers a question. helps: whether a hit
    does if any does.
    """

    answerable: LinearModel
    helps: LinearModel

    def helpful(self, example: Example) -> NDArray[np.float32]:
        """For each hit of `example`, the probability that it helps to answer the question."""
        hits: NDArray[np.float32] = (
            self.answered(example) * self.helps.probabilities(example.hits)[:, 1]
        )
        return hits

    def answered(self, example: Example) -> float:
        """The probability that any memory answers the question of `example`."""
        return float(self.answerable.probabilities(example.question[np.newaxis])[0, 1])


def train(rows: Sequence[Example]) -> Models:
    """Both models, trained on `rows`. The probability that any memory answers is calibrated by
    cross-validation.
    """
    slope, intercept = _calibration(rows)
    weights, bias = _question_fit(rows)
    answerable = from_binary(
        ("no", "yes"), (slope * weights).astype(np.float32), slope * bias + intercept
    )
    answered = [row for row in rows if row.answered and row.unaltered]
    hits = np.vstack([row.hits for row in answered])
    helps = np.concatenate([row.helps for row in answered])
    hit_weights = np.concatenate([np.full(len(row.hits), row.weight) for row in answered])
    return Models(
        answerable, from_binary(("no", "yes"), *_logistic(hits, helps, hit_weights, HIT_STRENGTH))
    )


def _question_fit(rows: Sequence[Example]) -> tuple[NDArray[np.float32], float]:
    answered = np.array([row.answered for row in rows])
    weights = np.array([row.weight for row in rows])
    weights = (
        np.where(answered, weights / weights[answered].sum(), weights / weights[~answered].sum())
        * len(rows)
        / 2
    )
    return _logistic(np.vstack([row.question for row in rows]), answered, weights, STRENGTH)


def _calibration(rows: Sequence[Example]) -> tuple[float, float]:
    """Slope and intercept that calibrate the log odds of an answer, as if SHARE_ANSWERED of the
    questions had one.
    """
    unaltered = [row for row in rows if row.unaltered]
    groups = sorted({row.group for row in unaltered})
    scores = np.zeros(len(unaltered))
    for fold in range(10):
        left_out = set(groups[fold::10])
        weights, bias = _question_fit([row for row in rows if row.group not in left_out])
        for index, row in enumerate(unaltered):
            if row.group in left_out:
                scores[index] = row.question @ weights + bias
    answered = np.array([row.answered for row in unaltered])
    prior = np.where(
        answered, SHARE_ANSWERED / answered.mean(), (1 - SHARE_ANSWERED) / (~answered).mean()
    )
    slope, intercept = _logistic(scores[:, np.newaxis], answered, prior, 1e3)
    return float(slope[0]), intercept


def _logistic(
    features: NDArray[Any], labels: NDArray[np.bool_], weights: NDArray[Any], strength: float
) -> tuple[NDArray[np.float32], float]:
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(C=strength, max_iter=3_000).fit(
        scaler.transform(features), labels, sample_weight=weights
    )
    scaled = fitted.coef_[0] / scaler.scale_
    return scaled.astype(np.float32), float(fitted.intercept_[0] - (scaled * scaler.mean_).sum())


def report(trained: Sequence[Example], tested: Sequence[Example]) -> None:
    """Print predicted probabilities and observed shares on `tested`, by models trained without the
    tested project.
    """
    predicted = []
    answered = []
    predicted_helps = []
    helps = []
    for group in sorted({row.group for row in tested}):
        models = train([row for row in (*trained, *tested) if row.group != group])
        for row in tested:
            if row.group == group and row.unaltered:
                predicted.append(models.answered(row))
                answered.append(row.answered)
                predicted_helps.append(models.helpful(row))
                helps.append(row.helps)
    print(
        "| a hit answers: predicted | questions | predicted, mean | observed |\n|---|---|---|---|"
    )
    _reliability(
        np.array(predicted), np.array(answered), (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.01)
    )
    print("| a hit helps: predicted | hits | predicted, mean | observed |\n|---|---|---|---|")
    edges = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1.01)
    _reliability(np.concatenate(predicted_helps), np.concatenate(helps), edges)


def _reliability(predicted: NDArray[Any], observed: NDArray[Any], edges: Sequence[float]) -> None:
    for low, high in itertools.pairwise(edges):
        inside = (predicted >= low) & (predicted < high)
        if inside.any():
            means = f"{predicted[inside].mean():.3f} | {observed[inside].mean():.3f}"
            print(f"| {low:g} to {min(high, 1):g} | {inside.sum()} | {means} |")


def main() -> None:
    """Print how reliable the models' probabilities are on unseen projects. --save writes models
    trained on all.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the behaviour sets")
    parser.add_argument(
        "--save", action="store_true", help="train on everything and write the models"
    )
    options = parser.parse_args()
    authored_examples = asyncio.run(examples(list(authored(TEXTS))))
    project_examples = asyncio.run(examples(list(projects(options.data / "projects"))))
    report(authored_examples, project_examples)
    if options.save:
        models = train([*authored_examples, *project_examples])
        encoders = trained_on()
        replace(models.answerable, encoders=encoders).save(PACKAGE / "answerable.npz")
        replace(models.helps, encoders=encoders).save(PACKAGE / "helps.npz")


if __name__ == "__main__":
    main()
