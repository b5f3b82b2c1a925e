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
