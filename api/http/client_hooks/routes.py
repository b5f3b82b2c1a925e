"""HTTP calls to which the hooks of Claude Code, Codex and VS Code post events, with answers in the
clients' form.

A hook runs before the user's prompt is sent. If a part of the service is away or slow, these calls
therefore answer `{}` in time instead of an error. Wrong keys and events that name no project are
still refused with an error.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import anyio
import anyio.to_thread
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import RawBody

from api.auth.keys import Role
from api.http.client_hooks.contexts import ClientContexts
from api.http.client_hooks.events import KNOWN_EVENTS, ClientEvent, HookAnswer
from api.http.client_hooks.todo_events import todos_of
from api.http.endpoint import Endpoint, Params
from api.http.problems import InvalidInput, validated
from api.http.request import (
    JSON,
    NAMESPACE_HEADER,
    ApiRequest,
    MaybeNamespace,
    name_in_header,
    parse_body,
)
from api.project import project_namespace
from api.wiring.container import AppServices, Services
from ingest.conversations.evicted_turns import SUMMARY_ROLE
from ingest.screening.redaction.redactor import SecretsRefused
from ingest.working.plans import submit_plan
from ingest.working.todos import submit_report
from memtypes.live.turns import Turn
from memtypes.model.errors import InvalidRequest, Overloaded, Unavailable
from memtypes.model.scope import MAX_NAME, Scope
from memtypes.model.strict_json import whole_value
from memtypes.offload import offload

DEGRADED_HEADER = "X-Remembrancer-Degraded"
"""Header of an answer `{}` that was given because a part of the service did not respond. The event
may be lost.
"""

DEADLINE_S = 1.5
"""Seconds after which an event is answered with `{}`. Clients give up after 2 or 3 seconds and tell
the user.
"""

EVENT_BYTES = 32 * 1024 * 1024
"""Maximum size of an event. An event about a tool call contains what the tool read, such as a
file.
"""

COMPACTION = timedelta(seconds=30)
"""Time within which two events may report the same compaction. Memories shown between the two still
count as shown.
"""

_log = logging.getLogger(__name__)


def _hook(client: str, title: str, model: str) -> HTTPRouteHandler:
    """The handler for POST /v1/hooks/CLIENT, to which the hooks of an AI client post events.

    title: the client's name for users. model: the model that is assumed for events that name none.
    """

    async def hook(
        request: ApiRequest, services: AppServices, params: Params[MaybeNamespace], body: RawBody
    ) -> Response[HookAnswer]:
        request.require_media_type(JSON)
        event = await parse_body(
            body, lambda: validated(ClientEvent, whole_value(body.decode("utf-8", "replace")))
        )
        name = event.hook_event_name if event.hook_event_name in KNOWN_EVENTS else "other"
        services.metrics.hook_events.labels(client, name).inc()
        try:
            with anyio.fail_after(DEADLINE_S):
                scope = request.scope_in(
                    params.namespace or await _namespace(request, event), event.session_id
                )
                return Response(await _handle(services, scope, event, model))
        except (Unavailable, Overloaded, TimeoutError) as error:
            services.metrics.degraded.labels("hook").inc()
            _log.warning(
                "%s of %s is answered without memory: %s",
                name,
                client,
                str(error) or "it took too long",
            )
            return Response(HookAnswer(), headers={DEGRADED_HEADER: "hook"})

    hook.__name__ = client.replace("-", "_")  # the id of the operation
    return Endpoint(
        f"POST /v1/hooks/{client}",
        f"An event of {title}; its namespace is that of the query, of the header "
        f"{NAMESPACE_HEADER}, or of the "
        "project in cwd",
        role=Role.WRITER,
        raw={JSON: ClientEvent},
        max_bytes=EVENT_BYTES,
    )(hook)


claude_code = _hook("claude-code", "Claude Code", "claude")
codex = _hook("codex", "Codex", "gpt-5")
vscode = _hook("vscode", "VS Code", "vscode")


async def _namespace(request: ApiRequest, event: ClientEvent) -> str:
    """The namespace that the header names, or else the namespace of the project in which the event
    happened.

    Raises InvalidInput for an invalid header or an event without a folder, and InvalidRequest for
    an invalid folder.
    """
    if named := name_in_header(request, NAMESPACE_HEADER):
        return named
    if event.folder is None:
        raise InvalidInput.at(
            "cwd",
            (
                f"is required without ?namespace= and the header {NAMESPACE_HEADER}: it names "
                "the project"
            ),
        )
    return await anyio.to_thread.run_sync(project_namespace, event.folder, abandon_on_cancel=True)


async def _handle(services: Services, scope: Scope, event: ClientEvent, model: str) -> HookAnswer:
    """Handle an event and return the answer to it. A turn that it reports is queued, to be stored
    as a memory later.
    """
    sessions = services.client_sessions
    contexts = ClientContexts(services, scope, event.model or model)
    match event.hook_event_name:
        case "SessionStart":
            return await _handle_start(services, scope, event, contexts)
        case "UserPromptSubmit" if event.user_prompt is not None:
            turn = await _redacted_turn(services, scope, "user", event.user_prompt)
            await submit_plan(services.working, scope, event.user_prompt)
            return await contexts.for_prompt(
                event.user_prompt, await sessions.begin(scope, event.turn, turn)
            )
        case "PostToolUse":
            await _update_todos(services, scope, event)
        case "Stop":
            turn = await _redacted_turn(services, scope, "assistant", event.last_assistant_message)
            await _queue(services, scope, event.turn, turn)
        case "SubagentStop":  # another agent wrote its prompt
            agent = (event.agent_type or event.agent_id or "subagent")[:MAX_NAME].strip()
            turn = await _redacted_turn(
                services, scope, "assistant", event.last_assistant_message, agent
            )
            await _queue(services, scope, None, turn)
        case "PostCompact":
            await sessions.forget_shown(scope, services.clock(), COMPACTION)
            turn = await _redacted_turn(services, scope, SUMMARY_ROLE, event.compact_summary)
            await _queue(services, scope, None, turn)
        case "SessionEnd":
            await _handle_end(services, scope)
    return HookAnswer()


async def _handle_start(
    services: Services, scope: Scope, event: ClientEvent, contexts: ClientContexts
) -> HookAnswer:
    if event.source in ("resume", "fork"):  # their history contains the first context
        if event.source == "resume":
            await services.working.resume_session(scope)
        return HookAnswer()
    if event.source in ("clear", "compact"):
        await services.client_sessions.forget_shown(scope, services.clock())
    return await contexts.for_start(await services.client_sessions.begin(scope))


async def _handle_end(services: Services, scope: Scope) -> None:
    # The user interrupted the answers to the prompts that still wait for one
    for prompt_id in await services.client_sessions.waiting_prompts(scope):
        await _queue(services, scope, prompt_id, None)
    await services.working.end_session(scope)


async def _update_todos(services: Services, scope: Scope, event: ClientEvent) -> None:
    """Update the session's working memory if the event reports a call of a to-do tool."""
    report = todos_of(event)
    if report is None:
        return
    try:
        await submit_report(services.working, scope, report)
    except InvalidRequest as error:  # the tenant's rules refuse to store a text with a secret
        _log.warning("to-dos of a client are not shown: %s", error)


async def _queue(
    services: Services, scope: Scope, prompt_id: str | None, turn: Turn | None
) -> None:
    """Queue the stored prompt `prompt_id` and then `turn`, to be stored as memories. What is None
    is left out.
    """
    if await services.client_sessions.queue(scope, prompt_id, [turn] if turn else []):
        services.captures.persist_soon(scope)


async def _redacted_turn(
    services: Services, scope: Scope, role: str, text: str | None, agent_id: str | None = None
) -> Turn | None:
    """A turn without secrets; None without a text, or if the tenant's rules refuse to store a text
    with one.
    """
    if text is None:
        return None
    redactor = services.ingestor.redactor
    try:
        content = await offload([text], lambda: redactor.clean(scope.tenant, text).value)
    except SecretsRefused:
        return None
    return Turn(role, content, 0, services.clock(), agent_id)
