"""Computes the rectangles of the inspector's bar and column charts from numbers. It does not render
HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WIDTH = 1_000.0
"""Width of a full bar, in the units of a chart's coordinates."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar. name: CSS class that gives its colour. value: its size, at least 0. label:
    text for the user.
    """

    name: str
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A rectangle that shows one part of a bar. x, width: its left edge and its width; a full bar
    has width WIDTH.
    """

    name: str
    label: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal (term) of a hit's score. value: 0 to 1. share: value times weight."""

    name: str
    value: float
    weight: float
    share: float


def stacked(parts: Iterable[Part], total: float, full: float = WIDTH) -> list[Segment]:
    """The parts as adjacent rectangles, scaled so that `total` fills the width `full`. What exceeds
    it is cut off.
    """
    segments: list[Segment] = []
    x = 0.0
    for part in parts:
        width = min(max(part.value, 0.0) / total * full if total > 0 else 0.0, full - x)
        if width > 0:
            segments.append(Segment(part.name, part.label, round(x, 2), round(width, 2)))
        x += width
    return segments


def columns(stacks: Sequence[Sequence[Part]], height: float) -> list[list[Segment]]:
    """The segments of each stack, bottom up; `x` and `width` are start and height. The highest
    stack has `height`.
    """
    highest = max((sum(part.value for part in stack) for stack in stacks), default=0.0)
    return [stacked(stack, highest, height) for stack in stacks]


def signal_rows(values: Mapping[str, float], weights: Mapping[str, float]) -> list[SignalRow]:
    """A row for each signal (term of a score) with a weight other than 0. What adds most to the
    score comes first.
    """
    signals = ((name, values.get(name, 0.0), weight) for name, weight in weights.items() if weight)
    rows = [SignalRow(name, value, weight, weight * value) for name, value, weight in signals]
    return sorted(rows, key=lambda row: (-row.share, row.name))


def signal_bar(rows: Iterable[SignalRow], best: float) -> list[Segment]:
    """The bar of a search hit's score: a segment for each term (signal). A score of `best` would
    fill the bar.
    """
    return stacked(
        [Part(f"signal-{row.name}", row.share, f"{row.name} {row.share:.3f}") for row in rows], best
    )
