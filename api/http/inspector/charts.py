"""Geometry of the inspector's bars and columns: numbers in, rectangles out. Knows no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
