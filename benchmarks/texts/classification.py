"""`classify`: macro F1 of the type that is found, over sets whose texts are of a known type.

Two halves of each set's conversations (of its lines, where there is only one) are scored apart; they follow from a hash
of the conversation's name, so they stay the same. No number was fitted to either. The rules were written with errors
from a sample of both halves in view, so the second half is a check of spread and no held-out figure.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from api.wiring.resources import open_embedder
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Cell, Report, Table
from benchmarks.sets.data import find_sets, read_set
from ingest.screening.classification.classifier import Classifier
from memtypes.model.policy import MemoryType

SETS = {
    "locomo_turns": MemoryType.EPISODIC,
    "locomo_observations": MemoryType.SEMANTIC,
    "tldr": MemoryType.PROCEDURAL,
    "reminders": MemoryType.PROSPECTIVE,
}


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """data: folder of the four sets. limit: texts a set and half."""

    command: str
    data: Path
    limit: int = 1_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text, its type, and whether it is on the scored side."""

    text: str
    type: MemoryType
    scored: bool


async def measure_classification(request: ClassifyRequest) -> Report:
    """The report over both halves."""
    texts = labelled(request)
    with data_directory() as directory:
        embedder = await open_embedder(settings_in(directory))
        try:
            classifier = Classifier(embedder)
            found = [(one, (await classifier.classify(one.text)).type) for one in texts]
        finally:
            await embedder.aclose()
    halves = {"first": False, "second": True}
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *_row([(one.type, kind) for one, kind in found if one.scored is scored]))
        for name, scored in halves.items()
    )
    columns = ("half", "texts", *(str(kind) for kind in SETS.values()), "macro F1")
    figures = {str(row[0]): row[1:] for row in rows}
    return Report(request.command, (Table("Classification, F1", columns, rows),), (), figures)


def labelled(request: ClassifyRequest) -> list[Labelled]:
    """At most the limit of texts of each set and half."""
    texts: list[Labelled] = []
    for folder in find_sets(request.data):
        if folder.name not in SETS:
            continue
        conversations = read_set(folder).conversations
        taken: Counter[bool] = Counter()
        for part in conversations:
            for entry in part.corpus:
                side = entry.id if len(conversations) == 1 else part.name
                scored = bool(zlib.crc32(side.encode()) % 2)
                taken[scored] += 1
                if taken[scored] <= request.limit:
                    texts.append(Labelled(entry.text, SETS[folder.name], scored))
    return texts


def _row(pairs: Sequence[tuple[MemoryType, MemoryType]]) -> tuple[Cell, ...]:
    scores = [f1(pairs, kind) for kind in SETS.values()]
    return (len(pairs), *scores, sum(scores) / len(scores))


def f1(pairs: Sequence[tuple[MemoryType, MemoryType]], kind: MemoryType) -> float:
    """F1 of `kind` over (true, found) pairs; 0 where it neither is nor was found."""
    right = sum(true is found is kind for true, found in pairs)
    wrong = sum((true is kind) is not (found is kind) for true, found in pairs)
    return 2 * right / (2 * right + wrong) if right or wrong else 0.0
