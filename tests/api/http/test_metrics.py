"""Prometheus metrics of calls and background work."""

from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import FACT

pytestmark = pytest.mark.anyio


async def test_metrics_count_calls_by_route(client: httpx.AsyncClient) -> None:
    """Metrics count calls by method and path template. They contain no ids and no namespaces."""
    memory = (await client.post("/v1/memories", json=FACT)).json()
    await client.get(f"/v1/memories/{memory['id']}?namespace=secret-place")
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    assert (
        'remembrancer_requests_total{method="POST",route="/v1/memories",status="201"} 1.0' in lines
    )
    labels = 'method="GET",route="/v1/memories/{memory_id}",status="404"'
    assert f"remembrancer_requests_total{{{labels}}} 1.0" in lines
    assert (
        'remembrancer_request_seconds_bucket{le="+Inf",method="POST",route="/v1/memories"} 1.0'
        in lines
    )
    assert "remembrancer_requests_in_flight 1.0" in lines
    assert "_created" not in response.text
    assert "remembrancer_receipts_waiting 0.0" in lines
    assert 'remembrancer_thread_departures_total{became="kept"} 0.0' in lines
    assert "secret-place" not in response.text
    assert memory["id"] not in response.text


async def test_metrics_count_what_screening_decides(client: httpx.AsyncClient) -> None:
    """Reviews by tier and decision, rejections by reason, and the share of reviews that the
    pre-filter saved.
    """
    body = {"namespace": "n", "type": "semantic", "review": "auto"}
    texts = ("ok", "thanks a lot!", "We decided to move the ledger to Postgres in March.")
    for text in (*texts, "Nora lives in Graz since May 2020."):
        await client.post("/v1/memories", json={**body, "content": text})
    await client.post("/v1/memories", json={**body, "content": "hm", "review": "skip"})
    messages = [{"role": "user", "content": text} for text in (" ", "haha", "haha")]
    session = {"namespace": "n", "session_id": "s", "messages": messages}
    await client.post("/v1/hooks/session-stop", json=session)
    lines = (await client.get("/metrics")).text.splitlines()
    assert 'remembrancer_reviews_total{decision="store",tier="consensus"} 2.0' in lines
    assert 'remembrancer_prefilter_total{outcome="passed"} 2.0' in lines
    assert 'remembrancer_prefilter_total{outcome="rejected"} 4.0' in lines
    assert 'remembrancer_rejections_total{reason="trivial"} 3.0' in lines
    assert 'remembrancer_rejections_total{reason="duplicate"} 1.0' in lines
    assert 'remembrancer_rejections_total{reason="empty"} 1.0' in lines
    share = next(line for line in lines if line.startswith("remembrancer_reviews_saved_ratio "))
    assert float(share.split()[1]) == pytest.approx(4 / 6)
