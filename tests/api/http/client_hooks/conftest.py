"""Sessions of agent clients (such as Claude Code) over HTTP: real routes, ingestion and retrieval,
and a real Redis.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.project import project_namespace
from api.wiring.container import Services
from ingest.conversations.evicted_turns import CapturedTurnWriter
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing
from memtypes.stores.redis.client_sessions import RedisClientSessions, captured_turns
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.conftest import connect
from tests.api.fake_services import fake_services

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def with_client_sessions(services: Services, live: LiveClient) -> Services:
    """`services` with the state of client sessions (prompts, what was shown) on the Redis server of
    `live`.
    """
    sessions = RedisClientSessions(live)
    guard = services.recall_guard
    captures = CapturedTurnWriter(
        captured_turns(live), services.ingestor, services.clock, sessions, guard
    )
    return replace(services, client_sessions=sessions, captures=captures)


@dataclass
class ClientSession:
    """A session of an agent client, which posts its hook events. headers: sent with each event.

    prompts: number of prompts so far. answer_headers: headers of the last answer, also to a session
    made by `another`.
    """

    http: httpx.AsyncClient
    services: Services
    cwd: str
    session_id: str
    client: str = "claude-code"
    prompts: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: dict[str, str] = field(default_factory=dict)
    live: LiveClient | None = None

    async def post(self, event: str, **fields: Any) -> dict[str, Any]:
        """Post an event as the client does, and return the answer."""
        body = {"session_id": self.session_id, "cwd": self.cwd, "hook_event_name": event, **fields}
        texts = {**self.headers, "Content-Type": "application/json"}
        content = json.dumps(body)
        headers = {name.encode(): value.encode() for name, value in texts.items()}
        got = await self.http.post(f"/v1/hooks/{self.client}", content=content, headers=headers)
        assert got.status_code == 200, got.text
        self.answer_headers.clear()
        self.answer_headers.update(got.headers)
        answer: dict[str, Any] = got.json()
        return answer

    async def context(self, event: str, **fields: Any) -> str:
        """Post an event. Return the text that the answer adds to the prompt; empty if it adds
        none.
        """
        answer = await self.post(event, **fields)
        if answer == {}:
            return ""
        assert answer == {
            "hookSpecificOutput": {"hookEventName": event, "additionalContext": _text(answer)}
        }
        return _text(answer)

    async def prompt(self, text: str, **fields: Any) -> str:
        """Submit a prompt and return the text that the client would add to it."""
        self.prompts += 1
        return await self.context("UserPromptSubmit", prompt=text, **{**self._turn, **fields})

    async def stop(self, text: str | None, **fields: Any) -> dict[str, Any]:
        """Report the answer to the last prompt, and return when the turn is stored."""
        fields = {"stop_hook_active": False, "last_assistant_message": text, **self._turn, **fields}
        answer = await self.post("Stop", **fields)
        await self.settled()
        return answer

    async def stop_of_subagent(self, text: str, **fields: Any) -> dict[str, Any]:
        """Report the answer of a subagent, and return when it is stored."""
        answer = await self.post(
            "SubagentStop", stop_hook_active=False, last_assistant_message=text, **fields
        )
        await self.settled()
        return answer

    async def exchange(self, prompt: str, answer: str) -> str:
        """Send a prompt and report its answer. Return the text that the client would add to the
        prompt.
        """
        context = await self.prompt(prompt)
        await self.stop(answer)
        return context

    async def settled(self) -> None:
        """Return when all captured turns are stored."""
        await self.services.captures.wait_until_idle()

    async def memories(self) -> list[Memory]:
        """The memories of the session's project."""
        scope = Scope("default", self.namespace)
        return [memory async for memory in self.services.store.list_all(scope, Listing(limit=100))]

    def another(self, name: str = "") -> ClientSession:
        """A new session of the same client in the same project."""
        return replace(self, session_id=name or str(uuid.uuid4()), prompts=0)

    @property
    def namespace(self) -> str:
        """The namespace of the session's project."""
        return project_namespace(self.cwd)

    @property
    def _turn(self) -> dict[str, str]:
        return {
            "turn_id"
            if self.client == "codex"
            else "prompt_id": f"{self.session_id}/{self.prompts}"
        }


def _text(answer: dict[str, Any]) -> str:
    text: str = answer["hookSpecificOutput"]["additionalContext"]
    return text


@dataclass
class Clock:
    """A clock whose time changes only when a test advances it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """The time to which the test set the clock."""
        return self.now

    def later(self, **by: float) -> None:
        """Advance the clock by the units of a timedelta, such as `minutes=2`."""
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    """The clock of the services under test."""
    return Clock()


@pytest.fixture
async def session(live: LiveClient, clock: Clock) -> AsyncIterator[ClientSession]:
    """A session of Claude Code in a new project."""
    services = with_client_sessions(fake_services(clock), live)
    async with connect(services) as http:
        yield ClientSession(
            http, services, f"/projects/{uuid.uuid4()}/shop", str(uuid.uuid4()), live=live
        )
