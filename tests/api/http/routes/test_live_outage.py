"""Calls while the Redis server is stopped: how soon they fail, when they work again, and what
metrics count.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest

from api.settings import Settings
from api.wiring.container import Services
from api.wiring.endpoints import endpoints_of
from api.wiring.services import breaker_states
from memtypes.circuit_breaker import MIN_CALLS, OPEN_S
from memtypes.llms.counting import ProviderCounter
from memtypes.llms.registry import Registry
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.thread_client import begun, say, served, words
from tests.live import running_server

pytestmark = pytest.mark.anyio
POLICIES = """
threads:
  small: {type: token_based, max_tokens: 40, flush: {strategy: simple_fifo}}
  full: {type: buffer, max_messages: 3}
agents:
  ann: {memory: small, key: k}
"""


@asynccontextmanager
async def outage_client(
    directory: Path, services: Services
) -> AsyncIterator[tuple[httpx.AsyncClient, LiveClient]]:
    """A client of a service with a Redis server for this test alone, which the test may stop."""
    async with running_server(directory) as live, httpx.AsyncClient() as http:
        counter = ProviderCounter(http, Registry, lambda _: None)
        endpoints = endpoints_of(Settings(), http)
        wired = replace(services, breakers=lambda: breaker_states(live, counter, endpoints))
        async with served(live, wired, POLICIES) as client:
            yield client, live


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Suspend the process with this id while the `with` block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def metrics_of(client: httpx.AsyncClient) -> list[str]:
    """The lines of the answer to GET /metrics."""
    params = client.params
    client.params = httpx.QueryParams()
    lines = (await client.get("/metrics")).text.splitlines()
    client.params = params
    return lines


async def test_the_first_503_comes_within_100_ms(tmp_path: Path, services: Services) -> None:
    """The first call to a stopped Redis fails within 100 ms and later ones at once. When Redis is
    back, calls work.
    """
    async with outage_client(tmp_path, services) as (client, live):
        thread = (await begun(client))["id"]
        await say(client, thread, "before")
        pid = int(
            (await live.run(lambda redis: redis.info("server"), idempotent=True))["process_id"]
        )
        took = []
        with stopped(pid):
            for number in range(MIN_CALLS + 5):
                began = time.monotonic()
                turn = {"role": "user", "content": f"turn {number}"}
                answer = await client.post(f"/v1/threads/{thread}/turns", json=turn)
                took.append(time.monotonic() - began)
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= 1
                assert "may have been kept" in answer.json()["detail"]
                assert "Idempotency-Key" in answer.json()["detail"]
            lines = await metrics_of(client)
        assert (
            'remembrancer_breaker_state{server="live",state="open",workload="command"} 1.0' in lines
        )
        assert took[0] < 0.15
        assert max(took[MIN_CALLS:]) < 0.05
        began = time.monotonic()
        while (await client.get(f"/v1/threads/{thread}/stats")).status_code != 200:
            assert time.monotonic() - began < 2 * OPEN_S + 5.0
            await anyio.sleep(0.1)
        lines = await metrics_of(client)
        assert (
            'remembrancer_breaker_state{server="live",state="closed",workload="command"} 1.0'
            in lines
        )


async def test_metrics_count_threads_and_locks(tmp_path: Path, services: Services) -> None:
    """Metrics count turns, tokens, flushes and evictions of threads, and how many locks were
    acquired and lost.
    """
    async with outage_client(tmp_path, services) as (client, _):
        thread = (await begun(client, resource="small"))["id"]
        for _ in range(5):
            await say(client, thread, words(8))
        full = (await begun(client, resource="full"))["id"]
        for _ in range(5):
            await say(client, full, "word")
        context = (await client.post(f"/v1/threads/{thread}/context", json={"budget": 100})).json()
        lines = await metrics_of(client)
    for line in (
        'remembrancer_threads_total{what="turns"} 10.0',
        'remembrancer_threads_total{what="tokens"} 45.0',
        'remembrancer_threads_total{what="flushes"} 1.0',
        'remembrancer_threads_total{what="evicted"} 2.0',
        'remembrancer_locks_total{outcome="acquired"} 1.0',
        'remembrancer_locks_total{outcome="lost"} 0.0',
        "remembrancer_thread_departures_waiting 0.0",
        (
            f'remembrancer_context_tokens_total{{kind="thread"}} '
            f"{context['metadata']['total_tokens']}.0"
        ),
    ):
        assert line in lines
    assert any(line.startswith("remembrancer_lock_wait_seconds_total 0.") for line in lines)
    assert float(next(line for line in lines if 'what="flushed_tokens"' in line).split()[-1]) >= 16


async def test_degraded_answers_are_counted_by_part(tmp_path: Path, services: Services) -> None:
    """If Redis is stopped, a prompt's context lacks its thread. The answer says so, and metrics
    count it.
    """
    async with outage_client(tmp_path, services) as (client, live):
        thread = (await begun(client))["id"]
        pid = int(
            (await live.run(lambda redis: redis.info("server"), idempotent=True))["process_id"]
        )
        body = {
            "namespace": client.params["namespace"],
            "session_id": "s",
            "prompt": "hello",
            "thread_id": thread,
        }
        client.params = httpx.QueryParams()
        with stopped(pid):
            answer = await client.post("/v1/hooks/prompt-submit", json=body)
        assert answer.json()["metadata"]["degraded"] == ["threads"]
        assert 'remembrancer_degraded_answers_total{part="threads"} 1.0' in await metrics_of(client)


async def test_an_agents_context_omits_threads_while_redis_is_stopped(
    tmp_path: Path, services: Services
) -> None:
    """An agent's context comes within 200 ms. It has the long-term memories, and reports `threads`
    as degraded.
    """
    async with outage_client(tmp_path, services) as (client, live):
        space = {"namespace": client.params["namespace"]}
        fact = {**space, "type": "semantic", "content": "The ledger runs on Postgres."}
        thread = (await begun(client, agent_id="ann"))["threads"][0]["thread"]["id"]
        await say(client, thread, "Where does the ledger run?")
        client.params = httpx.QueryParams()
        await client.post("/v1/memories", json=fact)
        body = {**space, "query": "where does the ledger run?", "floor": 0}
        complete = (await client.post("/v1/agents/ann/context", json=body)).json()
        pid = int(
            (await live.run(lambda redis: redis.info("server"), idempotent=True))["process_id"]
        )
        with stopped(pid):
            began = time.monotonic()
            partial = (await client.post("/v1/agents/ann/context", json=body)).json()
            took = time.monotonic() - began
    assert (complete["metadata"]["degraded"], partial["metadata"]["degraded"]) == ([], ["threads"])
    assert [item["thread_id"] for item in complete["parts"]["threads"]["items"]] == [thread]
    assert partial["parts"]["threads"]["items"] == []
    assert [item["content"] for item in partial["parts"]["memory"]["items"]] == [fact["content"]]
    assert took < 0.2
