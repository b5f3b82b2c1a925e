"""Reads the labelled texts of this folder and compares labels with findings."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of true positives, false positives and false negatives, and the texts with errors."""

    right: int
    extra: int
    missed: int
    wrong: tuple[str, ...] = ()

    @property
    def precision(self) -> float:
        """Share of the findings that are correct; 0 without findings."""
        return self.right / max(1, self.right + self.extra)

    @property
    def recall(self) -> float:
        """Share of the labels that were found; 0 without labels."""
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / max(1, 2 * self.right + self.extra + self.missed)

    def __str__(self) -> str:
        """The counts and the texts with errors, as an assertion message."""
        figures = f"precision {self.precision:.3f}, recall {self.recall:.3f}, F1 {self.f1:.3f}"
        return "\n".join([figures, *self.wrong])


def rows(name: str) -> list[dict[str, Any]]:
    """The parsed lines of the file NAME.jsonl."""
    lines = (Path(__file__).parent / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def count(compared: Iterable[tuple[str, Collection[object], Collection[object]]]) -> Counts:
    """The counts over triples of text, labels and findings."""
    right = extra = missed = 0
    wrong: list[str] = []
    for text, labels, findings in compared:
        expected, found = set(labels), set(findings)
        right, extra, missed = (
            right + len(expected & found),
            extra + len(found - expected),
            missed + len(expected - found),
        )
        if expected != found:
            wrong.append(f"{text!r}: expected {sorted(map(str, expected))}, found {sorted(map(str, found))}")
    return Counts(right, extra, missed, tuple(wrong))
