"""Fixtures that connect the MCP SDK's client to the application, in the older or the newer version
of the protocol.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import httpx
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from api.wiring.container import Services
from tests.api.applications import application

ERAS = ("legacy", "2026-07-28")
URL = "http://localhost"

OpenMcp: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def mcp_client(
    services: Services,
    path: str = "/mcp",
    mode: str = "2026-07-28",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Client]:
    """The MCP SDK's client of an application over `services`. mode: one of `ERAS`, the versions of
    the protocol.
    """
    app = application(services)
    async with app.lifespan():
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with (
            httpx2.AsyncClient(
                transport=transport, base_url=URL, headers=dict(headers or {})
            ) as http,
            Client(streamable_http_client(f"{URL}{path}", http_client=http), mode=mode) as client,
        ):
            yield client


@asynccontextmanager
async def raw_client(
    services: Services, *, local_only: bool = False
) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client of a started application. local_only: the application refuses other hosts
    and sites.
    """
    app = application(services, local_only=local_only)
    async with app.lifespan():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        headers = {"Accept": "application/json, text/event-stream"}
        async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
            yield client


@pytest.fixture
async def client(services: Services) -> AsyncIterator[Client]:
    """An MCP client of a service without keys, in the namespace `n`."""
    async with mcp_client(services, "/mcp/n") as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool and return its text. Fails if the result is an error or has structured
    content.
    """
    result = await client.call_tool(tool, arguments)
    text = _text(result)
    assert not result.is_error, text
    return text


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool and return the text of its error. Fails if the result is no error."""
    result = await client.call_tool(tool, arguments)
    text = _text(result)
    assert result.is_error, text
    return text


def _text(result: Any) -> str:
    assert result.structured_content is None
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def remembered(client: Client, content: str, **fields: Any) -> str:
    """Store `content` with the tool memory_remember and return the id of the memory."""
    text = await call(client, "memory_remember", content=content, **fields)
    return text.split()[1]


def rpc(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON-RPC request for a method, as clients of the older version of the protocol send
    it.
    """
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params or {})}


def receipt_of(recalled: str) -> str:
    """The receipt id in the last line of an answer of the tool memory_recall."""
    return recalled.splitlines()[-1].split()[1]
