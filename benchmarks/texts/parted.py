"""`parts`: what is cut out of sixty written texts, against what should be."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.apparatus.report import Report, Table
from benchmarks.texts.parted_texts import TEXTS
from ingest.parts import howtos_in, requests_in

_NAMES = {"R": "requests for later", "H": "ways to do something"}


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
    for text, parts in TEXTS:
        wanted = {part for one, part in parts if one == kind}
        found = set(requests_in(text)) if kind == "R" else {one.text for one in howtos_in(text)}
        right, extra, missed = right + len(found & wanted), extra + len(found - wanted), missed + len(wanted - found)
    return Cut(right, extra, missed)


def measure_parts(command: str) -> Report:
    """The report over both kinds."""
    cuts = {name: cut(kind) for kind, name in _NAMES.items()}
    rows = tuple((name, one.right, one.extra, one.missed, one.f1) for name, one in cuts.items())
    table = Table("Parts cut out", ("kind", "right", "extra", "missed", "F1"), rows)
    notes = (f"{len(TEXTS)} texts. They and the rules are by the same hand, and the rules are meant to miss.",)
    return Report(command, (table,), notes, {name: one.f1 for name, one in cuts.items()})
