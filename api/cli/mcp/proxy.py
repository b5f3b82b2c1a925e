"""Passes MCP messages from standard input to the service, and its answers to standard output.

Each message is one HTTP call to /mcp. The service keeps no MCP sessions, so that calls succeed
again after it was restarted. While no service runs, this proxy answers the handshake and list
requests from the module `catalog`, so that a client connects anyway. A tool call then gets an error
that the model can read.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import re
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, TypeAlias

import anyio
import httpx
from anyio.abc import TaskGroup

from api.cli.mcp.starting import LocalService
from memtypes.model.errors import Unavailable

TIMEOUT = httpx.Timeout(10.0, read=120.0)

START_WAIT_S = 30.0
"""Seconds that a tool call waits for a service to start."""

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""MCP versions with a handshake (`initialize`). In newer versions each message states its version
instead.
"""

MODERN_VERSIONS = ["2026-07-28"]

_CAPABILITIES = {
    "prompts": {"listChanged": False},
    "resources": {"listChanged": False, "subscribe": False},
    "tools": {"listChanged": False},
}
_STALE = {"ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
_VERSION = "io.modelcontextprotocol/protocolVersion"
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_HEADER_TEXT = re.compile(r"(?!=\?base64\?)[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_PARSE_ERROR = -32700
_INVALID_REQUEST = -32600
_INTERNAL_ERROR = -32603

Message: TypeAlias = dict[str, Any]


class StdioProxy:
    """Passes messages between an MCP client on stdin and stdout and the service's MCP endpoint at
    `url`.

    headers: sent with each HTTP call. tools: name of the tool preset to list while the service is
    not reachable. service: starts the service behind `url` if it does not run; None if the proxy
    must not start it.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], tools: str, service: LocalService | None = None
    ) -> None:
        self._url = url
        self._origin = url.partition("/mcp/")[0]
        self._headers = {
            **headers,
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        self._tools = tools
        self._service = service
        self._version: str | None = None
        self._calls: dict[Any, anyio.CancelScope] = {}
        self._starting = anyio.Lock()

    async def run(self, source: BinaryIO, target: BinaryIO) -> None:
        """Read JSON-RPC messages from `source`, one on each line, until its end, and write the
        answers to `target`.
        """
        async with (
            httpx.AsyncClient(timeout=TIMEOUT, headers=self._headers, trust_env=False) as http,
            anyio.create_task_group() as tasks,
        ):
            warm_up = anyio.CancelScope()
            if self._service is not None:
                tasks.start_soon(self._warm, self._service, warm_up)
            while line := await anyio.to_thread.run_sync(source.readline, abandon_on_cancel=True):
                self._take(line, tasks, http, target)
            warm_up.cancel()

    def _take(
        self, line: bytes, tasks: TaskGroup, http: httpx.AsyncClient, target: BinaryIO
    ) -> None:
        """Start a task that answers the message in `line`, or cancel the call that a cancel
        notification names.
        """
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            _write(target, _error(None, _PARSE_ERROR, "the line is not JSON, or nested too deeply"))
            return
        if not isinstance(message, dict):
            _write(target, _error(None, _INVALID_REQUEST, "a line must be one JSON-RPC object"))
            return
        if message.get("params") is None:
            message["params"] = {}
        known_id = message["id"] if _is_id(message.get("id")) else None
        if not isinstance(message["params"], dict) or ("id" in message and known_id is None):
            text = "params must be an object, and an id a string or an integer"
            _write(target, _error(known_id, _INVALID_REQUEST, text))
        elif message.get("method") == "notifications/cancelled":
            cancelled = message["params"].get("requestId")
            if _is_id(cancelled) and (scope := self._calls.get(cancelled)):
                scope.cancel()
        elif isinstance(message.get("method"), str) and "id" in message:
            tasks.start_soon(self._handle, message, http, target)

    async def _handle(self, message: Message, http: httpx.AsyncClient, target: BinaryIO) -> None:
        with anyio.CancelScope() as scope:
            self._calls[message["id"]] = scope
            try:
                answer = await self._answer(message, http)
            finally:
                # Not if the client has used the id again
                if self._calls.get(message["id"]) is scope:
                    del self._calls[message["id"]]
            match answer:
                case {"result": {"protocolVersion": str(version)}} if (
                    message["method"] == "initialize"
                ):
                    self._version = version
            _write(target, answer)

    async def _answer(self, message: Message, http: httpx.AsyncClient) -> Message:
        try:
            try:
                return await self._post(message, http)
            except httpx.ConnectError:
                if self._service is None or message["method"] != "tools/call":
                    raise
                await self._start(self._service)
                return await self._post(message, http)
        except Unavailable as error:
            return _failure(message, str(error))
        except httpx.ConnectError:
            return self._answer_offline(message)
        except httpx.TimeoutException:
            return _failure(
                message, f"The memory service at {self._origin} did not answer in time."
            )
        except httpx.HTTPError:
            return _failure(message, "The memory service stopped during this call. Try again.")

    async def _warm(self, service: LocalService, scope: anyio.CancelScope) -> None:
        """Start the service before the first call needs it, unless it runs. scope: cancelled to
        stop waiting for it.
        """
        with scope:
            try:
                async with self._starting:
                    await service.ensure_running()
            except Unavailable as error:
                # Clients show it as the server's log
                print(f"remembrancer: {error}", file=sys.stderr)

    async def _start(self, service: LocalService) -> None:
        with anyio.move_on_after(START_WAIT_S):
            async with self._starting:
                await service.ensure_running()
                return
        raise Unavailable("The memory service is still starting. Try again in a moment.")

    async def _post(self, message: Message, http: httpx.AsyncClient) -> Message:
        response = await http.post(
            self._url, content=_encoded(message), headers=self._routing(message)
        )
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and "jsonrpc" in answer:
            # It is null where the service could not parse the message
            return {**answer, "id": message["id"]}
        detail = answer.get("detail") if isinstance(answer, dict) else None
        reason = detail or response.reason_phrase
        return _failure(
            message, f"The memory service refused this call ({response.status_code}): {reason}"
        )

    def _routing(self, message: Message) -> dict[str, str]:
        """The HTTP headers that MCP prescribes for `message`. They depend on the protocol
        version.
        """
        params = message["params"]
        version = _version_of(message) or self._version
        headers = {"MCP-Protocol-Version": _header_text(version)} if version else {}
        if _version_of(message):
            headers["Mcp-Method"] = _header_text(message["method"])
            name = params.get(_NAMED_BY.get(message["method"], ""))
            headers |= {"Mcp-Name": _header_text(name)} if isinstance(name, str) else {}
        return headers

    def _answer_offline(self, message: Message) -> Message:
        """The answer to `message` while no service runs: a result for a handshake or list request,
        else an error.
        """
        requested = message["params"].get("protocolVersion")
        legacy = None if _version_of(message) else requested if requested in LEGACY else LEGACY[-1]
        result = answer_from_catalog(message["method"], self._tools, legacy_version=legacy)
        if result is not None:
            return {"jsonrpc": "2.0", "id": message["id"], "result": result}
        text = (
            f"The memory service at {self._origin} does not run. Go on without memory, or "
            "try later."
        )
        return _failure(message, text)


def answer_from_catalog(method: str, tools: str, *, legacy_version: str | None) -> Message | None:
    """The result of an MCP method (such as `tools/list`) while no service runs; None if the method
    needs the service.

    tools: name of the tool preset to offer. legacy_version: MCP version that the client and the
    proxy agreed on in the handshake; None for newer versions, which have no handshake. In newer
    versions, the result says that it must not be cached, so that the client asks again.
    """
    from api.http.mcp import catalog  # noqa: PLC0415 - only without a service

    offered = catalog.offered_tools(catalog.ToolPreset(tools), may_write=True)
    lists: dict[str, Message] = {
        "tools/list": {"tools": [tool.definition() for tool in offered]},
        "prompts/list": {"prompts": list(catalog.PROMPTS)},
        "resources/list": {"resources": []},
        "resources/templates/list": {"resourceTemplates": list(catalog.RESOURCES)},
    }
    name = catalog.SERVER_NAME
    server = {
        "name": name,
        "title": catalog.SERVER_TITLE,
        "version": importlib.metadata.version(name),
    }
    offers = {"capabilities": _CAPABILITIES, "instructions": catalog.INSTRUCTIONS}
    if legacy_version is not None:
        initialized = {"protocolVersion": legacy_version, "serverInfo": server, **offers}
        return (lists | {"initialize": initialized, "ping": {}}).get(method)
    result = (lists | {"server/discover": {"supportedVersions": MODERN_VERSIONS, **offers}}).get(
        method
    )
    stamp = {"_meta": {"io.modelcontextprotocol/serverInfo": server}}
    return None if result is None else {**result, **_STALE, **stamp}


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _version_of(message: Message) -> str | None:
    """The MCP version that `message` states; None for older versions, which state it only in the
    handshake.
    """
    meta = message["params"].get("_meta")
    version = meta.get(_VERSION) if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def _header_text(value: str) -> str:
    """`value` as the value of an HTTP header. Text that is not plain ASCII is Base64-encoded as MCP
    prescribes.
    """
    if _HEADER_TEXT.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'replace')).decode()}?="


def _failure(message: Message, text: str) -> Message:
    """The answer to a failed call: for a tool call, a result with `text`, which the model reads;
    else an error.
    """
    if message["method"] != "tools/call":
        return _error(message["id"], _INTERNAL_ERROR, text)
    result: Message = {"content": [{"type": "text", "text": text}], "isError": True}
    if _version_of(message):
        result["resultType"] = "complete"
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _error(request_id: Any, code: int, text: str) -> Message:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}}


def _write(target: BinaryIO, message: Message) -> None:
    target.write(_encoded(message) + b"\n")
    target.flush()


def _encoded(message: Message) -> bytes:
    """The message as JSON in ASCII. Escapes can express every text, even a text with lone
    surrogates.
    """
    return json.dumps(message, separators=(",", ":")).encode()
