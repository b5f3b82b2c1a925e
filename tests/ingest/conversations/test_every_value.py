"""Each value that a policy may hold changes what its threads do: none is read and forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from ingest.conversations.flushing import FlushRequest
from ingest.conversations.summary import Summariser
from ingest.conversations.threads import OpenRequest, ThreadParts, Threads
from ingest.screening.redaction.redactor import Redactor
from memtypes.config.thread_policies import parse
from memtypes.live.thread_policy import ThreadPolicy
from memtypes.live.turns import NewTurn, Turn
from memtypes.llms.registry import Registry
from memtypes.llms.registry_file import default_file
from memtypes.model.errors import RemembrancerError
from memtypes.model.scope import Scope
from memtypes.ports.threads import AppendTurn, Removal, ThreadContent, TurnAppended
from memtypes.stores.memory import InMemoryStore
from retrieval.context.thread import thread_context
from tests.fakes import FakeTokenizer
from tests.fakes_threads import FakeThreads, FreeLocks
from tests.ingest.conversations.parts import ingestor_over

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCOPE = Scope("acme", "n")
FLUSHED = "max_messages: 6, type: message_count_based"
SUMMED = "max_messages: 10, type: message_count_based, flush: {strategy: hybrid_summary, target: 0.3"
EVICTED = "max_messages: 4"

CASES: dict[str, tuple[str, str]] = {
    "type": ("type: buffer, max_messages: 6", f"{FLUSHED}"),
    "max_tokens": ("max_tokens: 20", "max_tokens: 40"),
    "max_messages": ("max_messages: 3", "max_messages: 4"),
    "max_turns": ("max_turns: 5", "max_turns: 6"),
    "max_context_ratio": ("model: gpt-4, max_context_ratio: 0.002", "model: gpt-4, max_context_ratio: 0.004"),
    "model": ("model: gpt-4, max_tokens: 90", "model: gpt-4o, max_tokens: 90"),
    "allocation.system": ("allocation: {system: 0, short_term: 1}", "allocation: {system: 0.4, short_term: 0.6}"),
    "allocation.long_term": ("allocation: {short_term: 1}", "allocation: {long_term: 0.5, short_term: 0.5}"),
    "allocation.short_term": ("allocation: {short_term: 0.3, system: 0.7}", "allocation: {short_term: 1}"),
    "allocation.custom": ("allocation: {short_term: 1}", "allocation: {custom: 0.3, short_term: 0.7}"),
    "ttl": ("ttl: 1h", "ttl: 2h"),
    "key": ("key: 'a:{{ session.id }}'", "key: 'b:{{ session.id }}'"),
    "flush.strategy": (f"{FLUSHED}, flush: {{strategy: lru}}", f"{FLUSHED}, flush: {{strategy: simple_fifo}}"),
    "flush.threshold": (f"{FLUSHED}, flush: {{threshold: 0.6}}", f"{FLUSHED}, flush: {{threshold: 0.9}}"),
    "flush.target": (f"{FLUSHED}, flush: {{target: 0.2}}", f"{FLUSHED}, flush: {{target: 0.6}}"),
    "flush.keep_first": (f"{SUMMED}, keep_first: 0}}", f"{SUMMED}, keep_first: 3}}"),
    "flush.keep_last": (f"{SUMMED}, keep_last: 0}}", f"{SUMMED}, keep_last: 4}}"),
    "flush.oldest": (
        f"{SUMMED.replace('0.3', '0.7')}, oldest: 0.1}}",
        f"{SUMMED.replace('0.3', '0.7')}, oldest: 1}}",
    ),
    "flush.summary_tokens": (f"{SUMMED}, llm: false, summary_tokens: 3}}", f"{SUMMED}, llm: false}}"),
    "flush.llm": (f"{SUMMED}, llm: true}}", f"{SUMMED}, llm: false}}"),
    "eviction.policy": (f"{EVICTED}, eviction: {{policy: fifo}}", f"{EVICTED}, eviction: {{policy: priority}}"),
    "eviction.keywords": (
        f"{EVICTED}, eviction: {{policy: priority}}",
        f"{EVICTED}, eviction: {{policy: priority, keywords: [MUCH LONGER]}}",
    ),
    "locks.append": ("locks: {append: 0.1s}", "locks: {append: 60s}"),
    "locks.clear": ("locks: {clear: 0.1s}", "locks: {clear: 60s}"),
    "locks.flush": (f"{FLUSHED}, locks: {{flush: 0.1s}}", f"{FLUSHED}, locks: {{flush: 60s}}"),
    "privacy.redact": ("privacy: {redact: ['turn [0-9]']}", "privacy: {redact: [zzz]}"),
    "privacy.never_keep_roles": ("privacy: {never_keep_roles: [tool]}", "privacy: {never_keep_roles: [user]}"),
}


def leaves(shape: type[BaseModel], before: str = "") -> Iterator[str]:
    """The path of every value of a model."""
    for name, field in shape.model_fields.items():
        inner = [one for one in (field.annotation, *getattr(field.annotation, "__args__", ())) if _model(one)]
        if inner:
            yield from leaves(inner[0], f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def test_no_value_is_left_out() -> None:
    """Whoever adds one adds its case."""
    assert set(leaves(ThreadPolicy)) == set(CASES)


@pytest.mark.parametrize("value", [one for one in CASES if not one.startswith("locks.")])
async def test_another_value_is_another_story(value: str) -> None:
    """The same turns under two values come to something else: what stays, leaves, is refused, summed up or shown."""
    one, other = CASES[value]
    assert await story(one) == await story(one)
    assert await story(one) != await story(other)


@pytest.mark.parametrize("value", ["locks.append", "locks.clear", "locks.flush"])
async def test_a_change_that_is_stuck_is_given_up_in_its_time(value: str) -> None:
    """A short lock time ends it, a long one waits for it."""
    short, long = CASES[value]
    assert await stuck(short, value) is not None
    assert await stuck(long, value) is None


class Model(Summariser):
    """A language model of few words."""

    async def summary(self, _before: str, _turns: Sequence[Turn], _limit: int) -> str:
        """Always the same."""
        return "by model"


class Letters(FakeTokenizer):
    """A token a character."""

    def count(self, text: str) -> int:
        """Characters."""
        return len(text)


class Stuck(FakeThreads):
    """A store whose changes take their time, once it is stuck."""

    stuck = False

    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Late."""
        await self._wait()
        return await super().append(scope, append)

    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """Late."""
        await self._wait()
        return await super().clear(scope, thread_id, backup_id)

    async def remove(self, scope: Scope, removal: Removal) -> bool:
        """Late."""
        await self._wait()
        return await super().remove(scope, removal)

    async def _wait(self) -> None:
        if self.stuck:
            with anyio.move_on_after(0.3):
                await anyio.sleep_forever()


