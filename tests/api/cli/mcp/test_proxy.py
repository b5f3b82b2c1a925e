"""Tests of `remembrancer mcp`, an MCP proxy over standard input and output, with a running and a
stopped service.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from litestar import Litestar
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from api.auth.keys import Role
from api.cli.mcp import starting
from api.cli.mcp.proxy import StdioProxy, answer_from_catalog
from api.cli.mcp.starting import LocalService
from api.http.app import BODY_BYTES, create_app
from api.http.timeouts import TimedProtocol
from api.wiring.container import Services
from memtypes.model.errors import Unavailable
from tests.api.clients.python.scripted_server import Reply, scripted
from tests.api.conftest import KEYS, NOW
from tests.api.fake_services import fake_services
from tests.api.http.mcp.conftest import call
from tests.processes import REPOSITORY, free_port

MAIN = "from api.cli.entry import main; main()"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@contextmanager
def serving(application: Litestar, port: int) -> Iterator[str]:
    """Serve the application on a loopback port, in a thread; yields its URL."""
    options: dict[str, Any] = {
        "http": TimedProtocol,
        "ws": "none",
        "log_config": None,
        "timeout_graceful_shutdown": 1,
    }
    server = uvicorn.Server(uvicorn.Config(application, port=port, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@asynccontextmanager
async def program(*arguments: str, mode: str = "legacy", **variables: str) -> AsyncIterator[Client]:
    """The MCP SDK's client, connected to a new `remembrancer mcp` process.

    mode: "legacy" for the last protocol version with a handshake, "auto" for the newest version.
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)} | variables
    parameters = StdioServerParameters(
        command=sys.executable, args=["-c", MAIN, "mcp", *arguments], env=environment
    )
    async with Client(parameters, mode=mode) as client:
        yield client


def answers(
    messages: Sequence[Mapping[str, Any] | str], proxy: StdioProxy
) -> dict[Any, dict[str, Any]]:
    """Send the messages to the proxy, each on its own line, and return its answers by id."""
    lines = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    target = io.BytesIO()
    anyio.run(proxy.run, io.BytesIO("\n".join([*lines, ""]).encode()), target)
    answered = [json.loads(line) for line in target.getvalue().splitlines()]
    return {answer["id"]: answer for answer in answered}


def request(
    number: int, method: str, params: Mapping[str, Any] | None = None, *, modern: bool = False
) -> dict[str, Any]:
    """A JSON-RPC request of the newer MCP protocol version if `modern`, else of the older
    version.
    """
    meta = {"_meta": META} if modern else {}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {**(params or {}), **meta}}


