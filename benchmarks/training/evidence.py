"""Trains the models that tell which memories answer a question, and prints their quality on unseen projects.

    python -m benchmarks.training.evidence --data ../shared/data/behaviour [--save]

Questions come from tests/data/training/questions.jsonl and from projects/*.json in the `--data` folder. To learn from
questions without an answer too, each question is also used without the memories that answer it, and with few others.
--save trains on all questions and writes answerable.npz and helps.npz to retrieval/ranking. Needs scikit-learn.
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
from retrieval.ranking.evidence import Matches, hit_features, question_features
from retrieval.ranking.scoring import Scoring, SignalTable, rank
from retrieval.retriever import Retriever

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "retrieval" / "ranking"
TEXTS = ROOT / "tests" / "data" / "training" / "questions.jsonl"
TOGETHER = "all of them"
"""Namespace with the memories of all authored worlds, where most memories are on other topics than the question."""

FACTS = "all of them, as facts"
"""Namespace like TOGETHER, but with facts as memories, which are embedded without the preceding turns."""

STRENGTH, HIT_STRENGTH = 3e-4, 0.1
"""Inverse L2 penalties; 0.0001 to 0.001 do about equally well on unseen projects."""

WITHOUT_EVIDENCE, DATED = 0.15, 0.5
"""Training weights of altered questions: with some memories taken away, and with a date added to the text."""

FEW = 8
"""Maximum number of memories, apart from the evidence, in the small store in which a question is asked again."""

SHARE_ANSWERED = 0.9
"""Share of questions with an answer for calibration; in training, questions with and without count equally."""

_START = datetime(2026, 1, 5, 9, tzinfo=UTC)
_DATES = ("in May 2025", "on 16 August, 2025", "as of November 2025", "during the summer of 2025", "on October 3, 2025",
          "in the last week of December", "in 2025", "on Monday", "last week")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A question asked at time `at`. evidence: names of the memories that answer it. weight: weight in training."""

    text: str
    at: datetime
    evidence: frozenset[str]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class World:
    """A project's memories as (name, draft), and questions about them. Its copies in other namespaces share `group`."""

    group: str
    namespace: str
    drafts: tuple[tuple[str, AnyDraft], ...]
    questions: tuple[Asked, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """Features and labels of a question and of its hits, for training. helps: whether each hit answers the question.

    answered: whether any hit does. group: project of the question. real: False if hits were taken away on purpose.
    """

    group: str
    question: NDArray[np.float32]
    hits: NDArray[np.float32]
    helps: NDArray[np.bool_]
    answered: bool
    weight: float
    real: bool


def projects(folder: Path) -> Iterator[World]:
    """Yield a world for each JSON file in `folder`: a project's messages as memories, and the questions about them."""
    for path in sorted(folder.glob("*.json")):
        world = json.loads(path.read_text("utf-8"))
        drafts = [
            (message["id"], _draft(session["id"], message, datetime.fromisoformat(message["at"])))
            for session in world["sessions"]
            for message in session["messages"]
        ]
        asked = [
            Asked(one["text"], datetime.fromisoformat(one["asked_at"]), frozenset(one["evidence"]))
            for one in world["questions"]
        ]
        yield World(world["name"], world["name"], tuple(drafts), tuple(asked))


def authored(path: Path) -> Iterator[World]:
    """Yield three Worlds (memories and questions) per project in `path`: alone, among all projects, and so as facts."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for namespace, as_facts in ((None, False), (TOGETHER, False), (FACTS, True)):
        for number, row in enumerate(rows):
            drafts = tuple(_numbered(row, number, as_facts=as_facts))
            asked = []
            for question in row["questions"]:
                evidence = frozenset(f"{row['world']}/{index}" for index in question["evidence"])
                asked.append(Asked(question["text"], _START + timedelta(days=60), evidence))
            if namespace is None:
                choice = random.Random(row["world"])  # noqa: S311 - not for security
                dated = [f"{each.text.rstrip('? ')} {choice.choice(_DATES)}?" for each in asked]
                asked += [replace(each, text=text, weight=DATED) for each, text in zip(asked, dated, strict=True)]
            yield World(row["world"], namespace or row["world"], drafts, tuple(asked))


def _numbered(row: Mapping[str, Any], number: int, *, as_facts: bool) -> Iterator[tuple[str, AnyDraft]]:
    for index, message in enumerate(row["messages"]):
        session = index // 8
        at = _START + timedelta(days=3 * session, hours=7 * number, minutes=index)
        yield f"{row['world']}/{index}", _draft(f"{row['world']}/{session}", message, at, as_fact=as_facts)


def _draft(session: str, message: Mapping[str, Any], at: datetime, *, as_fact: bool = False) -> AnyDraft:
    speaker, content = message["role"], message["content"]
    if as_fact:
        return SemanticDraft(type=MemoryType.SEMANTIC, content=content, session_id=session, created_at=at)
    return EpisodicDraft(type=MemoryType.EPISODIC, content=content, speaker=speaker, session_id=session, created_at=at)


async def examples(worlds: Sequence[World]) -> list[Example]:
    """Write the memories of `worlds` to a temporary store, search for all questions, and return training examples."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_parts(settings_in(Path(folder))) as opened:
            ids: dict[tuple[str, str], dict[str, str]] = {}
            for world in worlds:
                scope = Scope(TENANT, world.namespace)
                outcomes = await opened.ingestor.write(scope, [draft for _, draft in world.drafts])
                names = (name for name, _ in world.drafts)
                ids[world.group, world.namespace] = {
                    name: str(one.id) for name, one in zip(names, outcomes, strict=True)
                }
            return [
                each for world in worlds for asked in world.questions async for each in _of(opened, world, asked, ids)
            ]


async def _of(
    opened: Opened, world: World, asked: Asked, ids: Mapping[tuple[str, str], Mapping[str, str]]
) -> AsyncIterator[Example]:
    """Search for the question `asked`. Yield up to four examples: one with all candidates, others with some removed."""
    found: list[Candidates] = []

    def keep(candidates: Candidates) -> Candidates:
        found.append(candidates)
        return candidates

    request = SearchRequest(query=asked.text, namespace=world.namespace, as_of=asked.at)
    answer = await Retriever(replace(opened.parts, adjust=keep)).search(Scope(TENANT, world.namespace), request)
    terms = numbered(opened.sparse.encode_query(asked.text).indices)
    tokens = (await opened.embedder.embed_query(asked.text)).tokens
    scoring = Scoring(answer.weights, asked.at, asked.text, terms=terms, tokens=tokens)
    evidence = np.array([ids[world.group, world.namespace][name].encode() for name in asked.evidence], dtype="S36")
    candidates = found[-1]
    helps = np.isin(candidates.ids, evidence)
    others = np.flatnonzero(~helps)
    choice = random.Random(asked.text)  # noqa: S311 - not for security
    few = np.array(choice.sample(others.tolist(), min(choice.randint(1, FEW), len(others))), np.intp)
    changed = [others] if asked.evidence else []
    changed += [few, *([np.concatenate([np.flatnonzero(helps), few])] if helps.any() else [])]
    for part in (candidates, *(candidates.take(rows) for rows in changed)):
        real = part is candidates
        question, hits, hit_ids = _features(part, scoring)
        right = np.isin(hit_ids, evidence)
        weight = asked.weight if real else WITHOUT_EVIDENCE * asked.weight
        yield Example(world.group, question, hits, right, bool(right.any()), weight, real)


def _features(
    candidates: Candidates, scoring: Scoring
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bytes_]]:
    """The features of the question, those of each hit, and the ids of the hits."""
    if scoring.tokens is None:
        raise ValueError("the encoder gives no token vectors to judge by")
    ranked = rank(SignalTable.of(candidates, scoring), scoring)
    hit_ids = ranked.candidates.ids[: ranked.hits]
    position = {memory_id: index for index, memory_id in enumerate(candidates.ids.tolist())}
    hits = candidates.take(np.array([position[memory_id] for memory_id in hit_ids.tolist()]))
    similarity, context = (ranked.signals[SIGNALS.index(name), : ranked.hits] for name in ("similarity", "context"))
    matches = Matches.of(scoring.terms, hits, similarity, context)
    if matches is None:
        raise ValueError("the store gives no token vectors to judge by")
    return question_features(matches, scoring.tokens), hit_features(matches), hit_ids


