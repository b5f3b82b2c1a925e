"""An MCP server with the tools, prompts and resources of the conformance suite, served at the
product's /mcp route.

With it, the suite tests the product's route and transport.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import mcp_types as types
from litestar import Litestar
from litestar.datastructures import State
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from api.auth.guards import check_access, require_local
from api.http.app import BODY_BYTES
from api.http.mcp.mount import McpMount, mcp_handler, mcp_running
from api.http.problems import answer_problem
from api.wiring.container import Services

_NO_ARGUMENTS = {"type": "object", "properties": {}}
_TEXTS = {
    "test_simple_text": "This is a simple text response for testing.",
    "test_error_handling": "This tool intentionally returns an error for testing",
    "test_missing_capability": "The client can sample.",
    "test_streaming_elicitation": "Nothing is asked.",
    "test_logging_tool": "Nothing is logged.",
}
_ARGUMENTS = ("arg1", "arg2")
_STATIC = "test://static-text"

_Context = ServerRequestContext[Any, Any]


class FixtureMount(McpMount):
    """The product's /mcp route with `fixture_server` in place of the product's MCP server."""

    def _loaded(self) -> StreamableHTTPSessionManager:
        return StreamableHTTPSessionManager(
            app=fixture_server(),
            json_response=True,
            stateless=True,
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=BODY_BYTES,
        )


def fixture_app(services: Services) -> Litestar:
    """An application that has only the /mcp route, with the access checks of the product."""
    held = {"services": services, "mcp": FixtureMount(services, BODY_BYTES)}
    return Litestar(
        [mcp_handler],
        lifespan=[mcp_running],
        state=State(held, deep_copy=False),
        guards=[check_access, require_local],
        exception_handlers={Exception: answer_problem},
        openapi_config=None,
        logging_config=None,
    )


def fixture_server() -> Server[Any]:
    """An MCP server with the tools, prompts and resources that the conformance suite calls."""
    return Server(
        "fixture",
        on_list_tools=_answering(
            types.ListToolsResult(
                tools=[types.Tool(name=name, input_schema=_NO_ARGUMENTS) for name in _TEXTS]
            )
        ),
        on_call_tool=_call_tool,
        on_list_prompts=_answering(
            types.ListPromptsResult(
                prompts=[
                    types.Prompt(name="test_simple_prompt"),
                    types.Prompt(
                        name="test_prompt_with_arguments",
                        arguments=[
                            types.PromptArgument(name=name, required=True) for name in _ARGUMENTS
                        ],
                    ),
                ]
            )
        ),
        on_get_prompt=_get_prompt,
        on_list_resources=_answering(
            types.ListResourcesResult(resources=[types.Resource(uri=_STATIC, name="static")])
        ),
        on_read_resource=_read_resource,
    )


def _answering(result: Any) -> Callable[[_Context, types.PaginatedRequestParams | None], Any]:
    async def answer(_: _Context, __: types.PaginatedRequestParams | None) -> Any:
        return result

    return answer


async def _call_tool(
    context: _Context, params: types.CallToolRequestParams
) -> types.CallToolResult:
    if params.name == "test_missing_capability":
        capabilities = context.session.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            data: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(
                types.MISSING_REQUIRED_CLIENT_CAPABILITY, "the client cannot sample", data
            )
    text = types.TextContent(type="text", text=_TEXTS[params.name])
    return types.CallToolResult(content=[text], is_error=params.name == "test_error_handling")


async def _get_prompt(_: _Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    text = "This is a simple prompt for testing."
    if params.name == "test_prompt_with_arguments":
        given = ", ".join(f"{name}='{(params.arguments or {})[name]}'" for name in _ARGUMENTS)
        text = f"Prompt with arguments: {given}"
    message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
    return types.GetPromptResult(messages=[message])


async def _read_resource(
    _: _Context, params: types.ReadResourceRequestParams
) -> types.ReadResourceResult:
    uri = str(params.uri)
    if uri == _STATIC:
        kind = "text/plain"
        text = "This is the content of the static text resource."
    else:
        number = uri.split("/")[3]
        kind = "application/json"
        text = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=uri, mime_type=kind, text=text)]
    )
