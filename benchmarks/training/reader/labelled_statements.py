"""Labelled texts to teach the reader: pairs of a later text and an earlier statement, with what the
later one does to the earlier one, and texts with what they state. They are from the scenes in
tests/data/training/statements, texts also from conversations.jsonl and
types.jsonl beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.embedding import embeddings_of
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act, ReadStatement, StatementPair

TRAINING = Path(__file__).parents[3] / "tests" / "data" / "training"
SCENES = TRAINING / "statements"
CONVERSATIONS = TRAINING / "conversations.jsonl"
NOTES = TRAINING / "types.jsonl"

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
class AskedScene:
    """The texts of a scene, by id, and its questions, as they are in the file."""

    texts: dict[str, ReadStatement]
    questions: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """A text of a scene. does: acts by the ids of earlier texts."""

    statement: ReadStatement
    kinds: frozenset[MemoryType]
    does: dict[str, str]
    previous: str


def authors() -> list[str]:
    """Names of the authors of scenes in English."""
    return sorted(path.stem for path in SCENES.glob("*.jsonl") if _is_english(path))


def pairs_of(names: Sequence[str]) -> list[LabelledPair]:
    """All pairs of the scenes by these authors: a later text with each statement before it, with
    similar ones of other scenes, and with similar ones by other authors, as they stand in a store
    of many subjects.
    """
    scenes = {name: _scenes(name) for name in names}
    texts = {name: _texts_in(scenes[name]) for name in names}
    words = {text.statement.text for each in texts.values() for text in each}
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
            later = [text for text in texts[name] if text.previous]
            pairs += _unrelated(name, later, others, vectors, random)
    return pairs


def pairs_of_notes() -> list[LabelledPair]:
    """Notes with similar tasks and facts of other notes, which they do nothing to: records in whole
    sentences, as the scenes of talk have none.
    """
    notes = texts_of_notes()
    words = {note.statement.text for note in notes}
    vectors = {text: each.dense for text, each in embeddings_of(words).items()}
    later = [_Text(note.statement, note.kinds, {}, "") for note in notes]
    stated = [replace(note.statement, kind=kind) for note in notes for kind in note.kinds]
    pairs = _unrelated(NOTES.stem, later, stated, vectors, np.random.default_rng(6))
    return [pair for pair in pairs if _similarity(pair.pair, vectors) < SAME]


def texts_of(names: Sequence[str]) -> list[LabelledText]:
    """All texts of the scenes by these authors."""
    return [
        LabelledText(name, text.statement, text.kinds, bool(text.previous))
        for name in names
        for text in _texts_in(_scenes(name))
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


def questions_by(author: str) -> list[AskedScene]:
    """The scenes by this author, with their questions."""
    return [
        AskedScene({name: text.statement for name, text in _texts(row).items()}, row["questions"])
        for row in _rows(author)
    ]


def scenes_by(author: str) -> Iterator[Scene]:
    """Yield the scenes by `author`: each text by its id, with its acts by the ids of earlier
    texts.
    """
    for scene in _scenes(author):
        yield {name: (text.statement, text.does) for name, text in scene.items()}


def _scenes(author: str) -> list[dict[str, _Text]]:
    return [_texts(row) for row in _rows(author)]


def _rows(author: str) -> list[dict[str, Any]]:
    lines = (SCENES / f"{author}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _pairs_by(
    author: str, scenes: Sequence[dict[str, _Text]], vectors: Vectors
) -> Iterator[LabelledPair]:
    elsewhere = _stated(scenes)
    matrix = np.stack([vectors[statement.text] for _, statement in elsewhere])
    for number, scene in enumerate(scenes):
        earlier: dict[str, ReadStatement] = {}
        for name, text in scene.items():
            if text.previous:
                yield from _within(author, text, earlier, vectors)
                similar = np.argsort(-(matrix @ vectors[text.statement.text]))
                others = [elsewhere[index] for index in similar if elsewhere[index][0] != number]
                meant_not = [statement for _, statement in others[:OTHER_SCENES]]
                yield from _across(author, text, meant_not, Origin.AUTHOR)
            if text.statement.kind is not MemoryType.WORKING:
                earlier[name] = text.statement


def _texts_in(scenes: Sequence[dict[str, _Text]]) -> list[_Text]:
    return [text for scene in scenes for text in scene.values()]


def _statements_of(texts: Sequence[_Text]) -> list[ReadStatement]:
    """The texts that state something."""
    statements = [text.statement for text in texts]
    return [each for each in statements if each.kind is not MemoryType.WORKING]


def _similarity(pair: StatementPair, vectors: Vectors) -> float:
    return float(vectors[pair.newer.text] @ vectors[pair.older.text])


def _unrelated(
    author: str,
    later: Sequence[_Text],
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
    text: _Text,
    earlier: dict[str, ReadStatement],
    vectors: Vectors,
) -> Iterator[LabelledPair]:
    vector = vectors[text.statement.text]
    similarity = {name: float(vector @ vectors[each.text]) for name, each in earlier.items()}
    by_similarity = sorted(earlier, key=lambda name: -similarity[name])
    for nearness, name in enumerate(by_similarity):
        yield LabelledPair(
            author,
            StatementPair(text.statement, earlier[name]),
            Act(text.does.get(name, Act.NOTHING)),
            nearness,
            Origin.SCENE,
            text.previous,
        )


def _across(
    author: str, text: _Text, statements: Sequence[ReadStatement], origin: Origin
) -> Iterator[LabelledPair]:
    for nearness, statement in enumerate(statements):
        older = replace(statement, day=min(statement.day, text.statement.day))
        pair = StatementPair(text.statement, older)
        yield LabelledPair(author, pair, Act.NOTHING, nearness, origin, text.previous)


def _stated(scenes: Sequence[dict[str, _Text]]) -> list[tuple[int, ReadStatement]]:
    """Everything that states something, with the number of its scene."""
    return [
        (number, statement)
        for number, scene in enumerate(scenes)
        for statement in _statements_of(list(scene.values()))
    ]


def _texts(scene: dict[str, Any]) -> dict[str, _Text]:
    """The texts of a scene by id, in the order of their days. Those that were stored before it have
    no previous text.
    """
    texts: dict[str, _Text] = {}
    previous = ""
    for row in scene["stored"]:
        texts[row["id"]] = _Text(_statement(row, row["kind"]), _kinds([row["kind"]]), {}, "")
        previous = row["text"]
    for row in scene["later"]:
        kinds = row["states"]
        kind = "task" if "task" in kinds else next(iter(kinds), "")
        statement = _statement(row, kind)
        texts[row["id"]] = _Text(statement, _kinds(kinds), row["does"], previous)
        previous = row["text"]
    return texts


def _kinds(names: Sequence[str]) -> frozenset[MemoryType]:
    return frozenset(TYPES[name] for name in names)


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
