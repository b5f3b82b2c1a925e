"""Labelled texts to teach the reader: pairs of a later text and an earlier statement, with what the
later one does to the earlier one, and texts with what they state. They are from the scenes in
tests/data/training/statements, texts also from conversations.jsonl and
types.jsonl beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.embedding import embeddings_of
from benchmarks.training.scenes import TRAINING, Scene, SceneText, scenes_by
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act, ReadStatement, StatementPair

CONVERSATIONS = TRAINING / "conversations.jsonl"
NOTES = TRAINING / "types.jsonl"

OTHER_SCENES = 2
"""Number of similar statements of other scenes with which each later text is paired, as not
meant.
"""

SAME = 0.75
"""Cosine from which two notes may mean the same thing."""

STORE = 60
"""Number of tasks, and of other statements, by other authors among which similar ones are taken."""

Vectors: TypeAlias = dict[str, NDArray[np.float32]]


class Origin(StrEnum):
    """Where the older statement of a pair is from."""

    SCENE = "scene"
    AUTHOR = "author"
    """Another scene by the same author."""

    OTHERS = "others"
    """Scenes by other authors."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPair:
    """A pair and what its newer text does to the older statement.

    nearness: how many statements of the same origin are more similar to the newer text. previous:
    the text before the newer one in the scene, which it may have nothing to do with.
    """

    author: str
    pair: StatementPair
    act: Act
    nearness: int
    origin: Origin
    previous: str

    def in_use(self, random: np.random.Generator) -> StatementPair:
        """The pair as it may look in use: with a message before it that says nothing about it, and
        with a type that was misjudged.
        """
        newer = self.pair.newer
        older = self.pair.older
        if not newer.before and random.random() < 0.35:
            newer = replace(newer, before=self.previous)
        if random.random() < 0.15:
            older = replace(older, kind=MemoryType.WORKING)
        return StatementPair(newer, older)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledText:
    """A text and what it states. is_later: whether it was said in talk, not stored before."""

    author: str
    statement: ReadStatement
    kinds: frozenset[MemoryType]
    is_later: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """A statement that may mean others, and the text before it."""

    statement: ReadStatement
    previous: str = ""


def pairs_of(names: Sequence[str]) -> list[LabelledPair]:
    """All pairs of the scenes by these authors: a later text with each statement before it, with
    similar ones of other scenes, and with similar ones by other authors, as they stand in a store
    of many subjects.
    """
    scenes = {name: list(scenes_by(name)) for name in names}
    texts = {name: [text for scene in scenes[name] for text in scene.texts] for name in names}
    words = {text.text for each in texts.values() for text in each}
    vectors = {text: each.dense for text, each in embeddings_of(words).items()}
    random = np.random.default_rng(5)
    pairs: list[LabelledPair] = []
    for name in names:
        pairs += _pairs_by(name, scenes[name], vectors)
        others: list[ReadStatement] = []
        for other in names:
            if other != name:
                others += _statements_of(texts[other])
        if others:
            later = [_said(text) for text in texts[name] if text.is_later]
            pairs += _unrelated(name, later, others, vectors, random)
    return pairs


def pairs_of_notes() -> list[LabelledPair]:
    """Notes with similar tasks and facts of other notes, which they do nothing to: records in whole
    sentences, as the scenes of talk have none.
    """
    notes = texts_of_notes()
    words = {note.statement.text for note in notes}
    vectors = {text: each.dense for text, each in embeddings_of(words).items()}
    later = [_Said(note.statement) for note in notes]
    stated = [replace(note.statement, kind=kind) for note in notes for kind in note.kinds]
    pairs = _unrelated(NOTES.stem, later, stated, vectors, np.random.default_rng(6))
    return [pair for pair in pairs if _similarity(pair.pair, vectors) < SAME]


def texts_of(names: Sequence[str]) -> list[LabelledText]:
    """All texts of the scenes by these authors."""
    return [
        LabelledText(name, text.statement, frozenset(text.kinds), text.is_later)
        for name in names
        for scene in scenes_by(name)
        for text in scene.texts
    ]


