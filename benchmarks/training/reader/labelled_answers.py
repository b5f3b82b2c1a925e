"""Labelled questions to teach the reader, with texts that answer them, outdated ones, and others:
from the scenes in tests/data/training/statements, and from files of questions with passages.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.training.embedding import embeddings_of
from benchmarks.training.reader.labelled_statements import Vectors
from benchmarks.training.scenes import Scene, SceneQuestion, scenes_by
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import ReadStatement

NEAR = 8
"""Number of texts of a scene, the most similar ones, that do not answer a question."""

ELSEWHERE = 3
"""Number of similar texts of other scenes by the same author."""

PASSAGES = {
    "qmsum": 1575,
    "molweni": 2560,
    "selqa": 2375,
    "timeqa": 1812,
    "medquad": 2500,
    "tatqa": 1823,
    "nl2bash": 2500,
    "entailmentbank": 1840,
    "pubmedqa": 500,
    "covidqa": 700,
}
"""Files of questions with passages, and how many questions of each are taken. None of them is under
a share-alike licence.
"""

MAX_ANSWERS = 4
MAX_OTHERS = 12
MAX_PASSAGE = 600
"""Number of passages of each sort, and characters of each, that are taken."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledQuestion:
    """A question and texts. answers: those that answer it. outdated: those that did once. others:
    those that never did, the most similar first. day: when it is asked; None for passages, which
    have no days.
    """

    author: str
    text: str
    day: date | None
    answers: Sequence[ReadStatement]
    outdated: Sequence[ReadStatement]
    others: Sequence[ReadStatement]


def questions_of(names: Sequence[str]) -> list[LabelledQuestion]:
    """All questions of the scenes by these authors."""
    scenes = {name: list(scenes_by(name)) for name in names}
    every = [scene for each in scenes.values() for scene in each]
    texts = {text.text for scene in every for text in scene.texts}
    texts |= {question.text for scene in every for question in scene.questions}
    vectors = {text: each.dense for text, each in embeddings_of(texts).items()}
    questions: list[LabelledQuestion] = []
    for own in scenes.values():
        for scene in own:
            others = [each for each in own if each is not scene]
            elsewhere = [text.statement for each in others for text in each.texts]
            matrix = np.stack([vectors[text.text] for text in elsewhere])
            for question in scene.questions:
                nearest = np.argsort(-(matrix @ vectors[question.text]))[:ELSEWHERE]
                far = [elsewhere[index] for index in nearest]
                questions.append(_question(scene, question, far, vectors))
    return questions


def passages_in(folder: Path, seed: int = 3) -> list[LabelledQuestion]:
    """Questions with passages that answer them, from the files PASSAGES in `folder`."""
    random = np.random.default_rng(seed)
    questions: list[LabelledQuestion] = []
    for name, count in PASSAGES.items():
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        for row in random.permutation(np.array(rows, dtype=object))[:count]:
            answers, outdated, others = (
                [_passage(text) for text in row.get(part, ())]
                for part in ("positives", "outdated", "negatives")
            )
            if others:
                texts = answers[:MAX_ANSWERS], outdated, others[:MAX_OTHERS]
                questions.append(LabelledQuestion(name, row["question"], None, *texts))
    return questions


def _question(
    scene: Scene, question: SceneQuestion, elsewhere: Sequence[ReadStatement], vectors: Vectors
) -> LabelledQuestion:
    day = question.day
    known = {text.name: text.statement for text in scene.texts if text.day <= day}
    answers = [known[name] for name in question.answers if name in known]
    outdated = [known[name] for name in question.outdated if name in known]
    labelled = {*question.answers, *question.outdated}
    vector = vectors[question.text]
    others = [text for name, text in known.items() if name not in labelled]
    others.sort(key=lambda text: -float(vectors[text.text] @ vector))
    far = [replace(text, day=min(text.day, day)) for text in elsewhere]
    others = [*others[:NEAR], *far]
    return LabelledQuestion(scene.author, question.text, day, answers, outdated, others)


def _passage(text: str) -> ReadStatement:
    return ReadStatement(text[:MAX_PASSAGE], date.min, "", MemoryType.WORKING)
