"""Clients' sessions post hook events while service, store and Redis server are killed; no
acknowledged text is lost.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice

import httpx
import pytest

from api.settings import Settings
from benchmarks.harness.service import Service, kill, processes_of, start
from tests.soak.service import TIMEOUT_S, Sizes, listed, pids_of, seeded

pytestmark = pytest.mark.soak

_NAMESPACE = "hooks"
_CAPTURE_S = 180.0
"""How long captured turns may take to become memories."""

_FAULTS = ("service", "store", "live server", "service and store")
_CLAIMS = (
    "We decided that depot {mark} ships only on weekdays, because its gate is closed at weekends.",
    "The import of ledger {mark} failed because its index was built twice.",
    "Customer {mark} wants invoices in French from March on.",
)


@dataclass(slots=True)
class Place:
    """Holds the running service for sessions that use it; after a restart, it holds the new
    process.
    """

    service: Service


@dataclass(slots=True)
class HookSession:
    """A session of a client that posts hook events. acknowledged: texts that were answered with
    200.
    """

    place: Place
    name: str
    turns: int
    acknowledged: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Post the hook events of each turn: the prompt, the answer (twice, as if sent again) and a
        summary.

        Then end the session.
        """
        headers = {"X-Remembrancer-Namespace": _NAMESPACE}
        with httpx.Client(timeout=5.0, headers=headers) as client:
            for turn in range(self.turns):
                mark = f"{self.name}x{turn}"
                prompt, answer = (
                    claim.format(mark=f"{mark}{end}")
                    for claim, end in zip(_CLAIMS, "pa", strict=False)
                )
                self._post(client, turn, "UserPromptSubmit", prompt=prompt)
                self._post(client, turn, "Stop", last_assistant_message=answer)
                self._post(client, turn, "Stop", last_assistant_message=answer)
                self._post(
                    client, turn, "PostCompact", compact_summary=_CLAIMS[2].format(mark=f"{mark}s")
                )
            while not self._post(client, self.turns, "SessionEnd", reason="other"):
                time.sleep(0.2)

    def _post(self, client: httpx.Client, turn: int, event: str, **fields: str) -> bool:
        body = {
            "session_id": self.name,
            "hook_event_name": event,
            "prompt_id": f"{self.name}/{turn}",
            **fields,
        }
        try:
            answer = client.post(f"{self.place.service.url}/v1/hooks/claude-code", json=body)
        except httpx.TransportError:
            return False
        if answer.status_code != httpx.codes.OK or "x-remembrancer-degraded" in answer.headers:
            return False
        self.acknowledged += [text for text in fields.values() if text != "other"]
        return True


def test_acknowledged_events_are_captured_once(settings: Settings, sizes: Sizes) -> None:
    """Each text that the service acknowledged is in exactly one memory, or listed as rejected with
    a reason.
    """
    rng = seeded()
    place = Place(start(settings))
    sessions = [
        HookSession(place, f"s{number}", sizes.pick(12, 200)) for number in range(sizes.pick(4, 20))
    ]
    threads = [threading.Thread(target=session.run, daemon=True) for session in sessions]
    try:
        for thread in threads:
            thread.start()
        for fault in islice(cycle(_FAULTS), sizes.pick(4, 20)):
            time.sleep(rng.uniform(0.5, 3.0))
            _inflict(fault, place, settings)
        for thread in threads:
            thread.join()
        contents, rejected = _captured(place.service.url)
    finally:
        place.service.stop()
    acknowledged = {text for session in sessions for text in session.acknowledged}
    assert len(acknowledged) > len(sessions)
    assert sorted(acknowledged - contents.keys() - rejected) == []
    assert [text for text, count in contents.items() if count > 1] == []
    summaries = {text for text in acknowledged if text.startswith("Customer")}
    assert summaries <= contents.keys()


def _inflict(fault: str, place: Place, settings: Settings) -> None:
    """Kill the processes that `fault` names, such as "service and store", and start a killed
    service again.
    """
    if fault == "live server":
        kill(processes_of(settings.live_path, exclude={os.getpid()}))
        return
    place.service.kill(pids_of(place.service, fault))
    if "service" in fault:
        place.service = start(settings)


def _captured(url: str) -> tuple[Counter[str], set[str]]:
    """Wait until no captured turn waits to be stored.

    Returns how many memories have each content, and the rejected texts.
    """
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        end = time.monotonic() + _CAPTURE_S
        while not _is_settled(client.get("/metrics").text):
            assert time.monotonic() < end, "captured turns still wait to be stored"
            time.sleep(0.5)
        contents = Counter(
            memory["content"] for memory in listed(client, {"namespace": _NAMESPACE})
        )
        query = {"namespace": _NAMESPACE, "kind": "rejected", "limit": "1000"}
        decisions = client.get("/v1/decisions", params=query).raise_for_status().json()["decisions"]
    return contents, {decision["content"] for decision in decisions}


def _is_settled(metrics: str) -> bool:
    """Whether the job that stores captured turns has run and no turn waits, by the metrics of the
    service.
    """
    runs = 'remembrancer_job_runs_total{job="captured turns"}'
    samples = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    return float(samples.get(runs, 0)) > 1 and float(samples["remembrancer_captures_waiting"]) == 0
