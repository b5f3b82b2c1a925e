"""Prometheus metrics of the service. Labels have routes and statuses, but nothing that callers sent
or stored.

Litestar's own metrics middleware is not used: its metric names are fixed, and all applications of a
process share them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from memtypes.circuit_breaker import BreakerState

if TYPE_CHECKING:
    from api.wiring.container import Services

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


class ServiceMetrics(Collector):
    """All metrics of the service: calls, jobs, threads, batches of turns, locks, circuit breakers
    and receipts.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """The metrics, with the values that they have now."""
        services = self._services
        yield from services.metrics.collect()
        yield from services.jobs.collect()
        flusher = services.threads.flusher
        receipts = services.receipts.queue
        turns = "Turns, tokens and flushes of threads."
        yield _counters("remembrancer_threads", turns, "what", asdict(flusher.counts))
        batches = {
            "thread_departures": services.threads.evicted_turns,
            "captures": services.captures,
        }
        for name, writer in batches.items():
            yield GaugeMetricFamily(
                f"remembrancer_{name}_waiting", "Batches not stored yet.", value=writer.waiting
            )
            description = "Batches of turns in this process, by outcome."
            yield _counters(f"remembrancer_{name}", description, "became", asdict(writer.counts))
        outcomes = asdict(flusher.locks.counts)
        wait_seconds = outcomes.pop("wait_seconds")
        yield _counters(
            "remembrancer_locks", "Locks between processes, by outcome.", "outcome", outcomes
        )
        yield CounterMetricFamily(
            "remembrancer_lock_wait_seconds", "Time waited for locks.", value=wait_seconds
        )
        labels = ("server", "workload", "state")
        breakers = GaugeMetricFamily(
            "remembrancer_breaker_state", "State of circuit breakers.", labels=labels
        )
        for (server, workload), state in services.breakers().items():
            for breaker_state in BreakerState:
                breakers.add_metric(
                    (server, workload, breaker_state), float(breaker_state is state)
                )
        yield breakers
        lost = "Receipts that could not be stored."
        waiting = "Receipts that are not written yet."
        yield CounterMetricFamily("remembrancer_receipts_lost", lost, value=receipts.lost)
        yield GaugeMetricFamily("remembrancer_receipts_waiting", waiting, value=receipts.waiting)


def _counters(
    name: str, description: str, label: str, counts: Mapping[str, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, description, labels=(label,))
    for label_value, count in counts.items():
        family.add_metric((label_value,), count)
    return family
