"""The inspector's first page: a list of namespaces, or one namespace's size, newest memories and
charts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from api.http.endpoint import Params
from api.http.inspector.charts import Part, columns, stacked
from api.http.inspector.page import Html, Page
from api.http.inspector.view import PageScope, View
from api.http.request import ApiRequest, InNamespace, MaybeNamespace
from api.wiring.container import AppServices
from memtypes.model.filters import All, Compare, Filter, Op, all_of
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Listing, TypeStats

NEWEST = 12
"""How many of the newest memories the page lists."""

SAMPLE = 500
"""How many of the newest memories the chart of uses counts: reading all of them could block the
store for seconds.
"""

HEIGHT = 120.0
"""Height of the highest column, in the units of the chart's coordinates."""

AGES: tuple[tuple[str, int], ...] = (
    ("7 days", 7),
    ("30 days", 30),
    ("90 days", 90),
    ("a year", 365),
)
"""(name, days) of the limits between the age ranges of the chart of ages."""

_OLDEST = (*(days for _, days in AGES), 36_500)
"""Highest age in each age range, in days."""

UNITS: tuple[tuple[int, str, int, int], ...] = (
    (30, "day", 1, 30),
    (180, "week", 7, 26),
    (36_500, "month", 30, 24),
)
"""(limit, unit, days, number): how the chart of growth divides time if the oldest memory has at
most `limit` days.

It then has `number` columns, each for one unit (such as a week) of `days` days.
"""


@View("GET /")
async def overview(
    request: ApiRequest, services: AppServices, page: Page, params: Params[MaybeNamespace]
) -> Html:
    """The page of the namespace that the URL names, or of the tenant's only namespace; else a list
    of namespaces.
    """
    namespace = params.namespace
    if namespace is None:
        names = await page.names.of_tenant(request.auth.tenant, fresh=True)
        if len(names) != 1:
            return await page.show("namespaces.html", None)
        (namespace,) = names
    scope = request.scope_in(namespace)
    # Tokens are counted after the page is shown: in a large namespace that takes longer than the
    # rest.
    (sizes,) = await services.store.counts(scope, [All(())])
    total = sum(sizes.values())
    now = services.clock()
    newest = await services.store.page(scope, Listing(limit=NEWEST))
    return await page.show(
        "overview.html",
        InNamespace(namespace=namespace),
        sizes=sizes,
        total=total,
        bar_segments=stacked(_type_parts(sizes), total),
        newest=[memory.at(now) for memory in newest.memories],
    )


@View("GET /growth")
async def growth(
    services: AppServices, page: Page, params: Params[InNamespace], namespace: PageScope
) -> Html:
    """The charts of a namespace: new memories over time, ages by type, and when the newest memories
    were used.
    """
    now = services.clock()
    limits = [now - timedelta(days=days) for _, days in AGES]
    ages = await services.store.counts(
        namespace, [*_between([now + timedelta(days=2), *limits]), _before(limits[-1])]
    )
    oldest = max(
        (days for days, counts in zip(_OLDEST, ages, strict=True) if any(counts.values())),
        default=0,
    )
    _, unit, days, number = next(row for row in UNITS if oldest <= row[0])
    edges = [now - timedelta(days=days * back) for back in range(number + 1)]
    created_counts = await services.store.counts(namespace, _between(edges))
    segments = columns([_type_parts(counts) for counts in created_counts], HEIGHT)
    newest = (await services.store.page(namespace, Listing(limit=SAMPLE))).memories
    return await page.show(
        "growth_page.html",
        params,
        "growth.html",
        unit=unit,
        columns=[
            {"start": start, "end": end, "total": sum(counts.values()), "segments": stack}
            for (end, start), counts, stack in zip(
                pairwise(edges), created_counts, segments, strict=True
            )
        ][::-1],
        ages=_age_rows(ages, await services.store.stats(namespace)),
        age_names=[
            f"under {AGES[0][0]}",
            *(f"to {name}" for name, _ in AGES[1:]),
            f"over {AGES[-1][0]}",
        ],
        used=_uses(newest, now),
        sample=len(newest),
        height=HEIGHT,
    )


def _type_parts(counts: Mapping[MemoryType, int]) -> list[Part]:
    return [Part(f"type-{kind}", count, f"{count:,} {kind}") for kind, count in counts.items()]


def _between(edges: Sequence[datetime]) -> list[Filter]:
    """A filter for each pair of adjacent times in `edges` (latest first): memories created between
    the two.
    """
    return [
        all_of(Compare("created_at", Op.GTE, start), _before(end)) for end, start in pairwise(edges)
    ]


def _before(end: datetime) -> Filter:
    return Compare("created_at", Op.LT, end)


def _age_rows(
    ages: Sequence[Mapping[MemoryType, int]], sizes: Mapping[MemoryType, TypeStats]
) -> list[dict[str, Any]]:
    """A table row for each type with memories: tokens, and counts by range of age (as `ages` has
    them) with a bar.
    """
    rows = []
    for kind in MemoryType:
        counts = [range_counts[kind] for range_counts in ages]
        parts = [Part(f"age-{number}", count, f"{count:,}") for number, count in enumerate(counts)]
        if sum(counts):
            bar = stacked(parts, sum(counts))
            rows.append({"type": kind, "counts": counts, "tokens": sizes[kind].tokens, "bar": bar})
    return rows


def _uses(memories: Sequence[Memory], now: datetime) -> dict[str, int]:
    week = now - timedelta(days=7)
    month = now - timedelta(days=30)
    used = [memory.accessed_at for memory in memories]
    return {
        "used in the last 7 days": sum(at is not None and at >= week for at in used),
        "used in the last 30 days": sum(at is not None and month <= at < week for at in used),
        "used longer ago": sum(at is not None and at < month for at in used),
        "never used": sum(at is None for at in used),
    }
