"""The contract of ClientSessionStore, which knows what clients' sessions were shown and what was said in them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope
from memtypes.ports.client_sessions import ClientSessionStore, Shown
from memtypes.ports.threads import EvictedTurnStore
from memtypes.stores.redis.client_sessions import RedisClientSessions, captured_turns
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from tests.fakes_client_sessions import FakeClientSessions
from tests.fakes_threads import FakeThreads
from tests.live import LIVE

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Stores:
    """The sessions under test, the queue of their turns, and the separate queue of turns evicted from threads."""

    sessions: ClientSessionStore
    captures: EvictedTurnStore
    evicted: EvictedTurnStore
    scope: Scope

    async def queued(self) -> list[list[tuple[int, str, str]]]:
        """Index, role and content of the turns of each queued batch."""
        batches = await self.captures.pending(self.scope, 100)
        assert {batch.thread_id for batch in batches} <= {self.scope.session_id}
        return [[(turn.index, turn.role, turn.content) for turn in batch.turns] for batch in batches]


@pytest.fixture(params=["fake", *LIVE])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Each implementation in turn."""
    scope = Scope(f"t {uuid.uuid4()}", "n/1 \u00fc", "session {1}:é")
    if request.param == "fake":
        fake = FakeClientSessions()
        return Stores(fake, fake.captures, FakeThreads(), scope)
    live: LiveClient = request.getfixturevalue(request.param)
    return Stores(RedisClientSessions(live), captured_turns(live), RedisEvictedTurns(live), scope)


def prompt(content: str = "why?") -> Turn:
    """A prompt."""
    return Turn("user", content, 0, NOW)


def answer(content: str = "so", agent_id: str | None = None) -> Turn:
    """An answer."""
    return Turn("assistant", content, 0, NOW, agent_id)


async def test_a_prompt_and_its_answer_are_one_batch(stores: Stores) -> None:
    """A prompt waits until its answer is queued with the same prompt id; turns are numbered across the session."""
    await stores.sessions.begin(stores.scope, "p1", prompt("é \n{}"))
    assert await stores.sessions.waiting_prompts(stores.scope) == ["p1"]
    assert await stores.queued() == []
    assert await stores.sessions.queue(stores.scope, "p1", [answer()]) == 2
    await stores.sessions.begin(stores.scope, "p2", prompt("next"))
    assert await stores.sessions.queue(stores.scope, "p2", [answer("then")]) == 2
    assert await stores.sessions.waiting_prompts(stores.scope) == []
    assert await stores.queued() == [
        [(0, "user", "é \n{}"), (1, "assistant", "so")],
        [(2, "user", "next"), (3, "assistant", "then")],
    ]
    (first, _) = await stores.captures.pending(stores.scope, 2)
    assert first.turns[0] == replace(prompt("é \n{}"), index=0)


async def test_an_answer_that_is_sent_again_is_queued_once(stores: Stores) -> None:
    """Neither prompt nor answer is queued twice; another answer to the same prompt is."""
    await stores.sessions.begin(stores.scope, "p1", prompt())
    assert await stores.sessions.queue(stores.scope, "p1", [answer()]) == 2
    await stores.sessions.begin(stores.scope, "p1", prompt())
    assert await stores.sessions.queue(stores.scope, "p1", [answer()]) == 0
    assert await stores.sessions.queue(stores.scope, "p1", [answer("so, and more")]) == 1
    assert await stores.sessions.queue(stores.scope, "p2", [answer()]) == 1
    assert [len(batch) for batch in await stores.queued()] == [2, 1, 1]


async def test_a_subagent_s_answer_takes_no_prompt(stores: Stores) -> None:
    """An answer without a prompt id leaves the waiting prompt in place; two agents may give the same answer."""
    await stores.sessions.begin(stores.scope, "", prompt())
    assert await stores.sessions.queue(stores.scope, None, [answer(agent_id="a")]) == 1
    assert await stores.sessions.queue(stores.scope, None, [answer(agent_id="a")]) == 0
    assert await stores.sessions.queue(stores.scope, None, [answer(agent_id="b")]) == 1
    assert await stores.sessions.waiting_prompts(stores.scope) == [""]


