"""Prometheus metrics of HTTP calls, evicted turns and receipts, with routes and statuses but no contents.

Not Litestar's own middleware: it fixes other metric names and shares them between the applications of a process.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest.conversations.evicted_turns import EvictedTurnCounts
from ingest.conversations.flushing import ThreadCounts
from memtypes.circuit_breaker import BreakerState
from memtypes.ports.locks import LockCounts

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics(Collector):
    """Counters and timings of the HTTP calls since the application was created."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.in_flight = Gauge("remembrancer_requests_in_flight", "Calls under way.", registry=self._registry)
        self.requests = Counter(
            "remembrancer_requests", "Finished calls.", ("method", "route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "remembrancer_request_seconds",
            "How long calls took.",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self.degraded = Counter(
            "remembrancer_degraded_answers",
            "Answers without a part that did not respond.",
            ("part",),
            registry=self._registry,
        )
        self.tokens = Counter(
            "remembrancer_context_tokens", "Tokens of contexts in answers.", ("kind",), registry=self._registry
        )
        self.mcp_calls = Counter("remembrancer_mcp_calls", "Calls of MCP tools.", ("tool",), registry=self._registry)

        self.hook_events = Counter(
            "remembrancer_hook_events", "Events of clients' hooks.", ("client", "event"), registry=self._registry
        )

    def note_context(self, kind: str, tokens: int, degraded: Iterable[str]) -> None:
        """Count the tokens of a context, and the parts that it lacks because they did not respond."""
        self.tokens.labels(kind).inc(tokens)
        for part in degraded:
            self.degraded.labels(part).inc()

    def collect(self) -> Iterator[Metric]:
        """Every metric, without prometheus_client's `_created` samples."""
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class CountCalls(ASGIMiddleware):
    """Middleware that counts and times every call that reaches a route."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Run the call, then count it by method, route and status and record its duration."""
        metrics: Metrics = scope["litestar_app"].state.services.metrics
        started, status = time.perf_counter(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with metrics.in_flight.track_inprogress():
                await next_app(scope, receive, send_and_note)
        finally:
            method, route = str(scope.get("method")), str(scope.get("path_template"))
            metrics.requests.labels(method, route, status).inc()
            metrics.seconds.labels(method, route).observe(time.perf_counter() - started)


def breaker_metrics(states: Mapping[tuple[str, str], BreakerState]) -> Iterator[Metric]:
    """The state of each circuit breaker, by server and kind of calls: 1 for its current state, 0 for the others."""
    family = GaugeMetricFamily(
        "remembrancer_breaker_state", "State of circuit breakers.", labels=("server", "workload", "state")
    )
    for (server, workload), state in states.items():
        for each in BreakerState:
            family.add_metric((server, workload, each), float(each is state))
    yield family


def lock_metrics(counts: LockCounts) -> Iterator[Metric]:
    """Metrics of the locks between processes: how many by outcome, and how long callers waited for them."""
    outcomes = {"acquired": counts.acquired, "refused": counts.refused, "lost": counts.lost}
    yield _counters("remembrancer_locks", "Locks between processes, by outcome.", "outcome", outcomes)
    yield CounterMetricFamily("remembrancer_lock_wait_seconds", "Time waited for locks.", value=counts.wait_seconds)


def thread_metrics(counts: ThreadCounts) -> Iterator[Metric]:
    """Metrics of the turns and tokens that were appended to, evicted and flushed from threads."""
    yield _counters("remembrancer_threads", "Turns, tokens and flushes of threads.", "what", asdict(counts))


def turn_batch_metrics(name: str, counts: EvictedTurnCounts, waiting: int) -> Iterator[Metric]:
    """Metrics of the batches of turns that become memories: how many by outcome, and how many are waiting."""
    yield GaugeMetricFamily(f"{name}_waiting", "Batches not stored yet.", value=waiting)
    yield _counters(name, "Batches of turns in this process, by outcome.", "became", asdict(counts))


def _counters(name: str, description: str, label: str, counts: Mapping[str, float]) -> CounterMetricFamily:
    """One counter for each of `counts`, by their names under `label`."""
    family = CounterMetricFamily(name, description, labels=(label,))
    for each, count in counts.items():
        family.add_metric((each,), count)
    return family


def receipt_metrics(lost: int, waiting: int) -> Iterator[Metric]:
    """Metrics of the receipts that could not be stored (`lost`) and that are queued (`waiting`)."""
    yield CounterMetricFamily("remembrancer_receipts_lost", "Receipts that could not be stored.", value=lost)
    yield GaugeMetricFamily("remembrancer_receipts_waiting", "Receipts that are not written yet.", value=waiting)


def exposition(metrics: Iterable[Metric]) -> str:
    """`metrics` in Prometheus' text format."""
    return generate_latest(_Collected(metrics)).decode()


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
