"""`due`: how many of a hundred written phrases are read as the time that is meant."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from zoneinfo import ZoneInfo

from benchmarks.apparatus.report import Report, Table
from benchmarks.texts.due_phrases import phrases
from ingest.screening.due.reading import due_in

SAID_AT = datetime(2026, 3, 4, 10, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")


@dataclass(frozen=True, slots=True)
class Miss:
    """A phrase that was read otherwise than meant."""

    phrase: str
    meant: str
    read: str


def read_as(phrase: str) -> str:
    """The local time that `phrase` is read as, or nothing."""
    due = due_in(phrase, SAID_AT, ZONE)
    return "" if due is None else due.at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M")


def misses() -> list[Miss]:
    """The phrases that are read otherwise than meant; where a day alone is meant, any time of that day will do."""
    found = [(phrase, meant, read_as(phrase)) for phrase, meant in phrases()]
    return [Miss(*one) for one in found if not (one[2].startswith(one[1]) if one[1] else one[2] == "")]


def measure_due(command: str) -> Report:
    """The share of phrases that are read as meant, and those that are not."""
    wrong = misses()
    count = len(phrases())
    took = []
    for phrase, _ in phrases():
        began = time.perf_counter()
        read_as(phrase)
        took.append((time.perf_counter() - began) * 1e3)
    table = Table(
        "Read otherwise", ("phrase", "meant", "read"), tuple((one.phrase, one.meant, one.read) for one in wrong)
    )
    figures = {"phrases": count, "accuracy": (count - len(wrong)) / count, "p50_ms": median(took)}
    notes = ("Said on Wednesday, 4 March 2026 at 11:00 in Berlin. The phrases and the rules are by the same hand.",)
    summary = Table("Due times", tuple(figures), (tuple(figures.values()),))
    return Report(command, (summary, table), notes, figures)