def threads_with(policy: str, store: FakeThreads) -> Threads:
    """Threads of one resource under this policy."""
    return Threads(
        ThreadParts(
            store,
            store,
            ingestor_over(InMemoryStore()),
            FakeTokenizer(),
            Model(),
            FreeLocks(),
            lambda: NOW,
            lambda: Registry.of(default_file()),
            Redactor(),
            parse(f"threads: {{r: {{{policy}}}}}", "test.yaml"),
            {"cl100k_base": FakeTokenizer(), "o200k_base": Letters()},
        )
    )


TURNS = [
    ("system", "be brief"),
    ("user", "turn 1 says ERROR"),
    ("tool", "turn 2"),
    ("assistant", "turn 3 is a much longer one than all the others here"),
    ("user", "turn 4"),
    ("tool", "turn 5"),
    ("assistant", "turn 6. It was decided. It must be."),
    ("user", "turn 7 and no more"),
]


async def story(policy: str) -> list[object]:
    """What becomes of a thread and its context under this policy."""
    store = FakeThreads()
    threads = threads_with(policy, store)
    opening = OpenRequest(resource="r", variables={"session": {"id": "s"}}, initial_context="what was given before")
    thread = (await threads.open(SCOPE, opening)).thread
    told: list[object] = [thread.key, thread.ttl_s]
    for role, text in TURNS:
        try:
            said = await threads.append(SCOPE, thread.id, NewTurn(role=role, content=text), None)
        except RemembrancerError as error:
            told.append(str(error))
        else:
            told.append((said.turn.content, said.flushed, said.evicted))
            await store.use(SCOPE, thread.id, [1])
    content = await threads.store.read(SCOPE, thread.id)
    earlier = ThreadContent(replace(thread, id="earlier"), content.turns)
    allocation = threads.policies.of_resource("r").allocation
    shown = thread_context([earlier, content], 90, FakeTokenizer(), allocation)
    return [*told, [turn.index for turn in content.turns], content.thread.summary, shown.text.replace(thread.id, "")]


async def stuck(policy: str, value: str) -> str | None:
    """What is said of a change to a store that is stuck; None where it was made."""
    store = Stuck()
    threads = threads_with(policy, store)
    thread = (await threads.open(SCOPE, OpenRequest(resource="r"))).thread
    for _ in range(4):
        await threads.append(SCOPE, thread.id, NewTurn(role="user", content="on"), None)
    store.stuck = True
    try:
        match value:
            case "locks.append":
                await threads.append(SCOPE, thread.id, NewTurn(role="user", content="on"), None)
            case "locks.clear":
                await threads.clear(SCOPE, thread.id, backup=False)
            case _:
                await threads.flush(SCOPE, thread.id, FlushRequest(force=True))
    except RemembrancerError as error:
        return str(error)
    return None
