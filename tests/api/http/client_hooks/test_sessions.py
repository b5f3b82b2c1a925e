"""Sessions of agent clients, event by event: the text that is added to the context, and the stored
memories.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from ingest.working.intentions import DueRequest, Intentions
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.model.episodic import Episodic
from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Prospective, Status
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.stores.redis.client_sessions import RedisClientSessions
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.conftest import connect
from tests.api.fake_services import fake_services
from tests.api.http.client_hooks.conftest import ClientSession, Clock, with_client_sessions
from tests.fakes import FakeSparse
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

FACT = "We run Postgres 15 in production because the ledger needs logical replication."
QUESTION = "Which Postgres version do we run in production?"
OTHER = "The nightly import of the warehouse takes its advisory lock for each sku."
OTHER_QUESTION = "For what does the nightly import of the warehouse take its advisory lock?"
FAILURE = "The migration failed because the index on orders was built twice."
TASK = "Remind me to renew the certificate of the staging server on 2026-03-04."


@pytest.mark.parametrize("client", ["claude-code", "codex", "vscode"])
async def test_facts_of_one_session_are_shown_in_the_next_one(
    session: ClientSession, client: str
) -> None:
    session.client = client
    assert await session.post("SessionStart", source="startup") == {}
    assert (
        await session.exchange(FACT, "Understood, I will keep the replication slots in mind.") == ""
    )
    assert await session.post("SessionEnd", reason="other") == {}
    assert FACT in {memory.content for memory in await session.memories()}
    assert FACT in await session.another().prompt(QUESTION)


@pytest.mark.parametrize("client", ["claude-code", "codex", "vscode"])
async def test_a_session_begins_with_open_tasks_and_new_memories(
    session: ClientSession, client: str
) -> None:
    """A session starts with the project's open tasks and newest memories. Later prompts do not
    repeat them.
    """
    session.client = client
    await session.exchange(TASK, "I will.")
    await session.exchange(FACT, "Good.")
    following = session.another()
    text = await following.context("SessionStart", source="startup")
    assert text.startswith("From the memory of this project: ")
    assert "renew the certificate" in text
    assert FACT in text
    assert await following.prompt(QUESTION) == ""


async def test_a_session_begins_with_what_is_due_this_week_before_newer_and_missed_tasks(
    live: LiveClient, clock: Clock, onnx_directory: Path
) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    store = InMemoryStore(embedder.dimensions)
    services = fake_services(clock, store, encoders=(embedder, FakeSparse()))
    async with connect(with_client_sessions(services, live)) as http:
        session = ClientSession(http, services, f"/projects/{uuid.uuid4()}", "first", live=live)

        async def add(content: str, **due: str) -> None:
            memory = {"namespace": session.namespace, "type": "prospective", "content": content}
            assert (await http.post("/v1/memories", json=memory | due)).status_code == 201

        await add("Send the tax form.", due_at=rfc3339(clock.now + timedelta(days=3)))
        overdue = rfc3339(clock.now - timedelta(days=9))
        for number in range(45):
            await add(f"Sort the photos of year {number} into the new album.")
            await add(f"Pay the bill {number} of the builder.", due_at=overdue)
        text = await session.another().context("SessionStart")
    await embedder.aclose()
    assert "## Tasks\n- [pending] Send the tax form." in text
    assert "Sort the photos" in text


@pytest.mark.parametrize("source", ["resume", "fork"])
async def test_a_resumed_or_forked_session_is_shown_nothing_at_its_start(
    session: ClientSession, source: str
) -> None:
    """A resumed or forked session gets no context at its start, because its transcript has what was
    shown before.
    """
    await session.exchange(FACT, "Good.")
    assert await session.another().post("SessionStart", source=source) == {}


async def test_a_memory_is_shown_once_in_a_session(session: ClientSession) -> None:
    """A memory that was added to one prompt is not added to later prompts of the session, whose
    history has it.
    """
    await session.exchange(FACT, "Good.")
    await session.exchange(OTHER, "Fine.")
    following = session.another()
    assert FACT in await following.prompt(QUESTION)
    assert FACT not in await following.prompt(f"{QUESTION} Once more.")
    text = await following.prompt(OTHER_QUESTION)
    assert FACT not in text
    assert FACT in await session.another().prompt(QUESTION)


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("SessionStart", {"source": "clear"}),
        ("SessionStart", {"source": "compact"}),
        (
            "PostCompact",
            {"trigger": "auto", "compact_summary": "They talked about the weather in Lisbon."},
        ),
    ],
)
async def test_a_compacted_or_cleared_session_is_shown_memories_again(
    session: ClientSession, clock: Clock, event: str, fields: dict[str, str]
) -> None:
    await session.exchange(FACT, "Good.")
    following = session.another()
    assert FACT in await following.prompt(QUESTION)
    await following.exchange(OTHER, "Fine.")
    clock.later(minutes=1)
    context = await following.post(event, **fields)
    shown_text = (
        str(context) + await following.prompt(QUESTION) + await following.prompt(OTHER_QUESTION)
    )
    assert shown_text.count(FACT) == 1
    assert shown_text.count(OTHER) == 1


async def test_the_two_events_of_a_compaction_show_memories_only_once(
    session: ClientSession, clock: Clock
) -> None:
    """A compaction is reported by two events, PostCompact and SessionStart. In either order, a
    memory is shown once.
    """
    await session.exchange(FACT, "Good.")
    for first, second in (("SessionStart", "PostCompact"), ("PostCompact", "SessionStart")):
        following = session.another()
        await following.prompt(QUESTION)
        clock.later(minutes=2)
        texts = [str(await following.post(first, source="compact"))]
        clock.later(seconds=1)
        texts += [
            str(await following.post(second, source="compact")),
            await following.prompt(QUESTION),
        ]
        assert "".join(texts).count(FACT) == 1


async def test_a_fact_that_a_session_stated_is_not_shown_in_that_session(
    session: ClientSession,
) -> None:
    await session.exchange(FACT, "Good.")
    assert await session.prompt(QUESTION) == ""


async def test_a_prompt_is_not_shown_a_fact_that_it_states(session: ClientSession) -> None:
    """A prompt that states a known fact is not shown the fact.

    A prompt that the client itself sends (source `system`) does not count as stating it.
    """
    await session.exchange(FACT, "Good.")
    following = session.another()
    await following.stop("Fine.", prompt_id="x")
    await following.post("UserPromptSubmit", prompt=FACT, source="system")
    following.prompts = 1
    assert FACT in await following.prompt(QUESTION)
    assert FACT not in await following.prompt(FACT)


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "/compact keep the Postgres version in production"},
        {"prompt": QUESTION, "source": "system"},
        {"prompt": QUESTION, "source": "loop_wakeup"},
        {"prompt": QUESTION, "source": "schedule_wakeup"},
        {"prompt": QUESTION, "source": "poll_event"},
        {"prompt": " \n"},
        {"prompt": None},
        {},
    ],
)
async def test_commands_wake_ups_and_blank_prompts_get_an_empty_answer(
    session: ClientSession, fields: dict[str, str]
) -> None:
    """Slash commands, blank prompts and prompts that the client's timers send get no context and
    are not stored.
    """
    await session.exchange(FACT, "Good.")
    before = {memory.content for memory in await session.memories()}
    following = session.another()
    assert await following.post("UserPromptSubmit", prompt_id="x", **fields) == {}
    await following.post("SessionEnd", reason="other")
    await following.settled()
    assert {memory.content for memory in await session.memories()} == before


async def test_a_stop_event_that_is_sent_again_adds_no_memory(session: ClientSession) -> None:
    """If a client sends the end of a turn (event Stop) three times, its prompt and its answer are
    stored once.
    """
    await session.prompt(FACT)
    for _ in range(3):
        assert await session.stop(FAILURE) == {}
    contents = [memory.content for memory in await session.memories()]
    assert len(contents) == len(set(contents)) == 2


async def test_an_answer_without_a_known_prompt_is_stored(session: ClientSession) -> None:
    await session.stop(FAILURE, prompt_id="unknown")
    await session.stop(None, prompt_id="unknown")
    assert [memory.content for memory in await session.memories()] == [FAILURE]


async def test_a_prompt_whose_answer_was_interrupted_is_stored_at_the_end(
    session: ClientSession,
) -> None:
    await session.prompt(FACT)
    await session.prompt(OTHER)
    await session.stop("Fine.")
    assert await session.post("SessionEnd", reason="prompt_input_exit") == {}
    await session.settled()
    assert {FACT, OTHER} <= {memory.content for memory in await session.memories()}


async def test_a_subagents_answer_is_stored_with_the_subagents_name(session: ClientSession) -> None:
    """A subagent's answer is stored with the subagent's name. The session's own answer is still
    expected.
    """
    await session.prompt(FACT)
    agent = {"agent_id": "a1", "agent_type": "reviewer", "agent_transcript_path": "/x"}
    for _ in range(2):
        assert await session.stop_of_subagent(OTHER, **agent) == {}
    (memory,) = await session.memories()
    assert (memory.content, memory.agent_id) == (OTHER, "reviewer")
    await session.stop("Good.")
    assert FACT in {memory.content for memory in await session.memories()}


async def test_a_summary_of_a_compaction_is_one_event(session: ClientSession) -> None:
    """The summary of a compacted session becomes one episodic memory, whatever types its sentences
    have.
    """
    summary = f"1. {FACT}\n2. {OTHER}\n3. Decided: {TASK}"
    assert await session.post("PostCompact", trigger="manual", compact_summary=summary) == {}
    await session.settled()
    (memory,) = await session.memories()
    assert isinstance(memory, Episodic)
    assert memory.content == summary
    assert await session.post("PostCompact", trigger="manual") == {}


async def test_unknown_events_and_fields_get_an_empty_answer(session: ClientSession) -> None:
    tool = {
        "tool_name": "Bash",
        "tool_input": {"command": "echo hi"},
        "tool_response": {"stdout": FACT},
    }
    assert await session.post("PostToolUse", **tool) == {}
    assert await session.post("PreCompact", trigger="auto", custom_instructions="") == {}
    assert await session.post("SomethingNew", deep={"a": [1, None]}, number=10**40) == {}
    assert await session.post("Stop", prompt_id=3, last_assistant_message={"text": FACT}) == {}
    assert (
        await session.post("UserPromptSubmit", prompt=[FACT], transcript_path=None, source=7) == {}
    )
    await session.settled()
    assert await session.memories() == []


async def test_texts_with_control_characters_are_stored_without_them(
    session: ClientSession,
) -> None:
    """Colour codes and control characters are removed from prompts. An unpaired surrogate becomes
    U+FFFD.
    """
    await session.prompt(f"\x1b[31m{FACT}\x1b[0m\x00 \ud83d")
    await session.stop("Good.")
    assert f"{FACT} \ufffd" in {memory.content for memory in await session.memories()}


async def test_a_due_task_is_shown_with_any_prompt(session: ClientSession, clock: Clock) -> None:
    await session.exchange(TASK, "I will.")
    clock.later(days=4)
    assert "renew the certificate" in await session.another().prompt(
        "What shall we have for lunch today?"
    )
    (task,) = [
        memory for memory in await session.memories() if memory.type is MemoryType.PROSPECTIVE
    ]
    assert isinstance(task, Prospective)
    assert (task.status, task.fired_at) == (Status.ACTIVE, clock.now)


@pytest.mark.parametrize("delay_s", [math.inf, 0.0])
async def test_a_due_task_that_cannot_be_marked_as_fired_is_still_shown(
    session: ClientSession, clock: Clock, delay_s: float
) -> None:
    await session.exchange(TASK, "I will.")
    clock.later(days=4)
    intentions = {
        each.name: getattr(session.services.intentions, each.name)
        for each in fields(Intentions)
        if each.init
    }
    stuck = _StuckIntentions(**intentions, delay_s=delay_s)
    services = replace(session.services, intentions=stuck)
    async with connect(services) as http:
        following = replace(session.another(), http=http, services=services)
        assert "renew the certificate" in await following.prompt(
            "What shall we have for lunch today?"
        )
    (task,) = [
        memory for memory in await session.memories() if memory.type is MemoryType.PROSPECTIVE
    ]
    assert isinstance(task, Prospective)
    assert task.fired_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _StuckIntentions(Intentions):
    """Tasks that cannot be marked as fired: `fire` waits `delay_s` seconds and then raises
    Unavailable.
    """

    delay_s: float

    # See the class
    async def fire(
        self,
        scope: Scope,  # noqa: ARG002
        request: DueRequest,  # noqa: ARG002
        ids: Sequence[str] | None = None,  # noqa: ARG002
    ) -> list[Prospective]:
        await anyio.sleep(self.delay_s)
        raise Unavailable("the store is away")


async def test_a_due_task_is_shown_beside_the_message_that_set_it(
    session: ClientSession, clock: Clock
) -> None:
    for kind, content in (("episodic", f"{FACT} {TASK}"), ("prospective", TASK)):
        due = {"due_at": rfc3339(clock.now + timedelta(days=1))} if kind == "prospective" else {}
        memory = {"namespace": session.namespace, "type": kind, "content": content, **due}
        assert (await session.http.post("/v1/memories", json=memory)).status_code == 201
    assert "[pending]" not in await session.another().context("SessionStart")
    clock.later(days=2)
    following = session.another()
    assert f"[pending] {TASK} (due" in await following.context("UserPromptSubmit", prompt=QUESTION)
    assert TASK not in await following.context("SessionStart")


async def test_a_memory_is_left_out_if_all_of_its_sentences_were_shown(
    session: ClientSession,
) -> None:
    for content in (f"{FACT} The office is in Rome.", f"{OTHER} The office is in Rome."):
        memory = {"namespace": session.namespace, "type": "episodic", "content": content}
        assert (await session.http.post("/v1/memories", json=memory)).status_code == 201
    following = session.another()
    context = await following.context("SessionStart")
    assert (context.count(FACT), context.count(OTHER)) == (1, 1)
    for content in (
        FACT,
        f"-  {OTHER.rstrip('.')}",
        f"{OTHER} {FACT}",
        f"{FACT} The lock is called stock.",
    ):
        memory = {"namespace": session.namespace, "type": "semantic", "content": content}
        assert (await session.http.post("/v1/memories", json=memory)).is_success
    context = await following.prompt(QUESTION) + await following.prompt(OTHER_QUESTION)
    assert (context.count(FACT), context.count(OTHER.rstrip("."))) == (1, 0)
    assert "The lock is called stock." in context


async def test_a_sentence_that_differs_in_case_or_sign_is_shown(session: ClientSession) -> None:
    """A memory that differs from a shown one only in case (`tar -c`, `tar -C`) or sign (-5, 5) is
    shown, too.
    """
    messages = ("Unpack the dump with tar -C.", "The fridge is at 5 degrees.")
    later = ("Unpack the dump with tar -c.", "The fridge is at -5 degrees.")
    following = session.another()
    for contents in (messages, later):
        for content in contents:
            memory = {"namespace": session.namespace, "type": "episodic", "content": content}
            assert (await session.http.post("/v1/memories", json=memory)).status_code == 201
        context = await following.prompt("How cold is the fridge, and how do I unpack the dump?")
        assert all(content in context for content in contents)


async def test_a_sentence_is_not_shown_beside_the_text_that_contains_it(
    session: ClientSession,
) -> None:
    """If a memory consists of two sentences that are also memories, the session is shown each
    sentence once.
    """
    combined = f"{FACT} {OTHER}"
    for kind, content in (
        ("semantic", combined),
        ("episodic", FACT),
        ("semantic", OTHER),
        ("episodic", combined),
    ):
        memory = {"namespace": session.namespace, "type": kind, "content": content}
        assert (await session.http.post("/v1/memories", json=memory)).status_code == 201
    for event in ("SessionStart", "UserPromptSubmit"):
        following = session.another()
        text = await following.context(event, prompt=QUESTION)
        text += await following.prompt(OTHER_QUESTION) + await following.prompt(QUESTION)
        assert (text.count(FACT), text.count(OTHER)) == (1, 1)


async def test_of_concurrent_prompts_only_one_is_shown_a_memory(session: ClientSession) -> None:
    """If eight prompts of a session are sent at once, only one of them is shown the memory that
    matches all of them.
    """
    await session.exchange(FACT, "Good.")
    await session.exchange(OTHER, "Fine.")
    following = session.another()
    texts = list[str]()

    async def ask(number: int) -> None:
        texts.append(
            await following.context("UserPromptSubmit", prompt=QUESTION, prompt_id=str(number))
        )

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(ask, number)
    assert "".join(texts).count(FACT) == 1


async def test_a_session_start_leaves_out_what_a_concurrent_prompt_was_shown(
    session: ClientSession, live: LiveClient
) -> None:
    await session.exchange(FACT, "Good.")
    await session.exchange(OTHER, "Fine.")
    memory_id = next(memory.id for memory in await session.memories() if memory.content == FACT)
    services = replace(session.services, client_sessions=_SessionsBesideAPrompt(live, memory_id))
    async with connect(services) as http:
        following = replace(session.another(), http=http, services=services)
        text = await following.context("SessionStart", source="compact")
    assert (FACT in text, OTHER in text) == (False, True)


class _SessionsBesideAPrompt(RedisClientSessions):
    """Session state in Redis.

    Before each claim (recording memories as shown), another prompt claims the memory `shown`.
    """

    def __init__(self, live: LiveClient, shown: str) -> None:
        super().__init__(live)
        self._shown_beside = shown

    async def claim(
        self, scope: Scope, ids: Collection[str], statements: Collection[str] = ()
    ) -> bool:
        await super().claim(scope, [self._shown_beside])
        return await super().claim(scope, ids, statements)
