"""Calls that the hooks of Claude Code, Codex and VS Code make: each event in, an answer in the client's form out.

A hook runs before the user's prompt is sent, so these calls answer `{}` in time rather than late or with an error when
a part of the service is away. Wrong keys and events that name no project are refused as everywhere.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

import anyio
import anyio.to_thread
from litestar import Response
from litestar.params import RawBody

from api.auth.keys import Role
from api.http.client_hooks.contexts import ClientContexts
from api.http.client_hooks.events import (
    CLAUDE_CODE,
    CODEX,
    KNOWN_EVENTS,
    VSCODE,
    ClientEvent,
    HookAnswer,
    HookClient,
)
from api.http.endpoint import Endpoint, Params, RawBodies
from api.http.problems import InvalidInput, checked
from api.http.request import JSON, NAMESPACE_HEADER, ApiRequest, MaybeNamespace, header_name, parse_body
from api.wiring.container import AppServices, Services
from ingest.conversations.captured_turns import SUMMARY_ROLE
from ingest.screening.redaction.redactor import SecretsRefused
from memtypes.live.turns import Turn
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.scope import MAX_NAME, Scope
from memtypes.model.strict_json import whole_value
from memtypes.offload import offload
from memtypes.ports.client_sessions import Shown
from memtypes.project import project_namespace

DEGRADED_HEADER = "X-Remembrancer-Degraded"
"""Header of an answer that is `{}` because a part of the service did not answer; the event may be lost."""

DEADLINE_S = 1.5
"""Seconds after which an event is answered `{}`: clients give up after two or three, and tell the user."""

EVENT_BYTES = 32 * 1024 * 1024
"""Limit of an event: those of tools contain what the tool read."""

COMPACTION = timedelta(seconds=30)
"""Two events report a compaction within this time: memories shown between the two are not forgotten."""

_PROJECT = f"its namespace is that of the query, of the header {NAMESPACE_HEADER}, or of the project in cwd"
_BODIES = RawBodies(models={JSON: ClientEvent}, max_bytes=EVENT_BYTES)

_log = logging.getLogger(__name__)


@Endpoint("POST /v1/hooks/claude-code", f"An event of Claude Code; {_PROJECT}", role=Role.WRITER, raw=_BODIES)
async def claude_code(
    request: ApiRequest, services: AppServices, params: Params[MaybeNamespace], body: RawBody
) -> Response[HookAnswer]:
    """Text that Claude Code adds to the prompt or the beginning of the session; `{}` if there is none."""
    return await _answer(request, services, body, CLAUDE_CODE, params.namespace)


@Endpoint("POST /v1/hooks/codex", f"An event of Codex; {_PROJECT}", role=Role.WRITER, raw=_BODIES)
async def codex(
    request: ApiRequest, services: AppServices, params: Params[MaybeNamespace], body: RawBody
) -> Response[HookAnswer]:
    """Text that Codex adds to the prompt or the beginning of the session; `{}` if there is none."""
    return await _answer(request, services, body, CODEX, params.namespace)


@Endpoint("POST /v1/hooks/vscode", f"An event of VS Code; {_PROJECT}", role=Role.WRITER, raw=_BODIES)
async def vscode(
    request: ApiRequest, services: AppServices, params: Params[MaybeNamespace], body: RawBody
) -> Response[HookAnswer]:
    """Text that VS Code adds to the prompt or the beginning of the session; `{}` if there is none."""
    return await _answer(request, services, body, VSCODE, params.namespace)


async def _answer(
    request: ApiRequest, services: Services, body: bytes, client: HookClient, namespace: str | None
) -> Response[HookAnswer]:
    request.require_media_type(JSON)
    event = await parse_body(body, lambda: checked(ClientEvent, whole_value(body.decode("utf-8", "replace"))))
    name = event.hook_event_name if event.hook_event_name in KNOWN_EVENTS else "other"
    services.metrics.hook_events.labels(client.name, name).inc()
    try:
        with anyio.fail_after(DEADLINE_S):
            scope = request.scope_in(namespace or await _namespace(request, event), event.session_id)
            return Response(await _handled(services, scope, event, client))
    except (Unavailable, Overloaded, TimeoutError) as error:
        services.metrics.degraded.labels("hook").inc()
        _log.warning("%s of %s is answered without memory: %s", name, client.name, str(error) or "it took too long")
        return Response(HookAnswer(), headers={DEGRADED_HEADER: "hook"})


async def _namespace(request: ApiRequest, event: ClientEvent) -> str:
    """The namespace that the header names, or that of the event's project. Raises InvalidInput or InvalidRequest."""
    if named := header_name(request, NAMESPACE_HEADER):
        return named
    if event.folder is None:
        raise InvalidInput.at(
            "cwd", f"is required without ?namespace= and the header {NAMESPACE_HEADER}: it names the project"
        )
    return await anyio.to_thread.run_sync(project_namespace, event.folder, abandon_on_cancel=True)