@dataclass(frozen=True, slots=True)
class Models:
    """Two linear models. answerable: whether any memory answers a question. helps: which hits answer it, if any do."""

    answerable: LinearModel
    helps: LinearModel

    def helpful(self, example: Example) -> NDArray[np.float32]:
        """For each hit of `example`, the probability that it helps to answer the question."""
        hits: NDArray[np.float32] = self.answered(example) * self.helps.probabilities(example.hits)[:, 1]
        return hits

    def answered(self, example: Example) -> float:
        """The probability that any memory answers the question of `example`."""
        return float(self.answerable.probabilities(example.question[np.newaxis])[0, 1])


def train(rows: Sequence[Example]) -> Models:
    """Train both models on `rows`. Cross-validation calibrates the probability that anything answers the question."""
    slope, intercept = _calibration(rows)
    weights, bias = _question_fit(rows)
    answerable = from_binary(("no", "yes"), (slope * weights).astype(np.float32), slope * bias + intercept)
    answered = [row for row in rows if row.answered and row.real]
    hits = np.vstack([row.hits for row in answered])
    helps = np.concatenate([row.helps for row in answered])
    weighed = np.concatenate([np.full(len(row.hits), row.weight) for row in answered])
    return Models(answerable, from_binary(("no", "yes"), *_logistic(hits, helps, weighed, HIT_STRENGTH)))


