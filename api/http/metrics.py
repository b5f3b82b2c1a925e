"""Counts and times of the calls, in the Prometheus text format. Knows routes and statuses, never contents."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What has been counted since the process began."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._calls: Counter[tuple[str, str, int]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._within: Counter[tuple[str, float]] = Counter()

    def record(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one finished call."""
        self._calls[method, route, status] += 1
        call = f'method="{method}",route="{route}"'
        self._seconds[call] += seconds  # type: ignore[assignment]  # a Counter adds floats as well
        for bound in BUCKETS_S:
            if seconds <= bound:
                self._within[call, bound] += 1

    def text(self) -> str:
        """Everything, in Prometheus' text format."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield "# HELP remembrancer_requests_in_flight Calls under way."
        yield "# TYPE remembrancer_requests_in_flight gauge"
        yield f"remembrancer_requests_in_flight {self.in_flight}"
        yield "# HELP remembrancer_requests_total Finished calls."
        yield "# TYPE remembrancer_requests_total counter"
        for (method, route, status), count in sorted(self._calls.items()):
            labels = f'method="{method}",route="{route}",status="{status}"'
            yield f"remembrancer_requests_total{{{labels}}} {count}"
        yield "# HELP remembrancer_request_seconds How long calls took."
        yield "# TYPE remembrancer_request_seconds histogram"
        for call, seconds in sorted(self._seconds.items()):
            yield from self._histogram(call, seconds)

    def _histogram(self, call: str, seconds: float) -> Iterator[str]:
        total = sum(
            count for (method, route, _), count in self._calls.items() if f'method="{method}",route="{route}"' == call
        )
        for bound in BUCKETS_S:
            yield f'remembrancer_request_seconds_bucket{{{call},le="{bound}"}} {self._within[call, bound]}'
        yield f'remembrancer_request_seconds_bucket{{{call},le="+Inf"}} {total}'
        yield f"remembrancer_request_seconds_sum{{{call}}} {seconds:.6f}"
        yield f"remembrancer_request_seconds_count{{{call}}} {total}"


class CountCalls(ASGIMiddleware):
    """Counts every call that reached a route."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the call on, and note its status and duration."""
        started, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.in_flight += 1
        try:
            await next_app(scope, receive, noting)
        finally:
            self._metrics.in_flight -= 1
            took = time.perf_counter() - started
            self._metrics.record(str(scope.get("method")), str(scope.get("path_template")), status, took)
