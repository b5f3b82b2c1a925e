"""Sessions of clients such as Claude Code, on Redis.

Each session has a set with the ids of the memories that it was shown, and a hash. The hash contains
prompts that wait for the agent's answer, and digests of the turns queued so far, by which repeated
turns are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from memtypes.live.turns import Turn
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.model.times import milliseconds
from memtypes.ports.client_sessions import SESSION_TTL, ClientSessionStore, Shown
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns, batch_head
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.scripts import Argument, Script

SHOWN = "client-shown"
"""The `kind` in the key (see `live_key`) of a session's set of ids of shown memories."""

_STATE = "client-session"
_CAPTURES = "client-captures"
_CAPTURES_ASIDE = "client-captures-aside"
_BEGIN, _CLAIM, _FORGET, _QUEUE = (
    Script.load(f"client_{name}") for name in ("begin", "claim", "forget", "queue")
)
_TTL_MS = int(SESSION_TTL.total_seconds() * 1_000)
_PROMPT = "prompt:"
# Prefix of statements' digests among the ids of shown memories, none of which begins with it
_STATEMENT = "="


def captured_turns(live: LiveClient) -> RedisEvictedTurns:
    """The queue of turns that clients have sent, such as prompts and answers, and that are not
    memories yet.
    """
    return RedisEvictedTurns(live, _CAPTURES, _CAPTURES_ASIDE)


class RedisClientSessions(ClientSessionStore):
    """Implements `ClientSessionStore` on Redis: stores what client sessions were shown, their
    prompts and turns.
    """

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def begin(self, scope: Scope, prompt_id: str = "", prompt: Turn | None = None) -> Shown:
        """Return what the session was shown, and store `prompt` until the agent has answered it."""
        arguments = (_TTL_MS, prompt_id, prompt.to_json() if prompt else None)
        since, members = await self._live.script(_BEGIN, _keys(scope), arguments, idempotent=True)
        statements = frozenset(member for member in members if member.startswith(_STATEMENT))
        at = datetime.fromtimestamp(int(since) / 1_000, UTC) if since else None
        return Shown(
            frozenset(members) - statements,
            at,
            frozenset(member.removeprefix(_STATEMENT) for member in statements),
        )

    async def claim(
        self, scope: Scope, ids: Collection[str], statements: Collection[str] = ()
    ) -> bool:
        """Record that the session is shown the memories `ids`; False if one of them was shown
        before.
        """
        arguments: list[Argument] = [
            _TTL_MS,
            len(ids),
            *ids,
            *(f"{_STATEMENT}{statement}" for statement in statements),
        ]
        return bool(await self._live.script(_CLAIM, [_shown(scope)], arguments, idempotent=False))

    async def note_shown(self, scope: Scope, ids: Collection[str]) -> None:
        """Record memories as shown because the session has their content already; see
        `ClientSessionStore`.
        """
        key = _shown(scope)
        if ids:
            await self._live.command("sadd", key, *ids)
            await self._live.command("pexpire", key, _TTL_MS)

    async def forget_shown(
        self, scope: Scope, at: datetime, pause: timedelta = timedelta()
    ) -> None:
        """Forget which memories the session was shown, unless this was done less than `pause`
        before `at`.
        """
        arguments = (_TTL_MS, milliseconds(at), round(pause.total_seconds() * 1_000))
        await self._live.script(_FORGET, _keys(scope), arguments, idempotent=True)

    async def queue(self, scope: Scope, prompt_id: str | None, turns: Sequence[Turn]) -> int:
        """Queue the prompt stored under `prompt_id`, then `turns`, to become memories. Returns the
        number queued.
        """
        head = batch_head(scope, _session(scope))
        arguments: list[Argument] = [_TTL_MS, head, int(prompt_id is not None), prompt_id]
        for turn in turns:
            identity = json.dumps([prompt_id, turn.role, turn.agent_id, turn.content])
            arguments += [hashlib.sha256(identity.encode()).hexdigest()[:32], turn.to_json()]
        keys = [_state(scope), live_key(scope, _CAPTURES)]
        return int(await self._live.script(_QUEUE, keys, arguments, idempotent=True))

    async def waiting_prompts(self, scope: Scope) -> list[str]:
        """Return the ids of the session's prompts that wait for an answer and are not queued to
        become memories yet.
        """
        names: list[str] = await self._live.command("hkeys", _state(scope))
        return sorted(name.removeprefix(_PROMPT) for name in names if name.startswith(_PROMPT))

    async def discard_prompts(self, scope: Scope) -> None:
        """Remove unanswered prompts: of the scope's session or, if it names none, of all sessions
        in the namespace.
        """
        for key in [_state(scope)] if scope.session_id else await self._live.keys_of(scope, _STATE):
            if prompts := [
                name for name in await self._live.command("hkeys", key) if name.startswith(_PROMPT)
            ]:
                await self._live.command("hdel", key, *prompts)


def _session(scope: Scope) -> str:
    if scope.session_id is None:
        raise InvalidRequest("a client's events belong to a session; name it", path="session_id")
    return scope.session_id


def _state(scope: Scope) -> str:
    return live_key(scope, _STATE, _session(scope))


def _shown(scope: Scope) -> str:
    return live_key(scope, SHOWN, _session(scope))


def _keys(scope: Scope) -> list[str]:
    return [_state(scope), _shown(scope)]
