"""Every setting of a thread policy changes how its threads behave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from ingest.conversations.evicted_turns import EvictedTurnWriter
from ingest.conversations.flushing import Flusher, FlushRequest
from ingest.conversations.incoming import TurnScreen
from ingest.conversations.policies import PolicyLookup
from ingest.conversations.summary import SummaryRequest
from ingest.conversations.threads import OpenRequest, Threads
from ingest.screening.redaction.redactor import Redactor
from memtypes.live.thread_policy import ThreadPolicy, parse_policies
from memtypes.live.turns import NewTurn
from memtypes.llms.registry import Registry, default_file
from memtypes.model.errors import RemembrancerError
from memtypes.model.scope import Scope
from memtypes.ports.threads import AppendTurn, Removal, TurnAppended
from retrieval.context.thread import thread_context
from tests.fakes import FakeTokenizer
from tests.fakes_locks import FakeLocks
from tests.fakes_memories import InMemoryStore
from tests.fakes_threads import FakeThreads
from tests.fakes_workflows import FakeWorkflows
from tests.ingest.conversations.builders import ingestor_over

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCOPE = Scope("acme", "n")
FLUSHED = "max_messages: 6, type: message_count_based"
SUMMARISED = (
    "max_messages: 10, type: message_count_based, flush: {strategy: hybrid_summary, target: 0.3"
)
EVICTED = "max_messages: 4"

CASES: dict[str, tuple[str, str]] = {
    "type": ("type: buffer, max_messages: 6", f"{FLUSHED}"),
    "max_tokens": ("max_tokens: 20", "max_tokens: 40"),
    "max_messages": ("max_messages: 3", "max_messages: 4"),
    "max_turns": ("max_turns: 5", "max_turns: 6"),
    "max_context_ratio": (
        "model: gpt-4, max_context_ratio: 0.002",
        "model: gpt-4, max_context_ratio: 0.004",
    ),
    "model": ("model: gpt-4, max_tokens: 90", "model: gpt-4o, max_tokens: 90"),
    "allocation.system": (
        "allocation: {system: 0, short_term: 1}",
        "allocation: {system: 0.4, short_term: 0.6}",
    ),
    "allocation.long_term": (
        "allocation: {short_term: 1}",
        "allocation: {long_term: 0.5, short_term: 0.5}",
    ),
    "allocation.short_term": (
        "allocation: {short_term: 0.3, system: 0.7}",
        "allocation: {short_term: 1}",
    ),
    "allocation.custom": (
        "allocation: {short_term: 1}",
        "allocation: {custom: 0.3, short_term: 0.7}",
    ),
    "ttl": ("ttl: 1h", "ttl: 2h"),
    "key": ("key: 'a:{{ session.id }}'", "key: 'b:{{ session.id }}'"),
    "flush.strategy": (
        f"{FLUSHED}, flush: {{strategy: lru}}",
        f"{FLUSHED}, flush: {{strategy: simple_fifo}}",
    ),
    "flush.threshold": (
        f"{FLUSHED}, flush: {{threshold: 0.6}}",
        f"{FLUSHED}, flush: {{threshold: 0.9}}",
    ),
    "flush.target": (f"{FLUSHED}, flush: {{target: 0.2}}", f"{FLUSHED}, flush: {{target: 0.6}}"),
    "flush.keep_first": (f"{SUMMARISED}, keep_first: 0}}", f"{SUMMARISED}, keep_first: 3}}"),
    "flush.keep_last": (f"{SUMMARISED}, keep_last: 0}}", f"{SUMMARISED}, keep_last: 4}}"),
    "flush.oldest": (
        f"{SUMMARISED.replace('0.3', '0.7')}, oldest: 0.1}}",
        f"{SUMMARISED.replace('0.3', '0.7')}, oldest: 1}}",
    ),
    "flush.summary_tokens": (
        f"{SUMMARISED}, llm: false, summary_tokens: 3}}",
        f"{SUMMARISED}, llm: false}}",
    ),
    "flush.llm": (f"{SUMMARISED}, llm: true}}", f"{SUMMARISED}, llm: false}}"),
    "eviction.policy": (
        f"{EVICTED}, eviction: {{policy: fifo}}",
        f"{EVICTED}, eviction: {{policy: priority}}",
    ),
    "eviction.keywords": (
        f"{EVICTED}, eviction: {{policy: priority}}",
        f"{EVICTED}, eviction: {{policy: priority, keywords: [MUCH LONGER]}}",
    ),
    "locks.append": ("locks: {append: 0.1s}", "locks: {append: 60s}"),
    "locks.clear": ("locks: {clear: 0.1s}", "locks: {clear: 60s}"),
    "locks.flush": (f"{FLUSHED}, locks: {{flush: 0.1s}}", f"{FLUSHED}, locks: {{flush: 60s}}"),
    "privacy.redact": ("privacy: {redact: ['turn [0-9]']}", "privacy: {redact: [zzz]}"),
    "privacy.never_keep_roles": (
        "privacy: {never_keep_roles: [tool]}",
        "privacy: {never_keep_roles: [user]}",
    ),
}


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all settings in a pydantic model, such as `eviction.policy`."""
    for name, field in model.model_fields.items():
        models = [
            annotation
            for annotation in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if _is_model(annotation)
        ]
        if models:
            yield from settings_of(models[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def test_every_policy_setting_has_a_test_case() -> None:
    """CASES has two values for each setting of a thread policy, so a new setting needs a new
    case.
    """
    assert set(settings_of(ThreadPolicy)) == set(CASES)


@pytest.mark.parametrize(
    "setting", [setting for setting in CASES if not setting.startswith("locks.")]
)
async def test_two_values_of_a_policy_setting_give_different_results(setting: str) -> None:
    """The same appends have different results under two values of a policy setting.

    Results are turns, evictions, flushes, errors, summaries and rendered contexts.
    """
    value, other = CASES[setting]
    assert await run(value) == await run(value)
    assert await run(value) != await run(other)


@pytest.mark.parametrize("setting", ["locks.append", "locks.clear", "locks.flush"])
async def test_a_slow_change_is_cancelled_after_its_lock_time(setting: str) -> None:
    """An append, clear or flush that takes longer than the lock time in the thread's policy is
    cancelled.

    With a longer lock time the same operation succeeds.
    """
    short, long = CASES[setting]
    assert await slow_change(short, setting) is not None
    assert await slow_change(long, setting) is None


async def fixed_summary(_request: SummaryRequest) -> str:
    """The text "by model", whatever the turns are."""
    return "by model"


class CharacterTokenizer(FakeTokenizer):
    """A tokenizer that counts one token per character."""

    def count(self, text: str) -> int:
        """Number of characters."""
        return len(text)


class SlowThreads(FakeThreads):
    """A thread store whose changes take 0.3 s while `slow` is set."""

    slow = False

    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Append the turn after a delay."""
        await self._wait()
        return await super().append(scope, append)

    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """Clear the thread after a delay."""
        await self._wait()
        return await super().clear(scope, thread_id, backup_id)

    async def remove(self, scope: Scope, removal: Removal) -> int:
        """Remove the turns after a delay."""
        await self._wait()
        return await super().remove(scope, removal)

    async def _wait(self) -> None:
        if self.slow:
            with anyio.move_on_after(0.3):
                await anyio.sleep_forever()


def threads_with(policy: str, store: FakeThreads) -> Threads:
    """The threads service over `store` with one resource, `r`, whose policy is this YAML text."""
    tokenizers = {"cl100k_base": FakeTokenizer(), "o200k_base": CharacterTokenizer()}
    policies = parse_policies(f"threads: {{r: {{{policy}}}}}", "test.yaml")
    registry = Registry.from_files(default_file())
    lookup = PolicyLookup(lambda: registry, policies, tokenizers)
    screen = TurnScreen(Redactor(), lookup, FakeTokenizer(), lambda: NOW)
    flusher = Flusher(store, lookup, fixed_summary, FakeTokenizer(), FakeLocks(), lambda: NOW)
    evicted_turns = EvictedTurnWriter(store, ingestor_over(InMemoryStore()), lambda: NOW)
    return Threads(store, lookup, screen, flusher, evicted_turns, lambda: NOW, FakeWorkflows())


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


async def run(policy: str) -> list[object]:
    """The results of fixed appends under a policy, and the thread's turns, summary and rendered
    context afterwards.
    """
    store = FakeThreads()
    threads = threads_with(policy, store)
    opening = OpenRequest(
        resource="r", variables={"session": {"id": "s"}}, initial_context="what was given before"
    )
    thread = (await threads.open(SCOPE, opening)).thread
    outcomes: list[object] = [thread.key, thread.ttl_s]
    for role, text in TURNS:
        try:
            appended = await threads.append(
                SCOPE, thread.id, NewTurn(role=role, content=text), None
            )
        except RemembrancerError as error:
            outcomes.append(str(error))
        else:
            content = appended.turn.content if appended.turn else appended.reason
            outcomes.append((content, appended.flushed, appended.evicted))
            await store.use(SCOPE, thread.id, [1])
    tail = await threads.store.tail(SCOPE, thread.id, 1_000)
    earlier = replace(tail, thread=replace(thread, id="earlier", turns=len(tail.turns)))
    allocation = threads.policies.of_resource("r").allocation
    shown = thread_context([earlier, tail], 90, FakeTokenizer(), allocation)
    indices = [turn.index for turn in tail.turns]
    return [*outcomes, indices, tail.thread.summary, shown.text.replace(thread.id, "")]


async def slow_change(policy: str, setting: str) -> str | None:
    """The error of an append, clear or flush (as in `setting`) in a slow store; None if it
    succeeds.
    """
    store = SlowThreads()
    threads = threads_with(policy, store)
    thread = (await threads.open(SCOPE, OpenRequest(resource="r"))).thread
    for _ in range(4):
        await threads.append(SCOPE, thread.id, NewTurn(role="user", content="on"), None)
    store.slow = True
    try:
        match setting:
            case "locks.append":
                await threads.append(SCOPE, thread.id, NewTurn(role="user", content="on"), None)
            case "locks.clear":
                await threads.clear(SCOPE, thread.id, backup=False)
            case _:
                await threads.flush(SCOPE, thread.id, FlushRequest(force=True))
    except RemembrancerError as error:
        return str(error)
    return None
