"""The routes /mcp and /mcp/NAMESPACE, which pass HTTP calls to the MCP server. The first call loads
this server.

Clients may only POST. A GET would open a stream for messages that a server sends unasked, but this
server sends none. A GET is therefore answered with 405, as the protocol allows, and no idle stream
delays a shutdown.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import anyio
from anyio.abc import TaskGroup, TaskStatus
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.handlers import asgi
from litestar.types import Receive, Scope, Send

from api.http.endpoint import Endpoint
from api.http.mcp.catalog import ToolPreset
from api.http.mcp.tools import CONNECTION, McpConnection
from api.http.problems import InvalidInput
from api.http.request import NAMESPACE_HEADER, decoded_name, name_in_header
from api.project import project_namespace
from api.wiring.container import Services

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"
PROJECT_HEADER = "X-Remembrancer-Project"
AGENT_HEADER = "X-Remembrancer-Agent"
TOOLS_HEADER = "X-Remembrancer-Tools"

DEFAULT_NAMESPACE = "default"
"""Namespace of an MCP call if neither the path, the headers nor the API key name a namespace."""

ENDPOINT = Endpoint(f"POST {PATH}", "The MCP server")


@asgi(PATH, is_mount=True, copy_scope=False, opt={"endpoint": ENDPOINT, "params": None})
async def mcp_handler(scope: Scope, receive: Receive, send: Send) -> None:
    """The route handler for /mcp and below. The application's state must have `mcp` (McpMount)."""
    mount: McpMount = scope["litestar_app"].state.mcp
    await mount.answer(scope, receive, send)


def mcp_running(app: Litestar) -> AbstractAsyncContextManager[None]:
    """Lifespan context of the application. The first MCP call starts the MCP server, and the
    context's end stops it.
    """
    mount: McpMount = app.state.mcp
    return mount.running()


class McpMount:
    """Hosts the MCP server of one application, and starts it at the first call."""

    def __init__(self, services: Services, max_bytes: int) -> None:
        self._services = services
        self._max_bytes = max_bytes
        self._starting = anyio.Lock()
        self._tasks: TaskGroup | None = None
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Context manager: the first MCP request inside it starts the server, and leaving it stops
        the server.
        """
        async with anyio.create_task_group() as self._tasks:
            yield
            self._tasks.cancel_scope.cancel()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a POST to /mcp. Raises MethodNotAllowedException, and the errors of
        `connection_of`.
        """
        scope["path_template"] = PATH  # what metrics and logs show; a namespace may be private
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        caller = await anyio.to_thread.run_sync(connection_of, connection)
        # A key of this server's
        scope[CONNECTION] = caller  # type: ignore[literal-required]
        if scope.get("method") != "POST":
            raise MethodNotAllowedException(headers={"allow": "POST"})
        manager = await self._started()
        # Starlette's types of the same
        await manager.handle_request(scope, receive, send)  # type: ignore[arg-type]

    async def _started(self) -> StreamableHTTPSessionManager:
        async with self._starting:
            if self._manager is None:
                assert self._tasks is not None, "the lifespan has not begun"  # noqa: S101
                self._manager = await self._tasks.start(self._serve)
            return self._manager

    async def _serve(self, *, task_status: TaskStatus[StreamableHTTPSessionManager]) -> None:
        manager = await anyio.to_thread.run_sync(self._loaded)
        async with manager.run():
            task_status.started(manager)
            await anyio.sleep_forever()

    def _loaded(self) -> StreamableHTTPSessionManager:
        # The SDK takes half a second to import
        from api.http.mcp.server import session_manager  # noqa: PLC0415

        return session_manager(self._services, self._max_bytes)


def connection_of(connection: ASGIConnection[Any, Any, Any, Any]) -> McpConnection:
    """The caller, namespace, agent and tools of a call to /mcp. Raises InvalidInput, or
    InvalidRequest for a folder.
    """
    caller = connection.auth
    headers = connection.headers
    namespace = _path_namespace(connection.scope) or name_in_header(connection, NAMESPACE_HEADER)
    if namespace is None and (folder := headers.get(PROJECT_HEADER)):
        namespace = project_namespace(os.fsdecode(folder.encode("latin-1")))
    agent_id = name_in_header(connection, AGENT_HEADER)
    preset = headers.get(TOOLS_HEADER, ToolPreset.DEFAULT)
    if preset not in set(ToolPreset):
        raise InvalidInput.at(TOOLS_HEADER, f"must be one of {', '.join(ToolPreset)}")
    return McpConnection(
        caller, namespace or caller.namespace or DEFAULT_NAMESPACE, agent_id, ToolPreset(preset)
    )


def _path_namespace(scope: Scope) -> str | None:
    """The namespace that follows /mcp/ in the path, percent-decoded (it may contain a slash); None
    if there is none.
    """
    after = scope["raw_path"].partition(b"?")[0].removeprefix(PATH.encode())
    if after and not after.startswith(b"/"):
        raise NotFoundException  # the application sends every path here that begins with /mcp
    named = unquote_to_bytes(after[1:].removesuffix(b"/"))
    return decoded_name(named, "namespace") if named else None
