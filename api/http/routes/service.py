"""HTTP calls about the service: liveness, readiness, metrics, the size of a namespace, and the API
documentation.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

import anyio
from litestar import Response
from prometheus_client import generate_latest

from api.http.endpoint import Endpoint, QueryScope
from api.http.openapi import document, page
from api.http.request import ApiRequest
from api.http.service_metrics import ServiceMetrics
from api.wiring.container import AppServices, Ping
from memtypes.model.errors import RemembrancerError
from memtypes.model.filters import Not, in_view
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import TypeStats
from retrieval.answer import Answer, OmittedIfNone

PING_S = 2.0


class HealthCheck(Answer):
    """Whether a check of a resource or configuration file passed, and how many milliseconds it
    took. detail: why it failed, or what to know although it passed.
    """

    ok: bool
    ms: float
    detail: OmittedIfNone[str] = None


class HealthAnswer(Answer):
    """Whether the service is alive or ready. checks: results by resource; only in the answer about
    readiness.
    """

    status: Literal["ok", "unavailable"]
    checks: OmittedIfNone[dict[str, HealthCheck]] = None


class StatsAnswer(Answer):
    """Numbers of a namespace's memories that still hold, and of their tokens, by type and in total.

    past: number of memories that were replaced or have expired. items: number of keyed items.
    """

    namespace: str
    types: dict[MemoryType, TypeStats]
    total: TypeStats
    past: int
    items: int


@Endpoint("GET /health/live", role=None)
async def live() -> HealthAnswer:
    """Check whether the process runs."""
    return HealthAnswer(status="ok")


@Endpoint("GET /health/ready", role=None, answers={503: HealthAnswer})
async def ready(services: AppServices) -> Response[HealthAnswer]:
    """Whether all parts of the service respond, such as its stores; 503 if one does not. The answer
    names each part.

    A configuration file that was changed and is invalid fails its check alone: the service goes on
    with the contents before the change.
    """
    outcomes = await asyncio.gather(*map(_check, services.pings.values()))
    parts = dict(zip(services.pings, outcomes, strict=True))
    files = {name: _file_check(text) for name, text in services.config_problems().items()}
    checks = parts | files
    if all(check.ok for check in parts.values()):
        return Response(HealthAnswer(status="ok", checks=checks))
    unavailable = HealthAnswer(status="unavailable", checks=checks)
    return Response(unavailable, status_code=503, headers={"Retry-After": "1"})


@Endpoint("GET /metrics", media_type="text/plain")
async def metrics(services: AppServices) -> Response[bytes]:
    """Metrics of the service in the Prometheus text format."""
    return Response(
        generate_latest(ServiceMetrics(services)), media_type="text/plain; version=0.0.4"
    )


@Endpoint("GET /v1/stats", errors=(503,))
async def stats(services: AppServices, namespace: QueryScope) -> StatsAnswer:
    """Count the memories, tokens and keyed items of a namespace."""
    current = in_view(services.clock())
    types = await services.store.stats(namespace, current)
    past = sum((await services.store.counts(namespace, [Not(current)]))[0].values())
    total = TypeStats(
        sum(size.count for size in types.values()), sum(size.tokens for size in types.values())
    )
    items = await services.items.count(namespace)
    return StatsAnswer(
        namespace=namespace.namespace, types=types, total=total, past=past, items=items
    )


@Endpoint("GET /openapi.json", "This document", role=None)
async def openapi_json(request: ApiRequest) -> dict[str, Any]:
    """The OpenAPI document of this API."""
    return document(request.app)


@Endpoint("GET /docs", "This document as a page", role=None, media_type="text/html")
async def docs(request: ApiRequest) -> Response[str]:
    """The OpenAPI document as an HTML page."""
    return Response(page(document(request.app)), media_type="text/html")


def _file_check(problem: str | None) -> HealthCheck:
    """The check of a configuration file. Of `problem`, the first line is shown: what follows quotes
    the file.
    """
    detail = None if problem is None else problem.partition("\n")[0]
    return HealthCheck(ok=problem is None, ms=0.0, detail=detail)


async def _check(ping: Ping) -> HealthCheck:
    started = time.perf_counter()
    ok = False
    try:
        with anyio.fail_after(PING_S):
            detail = await ping()
        ok = True
    except TimeoutError:
        detail = f"no answer within {PING_S:g} s"
    except RemembrancerError as error:
        detail = str(error)
    return HealthCheck(ok=ok, ms=round((time.perf_counter() - started) * 1000, 2), detail=detail)
