"""Reads the scenes in tests/data/training/statements: what was stored earlier, what is said later
and does something to it, and questions about both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act, ReadStatement

TRAINING = Path(__file__).parents[2] / "tests" / "data" / "training"
SCENES = TRAINING / "statements"

TYPES = {
    "task": MemoryType.PROSPECTIVE,
    "fact": MemoryType.SEMANTIC,
    "event": MemoryType.EPISODIC,
    "howto": MemoryType.PROCEDURAL,
}
"""The memory type of each kind of statement in a scene."""


@dataclass(frozen=True, slots=True, eq=False)
class SceneText:
    """A text of a scene, by its `name` in the scene.

    kinds: what it states; nothing if it is only talk. does: what it does to earlier texts, by their
    names. before: the message that it answers, if it needs one. previous: the text before it in the
    scene. is_later: whether it is said in talk, not stored before.
    """

    name: str
    text: str
    speaker: str
    day: date
    kinds: tuple[MemoryType, ...]
    does: Mapping[str, Act]
    before: str
    previous: str
    is_later: bool

    @property
    def statement(self) -> ReadStatement:
        """The text as a reader reads it: as a task, if that is one of the things it states."""
        if MemoryType.PROSPECTIVE in self.kinds:
            kind = MemoryType.PROSPECTIVE
        else:
            kind = next(iter(self.kinds), MemoryType.WORKING)
        return ReadStatement(self.text, self.day, self.speaker, kind, self.before)


@dataclass(frozen=True, slots=True, eq=False)
class SceneQuestion:
    """A question. answers, outdated: names of the texts that answer it, and of those that did so
    earlier.
    """

    text: str
    day: date
    answers: tuple[str, ...]
    outdated: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A scene by `author`: its texts, those that were stored first, and questions about them."""

    name: str
    author: str
    language: str
    texts: tuple[SceneText, ...]
    questions: tuple[SceneQuestion, ...]


def authors() -> list[str]:
    """Names of all authors of scenes."""
    return sorted(path.stem for path in SCENES.glob("*.jsonl"))


def english_authors() -> list[str]:
    """Names of the authors of scenes in English."""
    return [author for author in authors() if next(_rows(author))["lang"] == "en"]


def scenes_by(author: str) -> Iterator[Scene]:
    """Yield the scenes by `author`."""
    for row in _rows(author):
        questions = (
            SceneQuestion(
                asked["text"],
                date.fromisoformat(asked["day"]),
                tuple(asked["answers"]),
                tuple(asked["outdated"]),
            )
            for asked in row["questions"]
        )
        yield Scene(row["id"], author, row["lang"], tuple(_texts(row)), tuple(questions))


def _rows(author: str) -> Iterator[dict[str, Any]]:
    with (SCENES / f"{author}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _texts(scene: Mapping[str, Any]) -> Iterator[SceneText]:
    previous = ""
    for position, row in enumerate((*scene["stored"], *scene["later"])):
        is_later = position >= len(scene["stored"])
        yield SceneText(
            name=row["id"],
            text=row["text"],
            speaker=row["by"],
            day=date.fromisoformat(row["day"]),
            kinds=tuple(TYPES[kind] for kind in row.get("states", [row.get("kind")])),
            does={name: Act(act) for name, act in row.get("does", {}).items()},
            before=row.get("before", ""),
            previous=previous,
            is_later=is_later,
        )
        previous = row["text"]