def _question_fit(rows: Sequence[Example]) -> tuple[NDArray[np.float32], float]:
    answered = np.array([row.answered for row in rows])
    weights = np.array([row.weight for row in rows])
    weights = np.where(answered, weights / weights[answered].sum(), weights / weights[~answered].sum()) * len(rows) / 2
    return _logistic(np.vstack([row.question for row in rows]), answered, weights, STRENGTH)


def _calibration(rows: Sequence[Example]) -> tuple[float, float]:
    """Slope and intercept that calibrate the log odds of an answer, as if SHARE_ANSWERED of the questions had one."""
    real = [row for row in rows if row.real]
    groups = sorted({row.group for row in real})
    scores = np.zeros(len(real))
    for fold in range(10):
        left_out = set(groups[fold::10])
        weights, bias = _question_fit([row for row in rows if row.group not in left_out])
        for index, row in enumerate(real):
            if row.group in left_out:
                scores[index] = row.question @ weights + bias
    answered = np.array([row.answered for row in real])
    prior = np.where(answered, SHARE_ANSWERED / answered.mean(), (1 - SHARE_ANSWERED) / (~answered).mean())
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
    """Print predicted probabilities and true shares on `tested`. Models that judge a project are trained without it."""
    sure, answered, certainties, helps = [], [], [], []
    for group in sorted({row.group for row in tested}):
        models = train([row for row in (*trained, *tested) if row.group != group])
        for row in tested:
            if row.group == group and row.real:
                sure.append(models.answered(row))
                answered.append(row.answered)
                certainties.append(models.helpful(row))
                helps.append(row.helps)
    print("| something answers: said | questions | said, mean | true |\n|---|---|---|---|")
    _reliability(np.array(sure), np.array(answered), (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.01))
    print("| a hit helps: said | hits | said, mean | true |\n|---|---|---|---|")
    edges = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1.01)
    _reliability(np.concatenate(certainties), np.concatenate(helps), edges)


def _reliability(said: NDArray[Any], true: NDArray[Any], edges: Sequence[float]) -> None:
    for low, high in itertools.pairwise(edges):
        inside = (said >= low) & (said < high)
        if inside.any():
            means = f"{said[inside].mean():.3f} | {true[inside].mean():.3f}"
            print(f"| {low:g} to {min(high, 1):g} | {inside.sum()} | {means} |")


def main() -> None:
    """Print how reliable both answer models are on unseen projects. --save writes models trained on all examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the behaviour sets")
    parser.add_argument("--save", action="store_true", help="train on everything and write the models")
    options = parser.parse_args()
    own = asyncio.run(examples(list(authored(TEXTS))))
    others = asyncio.run(examples(list(projects(options.data / "projects"))))
    report(own, others)
    if options.save:
        models = train([*own, *others])
        models.answerable.save(PACKAGE / "answerable.npz")
        models.helps.save(PACKAGE / "helps.npz")


if __name__ == "__main__":
    main()