async def test_prompts_without_an_answer_can_be_discarded(stores: Stores) -> None:
    """Those of the session or, without one, of every session of the namespace; their answers are still queued."""
    other = replace(stores.scope, session_id="other")
    for scope in (stores.scope, other):
        await stores.sessions.begin(scope, "p1", prompt())
    await stores.sessions.discard_prompts(stores.scope)
    assert await stores.sessions.waiting_prompts(stores.scope) == []
    assert await stores.sessions.waiting_prompts(other) == ["p1"]
    await stores.sessions.discard_prompts(replace(other, session_id=None))
    assert await stores.sessions.waiting_prompts(other) == []
    assert await stores.sessions.queue(stores.scope, "p1", [answer()]) == 1


async def test_a_prompt_without_an_id_waits_until_the_next_one(stores: Stores) -> None:
    """Only the latest prompt is queued, and the same prompt may be sent again."""
    await stores.sessions.begin(stores.scope, "", prompt("first"))
    await stores.sessions.begin(stores.scope, "", prompt("second"))
    assert await stores.sessions.queue(stores.scope, "", []) == 1
    await stores.sessions.begin(stores.scope, "", prompt("second"))
    assert await stores.sessions.queue(stores.scope, "", []) == 1
    assert await stores.queued() == [[(0, "user", "second")], [(1, "user", "second")]]


async def test_memories_are_claimed_all_or_none(stores: Stores) -> None:
    """A memory can be claimed once in each session; a call that names a claimed one claims nothing."""
    assert await stores.sessions.claim(stores.scope, ["a", "b"])
    assert not await stores.sessions.claim(stores.scope, ["c", "b"])
    assert await stores.sessions.claim(stores.scope, ["c"])
    await stores.sessions.note_shown(stores.scope, ["c", "d"])
    await stores.sessions.note_shown(stores.scope, [])
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset("abcd"))
    assert await stores.sessions.begin(replace(stores.scope, session_id="other")) == Shown()
    assert await stores.sessions.begin(replace(stores.scope, namespace="other")) == Shown()


async def test_claimed_statements_are_forgotten_with_the_memories(stores: Stores) -> None:
    """A claim records the statements of its memories; a refused one does not, and others may have the same ones."""
    assert await stores.sessions.claim(stores.scope, ["a"], ["x", "y"])
    assert not await stores.sessions.claim(stores.scope, ["a"], ["z"])
    assert await stores.sessions.claim(stores.scope, ["b"], ["y"])
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset("ab"), None, frozenset("xy"))
    await stores.sessions.forget_shown(stores.scope, NOW)
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset(), NOW)


async def test_only_one_of_concurrent_prompts_claims_a_memory(stores: Stores) -> None:
    """Claims do not overlap, however many there are at once."""
    claimed: list[int] = []

    async def claim(number: int) -> None:
        if await stores.sessions.claim(stores.scope, [f"own {number}", "common"]):
            claimed.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(claim, number)
    assert len(claimed) == 1
    assert (await stores.sessions.begin(stores.scope)).ids == {f"own {claimed[0]}", "common"}


async def test_what_was_shown_is_not_forgotten_twice_within_a_pause(stores: Stores) -> None:
    """forget_shown() changes nothing if less than the pause has passed since it last forgot."""
    await stores.sessions.claim(stores.scope, ["a"])
    await stores.sessions.forget_shown(stores.scope, NOW)
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset(), NOW)
    await stores.sessions.claim(stores.scope, ["b"])
    await stores.sessions.forget_shown(stores.scope, NOW + timedelta(seconds=9), timedelta(seconds=10))
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset("b"), NOW)
    later = NOW + timedelta(seconds=10)
    await stores.sessions.forget_shown(stores.scope, later, timedelta(seconds=10))
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset(), later)


async def test_captured_turns_wait_apart_from_those_of_threads(stores: Stores) -> None:
    """The two queues are separate, also for batches that are set aside, so each writer takes only its own turns."""
    await stores.sessions.queue(stores.scope, None, [answer()])
    assert stores.scope.namespace in {scope.namespace async for scope in stores.captures.scopes()}
    (batch,) = await stores.captures.pending(stores.scope, 10)
    await stores.captures.set_aside(stores.scope, batch, "refused", NOW)
    assert (await stores.evicted.backlog(stores.scope, stores.scope.session_id)).set_aside == ()
    await stores.evicted.requeue(None)
    assert await stores.queued() == []
    await stores.captures.requeue(None)
    assert await stores.queued() == [[(0, "assistant", "so")]]
    assert await stores.evicted.pending(stores.scope, 10) == []
