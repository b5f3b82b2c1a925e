"""Prometheus metrics of the whole service, read from its parts when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.wiring.container import Services
from memtypes.circuit_breaker import BreakerState


class ServiceMetrics(Collector):
    """All metrics of the service: calls, jobs, threads, batches of turns, locks, circuit breakers,
    configuration files and receipts.
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
        invalid = GaugeMetricFamily(
            "remembrancer_config_invalid",
            "Whether a changed configuration file is invalid, and not used.",
            labels=("file",),
        )
        for name, problem in services.config_problems().items():
            invalid.add_metric((name,), float(problem is not None))
        yield invalid
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
