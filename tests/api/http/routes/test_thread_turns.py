"""Turns of threads over HTTP: flushed turns can still be read, and a repeated append adds no second
turn.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import pytest
from redis.asyncio import Redis

from api.wiring.container import Services
from ingest.conversations.transcript import draft_of_turns
from ingest.screening.redaction.redactor import RedactionGate, RedactionRules, Redactor, RuleBook
from memtypes.live.turns import Turn
from memtypes.llms.registry import Registry, default_file
from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.availability import COMMAND, Workload
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.conftest import connect
from tests.api.thread_client import begun, client_with, kept_turns, say, served, words
from tests.api.working_client import with_live_workflows
from tests.fakes_memories import InMemoryStore
from tests.ingest.conversations.builders import NOW, ingestor_over, threads_over

T = TypeVar("T")
pytestmark = pytest.mark.anyio

STRATEGIES = ("simple_fifo", "lru", "token_aware_lru", "hybrid_summary")
LIMITS = {
    "tokens": "type: token_based, max_tokens: 200",
    "messages": "type: message_count_based, max_messages: 10",
    "turns": "type: token_based, max_tokens: 100000, max_turns: 12",
    "all": "type: token_based, max_tokens: 200, max_messages: 100, max_turns: 15",
    "buffer": "type: buffer, max_tokens: 200, max_turns: 12",
}
POLICIES = "threads:\n" + "\n".join(
    f"  {limit}-{strategy}: {{{policy}, flush: {{strategy: {strategy}}}}}"
    for limit, policy in LIMITS.items()
    for strategy in STRATEGIES
)
POLICIES += "\n  single: {max_messages: 1}"
README = Path(__file__).parents[4] / "ingest" / "conversations" / "README.md"


client = client_with(POLICIES)


def turn_of(number: int) -> dict[str, Any]:
    """The body of turn `number`. It sets every field, with values that depend on the number."""
    return {
        "role": "system" if number % 37 == 5 else ("user", "assistant", "tool")[number % 3],
        "content": (
            f'turn {number}:\nuser: "quoted"\n\n(thread of thought) {"ä" * (number % 7)} '
            f"{words(number % 9)} "
        ),
        "agent_id": f"agent {number % 3}" if number % 2 else None,
        "tool": "search" if number % 5 == 0 else None,
        "model": "gpt-4o" if number % 3 == 0 else None,
        "files": [f"src/{number % 11}.py", "README.md"] if number % 4 == 0 else [],
        "images": [f"{number}.png"] if number % 6 == 0 else [],
        "metadata": {"number": number, "nested": {"list": [1, None, "ü"]}}
        if number % 2 == 0
        else {},
    }


async def all_turns(
    client: httpx.AsyncClient, thread: str, limit: int = 37
) -> list[dict[str, Any]]:
    """All turns of the thread, including those that a flush moved out of it, read in pages of
    `limit`.
    """
    turns: list[dict[str, Any]] = []
    after: int | None = -1
    while after is not None:
        params: dict[str, Any] = {
            **client.params,
            "include_flushed": True,
            "after": after,
            "limit": limit,
        }
        page = (
            (await client.get(f"/v1/threads/{thread}/turns", params=params))
            .raise_for_status()
            .json()
        )
        turns += page["turns"]
        after = page["next_after"]
    return turns


@pytest.mark.slow
@pytest.mark.parametrize(
    "resource", [None, *(f"{limit}-{strategy}" for limit in LIMITS for strategy in STRATEGIES)]
)
async def test_a_long_thread_is_read_back_whole(
    client: httpx.AsyncClient, resource: str | None
) -> None:
    """Under any policy, every turn of a long thread is read back as it was appended, even those
    that were flushed.
    """
    thread = (await begun(client, resource=resource))["id"]
    number_of_turns = 150 if resource is None else 45
    answers = [await say(client, thread, **turn_of(number)) for number in range(number_of_turns)]
    turns = await all_turns(client, thread)
    flushed = [turn.pop("flushed") for turn in turns]
    memory_ids = [turn.pop("memory_id", None) for turn in turns]
    assert turns == [answer["turn"] for answer in answers]
    sent = [{name: turn[name] for name in turn_of(0)} for turn in turns]
    assert sent == [turn_of(number) for number in range(number_of_turns)]
    assert sum(flushed) > number_of_turns / 2
    assert [memory_id is not None for memory_id in memory_ids] == flushed
    live = (
        await client.get(f"/v1/threads/{thread}/turns", params={**client.params, "limit": 1_000})
    ).json()
    assert [turn["index"] for turn in live["turns"]] == [
        index for index, left in enumerate(flushed) if not left
    ]


async def test_flushed_turns_whose_memory_was_refused_are_still_listed(
    live: LiveClient, services: Services
) -> None:
    rules = RuleBook(default=RedactionRules(never_keep_types=frozenset({MemoryType.EPISODIC})))
    rejecting = ingestor_over(InMemoryStore(), RedactionGate(Redactor(rules)))
    async with served(live, services, POLICIES, ingestor=rejecting) as client:
        thread = (await begun(client, resource="messages-simple_fifo"))["id"]
        for number in range(40):
            await say(client, thread, f"turn {number}")
        turns = await all_turns(client, thread)
    assert [turn["content"] for turn in turns] == [f"turn {number}" for number in range(40)]
    assert sum(turn["flushed"] for turn in turns) > 20
    assert not any("memory_id" in turn for turn in turns)


async def test_the_turns_of_a_thread_that_expires_are_kept(
    live: LiveClient, services: Services
) -> None:
    """When a thread expires, its turns become a memory.

    They are dropped if the thread is a buffer, or belongs to a workflow with on_end `delete`.
    """
    policies = (
        "threads: {talk: {type: token_based, max_tokens: 500, ttl: 1s}, buffer: {type: "
        "buffer, ttl: 1s}}"
    )
    store = services.store
    assert isinstance(store, InMemoryStore)
    threads = threads_over(live, policies, ingestor=ingestor_over(store))
    wired = replace(with_live_workflows(services, live), threads=threads)
    query = {"namespace": str(uuid.uuid4())}
    async with connect(wired, params=query) as client, connect(wired) as unscoped:
        await unscoped.post("/v1/workflows", json={**query, "workflow_id": "w", "on_end": "delete"})
        ids: list[str] = []
        for fields in (
            {"resource": "talk"},
            {"resource": "buffer"},
            {"resource": "talk", "workflow_id": "w"},
        ):
            opened = await unscoped.post(
                "/v1/threads", json={**query, **fields, "key": str(len(ids))}
            )
            ids.append(opened.json()["id"])
            for number in range(3):
                await say(client, ids[-1], f"turn {number}", metadata={"number": number})
        await anyio.sleep(1.2)
        await threads.expire()
        with_flushed = {**query, "include_flushed": "true"}
        pages = [await client.get(f"/v1/threads/{each}/turns", params=with_flushed) for each in ids]
        assert [page.status_code for page in pages] == [200, 404, 404]
        turns = pages[0].json()["turns"]
        assert [(turn["content"], turn["metadata"], turn["flushed"]) for turn in turns] == [
            (f"turn {number}", {"number": number}, True) for number in range(3)
        ]


@pytest.mark.parametrize(
    "change", [{"at": ""}, {"index": -1}, {"pinned": 0}, {"tokens": None}, {"metadata": [1]}]
)
async def test_a_memory_with_an_invalid_turn_is_refused(
    client: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    """Writing a memory with an invalid entry in its field `turns` is a 422 that names the entry."""
    turn = {"index": 0, "role": "user", "at": "2026-03-01T12:00:00Z", "tokens": 1, "characters": 1}
    memory = {"type": "episodic", "namespace": client.params["namespace"], "content": "x"}
    client.params = httpx.QueryParams()
    assert (await client.post("/v1/memories", json={**memory, "turns": [turn]})).status_code == 201
    refused = await client.post("/v1/memories", json={**memory, "turns": [{**turn, **change}]})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"].startswith("turns[0]")


async def test_listing_turns_does_not_count_as_use(client: httpx.AsyncClient) -> None:
    thread = (await begun(client, resource="messages-lru"))["id"]
    for number in range(7):
        await say(client, thread, f"turn {number}")
    await client.get(f"/v1/threads/{thread}/turns", params={**client.params, "limit": 1})
    await say(client, thread, "turn 7")
    turns = (await client.get(f"/v1/threads/{thread}/turns")).json()["turns"]
    assert turns[0]["index"] > 0


@pytest.mark.slow
async def test_the_policy_of_the_readme_runs_for_200_turns(
    live: LiveClient, services: Services
) -> None:
    """With the policy in the README, a thread takes 200 turns without a refusal and stays within
    its limits.
    """
    text = README.read_text(encoding="utf-8")
    example = next(
        block for block in text.split("```yaml\n")[1:] if block.startswith("threads:")
    ).split("```")[0]
    registry = Registry.from_files(default_file())
    async with served(live, services, example, models=lambda: registry) as client:
        thread = (await begun(client, resource="support", variables={"session": {"id": "s"}}))["id"]
        for number in range(200):
            await say(
                client,
                thread,
                f"turn {number} {words(number % 90)}",
                role=("user", "assistant")[number % 2],
            )
        stats = (await client.get(f"/v1/threads/{thread}/stats")).json()
        assert (stats["turns"] <= 50, stats["tokens"] <= 2_000) == (True, True)
        assert [turn["index"] for turn in await all_turns(client, thread, 500)] == list(range(200))


class LosingClient(LiveClient):
    """A Redis client that loses answers. While `loses` is set, it runs each call and then raises
    Unavailable.
    """

    def __init__(self, inner: LiveClient) -> None:
        self._inner = inner
        self.loses = False

    async def run(
        self,
        call: Callable[[Redis], Awaitable[T]],
        *,
        idempotent: bool,
        workload: Workload = COMMAND,
        key: str | None = None,
    ) -> T:
        """Run the call and return its result. Raises Unavailable after the call while `loses` is
        set.
        """
        answer = await self._inner.run(call, idempotent=idempotent, workload=workload, key=key)
        if self.loses:
            raise Unavailable("the connection to the live store was lost")
        return answer


async def test_a_turn_stored_despite_a_503_is_not_appended_again(
    live: LiveClient, services: Services
) -> None:
    """If an append is stored but answered with 503, a retry with the same Idempotency-Key gets the
    stored turn.
    """
    losing = LosingClient(live)
    async with served(losing, services, POLICIES) as client:
        thread = (await begun(client))["id"]
        await say(client, thread, "first")
        request: dict[str, Any] = {
            "url": f"/v1/threads/{thread}/turns",
            "json": {"role": "user", "content": "second"},
            "headers": {"Idempotency-Key": "k"},
        }
        losing.loses = True
        assert (await client.post(**request)).status_code == 503
        losing.loses = False
        assert (await client.post(**request)).json()["turn"]["index"] == 1
        turns = (await client.get(f"/v1/threads/{thread}/turns")).json()["turns"]
    assert [turn["content"] for turn in turns] == ["first", "second"]


async def test_a_repeated_request_appends_its_turn_once(client: httpx.AsyncClient) -> None:
    """An append repeated with the same Idempotency-Key gets the first answer and adds no turn.

    With another body it is a 409, but another thread may use the key.
    """
    thread = (await begun(client))["id"]
    other = (await begun(client))["id"]

    async def append(content: str, where: str = thread, **fields: Any) -> httpx.Response:
        body = {"role": "user", "content": content, **fields}
        return await client.post(
            f"/v1/threads/{where}/turns", json=body, headers={"Idempotency-Key": "k 1"}
        )

    first = await append("hello", expected_version=0)
    await say(client, thread, "something else")
    repeated = await append("hello", expected_version=0)
    assert (first.status_code, repeated.status_code) == (201, 201)
    assert repeated.json() == first.json()
    conflict = await append("goodbye")
    assert conflict.status_code == 409
    assert "Idempotency-Key" in conflict.json()["detail"]
    assert (await append("hello", other)).json()["turn"]["index"] == 0
    turns = (await client.get(f"/v1/threads/{thread}/turns")).json()["turns"]
    assert [turn["content"] for turn in turns] == ["hello", "something else"]
    long = await client.post(
        f"/v1/threads/{thread}/turns",
        json={"role": "user", "content": "x"},
        headers={"Idempotency-Key": "k" * 257},
    )
    assert long.status_code == 422


async def test_equal_turns_flushed_one_by_one_are_shown_once(client: httpx.AsyncClient) -> None:
    thread = (await begun(client, resource="single"))["id"]
    for _ in range(7):
        await say(client, thread, "Restarted the billing worker.", role="assistant")
    assert await kept_turns(client) == [0, 1, 2, 3, 4, 5]
    assert [turn["content"] for turn in await all_turns(client, thread)] == [
        "Restarted the billing worker."
    ] * 7
    body = {"namespace": client.params["namespace"], "query": "billing worker", "budget": 300}
    client.params = httpx.QueryParams()
    answer = (await client.post("/v1/retrieve", json=body)).raise_for_status().json()
    assert answer["context"].count("Restarted the billing worker.") == 1
    assert thread not in answer["context"]


async def test_turns_of_memories_with_a_line_about_the_thread_are_read(
    client: httpx.AsyncClient, services: Services
) -> None:
    thread = (await begun(client))["id"]
    turns = [
        Turn("user", "a\nuser: b", 3, NOW, index=0),
        Turn("tool", f"(thread {thread}, turns", 3, NOW, index=1),
    ]
    draft = draft_of_turns(thread, tuple(turns))
    old = draft.model_copy(update={"content": f"{draft.content}\n(thread {thread}, turns 0 to 1)"})
    assert isinstance(services.store, InMemoryStore)
    await ingestor_over(services.store).write_one(Scope("default", client.params["namespace"]), old)
    answers = await all_turns(client, thread)
    assert [(turn["role"], turn["content"]) for turn in answers] == [
        (turn.role, turn.content) for turn in turns
    ]
