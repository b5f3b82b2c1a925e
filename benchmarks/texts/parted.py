"""`parts`: what is cut out of written texts, against what should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.apparatus.report import Report, Table
from benchmarks.texts.parted_texts import TEXTS
from benchmarks.texts.stated_texts import STATED
from ingest.screening.extraction.facts import facts_in
from ingest.screening.extraction.parts import howtos_in, requests_in

_NAMES = {"R": "requests for later", "H": "ways to do something", "F": "what lasts of the speaker"}


@dataclass(frozen=True, slots=True)
class Cut:
    """Parts of one kind, counted. right: cut out word for word as meant."""

    right: int
    extra: int
    missed: int

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 1 where there is nothing to cut."""
        counted = 2 * self.right + self.extra + self.missed
        return 2 * self.right / counted if counted else 1.0


def cut(kind: str) -> Cut:
    """What is cut out of all texts of one kind."""
    right = extra = missed = 0
    for wanted, found in _compared(kind):
        right, extra, missed = right + len(found & wanted), extra + len(found - wanted), missed + len(wanted - found)
    return Cut(right, extra, missed)


def _compared(kind: str) -> Iterator[tuple[set[str], set[str]]]:
    """What is meant and what is found, text by text."""
    if kind == "F":
        for text, facts in STATED:
            yield set(facts), set(facts_in(text))
        return
    for text, parts in TEXTS:
        found = set(requests_in(text)) if kind == "R" else {one.text for one in howtos_in(text)}
        yield {part for one, part in parts if one == kind}, found


def measure_parts(command: str) -> Report:
    """The report over both kinds."""
    cuts = {name: cut(kind) for kind, name in _NAMES.items()}
    rows = tuple((name, one.right, one.extra, one.missed, one.f1) for name, one in cuts.items())
    table = Table("Parts cut out", ("kind", "right", "extra", "missed", "F1"), rows)
    count = f"{len(TEXTS)} and {len(STATED)} texts"
    notes = (f"{count}. They and the rules are by the same hand, and the rules are meant to miss.",)
    return Report(command, (table,), notes, {name: one.f1 for name, one in cuts.items()})
