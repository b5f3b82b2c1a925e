"""Limits of threads over HTTP: flushes (turns become memories), evictions, and concurrent
writers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest

from api.wiring.container import Services
from ingest.screening.redaction.redactor import RedactionGate, RedactionRules, Redactor, RuleBook
from memtypes.model.policy import MemoryType
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.thread_client import begun, client_with, kept_turns, say, served, words
from tests.fakes_memories import InMemoryStore
from tests.ingest.conversations.builders import ingestor_over

pytestmark = pytest.mark.anyio

POLICIES = """
threads:
  support: {type: token_based, max_tokens: 2000, max_messages: 100, flush: {strategy: simple_fifo}}
  still: {type: buffer, max_tokens: 100}
  watched: {type: token_based, max_tokens: 200, eviction: {policy: priority, keywords: [critical]}}
  ranked: {type: buffer, max_messages: 5, eviction: {policy: priority, keywords: [error]}}
  fifo: {type: buffer, max_tokens: 40, max_messages: 6, max_turns: 500}
  lru: {type: buffer, max_tokens: 40, max_messages: 6, max_turns: 500, eviction: {policy: lru}}
  flushing: {type: token_based, max_tokens: 60, max_turns: 500, flush: {strategy: token_aware_lru}}
  summed: {type: token_based, max_tokens: 60, max_turns: 500, flush: {strategy: hybrid_summary,
    summary_tokens: 9}}
