"""Whether the service lives, whether it can work, and what it has done."""

from __future__ import annotations

import time
from collections.abc import Mapping

import anyio
from litestar import Response
from litestar.di import NamedDependency

from api.http.answers import Check, HealthAnswer, StatsAnswer
from api.http.bodies import InNamespace
from api.http.endpoint import Call, HttpRequest, answer, read_query, safe_get, scope_of
from api.wiring.container import Ping, Services
from memtypes.model.errors import RemembrancerError

TAG = "Service"
PING_S = 2.0
RETRY_S = "1"
"""Seconds after which a service that was not ready may be asked again."""
METRICS_TEXT = "text/plain; version=0.0.4"

_LIVE = Call("Whether the process lives", TAG, {200: HealthAnswer}, role=None)
_READY = Call("Whether everything the service needs answers", TAG, {200: HealthAnswer, 503: HealthAnswer}, role=None)
_METRICS = Call("Counts and times, for Prometheus", TAG, {200: str}, answer_type="text/plain")
_STATS = Call("How much a namespace holds", TAG, {200: StatsAnswer}, query=InNamespace, may_fail=(503,))


@safe_get("/health/live", opt=_LIVE.opt())
async def live() -> Response[bytes]:
    """Always ok: that it answers is the answer."""
    return answer({"status": "ok"})


@safe_get("/health/ready", opt=_READY.opt())
async def ready(services: NamedDependency[Services]) -> Response[bytes]:
    """Each resource's own answer; 503 when one gives none."""
    checks = await ping_all(services.pings)
    fine = all(check["ok"] for check in checks.values())
    if fine:
        return answer({"status": "ok", "checks": checks})
    response = answer({"status": "unavailable", "checks": checks}, 503)
    response.set_header("Retry-After", RETRY_S)
    return response


@safe_get("/metrics", opt=_METRICS.opt())
async def metrics(services: NamedDependency[Services]) -> Response[str]:
    """Prometheus' text format."""
    outbox = None if services.threads is None else services.threads.evicted_turns
    receipts = None if services.receipts is None else services.receipts.kept
    counting = (services.jobs, outbox, receipts)
    work = "".join(f"{line}\n" for one in counting if one is not None for line in one.lines())
    return Response(services.metrics.text() + work, media_type=METRICS_TEXT)


@safe_get("/v1/stats", opt=_STATS.opt())
async def stats(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """Count and tokens of each type, and of all."""
    namespace = read_query(request, InNamespace).namespace
    by_type = await services.store.stats(scope_of(request, namespace))
    types = {str(kind): {"count": one.count, "tokens": one.tokens} for kind, one in by_type.items()}
    total = {name: sum(one[name] for one in types.values()) for name in ("count", "tokens")}
    return answer({"namespace": namespace, "types": types, "total": total})


async def ping_all(pings: Mapping[str, Ping]) -> dict[str, Check]:
    """One check a resource, all at the same time."""
    checks: dict[str, Check] = {}

    async def note(name: str, ping: Ping) -> None:
        checks[name] = await _checked(ping)

    async with anyio.create_task_group() as group:
        for name, ping in pings.items():
            group.start_soon(note, name, ping)
    return {name: checks[name] for name in pings}


async def _checked(ping: Ping) -> Check:
    started = time.perf_counter()
    detail = ""
    try:
        with anyio.fail_after(PING_S):
            await ping()
    except TimeoutError:
        detail = f"no answer within {PING_S:g} s"
    except RemembrancerError as error:
        detail = str(error)
    check = Check(ok=not detail, ms=round((time.perf_counter() - started) * 1000, 2))
    if detail:
        check["detail"] = detail
    return check