def texts_of_conversations() -> list[LabelledText]:
    """All labelled messages of conversations in English. Their days are made up; they aren't
    read.
    """
    texts: list[LabelledText] = []
    for line in CONVERSATIONS.read_text("utf-8").splitlines():
        conversation = json.loads(line)
        if conversation["lang"] != "en":
            continue
        previous = ""
        for message in conversation["messages"]:
            names = message.get("types", ())
            if names or not message["keep"]:
                speaker = "user" if message["role"] == "user" else "agent"
                statement = ReadStatement(
                    message["content"], date.min, speaker, MemoryType.WORKING, previous
                )
                kinds = frozenset(map(MemoryType, names))
                texts.append(LabelledText(CONVERSATIONS.stem, statement, kinds))
            previous = message["content"]
    return texts


def texts_of_notes() -> list[LabelledText]:
    """All single texts in English that have a type. Work in progress states nothing that lasts."""
    texts: list[LabelledText] = []
    for line in NOTES.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["lang"] == "en":
            statement = ReadStatement(row["text"], date.min, "user", MemoryType.WORKING)
            kinds = frozenset([MemoryType(row["type"])]) - {MemoryType.WORKING}
            texts.append(LabelledText(NOTES.stem, statement, kinds, is_later=False))
    return texts


def _pairs_by(author: str, scenes: Sequence[Scene], vectors: Vectors) -> Iterator[LabelledPair]:
    elsewhere = _stated(scenes)
    matrix = np.stack([vectors[statement.text] for _, statement in elsewhere])
    for number, scene in enumerate(scenes):
        earlier: dict[str, ReadStatement] = {}
        for text in scene.texts:
            if text.is_later:
                yield from _within(author, text, earlier, vectors)
                similar = np.argsort(-(matrix @ vectors[text.text]))
                others = [elsewhere[index] for index in similar if elsewhere[index][0] != number]
                meant_not = [statement for _, statement in others[:OTHER_SCENES]]
                yield from _across(author, _said(text), meant_not, Origin.AUTHOR)
            if text.kinds:
                earlier[text.name] = text.statement


def _said(text: SceneText) -> _Said:
    return _Said(text.statement, text.previous)


def _statements_of(texts: Iterable[SceneText]) -> list[ReadStatement]:
    """The texts that state something."""
    return [text.statement for text in texts if text.kinds]


def _similarity(pair: StatementPair, vectors: Vectors) -> float:
    return float(vectors[pair.newer.text] @ vectors[pair.older.text])


def _unrelated(
    author: str,
    later: Sequence[_Said],
    others: Sequence[ReadStatement],
    vectors: Vectors,
    random: np.random.Generator,
) -> Iterator[LabelledPair]:
    """Each later text with the most similar of a few other statements, which it does not mean.
    Among all of them there would be some that it could.
    """
    is_task = np.array([each.kind is MemoryType.PROSPECTIVE for each in others])
    matrix = np.stack([vectors[each.text] for each in others])
    for text in later:
        for mask, count in ((is_task, 2), (~is_task, 1)):
            few = random.choice(np.flatnonzero(mask), STORE, replace=False)
            similar = few[np.argsort(-(matrix[few] @ vectors[text.statement.text]))]
            chosen = [others[index] for index in similar[:count]]
            yield from _across(author, text, chosen, Origin.OTHERS)


def _within(
    author: str,
    text: SceneText,
    earlier: dict[str, ReadStatement],
    vectors: Vectors,
) -> Iterator[LabelledPair]:
    vector = vectors[text.text]
    similarity = {name: float(vector @ vectors[each.text]) for name, each in earlier.items()}
    by_similarity = sorted(earlier, key=lambda name: -similarity[name])
    for nearness, name in enumerate(by_similarity):
        yield LabelledPair(
            author,
            StatementPair(text.statement, earlier[name]),
            text.does.get(name, Act.NOTHING),
            nearness,
            Origin.SCENE,
            text.previous,
        )


def _across(
    author: str, text: _Said, statements: Sequence[ReadStatement], origin: Origin
) -> Iterator[LabelledPair]:
    for nearness, statement in enumerate(statements):
        older = replace(statement, day=min(statement.day, text.statement.day))
        pair = StatementPair(text.statement, older)
        yield LabelledPair(author, pair, Act.NOTHING, nearness, origin, text.previous)


def _stated(scenes: Sequence[Scene]) -> list[tuple[int, ReadStatement]]:
    """Everything that states something, with the number of its scene."""
    return [
        (number, statement)
        for number, scene in enumerate(scenes)
        for statement in _statements_of(scene.texts)
    ]
