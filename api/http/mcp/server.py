"""The MCP server: protocol handlers for the tools, prompts and resources of the catalog.

It uses the SDK's low-level server for two reasons. Arguments are validated and errors reported as
in the HTTP API. And tools answer with text alone: with structured content, clients would show that
to the model instead, and the token count in the text would be wrong. `api.http.mcp.mount` imports
this module at the first call, as that takes half a second.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from api.http.mcp import catalog
from api.http.mcp.catalog import TOOLS, RecallArguments, ToolEntry, offered_tools
from api.http.mcp.tools import (
    CONNECTION,
    TOOL_CALLS,
    McpConnection,
    memory_json,
    recall,
    receipt_json,
)
from api.http.problems import Forbidden, log_fault, problem_of, validated
from api.wiring.container import Services
from memtypes.model.errors import NotFound, Overloaded, RemembrancerError, Unavailable

_Context: TypeAlias = ServerRequestContext[Any, Any]

_log = logging.getLogger(__name__)


def session_manager(services: Services, max_bytes: int) -> StreamableHTTPSessionManager:
    """The MCP server as an ASGI application that answers in JSON and keeps no sessions.

    max_bytes: largest request body. The SDK's check of Host and Origin is off, as the HTTP API has
    checked them before.
    """
    logging.getLogger("mcp").setLevel(logging.WARNING)  # it logs each start and call at level info
    return StreamableHTTPSessionManager(
        app=McpProtocol(services).server(),
        json_response=True,
        stateless=True,
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=max_bytes,
    )


class McpProtocol:
    """Handlers of MCP requests, which act for the caller and namespace of the HTTP call that brings
    a request.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._definitions = {
            tool.name: types.Tool.model_validate(tool.definition()) for tool in TOOLS
        }

    def server(self) -> Server[Any]:
        """The MCP SDK's server, which calls the handlers of this class."""
        return Server(
            catalog.SERVER_NAME,
            title=catalog.SERVER_TITLE,
            version=importlib.metadata.version("remembrancer"),
            instructions=catalog.INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_prompts=_list_prompts,
            on_get_prompt=self.get_prompt,
            on_list_resources=_list_resources,
            on_list_resource_templates=_list_templates,
            on_read_resource=self.read_resource,
        )

    async def list_tools(
        self, context: _Context, _: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """The tools that the connection offers and that its API key may call."""
        connection = _connection(context)
        offered = offered_tools(connection.preset, may_write=connection.may_write)
        return types.ListToolsResult(tools=[self._definitions[tool.name] for tool in offered])

    async def call_tool(
        self, context: _Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """The text that the tool answers, or the text of its error. Raises MCPError for an unknown
        tool.
        """
        tool = next((tool for tool in TOOLS if tool.name == params.name), None)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        self._services.metrics.mcp_calls.labels(tool.name).inc()
        try:
            text = await self._call(_connection(context), tool, params.arguments or {})
            failed = False
        # The boundary: every error becomes an answer, as over HTTP
        except Exception as error:  # noqa: BLE001
            text = error_text(error, tool.name)
            failed = True
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], is_error=failed
        )

    async def _call(
        self, connection: McpConnection, tool: ToolEntry, arguments: Mapping[str, Any]
    ) -> str:
        name = tool.name
        role = connection.caller.role
        if tool.writes and not connection.may_write:
            raise Forbidden(f"{name} needs a key of the role writer; this key has the role {role}")
        if tool not in offered_tools(connection.preset, may_write=True):
            raise Forbidden(f"{name} is not among the tools that this connection offers")
        return await TOOL_CALLS[name](
            self._services, connection, validated(tool.arguments, arguments)
        )

    async def get_prompt(
        self, context: _Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """A prompt of the catalog, as a user message with the memories recalled for it. Raises
        MCPError on failure.
        """
        connection = _connection(context)
        try:
            if params.name == "recall":
                text = await recall(
                    self._services, connection, validated(RecallArguments, params.arguments or {})
                )
            elif params.name == "what_is_left":
                arguments = RecallArguments(query="What is left to do?", types=["prospective"])
                text = await recall(self._services, connection, arguments)
            else:
                raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
        except RemembrancerError as error:
            raise _protocol_error(error, params.name) from error
        message = types.PromptMessage(
            role="user", content=types.TextContent(type="text", text=text)
        )
        return types.GetPromptResult(messages=[message])

    async def read_resource(
        self, context: _Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """The memory or receipt that the URI names, as JSON. Raises MCPError if it cannot be
        read.
        """
        uri = str(params.uri)
        kind, _, resource_id = uri.partition("://")
        connection = _connection(context)
        try:
            if kind == "memory":
                text = await memory_json(self._services, connection, resource_id)
            elif kind == "receipt":
                text = (await receipt_json(self._services, connection, resource_id)).decode()
            else:
                raise NotFound("resources are memory://ID and receipt://ID")
        except RemembrancerError as error:
            raise _protocol_error(error, kind, {"uri": uri}) from error
        contents = types.TextResourceContents(
            uri=params.uri, mime_type="application/json", text=text
        )
        return types.ReadResourceResult(contents=[contents])


async def _list_prompts(
    _: _Context, __: types.PaginatedRequestParams | None
) -> types.ListPromptsResult:
    return types.ListPromptsResult(
        prompts=[types.Prompt.model_validate(prompt) for prompt in catalog.PROMPTS]
    )


async def _list_resources(
    _: _Context, __: types.PaginatedRequestParams | None
) -> types.ListResourcesResult:
    return types.ListResourcesResult(resources=[])


async def _list_templates(
    _: _Context, __: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    templates = [types.ResourceTemplate.model_validate(template) for template in catalog.RESOURCES]
    return types.ListResourceTemplatesResult(resource_templates=templates)


def _connection(context: _Context) -> McpConnection:
    request = context.request
    assert request is not None  # noqa: S101 - every call comes over HTTP
    connection: McpConnection = request.scope[CONNECTION]
    return connection


def error_text(error: Exception, name: str) -> str:
    """The text of `error` for a model, as the HTTP API would answer it. name: for the log of server
    errors.
    """
    problem = problem_of(error, name)
    if problem.status >= 500:
        log_fault(_log, f"mcp {name}", error)
    lines = [
        f"{fault.path}: {fault.message}" if fault.path else fault.message
        for fault in problem.errors or []
    ]
    lines = lines or [problem.detail]
    if isinstance(error, Overloaded | Unavailable):
        lines.append(f"Try again in {max(1, error.retry_after_s)} s, or go on without memory.")
    return "\n".join(lines)


def _protocol_error(
    error: RemembrancerError, name: str, data: Mapping[str, str] | None = None
) -> MCPError:
    code = (
        types.INTERNAL_ERROR
        if isinstance(error, Overloaded | Unavailable)
        else types.INVALID_PARAMS
    )
    return MCPError(code, error_text(error, name), data)
