"""The contract of ClientSessionStore: the memories that a client's session was shown, and its
turns.
"""

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
    """The session store under test, its queue `captures`, and the queue `evicted` for turns of
    threads.
    """

    sessions: ClientSessionStore
    captures: EvictedTurnStore
    evicted: EvictedTurnStore
    scope: Scope

    async def queued(self) -> list[list[tuple[int, str, str]]]:
        """For each queued batch, the index, role and content of its turns."""
        batches = await self.captures.pending(self.scope, 100)
        assert {batch.thread_id for batch in batches} <= {self.scope.session_id}
        return [
            [(turn.index, turn.role, turn.content) for turn in batch.turns] for batch in batches
        ]


@pytest.fixture(params=["fake", *LIVE])
def stores(request: pytest.FixtureRequest) -> Stores:
    """The stores of each implementation in turn: in memory and on each kind of Redis server."""
    scope = Scope(f"t {uuid.uuid4()}", "n/1 \u00fc", "session {1}:é")
    if request.param == "fake":
        fake = FakeClientSessions()
        return Stores(fake, fake.captures, FakeThreads(), scope)
    live: LiveClient = request.getfixturevalue(request.param)
    return Stores(RedisClientSessions(live), captured_turns(live), RedisEvictedTurns(live), scope)


def prompt(content: str = "why?") -> Turn:
    """The turn of a user's prompt with this content."""
    return Turn("user", content, 0, NOW)


def answer(content: str = "so", agent_id: str | None = None) -> Turn:
    """The turn of an agent's answer with this content."""
    return Turn("assistant", content, 0, NOW, agent_id)


async def test_a_prompt_and_its_answer_are_one_batch(stores: Stores) -> None:
    """A prompt waits until an answer with the same prompt id is queued; then both are queued as one
    batch.

    Turns are numbered across all batches of the session.
    """
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
    await stores.sessions.begin(stores.scope, "p1", prompt())
    assert await stores.sessions.queue(stores.scope, "p1", [answer()]) == 2
    await stores.sessions.begin(stores.scope, "p1", prompt())
    assert await stores.sessions.queue(stores.scope, "p1", [answer()]) == 0
    assert await stores.sessions.queue(stores.scope, "p1", [answer("so, and more")]) == 1
    assert await stores.sessions.queue(stores.scope, "p2", [answer()]) == 1
    assert [len(batch) for batch in await stores.queued()] == [2, 1, 1]


async def test_a_subagents_answer_does_not_queue_the_waiting_prompt(stores: Stores) -> None:
    """A subagent's answer, sent without a prompt id, is queued alone. Equal answers of two agents
    are both queued.
    """
    await stores.sessions.begin(stores.scope, "", prompt())
    assert await stores.sessions.queue(stores.scope, None, [answer(agent_id="a")]) == 1
    assert await stores.sessions.queue(stores.scope, None, [answer(agent_id="a")]) == 0
    assert await stores.sessions.queue(stores.scope, None, [answer(agent_id="b")]) == 1
    assert await stores.sessions.waiting_prompts(stores.scope) == [""]


async def test_prompts_without_an_answer_can_be_discarded(stores: Stores) -> None:
    """`discard_prompts` removes the waiting prompts of the session, or of the namespace if the
    scope has no session.

    An answer to a discarded prompt is still queued.
    """
    other_session = replace(stores.scope, session_id="other")
    for scope in (stores.scope, other_session):
        await stores.sessions.begin(scope, "p1", prompt())
    await stores.sessions.discard_prompts(stores.scope)
    assert await stores.sessions.waiting_prompts(stores.scope) == []
    assert await stores.sessions.waiting_prompts(other_session) == ["p1"]
    await stores.sessions.discard_prompts(replace(other_session, session_id=None))
    assert await stores.sessions.waiting_prompts(other_session) == []
    assert await stores.sessions.queue(stores.scope, "p1", [answer()]) == 1


async def test_a_new_prompt_without_an_id_replaces_the_waiting_one(stores: Stores) -> None:
    """Of two prompts without an id, only the second is queued. Then a prompt with the same text may
    be sent again.
    """
    await stores.sessions.begin(stores.scope, "", prompt("first"))
    await stores.sessions.begin(stores.scope, "", prompt("second"))
    assert await stores.sessions.queue(stores.scope, "", []) == 1
    await stores.sessions.begin(stores.scope, "", prompt("second"))
    assert await stores.sessions.queue(stores.scope, "", []) == 1
    assert await stores.queued() == [[(0, "user", "second")], [(1, "user", "second")]]


async def test_memories_are_claimed_all_or_none(stores: Stores) -> None:
    """A session can claim each memory once, to show it.

    If one of the memories was shown before, the call claims none.
    """
    assert await stores.sessions.claim(stores.scope, ["a", "b"])
    assert not await stores.sessions.claim(stores.scope, ["c", "b"])
    assert await stores.sessions.claim(stores.scope, ["c"])
    await stores.sessions.note_shown(stores.scope, ["c", "d"])
    await stores.sessions.note_shown(stores.scope, [])
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset("abcd"))
    assert await stores.sessions.begin(replace(stores.scope, session_id="other")) == Shown()
    assert await stores.sessions.begin(replace(stores.scope, namespace="other")) == Shown()


async def test_statements_of_shown_memories_are_recorded_and_forgotten_with_them(
    stores: Stores,
) -> None:
    """Claiming memories records the hashes of their sentences, and `forget_shown` clears both.

    A claim that is refused, because a memory was shown before, records nothing.
    """
    assert await stores.sessions.claim(stores.scope, ["a"], ["x", "y"])
    assert not await stores.sessions.claim(stores.scope, ["a"], ["z"])
    assert await stores.sessions.claim(stores.scope, ["b"], ["y"])
    assert await stores.sessions.begin(stores.scope) == Shown(
        frozenset("ab"), None, frozenset("xy")
    )
    await stores.sessions.forget_shown(stores.scope, NOW)
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset(), NOW)


async def test_only_one_of_concurrent_prompts_claims_a_memory(stores: Stores) -> None:
    claimed: list[int] = []

    async def claim(number: int) -> None:
        if await stores.sessions.claim(stores.scope, [f"own {number}", "common"]):
            claimed.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(claim, number)
    assert len(claimed) == 1
    assert (await stores.sessions.begin(stores.scope)).ids == {f"own {claimed[0]}", "common"}


async def test_the_record_of_shown_memories_is_cleared_at_most_once_per_pause(
    stores: Stores,
) -> None:
    await stores.sessions.claim(stores.scope, ["a"])
    await stores.sessions.forget_shown(stores.scope, NOW)
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset(), NOW)
    await stores.sessions.claim(stores.scope, ["b"])
    await stores.sessions.forget_shown(
        stores.scope, NOW + timedelta(seconds=9), timedelta(seconds=10)
    )
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset("b"), NOW)
    later = NOW + timedelta(seconds=10)
    await stores.sessions.forget_shown(stores.scope, later, timedelta(seconds=10))
    assert await stores.sessions.begin(stores.scope) == Shown(frozenset(), later)


async def test_turns_of_sessions_and_of_threads_have_separate_queues(stores: Stores) -> None:
    """A batch of a session's turns that was set aside returns to the sessions' queue, not to the
    threads' queue.
    """
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