"""
SIZES = (10, 10, 30, 10, 10, 10)


client = client_with(POLICIES)


async def indices(client: httpx.AsyncClient, thread: str) -> list[int]:
    """The indices of the turns that are in the thread and were not flushed."""
    return [turn["index"] for turn in (await client.get(f"/v1/threads/{thread}")).json()["turns"]]


async def test_flush_starts_at_the_threshold(client: httpx.AsyncClient) -> None:
    """At 1,600 of 2,000 tokens, but not yet at 1,599, a flush moves the oldest turns of a thread
    into a memory.
    """
    thread = (await begun(client, resource="support"))["id"]
    for number in range(15):
        assert (await say(client, thread, words(100)))["flushed"] == 0, number
    stats = (await client.get(f"/v1/threads/{thread}/stats")).json()
    assert (stats["tokens"], stats["utilization"], stats["distance_to_flush"]) == (1_500, 0.75, 100)
    assert stats["last_flush_at"] is None
    assert (await say(client, thread, words(99)))["flushed"] == 0
    assert (await say(client, thread, "word"))["flushed"] == 6
    stats = (await client.get(f"/v1/threads/{thread}/stats")).json()
    assert (stats["tokens"], stats["turns"], stats["distance_to_flush"]) == (1_000, 11, 600)
    assert stats["last_flush_at"] is not None
    memories = (
        await client.get("/v1/memories", params={**client.params, "type": "episodic"})
    ).json()["memories"]
    assert [memory["source"]["thread_id"] for memory in memories] == [thread]
    assert await kept_turns(client) == list(range(6))


async def test_a_repeated_request_gets_the_version_after_the_flush(
    client: httpx.AsyncClient,
) -> None:
    thread = (await begun(client, resource="support"))["id"]
    for _ in range(15):
        await say(client, thread, words(100))

    async def append() -> Any:
        body = {"role": "user", "content": words(100)}
        headers = {"Idempotency-Key": "k"}
        return (await client.post(f"/v1/threads/{thread}/turns", json=body, headers=headers)).json()

    first = await append()
    assert (first["version"], first["flushed"]) == (17, 6)
    assert await append() == first
    await say(client, thread, "next", expected_version=first["version"])
    assert await append() == first


async def test_a_flush_by_an_append_is_no_conflict_for_the_next_append(
    client: httpx.AsyncClient,
) -> None:
    """If an append starts a flush, the next append may use the version in its answer as
    expected_version.
    """
    thread = (await begun(client, resource="flushing"))["id"]
    version = flushed = 0
    for _ in range(12):
        answer = await say(client, thread, words(10), expected_version=version)
        version = answer["version"]
        flushed = flushed + answer["flushed"]
        assert version == (await client.get(f"/v1/threads/{thread}")).json()["thread"]["version"]
    assert flushed


async def test_stats_say_after_how_many_turns_a_flush_starts(client: httpx.AsyncClient) -> None:
    """For short turns, turns_to_flush follows from the limit on messages, which is reached before
    that on tokens.
    """
    thread = (await begun(client, resource="support"))["id"]
    await say(client, thread, "short")
    stats = (await client.get(f"/v1/threads/{thread}/stats")).json()
    assert (stats["distance_to_flush"], stats["turns_to_flush"]) == (1_599, 79)
    for _ in range(stats["turns_to_flush"] - 1):
        assert (await say(client, thread, "short"))["flushed"] == 0
    assert (await say(client, thread, "short"))["flushed"] > 0
    still = (await begun(client, resource="still"))["id"]
    assert (await client.get(f"/v1/threads/{still}/stats")).json()["turns_to_flush"] is None


@pytest.mark.parametrize(
    ("strategy", "left"),
    [
        ("simple_fifo", [3, 4, 5]),  # the oldest leave, although the first was used a moment ago
        ("lru", [0, 3, 4, 5]),  # what was not used for longest leaves
        # One large turn leaves in place of several small ones
        ("token_aware_lru", [0, 1, 3, 4, 5]),
        ("hybrid_summary", [0, 4, 5]),  # first and last stay, and the summary has its room
    ],
)
async def test_strategies_flush_different_turns(
    client: httpx.AsyncClient, strategy: str, left: list[int]
) -> None:
    thread = (await begun(client, resource="still"))["id"]
    for number, size in enumerate(SIZES):
        await say(client, thread, f"{number} {words(size - 1)}")
    await client.get(f"/v1/threads/{thread}", params={**client.params, "limit": 1})
    planned = await client.post(
        f"/v1/threads/{thread}/flush", json={"strategy": strategy, "dry_run": True}
    )
    flushed = (await client.post(f"/v1/threads/{thread}/flush", json={"strategy": strategy})).json()
    assert {**planned.json(), "memory_ids": flushed["memory_ids"]} == flushed
    assert await indices(client, thread) == left
    assert (flushed["tokens_before"], flushed["tokens_after"] <= 50) == (80, True)
    assert ("summary" in flushed) == (strategy == "hybrid_summary")
    assert await kept_turns(client) == [index for index in range(6) if index not in left]


async def test_turns_are_evicted_by_role_and_age_under_policy_priority(
    client: httpx.AsyncClient,
) -> None:
    """Tool turns are evicted first, then turns of the assistant, of the user, and with a keyword.

    The newest system turn goes last, and pinned turns stay.
    """
    thread = (await begun(client, resource="ranked"))["id"]
    await say(client, thread, "be kind", role="system")
    await say(client, thread, "remember this", pinned=True)
    await say(client, thread, "an error of the tool", role="tool")
    await say(client, thread, "hello")
    await say(client, thread, "a tool says", role="tool")
    evicted = []
    for role, content in (
        ("assistant", "a1"),
        ("assistant", "a2"),
        ("user", "u1"),
        ("user", "u2"),
        ("user", "u3"),
    ):
        before = set(await indices(client, thread))
        assert (await say(client, thread, content, role=role))["evicted"] == 1
        evicted += sorted(before - set(await indices(client, thread)))
    assert evicted == [4, 5, 6, 3, 7]
    for _ in range(3):
        await say(client, thread, "pinned", pinned=True)
    before = set(await indices(client, thread))
    assert before == {0, 1, 10, 11, 12}
    refused = await say(client, thread, "pinned", pinned=True, status=422)
    assert refused["errors"][0]["path"] == "pinned"
    assert "at most 4 of its 5 turns may be pinned, and 4 are" in refused["detail"]
    assert set(await indices(client, thread)) == before
    assert (await say(client, thread, "the talk goes on"))["evicted"] == 1
    assert set(await indices(client, thread)) == {1, 10, 11, 12, 13}


async def test_a_flush_at_a_token_limit_leaves_what_is_critical(client: httpx.AsyncClient) -> None:
    """With a token limit and policy priority, a flush takes tool output and leaves turns with a
    keyword.
    """
    thread = (await begun(client, resource="watched"))["id"]
    await say(client, thread, f"CRITICAL: the disk is full {words(10)}")
    await say(client, thread, f"CRITICAL: the backup failed {words(10)}")
    flushed = 0
    for number in range(12):
        flushed += (await say(client, thread, f"{number} {words(29)}", role="tool"))["flushed"]
    assert flushed
    kept = await indices(client, thread)
    assert kept[:2] == [0, 1]
    assert kept[-1] == 13
    assert set(await kept_turns(client)) == set(range(2, 14)) - set(kept)


async def test_a_thread_of_many_system_turns_is_never_full(client: httpx.AsyncClient) -> None:
    """Older system turns are flushed as others are; the newest stays."""
    for resource in ("watched", "support", "summed"):
        thread = (await begun(client, resource=resource))["id"]
        for number in range(120):
            await say(client, thread, f"rule {number}", role="system")
            await say(client, thread, f"turn {number}")
        kept = await indices(client, thread)
        assert kept[-2:] == [238, 239]
        assert len(kept) < 100


async def test_pinned_turns_fill_at_most_four_fifths_of_the_tokens(
    client: httpx.AsyncClient,
) -> None:
    thread = (await begun(client, resource="watched"))["id"]
    await say(client, thread, words(160), pinned=True)
    refused = await say(client, thread, "one", pinned=True, status=422)
    assert "at most 160 of its 200 tokens may be pinned, 160 are" in refused["detail"]
    turns = [{"role": "user", "content": words(161), "pinned": True}]
    answer = await client.put(f"/v1/threads/{thread}/turns", json={"turns": turns})
    assert "161 tokens of pinned turns exceed the limit of 160" in answer.json()["detail"]
    for _ in range(20):
        await say(client, thread, words(40))
    refused = await say(client, thread, words(41), status=422)
    assert "it has 41 tokens, they have 160" in refused["detail"]


@dataclass(slots=True)
class Watch:
    """Records the largest size that a thread had for readers, and the marks of the turns that
    writers appended.
    """

    tokens: int = 0
    turns: int = 0
    marks: list[str] = field(default_factory=list)

    async def look(self, client: httpx.AsyncClient, thread: str) -> None:
        """Read the thread, and update the largest numbers of tokens and turns."""
        page = (
            await client.get(f"/v1/threads/{thread}", params={**client.params, "limit": 1_000})
        ).json()
        counted = sum(turn["tokens"] for turn in page["turns"])
        self.tokens = max(self.tokens, counted, page["thread"]["tokens"])
        self.turns = max(self.turns, len(page["turns"]), page["total"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("resource", "tokens", "turns"),
    [
        ("fifo", 40, 6),
        ("lru", 40, 6),
        ("flushing", 60, 500),
        ("summed", 60, 500),
    ],
)
async def test_concurrent_writers_keep_limits_and_lose_nothing(
    client: httpx.AsyncClient, resource: str, tokens: int, turns: int
) -> None:
    """If ten writers append at once, the thread stays within its limits.

    Each turn is in the thread or in one memory.
    """
    thread = (await begun(client, resource=resource))["id"]
    watch = Watch()

    async def write(writer: int) -> None:
        for number in range(4):
            mark = f"<{writer}.{number}>"
            await say(client, thread, f"{mark} {words(1 + (writer + number) % 7)}")
            watch.marks.append(mark)
            await watch.look(client, thread)

    async with anyio.create_task_group() as tasks:
        for writer in range(10):
            tasks.start_soon(write, writer)
    assert watch.tokens <= tokens
    assert watch.turns <= turns
    listing = (
        await client.get("/v1/memories", params={**client.params, "type": "episodic", "limit": 500})
    ).json()
    page = (
        await client.get(f"/v1/threads/{thread}", params={**client.params, "limit": 1_000})
    ).json()
    texts = [turn["content"] for turn in page["turns"]] + [
        memory["content"] for memory in listing["memories"]
    ]
    stored = [mark for mark in watch.marks for text in texts for _ in range(text.count(mark))]
    assert sorted(stored) == sorted(watch.marks)
    assert len(stored) == 40
    assert sorted([*[turn["index"] for turn in page["turns"]], *await kept_turns(client)]) == list(
        range(40)
    )
    assert (await client.get(f"/v1/threads/{thread}/health")).json()["ok"]


async def test_replacing_turns_with_more_than_the_limits_allow_is_refused(
    client: httpx.AsyncClient,
) -> None:
    thread = (await begun(client, resource="fifo"))["id"]
    await say(client, thread, "stays")
    for turns in ([{"role": "user", "content": "x"}] * 7, [{"role": "user", "content": words(41)}]):
        answer = await client.put(f"/v1/threads/{thread}/turns", json={"turns": turns})
        assert answer.status_code == 422
    assert await indices(client, thread) == [0]


async def test_turns_that_cannot_be_stored_are_reported(
    live: LiveClient, services: Services
) -> None:
    """If evicted turns cannot become memories, appends still work, and stats, health and metrics
    report these turns.
    """
    rules = RuleBook(default=RedactionRules(never_keep_types=frozenset({MemoryType.EPISODIC})))
    rejecting = ingestor_over(InMemoryStore(), RedactionGate(Redactor(rules)))
    async with served(live, services, POLICIES, ingestor=rejecting) as client:
        thread = (await begun(client, resource="still"))["id"]
        for _ in range(6):
            await say(client, thread, words(60))
        stats = (await client.get(f"/v1/threads/{thread}/stats")).json()
        health = (await client.get(f"/v1/threads/{thread}/health")).json()
        client.params = httpx.QueryParams()
        metrics = (await client.get("/metrics")).text
    assert (stats["waiting"], stats["set_aside"]) == (2, 3)
    assert not health["ok"]
    check = health["checks"][-1]
    assert (check["name"], check["ok"]) == ("nothing_set_aside", False)
    reason = (
        "the memory of evicted turns was rejected: memories of type episodic are not stored here"
    )
    assert check["detail"].startswith(f"turns 0: {reason}; tried again at 20")
    assert stats["next_try_at"] in check["detail"]
    assert 'remembrancer_thread_departures_total{became="set_aside"} 3' in metrics
