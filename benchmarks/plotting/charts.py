"""Charts as values, and their SVG. Pure functions of values: knows no measurement and no file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
"""Told apart by most who see colours differently (Okabe and Ito, 2008)."""

WIDTH, HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 236, 14, 52
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
_ROW = 26
_NAMES = 210
"""Room for the names of a dot chart's rows."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a line passes; low and high: the ends of what is uncertain, where that is known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A named line. colour: its place in COLOURS; lines of one colour are told apart by being dashed."""

    name: str
    points: tuple[Point, ...]
    colour: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """label: with its unit. ticks: ascending; the first and the last are the ends. log: equal ratios, equal lengths."""

    label: str
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` lies between the ends, 0 to 1 within them."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low) if high > low else 0.5


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over two axes."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A named dot with its interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DotChart:
    """Rows of dots over one axis."""

    title: str
    x: Axis
    rows: tuple[Row, ...]


Chart = LineChart | DotChart


def ticks_up_to(highest: float, about: int = 5) -> tuple[float, ...]:
    """Round numbers from 0 to the first that is not below `highest`: steps of 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return (0.0, 1.0)
    power = 10.0 ** math.floor(math.log10(highest / about))
    step = next(power * factor for factor in (1, 2, 5, 10) if highest / (power * factor) <= about)
    return tuple(round(step * index, 10) for index in range(math.ceil(highest / step - 1e-9) + 1))


def number(value: float) -> str:
    """`value` as an axis shows it: 100k for 100,000."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * size or (value >= size and value % size == 0):
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def render_svg(chart: Chart) -> str:
    """The chart as one SVG element."""
    return _lines(chart) if isinstance(chart, LineChart) else _dots(chart)


def _lines(chart: LineChart) -> str:
    parts = [*_grid(chart.x, chart.y, _PLOT_WIDTH, _PLOT_HEIGHT, _LEFT)]
    for place, line in enumerate(chart.lines):
        parts += [*_line(chart, line), *_legend(line, place)]
    return _svg(chart.title, HEIGHT, parts)


def _line(chart: LineChart, line: Line) -> Iterator[str]:
    colour = COLOURS[line.colour % len(COLOURS)]
    spots = [(_x(chart, point.x), _y(chart, point.y), point) for point in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in spots)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{_dash(line)}/>'
    for x, y, point in spots:
        if point.low is not None and point.high is not None:
            ends = (_y(chart, point.low), _y(chart, point.high))
            yield f'<path d="M{x:.1f},{ends[0]:.1f}V{ends[1]:.1f}" stroke="{colour}" stroke-opacity="0.55"/>'
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'


def _legend(line: Line, place: int) -> Iterator[str]:
    colour = COLOURS[line.colour % len(COLOURS)]
    y, x = _TOP + 12 + 20 * place, WIDTH - _RIGHT + 18
    yield f'<path d="M{x},{y}h26" stroke="{colour}" stroke-width="2"{_dash(line)}/>'
    yield _text(line.name, x + 32, y + 4)


def _dash(line: Line) -> str:
    return ' stroke-dasharray="6 4"' if line.dashed else ""


def _x(chart: LineChart, value: float) -> float:
    return _LEFT + chart.x.place(value) * _PLOT_WIDTH


def _y(chart: LineChart, value: float) -> float:
    return _TOP + (1 - chart.y.place(value)) * _PLOT_HEIGHT


def _dots(chart: DotChart) -> str:
    height = _ROW * len(chart.rows)
    width = WIDTH - _NAMES - 70
    parts = [*_grid(chart.x, None, width, height, _NAMES)]
    for place, row in enumerate(chart.rows):
        y = _TOP + _ROW * (place + 0.5)
        low, at, high = (_NAMES + chart.x.place(value) * width for value in (row.low, row.value, row.high))
        parts += [
            _text(row.name, _NAMES - 10, y + 4, "end"),
            f'<path d="M{low:.1f},{y}H{high:.1f}" stroke="{COLOURS[0]}" stroke-width="2" stroke-opacity="0.55"/>',
            f'<circle cx="{at:.1f}" cy="{y}" r="4.5" fill="{COLOURS[0]}"/>',
            _text(f"{row.value:.3f}", WIDTH - 60, y + 4),
        ]
    return _svg(chart.title, height + _TOP + _BOTTOM, parts)


def _grid(x: Axis, y: Axis | None, width: float, height: float, left: float) -> Iterator[str]:
    bottom = _TOP + height
    for tick in x.ticks:
        at = left + x.place(tick) * width
        yield f'<path d="M{at:.1f},{_TOP}V{bottom}" stroke="#e4e4e4"/>'
        yield _text(number(tick), at, bottom + 18, "middle")
    yield _text(x.label, left + width / 2, bottom + 42, "middle")
    yield f'<path d="M{left},{bottom}h{width}" stroke="#555"/>'
    for tick in y.ticks if y else ():
        at = _TOP + (1 - y.place(tick)) * height if y else 0
        yield f'<path d="M{left},{at:.1f}h{width}" stroke="#e4e4e4"/>'
        yield _text(number(tick), left - 8, at + 4, "end")
    if y:
        middle = _TOP + height / 2
        yield _text(y.label, 16, middle, "middle", f' transform="rotate(-90 16 {middle})"')


def _text(text: str, x: float, y: float, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img" aria-label="{escape(title)}" font-family="system-ui, DejaVu Sans, sans-serif" font-size="12">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height:g}" fill="#fff"/>', *parts, "</svg>"])
