"""Geometry of the inspector's bars and columns: numbers in, rectangles out. Knows no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WIDTH = 1_000.0
"""Units of a bar's full width."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar. name: its colour in the style sheet. value: its size, at least 0. label: text for people."""

    name: str
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A rectangle of a bar, in units of WIDTH."""

    name: str
    label: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal of a hit. value: 0 to 1. weight: factor in the score. share: value times weight. width: of its bar."""

    name: str
    value: float
    weight: float
    share: float
    width: float


def stacked(parts: Iterable[Part], total: float) -> list[Segment]:
    """The parts one after the other, scaled so that `total` fills WIDTH; parts beyond it are cut off."""
    segments: list[Segment] = []
    x = 0.0
    for part in parts:
        width = min(max(part.value, 0.0) / total * WIDTH if total > 0 else 0.0, WIDTH - x)
        if width > 0:
            segments.append(Segment(part.name, part.label, round(x, 2), round(width, 2)))
        x += width
    return segments


def columns(stacks: Sequence[Sequence[Part]], height: float) -> list[list[Segment]]:
    """The segments of each stack from the bottom up, scaled so that the highest stack has `height`.

    The stacks are upright bars: `x` is the height at which a segment begins, `width` its own height.
    """
    highest = max((sum(part.value for part in stack) for stack in stacks), default=0.0)
    scaled = [stacked(stack, highest) for stack in stacks]
    return [
        [Segment(s.name, s.label, round(s.x / WIDTH * height, 2), round(s.width / WIDTH * height, 2)) for s in stack]
        for stack in scaled
    ]


def signal_rows(values: Mapping[str, float], weights: Mapping[str, float]) -> list[SignalRow]:
    """The signals that have a weight; the one that adds most to the score first."""
    rows = [
        SignalRow(name, values.get(name, 0.0), weight, weight * values.get(name, 0.0), values.get(name, 0.0) * WIDTH)
        for name, weight in weights.items()
        if weight
    ]
    return sorted(rows, key=lambda row: (-row.share, row.name))


def signal_bar(rows: Iterable[SignalRow], best: float) -> list[Segment]:
    """A bar of a score, the sum of these signals' shares, scaled so that the score `best` fills it."""
    return stacked([Part(f"signal-{row.name}", row.share, f"{row.name} {row.share:.3f}") for row in rows], best)
