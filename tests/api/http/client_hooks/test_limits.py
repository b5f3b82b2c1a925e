"""Limits of clients' hooks: tokens and characters of the added context, and dependencies that fail
or are slow.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from api.http.client_hooks.contexts import MAX_CHARACTERS
from api.http.client_hooks.routes import DEADLINE_S
from ingest.screening.redaction.redactor import RedactionRules, RuleBook, Treatment
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.llms.registry import RegistrySource
from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Listing
from memtypes.search.candidates import Candidates
from memtypes.search.vectors import Embedding
from retrieval.dependencies import RetrieverParts
from retrieval.retriever import Retriever
from tests.api.conftest import connect
from tests.api.fake_services import fake_services
from tests.api.http.client_hooks.conftest import ClientSession, Clock, with_client_sessions
from tests.api.http.client_hooks.test_sessions import FACT, FAILURE, QUESTION
from tests.fakes import FakeEmbedder, FakeSparse
from tests.fakes_memories import InMemoryStore
from tests.live import everything, running_server

pytestmark = pytest.mark.anyio

TOPIC = "Which Postgres version do we run in production: "
TEXTS = {
    "many facts": [
        f"{TOPIC} the ledger {n} has the patch release {n}.{n} since week {n}." for n in range(150)
    ],
    "a long text": [TOPIC + " ".join(f"Version note {n} of the ledger." for n in range(1_000))],
    "long signs": [f"{TOPIC}{n} {'=' * 4_000} {'-' * 4_000}" for n in range(6)],
    "emoji": [f"{TOPIC}{n} {'😀' * 300}" for n in range(6)],
}


@pytest.fixture(scope="module")
async def tokenizers() -> dict[str, TiktokenTokenizer]:
    """The tokenizers cl100k_base and o200k_base, by these names."""
    opened = {name: await TiktokenTokenizer.open(name) for name in ("cl100k_base", "o200k_base")}
    # Their encodings are built now
    assert [tokenizer.count("") for tokenizer in opened.values()] == [0, 0]
    return opened


@pytest.mark.slow
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(
    ("client", "margin"), [("claude-code", 1.4), ("codex", 1.0), ("vscode", 1.5)]
)
async def test_added_context_keeps_to_its_limits_of_tokens_and_characters(
    clock: Clock, tokenizers: dict[str, TiktokenTokenizer], kind: str, client: str, margin: float
) -> None:
    """With the text that the client puts around it, the context of a hook is within its limits."""
    services = fake_services(clock)
    parts = RetrieverParts(services.store, FakeEmbedder(), FakeSparse(), tokenizers, clock)
    services = replace(
        services, tokenizers=tokenizers, retriever=Retriever(parts), models=RegistrySource(None)
    )
    tokenizer = tokenizers["o200k_base" if client == "codex" else "cl100k_base"]
    async with connect(services) as http:
        session = ClientSession(
            http, services, "", "s1", client, headers={"X-Remembrancer-Namespace": "n"}
        )
        items = [{"type": "semantic", "content": content} for content in TEXTS[kind]]
        answer = await http.post("/v1/memories/batch", json={"namespace": "n", "items": items})
        assert answer.json()["counts"]["stored"] == len(items), answer.text
        for event, limit in (("SessionStart", 1_000), ("UserPromptSubmit", 1_500)):
            text = await session.another().context(event, prompt=QUESTION)
            reminder = (
                f"<system-reminder>\n{event} hook additional context: {text}\n</system-reminder>"
            )
            assert text
            assert len(text) <= MAX_CHARACTERS < 10_000
            assert tokenizer.count(reminder) * margin <= limit


async def test_only_memories_that_are_shown_count_as_used(clock: Clock) -> None:
    """If a context is too long for the client, a shorter one is built. Only memories in this one
    count as used.
    """
    services = fake_services(clock)
    async with connect(services) as http:
        session = ClientSession(http, services, "", "s1", headers={"X-Remembrancer-Namespace": "n"})
        items = [
            {"type": "semantic", "content": f"{TOPIC} {n}. {chr(97 + n) * 700}"} for n in range(20)
        ]
        await http.post("/v1/memories/batch", json={"namespace": "n", "items": items})
        text = await session.prompt(QUESTION)
    scope = Scope("default", "n")
    assert len(await services.receipts.queue.latest(scope, 10)) == 1
    uses = services.receipts.parts.use_counts
    assert uses is not None
    await uses.write()
    memories = (
        await services.store.page(scope, Listing((MemoryType.SEMANTIC,), limit=10))
    ).memories
    assert [memory.access_count for memory in memories] == [
        int(memory.content[-600:] in text) for memory in memories
    ]
    assert 0 < sum(memory.access_count for memory in memories) < len(items)


class BrokenStore(InMemoryStore):
    """A memory store whose searches wait `slow_s` seconds, and fail while a test sets `away`."""

    away = False
    slow_s = 0.0

    async def candidates(
        self, scope: Scope, searches: Sequence[CandidateSearch]
    ) -> list[Candidates]:
        """Wait `slow_s` seconds and return the candidates of the searches. Raises Unavailable while
        `away` is set.
        """
        await anyio.sleep(self.slow_s)
        if self.away:
            raise Unavailable("the store is away")
        return await super().candidates(scope, searches)


class BrokenEmbedder(FakeEmbedder):
    """An embedder that fails to embed queries while a test sets `away`."""

    away = False

    async def embed_query(self, text: str) -> Embedding:
        """Return the embedding of the text. Raises Unavailable while `away` is set."""
        if self.away:
            raise Unavailable("the encoder is away")
        return await super().embed_query(text)


async def test_without_store_or_encoder_a_hook_fails_no_prompt(clock: Clock) -> None:
    """If the memory store fails or is slow, a prompt gets the answer `{}` with a header that says
    degraded.

    If the encoder fails, memories are found by words.
    """
    store = BrokenStore(FakeEmbedder().dimensions)
    embedder = BrokenEmbedder()
    services = fake_services(clock, store, encoders=(embedder, FakeSparse()))
    async with connect(services) as http:
        session = ClientSession(http, services, "/p/shop", "s1")
        await session.exchange(FACT, "Good.")
        store.away = True
        assert await session.another().prompt(QUESTION) == ""
        assert session.answer_headers["x-remembrancer-degraded"] == "hook"
        store.away = False
        store.slow_s = 60.0
        began = time.monotonic()
        assert await session.another().prompt(QUESTION) == ""
        assert time.monotonic() - began < DEADLINE_S + 1.0
        metrics = (await http.get("/metrics")).text
        assert 'remembrancer_degraded_answers_total{part="hook"} 2.0' in metrics
        store.slow_s = 0.0
        embedder.away = True
        assert FACT in await session.another().prompt(QUESTION)
        assert "x-remembrancer-degraded" not in session.answer_headers


async def test_acknowledged_turns_are_stored_when_the_store_is_back(clock: Clock) -> None:
    """Turns that arrive while the memory store is down wait in a queue. A background job stores
    them later.
    """
    store = BrokenStore(FakeEmbedder().dimensions)
    services = fake_services(clock, store)
    async with connect(services) as http:
        session = ClientSession(http, services, "/p/shop", "s1")
        await session.prompt(FACT)
        store.away = True
        await session.stop(FAILURE)
        store.away = False
        assert await session.memories() == []
        assert "remembrancer_captures_waiting 1.0" in (await http.get("/metrics")).text
        await services.captures.persist_all()
        assert {FACT, FAILURE} <= {memory.content for memory in await session.memories()}
        assert "remembrancer_captures_waiting 0.0" in (await http.get("/metrics")).text


async def test_without_redis_a_hook_adds_no_context(tmp_path: Path, clock: Clock) -> None:
    """While Redis is stopped, every event gets the answer `{}`. When Redis is back, prompts get
    context again.
    """
    async with running_server(tmp_path) as live:
        services = with_client_sessions(fake_services(clock), live)
        async with connect(services) as http:
            session = ClientSession(http, services, "/p/shop", "s1")
            await session.exchange(FACT, "Good.")
            pid = int(
                (await live.run(lambda redis: redis.info("server"), idempotent=True))["process_id"]
            )
            following = session.another()
            os.kill(pid, signal.SIGSTOP)
            try:
                for event in (
                    "SessionStart",
                    "UserPromptSubmit",
                    "Stop",
                    "PostCompact",
                    "SessionEnd",
                ):
                    fields = {
                        "prompt": QUESTION,
                        "last_assistant_message": FAILURE,
                        "compact_summary": FAILURE,
                    }
                    assert await following.post(event, **fields) == {}
                    assert session.answer_headers["x-remembrancer-degraded"] == "hook"
            finally:
                os.kill(pid, signal.SIGCONT)
            with anyio.fail_after(30):
                while FACT not in await following.prompt(QUESTION):
                    await anyio.lowlevel.checkpoint()


async def test_secrets_are_neither_stored_nor_queued(session: ClientSession) -> None:
    """A secret in a prompt or an answer is removed before the turn is queued in Redis or stored as
    a memory.
    """
    secret = "ghp_" + "a1B2" * 9
    await session.prompt(f"The deploy token of the ledger is {secret} and it expires in May.")
    assert session.live is not None
    scope = Scope("default", session.namespace, session.session_id)
    (waiting,) = await session.services.client_sessions.waiting_prompts(scope)
    assert waiting
    assert secret not in str(await everything(session.live, scope))
    await session.stop(f"Noted: {secret}")
    assert secret not in str([memory.content for memory in await session.memories()])
    assert secret not in str(await everything(session.live, scope))


async def test_a_tenant_that_refuses_secrets_stores_no_turn_with_one(clock: Clock) -> None:
    book = RuleBook(default=RedactionRules(policy=Treatment.REFUSE))
    services = fake_services(clock, book=book)
    async with connect(services) as http:
        session = ClientSession(http, services, "/p/shop", "s1")
        await session.exchange(FACT, "Good.")
        following = session.another()
        secret = "ghp_" + "a1B2" * 9
        assert FACT in await following.prompt(f"{QUESTION} With {secret}")
        await following.stop(FAILURE)
        assert {memory.content for memory in await session.memories()} == {FACT, FAILURE}


async def test_events_are_counted_by_client_and_name(session: ClientSession) -> None:
    await session.post("Stop")
    await session.post("Stop")
    await session.post("Whatever")
    metrics = (await session.http.get("/metrics")).text
    assert 'remembrancer_hook_events_total{client="claude-code",event="Stop"} 2.0' in metrics
    assert 'remembrancer_hook_events_total{client="claude-code",event="other"} 1.0' in metrics