def recall(number: int, *, modern: bool = False) -> dict[str, Any]:
    """A request that calls the tool memory_recall, in the newer MCP protocol version if
    `modern`.
    """
    return request(
        number,
        "tools/call",
        {"name": "memory_recall", "arguments": {"query": "tea"}},
        modern=modern,
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_proxy_passes_calls_of_both_protocol_versions_to_the_service(
    guarded: Services, tmp_path: Path, mode: str
) -> None:
    """The proxy passes calls in the MCP versions 2025-11-25 and 2026-07-28 on to the service.

    It adds the API key and the project's namespace to each call, and offers only the tools that
    --tools selects.
    """
    (tmp_path / ".remembrancer.toml").write_text('namespace = "café/one"\n')
    key = KEYS["acme", Role.WRITER]
    with serving(create_app(guarded), free_port()) as url:
        async with program(
            "--url", url, "--project", str(tmp_path), mode=mode, REMEMBRANCER_KEY=key
        ) as client:
            assert client.protocol_version == {"legacy": "2025-11-25", "auto": "2026-07-28"}[mode]
            known_id = (
                await call(client, "memory_remember", content="Tea at four", type="semantic")
            ).split()[1]
            assert "Tea at four" in await call(client, "memory_recall", query="tea")
            assert "Tea at four" in str(await client.read_resource(f"memory://{known_id}"))
        async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": key}) as http:
            stored = await http.get(f"/v1/memories/{known_id}", params={"namespace": "café/one"})
        assert stored.json()["content"] == "Tea at four"
        async with program(
            "--url", url, "-n", "n", "--tools", "read", "--key", key, mode=mode
        ) as client:
            assert len((await client.list_tools()).tools) == 3


def test_the_refusal_of_a_key_is_reported_to_the_model(guarded: Services) -> None:
    """If the service refuses the API key, its reason is in the handshake's error and in the results
    of tool calls.
    """
    with serving(create_app(guarded), free_port()) as url:
        proxy = StdioProxy(f"{url}/mcp/n", {"Authorization": "Bearer wrong-key"}, "default")
        answered = answers([request(1, "initialize", INITIALIZE), recall(2)], proxy)
    assert "refused this call (401): send a known key" in answered[1]["error"]["message"]
    assert answered[2]["result"]["isError"]
    assert (
        "refused this call (401): send a known key" in answered[2]["result"]["content"][0]["text"]
    )


@pytest.mark.parametrize("modern", [False, True])
def test_without_a_service_the_handshake_succeeds_and_tool_calls_fail(*, modern: bool) -> None:
    """While no service runs, the proxy answers the handshake, and lists tools, prompts and
    resources as usual.

    A tool call gets an error that says that the service does not run.
    """
    handshake = (
        request(1, "server/discover", modern=True)
        if modern
        else request(1, "initialize", INITIALIZE)
    )
    lists = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
    messages = [
        handshake,
        *(request(number, name, modern=modern) for number, name in enumerate(lists, 2)),
    ]
    port = free_port()
    proxy = StdioProxy(f"http://127.0.0.1:{port}/mcp/n", {}, "default")
    away = answers(
        [*messages, recall(9, modern=modern), request(10, "prompts/get", {"name": "recall"})], proxy
    )
    with serving(create_app(fake_services(lambda: NOW)), port):
        running = answers(messages, proxy)
    for number, answer in running.items():
        assert away[number] == answer
    text = away[9]["result"]["content"][0]["text"]
    assert away[9]["result"]["isError"]
    assert text == (
        f"The memory service at http://127.0.0.1:{port} does not run. Go on without "
        "memory, or try later."
    )
    assert "does not run" in away[10]["error"]["message"]


def test_a_service_that_comes_back_is_used_again() -> None:
    """While the service is stopped, the proxy answers calls with an error.

    Once the service runs again, the same proxy passes calls on.
    """
    port = free_port()
    proxy = StdioProxy(f"http://127.0.0.1:{port}/mcp/n", {}, "default")
    outcomes = []
    for runs in (True, False, True):
        if runs:
            with serving(create_app(fake_services(lambda: NOW)), port):
                answered = answers([request(1, "initialize", INITIALIZE), recall(2)], proxy)
        else:
            answered = answers([recall(2)], proxy)
        outcomes.append(answered[2]["result"]["isError"])
    assert outcomes == [False, True, False]


def test_lines_that_are_no_requests_do_not_stop_the_proxy() -> None:
    """Malformed lines and calls get an error, with the call's id if it is valid. Notifications get
    no answer.
    """
    with serving(create_app(fake_services(lambda: NOW)), free_port()) as url:
        proxy = StdioProxy(f"{url}/mcp/n", {}, "default")
        answered = answers(
            [
                "{",
                "[]",
                "[" * 100_000,
                '{"jsonrpc": "2.0", "id": 5, "method": "ping", "params": []}',
                '{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}',
                '{"jsonrpc": "2.0", "id": 12, "method": "ping", "params": null}',
                {
                    "jsonrpc": "2.0",
                    "method": "notifications/cancelled",
                    "params": {"requestId": [7]},
                },
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                {
                    "jsonrpc": "2.0",
                    "method": "notifications/cancelled",
                    "params": {"requestId": 77},
                },
                {"jsonrpc": "2.0", "id": 6, "result": {}},
                request(7, "ping"),
                request(8, "no/such/method"),
                request(9, "tools/call", {"name": "no such tool ☂"}, modern=True),
                request(
                    10,
                    "tools/call",
                    {"name": "memory_recall", "arguments": {"query": "half a \ud83d"}},
                ),
                request(
                    11,
                    "tools/call",
                    {"name": "memory_recall", "arguments": {"query": "x" * BODY_BYTES}},
                ),
            ],
            proxy,
        )
    assert answered.keys() == {None, 5, 7, 8, 9, 10, 11, 12}
    assert answered[5]["error"]["code"] == -32600
    assert answered[12]["result"] == {}
    assert answered[10]["error"]["code"] == -32700  # JSON, but no text
    assert "(413): Request Entity Too Large" in answered[11]["result"]["content"][0]["text"]
    assert answered[7]["result"] == {}
    assert answered[8]["error"]["code"] == -32601
    assert "Unknown tool" in answered[9]["error"]["message"]


@pytest.mark.parametrize(
    "body", [{"jsonrpc": "2.0", "result": 7}, {"jsonrpc": "2.0", "result": {}}, "[" * 100_000]
)
def test_an_answer_of_another_program_does_not_stop_the_proxy(body: object) -> None:
    """If another program answers the handshake with JSON of another form, the proxy still answers
    the next call.
    """
    with scripted(Reply(200, body)) as server:
        proxy = StdioProxy(f"{server.url}/mcp/n", {}, "default")
        assert answers([request(1, "initialize", INITIALIZE), recall(2)], proxy).keys() == {1, 2}


def test_calls_that_share_an_id_are_all_answered() -> None:
    """If a client sends a second call with the id of an unanswered call, the proxy answers both."""
    target = io.BytesIO()
    lines = "".join(
        json.dumps(message) + "\n"
        for message in [recall(1), recall(1), request(2, "ping"), recall(1)]
    )
    with serving(create_app(fake_services(lambda: NOW)), free_port()) as url:
        anyio.run(StdioProxy(f"{url}/mcp/n", {}, "default").run, io.BytesIO(lines.encode()), target)
    assert sorted(json.loads(line)["id"] for line in target.getvalue().splitlines()) == [1, 1, 1, 2]


def test_an_unknown_protocol_version_is_answered_with_a_known_one() -> None:
    """A handshake for an unknown protocol version is answered with the newest version that has a
    handshake.

    The answer is the same whether or not the service runs.
    """
    initialize = request(1, "initialize", {**INITIALIZE, "protocolVersion": "1999-01-01"})
    port = free_port()
    proxy = StdioProxy(f"http://127.0.0.1:{port}/mcp/n", {}, "default")
    away = answers([initialize], proxy)
    with serving(create_app(fake_services(lambda: NOW)), port):
        assert answers([initialize], proxy) == away
    assert away[1]["result"]["protocolVersion"] == "2025-11-25"
    assert answer_from_catalog("tools/call", "default", legacy_version="2025-11-25") is None


@pytest.mark.slow
def test_two_clients_at_once_start_one_service(
    tmp_path: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two proxies started at once start one service process and get answers from it.

    The service outlives them and writes to a log file.
    """
    port = free_port()
    monkeypatch.setenv("REMEMBRANCER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "REMEMBRANCER_PORT": str(port)}
    sent = "".join(
        json.dumps(message) + "\n" for message in (request(1, "initialize", INITIALIZE), recall(2))
    )

    def window(_: int) -> list[dict[str, Any]]:
        command = [sys.executable, "-c", MAIN, "mcp", "-n", "n"]
        done = subprocess.run(
            command,
            input=sent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        return sorted(answers, key=itemgetter("id"))  # the calls may be answered in any order

    with ThreadPoolExecutor(2) as pool:
        windows = list(pool.map(window, range(2)))
    process = int((tmp_path / "service.pid").read_text())
    try:
        for handshake, recalled in windows:
            assert handshake["result"]["serverInfo"]["name"] == "remembrancer"
            text = recalled["result"]["content"][0]["text"]
            assert "receipt" in text or "is still starting" in text  # on a busy machine
        anyio.run(LocalService(f"http://127.0.0.1:{port}").ensure_running)
        assert not window(3)[1]["result"]["isError"]
        assert int((tmp_path / "service.pid").read_text()) == process
        assert (tmp_path / "service.log").read_text().count("listening on") == 1
    finally:
        os.kill(process, signal.SIGTERM)


@pytest.mark.slow
async def test_a_service_that_cannot_start_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onnx_directory: Path
) -> None:
    """If the service process fails to start, the error has the last line of its log."""
    monkeypatch.setattr(starting, "OTHER_S", 0.1)
    monkeypatch.setenv("REMEMBRANCER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    monkeypatch.setenv("REMEMBRANCER_PORT", "70000")
    with pytest.raises(Unavailable, match=r"does not start: .*PORT.*log: .*service\.log"):
        await LocalService(f"http://127.0.0.1:{free_port()}").ensure_running()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "folder", "message"),
    [
        ([], "/", "/ is no project"),
        ([], "~", "is no project; give --project FOLDER or --namespace NAME"),
        (["--project", "${workspaceFolder}"], ".", "the client did not fill in"),
        (["--project", "missing"], ".", "is no folder"),
        (
            ["--url", "localhost:8707", "-n", "n"],
            ".",
            "is no address such as http://127.0.0.1:8707",
        ),
        (
            ["--url", "http://127.0.0.1:abc", "-n", "n"],
            ".",
            "is no address such as http://127.0.0.1:8707",
        ),
        (
            ["--key", "schlüssel", "-n", "n"],
            ".",
            "--key or REMEMBRANCER_KEY must have printable ASCII characters only",
        ),
        (["--tools", "few", "-n", "n"], ".", "--tools must be one of read, default, all"),
    ],
)
def test_the_proxy_does_not_start_with_invalid_options(
    tmp_path: Path, arguments: list[str], folder: str, message: str
) -> None:
    """Without a valid project, namespace, URL, key or tool set, `remembrancer mcp` prints a line
    and exits with code 2.

    It does not guess a project, because other projects' memories could go into the same namespace.
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)}
    place = {"~": tmp_path, ".": REPOSITORY}.get(folder, Path(folder))
    command = [sys.executable, "-c", MAIN, "mcp", *arguments]
    done = subprocess.run(
        command, cwd=place, env=environment, input="", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
