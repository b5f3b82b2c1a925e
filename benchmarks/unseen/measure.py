"""`unseen`: pre-filter, classification and redaction on texts as they come: six languages, logs, mails, chat, code.

Sixty texts a task, written after the rules and without trying them. What they showed to be missing was mended by
general rules, so from then on they are seen; the fewer texts of the files `later` were written after that, and nothing
was mended for them. LOG.md has the figures of each time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.wiring.resources import open_embedder
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Report, Table
from benchmarks.texts.classification import f1
from ingest.screening.classification.classifier import Classifier
from ingest.screening.prefilter import objection
from ingest.screening.redaction.scan import secrets_in
from memtypes.model.policy import MemoryType

HERE = Path(__file__).parent
TYPES = (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.PROSPECTIVE, MemoryType.PROCEDURAL)
_MARKED = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Findings:
    """right: found and meant. extra: found and not meant. missed: meant and not found. wrong: the texts of both."""

    right: int
    extra: int
    missed: int
    wrong: tuple[str, ...]

    @property
    def precision(self) -> float:
        """Of what was found, how much was meant."""
        return self.right / max(1, self.right + self.extra)

    @property
    def recall(self) -> float:
        """Of what was meant, how much was found."""
        return self.right / max(1, self.right + self.missed)


def rows_of(name: str) -> list[dict[str, Any]]:
    """The lines of one set."""
    return [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text("utf-8").splitlines()]


def filtered(which: str = "") -> Findings:
    """What the pre-filter takes for trivial."""
    rows = rows_of(f"captured{which}")
    dropped = [(row, objection(row["text"]) is not None) for row in rows]
    right = sum(drop and row["trivial"] for row, drop in dropped)
    wrong = tuple(row["text"] for row, drop in dropped if drop is not row["trivial"])
    missed = sum(row["trivial"] for row in rows) - right
    return Findings(right, len(wrong) - missed, missed, wrong)


def redacted(which: str = "") -> Findings:
    """What redaction takes for a secret; one that is found in part is missed."""
    right = extra = missed = 0
    wrong = []
    for row in rows_of(f"secrets{which}"):
        text, meant = marked(row["text"])
        found = [(one.start, one.end) for one in secrets_in(text)]
        hit = sum(any(start <= first and last <= end for start, end in found) for first, last in meant)
        false = sum(all(end <= first or last <= start for first, last in meant) for start, end in found)
        right, extra, missed = right + hit, extra + false, missed + len(meant) - hit
        if false or hit < len(meant):
            wrong.append(text)
    return Findings(right, extra, missed, tuple(wrong))


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without marks, and where its secrets stand; ~ keeps keys out of the file and is dropped."""
    plain, spans, last = "", [], 0
    for found in _MARKED.finditer(text := text.replace("~", "")):
        plain += text[last : found.start()]
        spans.append((len(plain), len(plain) + len(found[1])))
        plain, last = plain + found[1], found.end()
    return plain + text[last:], spans


async def classified(which: str = "") -> list[tuple[str, MemoryType, MemoryType]]:
    """Each text with its type and the type that was found."""
    with data_directory() as directory:
        embedder = await open_embedder(settings_in(directory))
        try:
            classifier = Classifier(embedder)
            return [
                (row["text"], MemoryType(row["type"]), (await classifier.classify(row["text"])).type)
                for row in rows_of(f"typed{which}")
            ]
        finally:
            await embedder.aclose()


async def measure_unseen(command: str) -> Report:
    """The report over the three sets and those that were written later, with every text that went wrong."""
    found, typed = {}, {}
    for label, which in (("", ""), (", later", "_later")):
        found[f"pre-filter{label}"], found[f"redaction{label}"] = filtered(which), redacted(which)
        typed[f"types{label}"] = await classified(which)
    rows = tuple((name, one.right, one.extra, one.missed, one.precision, one.recall) for name, one in found.items())
    scores = {name: _scores([(meant, kind) for _, meant, kind in one]) for name, one in typed.items()}
    mistaken = tuple(one for texts in typed.values() for one in texts if one[1] is not one[2])
    tables = (
        Table("Found", ("task", "right", "extra", "missed", "precision", "recall"), rows),
        Table("F1", ("task", *map(str, TYPES), "macro F1"), tuple((name, *one) for name, one in scores.items())),
        Table("Gone wrong", ("task", "text"), tuple((name, text) for name, one in found.items() for text in one.wrong)),
        Table("Of another type", ("text", "meant", "found"), mistaken),
    )
    figures = {name: {"precision": one.precision, "recall": one.recall} for name, one in found.items()}
    return Report(command, tables, (), {**figures, **{name: one[-1] for name, one in scores.items()}})


def _scores(pairs: Sequence[tuple[MemoryType, MemoryType]]) -> list[float]:
    each = [f1(pairs, kind) for kind in TYPES]
    return [*each, sum(each) / len(each)]
