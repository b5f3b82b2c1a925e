"""The inspector's first page: a list of namespaces, or one namespace's size, newest memories and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from litestar import Response

from api.http.inspector.charts import Part, Segment, columns, stacked
from api.http.inspector.page import LivePage
from api.http.inspector.view import View, read_address
from api.http.request import ApiRequest, InNamespace, MaybeNamespace
from api.wiring.container import AppServices
from memtypes.model.filters import All, Compare, Filter, Op, all_of
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Listing, TypeStats

NEWEST = 12
"""How many of the newest memories the page lists."""

SAMPLE = 500
"""How many of the newest memories the chart of uses counts: reading all of them could block the store for seconds."""

HEIGHT = 120.0
"""Height of the highest column, in the units of the chart's coordinates."""

AGES: tuple[tuple[str, int], ...] = (("7 days", 7), ("30 days", 30), ("90 days", 90), ("a year", 365))
"""(name, days) of the limits between the age ranges of the chart of ages."""

UNITS: tuple[tuple[int, str, int, int], ...] = ((30, "day", 1, 30), (180, "week", 7, 26), (36_500, "month", 30, 24))
"""(limit, unit, days, number): how the chart of growth divides time if the oldest memory has at most `limit` days.

It then has `number` columns, each for one unit (such as a week) of `days` days.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the growth chart: the memories created from `start` until before `end`; segments as in `columns`."""

    start: datetime
    end: datetime
    total: int
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class AgeRow:
    """The ages of a type's memories. counts: by age range, youngest first. bar: their segments. tokens: of all."""

    type: MemoryType
    counts: list[int]
    tokens: int
    bar: list[Segment]


@View("GET /")
async def overview(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page of the namespace that the URL names, or of the tenant's only namespace; else a list of namespaces."""
    namespace = read_address(request, MaybeNamespace).namespace
    if namespace is None:
        names = await page.names.of(request.auth.tenant, fresh=True)
        if len(names) != 1:
            return await page.show("namespaces.html", None)
        (namespace,) = names
    scope = request.scope_in(namespace)
    # Tokens are counted after the page is shown: in a large namespace that takes longer than the rest.
    (sizes,) = await services.store.counts(scope, [All(())])
    total, now = sum(sizes.values()), services.clock()
    parts = [Part(f"type-{kind}", count, f"{count:,} {kind}") for kind, count in sizes.items()]
    newest = await services.store.page(scope, Listing(limit=NEWEST))
    return await page.show(
        "overview.html",
        InNamespace(namespace=namespace),
        sizes=sizes,
        total=total,
        bar_segments=stacked(parts, total),
        newest=[memory.at(now) for memory in newest.memories],
    )


@View("GET /growth")
async def growth(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The charts of a namespace: new memories over time, ages by type, and when the newest memories were used."""
    asked = read_address(request, InNamespace)
    scope, now = request.scope_in(asked.namespace), services.clock()
    limits = [now - timedelta(days=days) for _, days in AGES]
    ages = await services.store.counts(scope, [*_between([now + timedelta(days=2), *limits]), _before(limits[-1])])
    unit, days, count = _unit(ages)
    edges = [now - timedelta(days=days * number) for number in range(count, -1, -1)]
    created = await services.store.counts(scope, _between(edges[::-1]))
    newest = (await services.store.page(scope, Listing(limit=SAMPLE))).memories
    values: dict[str, Any] = {
        "unit": unit,
        "columns": _columns(edges, created[::-1]),
        "ages": _age_rows(ages, await services.store.stats(scope)),
        "age_names": [f"under {AGES[0][0]}", *(f"to {name}" for name, _ in AGES[1:]), f"over {AGES[-1][0]}"],
        "used": _uses(newest, now),
        "sample": len(newest),
        "height": HEIGHT,
    }
    if page.is_part:
        return page.part("growth.html", **values)
    return await page.show("growth_page.html", asked, **values)


def _between(edges: Sequence[datetime]) -> list[Filter]:
    """A filter for each pair of adjacent times in `edges` (latest first): memories created between the two."""
    return [all_of(Compare("created_at", Op.GTE, start), _before(end)) for end, start in pairwise(edges)]


def _before(end: datetime) -> Filter:
    return Compare("created_at", Op.LT, end)


def _unit(ages: Sequence[Mapping[MemoryType, int]]) -> tuple[str, int, int]:
    """(unit, days, number) from UNITS for the oldest memory. ages: counts by type in each range, youngest first."""
    totals = [sum(counts.values()) for counts in ages]
    oldest = max((days for (_, days), total in zip(AGES, totals, strict=False) if total), default=0)
    oldest = 36_500 if totals[-1] else oldest
    return next((name, days, count) for limit, name, days, count in UNITS if oldest <= limit)


def _columns(edges: Sequence[datetime], created: Sequence[Mapping[MemoryType, int]]) -> list[Column]:
    stacks = [[Part(f"type-{kind}", count, f"{count:,} {kind}") for kind, count in each.items()] for each in created]
    return [
        Column(start, end, sum(counts.values()), segments)
        for start, end, counts, segments in zip(edges, edges[1:], created, columns(stacks, HEIGHT), strict=False)
    ]


def _age_rows(ages: Sequence[Mapping[MemoryType, int]], sizes: Mapping[MemoryType, TypeStats]) -> list[AgeRow]:
    rows = []
    for kind in MemoryType:
        counts = [each[kind] for each in ages]
        parts = [Part(f"age-{number}", count, f"{count:,}") for number, count in enumerate(counts)]
        if sum(counts):
            rows.append(AgeRow(kind, counts, sizes[kind].tokens, stacked(parts, sum(counts))))
    return rows


def _uses(memories: Sequence[Memory], now: datetime) -> dict[str, int]:
    week, month = now - timedelta(days=7), now - timedelta(days=30)
    used = [memory.accessed_at for memory in memories]
    return {
        "used in the last 7 days": sum(at is not None and at >= week for at in used),
        "used in the last 30 days": sum(at is not None and month <= at < week for at in used),
        "used longer ago": sum(at is not None and at < month for at in used),
        "never used": sum(at is None for at in used),
    }