async def _handled(services: Services, scope: Scope, event: ClientEvent, client: HookClient) -> HookAnswer:
    contexts, captures = ClientContexts(services, client), ClientCaptures(services)
    match event.hook_event_name:
        case "SessionStart":
            return await _started(services, scope, event, contexts)
        case "UserPromptSubmit" if event.said is not None:
            shown = await captures.prompt(scope, event)
            return await contexts.for_prompt(scope, event, event.said, shown)
        case "Stop":
            await captures.answer(scope, event)
        case "SubagentStop":
            await captures.subagent_answer(scope, event)
        case "PostCompact":
            await captures.summary(scope, event)
        case "SessionEnd":
            await captures.end(scope)
    return HookAnswer()


async def _started(services: Services, scope: Scope, event: ClientEvent, contexts: ClientContexts) -> HookAnswer:
    """The answer to the start of a session: a context with open tasks and recent memories.

    It is empty for a resumed or forked session, whose history contains that context.
    """
    if event.source in ("resume", "fork"):
        return HookAnswer()
    if event.source in ("clear", "compact"):
        await services.client_sessions.forget_shown(scope, services.clock())
    return await contexts.for_start(scope, event, await services.client_sessions.begin(scope))


@dataclass(frozen=True, slots=True)
class ClientCaptures:
    """Queues what is said in sessions. After the event is answered, it is stored as memories."""

    services: Services

    async def prompt(self, scope: Scope, event: ClientEvent) -> Shown:
        """Keep the event's prompt until its answer comes. Returns which memories the session was shown."""
        turn = await self._turn(scope, "user", event.said)
        return await self.services.client_sessions.begin(scope, event.turn, turn)

    async def answer(self, scope: Scope, event: ClientEvent) -> None:
        """Queue the answer that the event reports, together with its prompt."""
        await self._queue(scope, event.turn, await self._turn(scope, "assistant", event.last_assistant_message))

    async def subagent_answer(self, scope: Scope, event: ClientEvent) -> None:
        """Queue the answer of a subagent, whose prompt another agent wrote."""
        agent = (event.agent_type or event.agent_id or "subagent")[:MAX_NAME].strip()
        await self._queue(scope, None, await self._turn(scope, "assistant", event.last_assistant_message, agent))

    async def summary(self, scope: Scope, event: ClientEvent) -> None:
        """Queue the summary of a compacted session. Memories that the session was shown before may be shown again."""
        await self.services.client_sessions.forget_shown(scope, self.services.clock(), COMPACTION)
        await self._queue(scope, None, await self._turn(scope, SUMMARY_ROLE, event.compact_summary))

    async def end(self, scope: Scope) -> None:
        """Queue prompts whose answers the user interrupted; pause the to-dos of the session."""
        for prompt_id in await self.services.client_sessions.waiting_prompts(scope):
            await self._queue(scope, prompt_id, None)
        await self.services.working.stop_session(scope)

    async def _queue(self, scope: Scope, prompt_id: str | None, turn: Turn | None) -> None:
        if await self.services.client_sessions.queue(scope, prompt_id, [turn] if turn else []):
            self.services.captures.persist_soon(scope)

    async def _turn(self, scope: Scope, role: str, text: str | None, agent_id: str | None = None) -> Turn | None:
        """A turn with the secrets removed from its text; None without text, or if the tenant's rules refuse it."""
        if text is None:
            return None
        redactor = self.services.ingestor.redactor
        try:
            content = await offload([text], lambda: redactor.clean(scope.tenant, text).value)
        except SecretsRefused:
            return None
        return Turn(role, content, 0, self.services.clock(), agent_id)
