"""Prometheus metrics of calls. Labels have routes and statuses, but nothing that callers sent
or stored.

Litestar's own metrics middleware is not used: its metric names are fixed, and all applications of a
process share them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics(Collector):
    """Prometheus counters and timings of HTTP calls, MCP calls and hook events since the
    application was created.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        self.in_flight = Gauge(
            "remembrancer_requests_in_flight", "Calls under way.", registry=self._registry
        )
        self.requests = counter(
            "remembrancer_requests", "Finished calls.", ("method", "route", "status")
        )
        name = "remembrancer_request_seconds"
        labels = ("method", "route")
        self.seconds = Histogram(
            name, "How long calls took.", labels, buckets=BUCKETS_S, registry=self._registry
        )
        incomplete = "Answers without a part that did not respond."
        self.degraded = counter("remembrancer_degraded_answers", incomplete, ("part",))
        self.tokens = counter(
            "remembrancer_context_tokens", "Tokens of contexts in answers.", ("kind",)
        )
        self.mcp_calls = counter("remembrancer_mcp_calls", "Calls of MCP tools.", ("tool",))
        self.hook_events = counter(
            "remembrancer_hook_events", "Events of clients' hooks.", ("client", "event")
        )

    def count_context(self, kind: str, tokens: int, degraded: Iterable[str]) -> None:
        """Count an answer's tokens and missing parts. kind: the call, such as `search`. degraded:
        the parts' names.
        """
        self.tokens.labels(kind).inc(tokens)
        for part in degraded:
            self.degraded.labels(part).inc()

    def collect(self) -> Iterator[Metric]:
        """The metrics of this object, without the `_created` samples that prometheus_client
        adds.
        """
        for metric in self._registry.collect():
            metric.samples = [
                sample for sample in metric.samples if not sample.name.endswith("_created")
            ]
            yield metric


class CountCalls(ASGIMiddleware):
    """Middleware that counts and times every call that reaches a route."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Run the call, then count it by method, route and status and record its duration."""
        metrics: Metrics = scope["litestar_app"].state.services.metrics
        started = time.perf_counter()
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with metrics.in_flight.track_inprogress():
                await next_app(scope, receive, send_and_note)
        finally:
            method = str(scope.get("method"))
            route = str(scope.get("path_template"))
            metrics.requests.labels(method, route, status).inc()
            metrics.seconds.labels(method, route).observe(time.perf_counter() - started)
