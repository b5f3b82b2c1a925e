"""Pairs of a later text and an earlier statement, with what the later one does to the earlier one,
from the scenes in tests/data/training/statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.embedding import embeddings_of
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act, ReadStatement, StatementPair

SCENES = Path(__file__).parents[2] / "tests" / "data" / "training" / "statements"

TYPES = {
    "task": MemoryType.PROSPECTIVE,
    "fact": MemoryType.SEMANTIC,
    "event": MemoryType.EPISODIC,
    "howto": MemoryType.PROCEDURAL,
}

Scene: TypeAlias = dict[str, tuple[ReadStatement, dict[str, str]]]
"""The statements of a scene by id, each with its acts by the ids of earlier ones."""

OTHER_SCENES = 2
"""Number of similar statements of other scenes with which each later text is paired, as not
meant.
"""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPair:
    """A pair and what its newer text does to the older statement.

    previous: the text before the newer one in the scene, which it may have nothing to do with.
    nearness: how many statements of the scene are more similar to the newer text; None if the older
    statement is of another scene.
    """

    author: str
    pair: StatementPair
    act: Act
    similarity: float
    nearness: int | None
    previous: str

    def in_use(self, random: np.random.Generator) -> StatementPair:
        """The pair as it may look in use: with a message before it that says nothing about it, and
        with a type that was misjudged.
        """
        newer, older = self.pair.newer, self.pair.older
        if not newer.before and random.random() < 0.35:
            newer = replace(newer, before=self.previous)
        if random.random() < 0.15:
            older = replace(older, kind=MemoryType.WORKING)
        return StatementPair(newer, older)


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """A text of a scene. does: acts by the ids of earlier texts."""

    statement: ReadStatement
    does: dict[str, str]
    previous: str


def authors() -> list[str]:
    """Names of the authors of scenes in English."""
    return sorted(path.stem for path in SCENES.glob("*.jsonl") if _is_english(path))


def pairs_by(author: str) -> list[LabelledPair]:
    """All pairs of the scenes by `author`: a later text with each statement before it, and with
    similar ones of other scenes.
    """
    lines = (SCENES / f"{author}.jsonl").read_text("utf-8").splitlines()
    scenes = [_texts(json.loads(line)) for line in lines]
    texts = {each.statement.text for scene in scenes for each in scene.values()}
    vectors = {text: each.dense for text, each in embeddings_of(texts).items()}
    elsewhere = _stated(scenes)
    matrix = np.stack([vectors[statement.text] for _, statement in elsewhere])
    pairs: list[LabelledPair] = []
    for number, scene in enumerate(scenes):
        earlier: dict[str, ReadStatement] = {}
        for name, text in scene.items():
            if text.previous:
                vector = vectors[text.statement.text]
                pairs += _within(author, text, earlier, vectors)
                similar = np.argsort(-(matrix @ vector))
                others = [elsewhere[index] for index in similar if elsewhere[index][0] != number]
                pairs += _across(author, text, [each for _, each in others[:OTHER_SCENES]])
            if text.statement.kind is not MemoryType.WORKING:
                earlier[name] = text.statement
    return pairs


def scenes_by(author: str) -> Iterator[Scene]:
    """Yield the scenes by `author`: each text by its id, with its acts by the ids of earlier
    texts.
    """
    for line in (SCENES / f"{author}.jsonl").read_text("utf-8").splitlines():
        texts = _texts(json.loads(line))
        yield {name: (text.statement, text.does) for name, text in texts.items()}


def _within(
    author: str,
    text: _Text,
    earlier: dict[str, ReadStatement],
    vectors: dict[str, NDArray[np.float32]],
) -> Iterator[LabelledPair]:
    vector = vectors[text.statement.text]
    similarity = {name: float(vector @ vectors[each.text]) for name, each in earlier.items()}
    by_similarity = sorted(earlier, key=lambda name: -similarity[name])
    for nearness, name in enumerate(by_similarity):
        yield LabelledPair(
            author,
            StatementPair(text.statement, earlier[name]),
            Act(text.does.get(name, Act.NOTHING)),
            similarity[name],
            nearness,
            text.previous,
        )


def _across(
    author: str, text: _Text, statements: Sequence[ReadStatement]
) -> Iterator[LabelledPair]:
    for statement in statements:
        older = replace(statement, day=min(statement.day, text.statement.day))
        pair = StatementPair(text.statement, older)
        yield LabelledPair(author, pair, Act.NOTHING, 0.0, None, text.previous)


def _stated(scenes: Sequence[dict[str, _Text]]) -> list[tuple[int, ReadStatement]]:
    """Everything that states something, with the number of its scene."""
    return [
        (number, text.statement)
        for number, scene in enumerate(scenes)
        for text in scene.values()
        if text.statement.kind is not MemoryType.WORKING
    ]


def _texts(scene: dict[str, Any]) -> dict[str, _Text]:
    """The texts of a scene by id, in the order of their days. Those that were stored before it have
    no previous text.
    """
    texts: dict[str, _Text] = {}
    previous = ""
    for row in scene["stored"]:
        texts[row["id"]] = _Text(_statement(row, row["kind"]), {}, "")
        previous = row["text"]
    for row in scene["later"]:
        kinds = row["states"]
        kind = "task" if "task" in kinds else next(iter(kinds), "")
        texts[row["id"]] = _Text(_statement(row, kind), row["does"], previous)
        previous = row["text"]
    return texts


def _statement(row: dict[str, Any], kind: str) -> ReadStatement:
    return ReadStatement(
        text=row["text"],
        day=date.fromisoformat(row["day"]),
        speaker=row["by"],
        kind=TYPES.get(kind, MemoryType.WORKING),
        before=row.get("before", ""),
    )


def _is_english(path: Path) -> bool:
    with path.open(encoding="utf-8") as lines:
        scene = json.loads(next(lines))
    return bool(scene["lang"] == "en")
