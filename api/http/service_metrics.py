"""Prometheus metrics of the whole service, read from its parts when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.wiring.container import Services
from ingest.screening.counts import ScreeningCounts
from ingest.screening.submission import RejectionCause
from memtypes.circuit_breaker import BreakerState
from memtypes.model.memory import Decision, Tier


class ServiceMetrics(Collector):
    """All metrics of the service: calls, jobs, screening, threads, batches of turns, locks, circuit
    breakers, configuration files and receipts.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """The metrics, with the values that they have now."""
        services = self._services
        yield from services.metrics.collect()
        yield from services.jobs.collect()
        yield from _screening(services.ingestor.counts)
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


def _screening(counts: ScreeningCounts) -> Iterator[Metric]:
    reviews = CounterMetricFamily(
        "remembrancer_reviews", "Reviewed texts.", labels=("tier", "decision")
    )
    for tier in (Tier.CONSENSUS, Tier.PARTIAL, Tier.FALLBACK):
        for decision in Decision:
            reviews.add_metric((tier, decision), counts.reviews[tier, decision])
    yield reviews
    prefilter = {"passed": counts.passed, "rejected": counts.saved}
    description = "Texts to review that the pre-filter let through or rejected."
    yield _counters("remembrancer_prefilter", description, "outcome", prefilter)
    yield GaugeMetricFamily(
        "remembrancer_reviews_saved_ratio",
        "Share of the texts to review that the pre-filter decided alone.",
        value=counts.saved_share,
    )
    rejections = {
        str(cause): counts.rejections[cause]
        for cause in RejectionCause
        if cause is not RejectionCause.PART
    }
    yield _counters("remembrancer_rejections", "Texts not stored.", "reason", rejections)


def _counters(
    name: str, description: str, label: str, counts: Mapping[str, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, description, labels=(label,))
    for label_value, count in counts.items():
        family.add_metric((label_value,), count)
    return family
