"""Reads the scenes in tests/data/training/statements as memories and questions about them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from benchmarks.training.reader.labelled_statements import SCENES
from memtypes.model.episodic import EpisodicDraft
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.prospective import ProspectiveDraft
from memtypes.model.semantic import SemanticDraft
from memtypes.model.types import AnyDraft

TOGETHER = 8
"""Number of scenes in a namespace, so that most memories are about other things than a question."""

_LAST = date(2026, 10, 30)
_DRAFTS = {
    "task": (ProspectiveDraft, MemoryType.PROSPECTIVE),
    "fact": (SemanticDraft, MemoryType.SEMANTIC),
    "howto": (ProceduralDraft, MemoryType.PROCEDURAL),
    "event": (EpisodicDraft, MemoryType.EPISODIC),
}


@dataclass(frozen=True, slots=True)
class SceneQuestion:
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
    questions: tuple[SceneQuestion, ...]


def scene_groups() -> Iterator[SceneGroup]:
    """Yield the scenes with questions of all authors, TOGETHER of them at a time."""
    for path in sorted(SCENES.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        asked = sorted((row for row in rows if row["questions"]), key=lambda row: row["lang"])
        for number, start in enumerate(range(0, len(asked), TOGETHER)):
            yield _group(path.stem, number, asked[start : start + TOGETHER])


def _group(author: str, number: int, scenes: Sequence[Mapping[str, Any]]) -> SceneGroup:
    drafts: list[tuple[str, AnyDraft]] = []
    questions: list[SceneQuestion] = []
    for scene in scenes:
        last = max(date.fromisoformat(row["day"]) for row in scene["questions"])
        # All scenes end in the same week, on their own weekdays
        shift = timedelta(weeks=(_LAST - last).days // 7)
        drafts += _drafts(scene, shift)
        for row in scene["questions"]:
            day = date.fromisoformat(row["day"]) + shift
            questions.append(
                SceneQuestion(
                    row["text"],
                    datetime.combine(day, time(20), UTC),
                    frozenset(f"{scene['id']}/{name}" for name in row["answers"]),
                    frozenset(f"{scene['id']}/{name}" for name in row["outdated"]),
                )
            )
    drafts.sort(key=lambda pair: str(pair[1].created_at))
    return SceneGroup(author, f"{author}-{number}", tuple(drafts), tuple(questions))


def _drafts(scene: Mapping[str, Any], shift: timedelta) -> Iterator[tuple[str, AnyDraft]]:
    for number, text in enumerate((*scene["stored"], *scene["later"])):
        kinds = text.get("states", [text.get("kind")]) or ["event"]
        day = date.fromisoformat(text["day"]) + shift
        at = datetime.combine(day, time(9), UTC) + timedelta(minutes=4 * number)
        for kind in kinds:
            draft, memory_type = _DRAFTS[kind]
            fields: dict[str, Any] = {
                "type": memory_type,
                "content": text["text"],
                "created_at": at,
                "session_id": f"{scene['id']}-{day}",
            }
            if kind == "event":
                fields["speaker"] = "assistant" if text["by"] == "agent" else text["by"]
            yield f"{scene['id']}/{text['id']}", draft(**fields)
