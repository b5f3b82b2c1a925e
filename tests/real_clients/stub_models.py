"""Servers that stand in for models: a test's script decides their answers, and they record every
request.

POST /v1/messages answers as Anthropic's API does, /v1/responses as OpenAI's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the model asks for. namespace: `mcp__SERVER` for MCP tools of Codex,
    otherwise None.
    """

    name: str
    arguments: Mapping[str, Any]
    namespace: str | None = None


@dataclass(slots=True)
class StubModel:
    """A stand-in for a model. script: returns the answer to a request body. requests: bodies of the
    requests so far.

    An answer that is a text ends the turn; after a tool call, the client sends another request.
    """

    script: Callable[[dict[str, Any]], str | ToolCall] = lambda _: "Done."
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def sent(self) -> str:
        """The messages of all requests since `clear`, as JSON with non-ASCII characters
        unescaped.
        """
        return json.dumps(
            [body.get("messages") or body.get("input") for body in self.requests],
            ensure_ascii=False,
        )

    def sent_last(self) -> str:
        """The messages of the last request, as JSON with non-ASCII characters unescaped."""
        return json.dumps(
            self.requests[-1].get("messages") or self.requests[-1].get("input"), ensure_ascii=False
        )

    def clear(self) -> None:
        """Forget the recorded requests."""
        self.requests.clear()


@contextmanager
def running_model(model: StubModel) -> Iterator[StubModel]:
    """Serve `model` on a free loopback port; its address is in `model.url`."""

    class Handler(_Handler):
        stub = model

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    stub: StubModel
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        path = self.path.partition("?")[0]
        if path.endswith("/count_tokens"):
            self._json({"input_tokens": 100})
        elif path.endswith("/messages"):
            self.stub.requests.append(body)
            self._events(_anthropic(self.stub.script(body), str(body.get("model"))))
        elif path.endswith("/responses"):
            self.stub.requests.append(body)
            self._events(_openai(self.stub.script(body)))
        else:
            self._json({})

    def do_GET(self) -> None:
        self._json({"data": [], "models": []})

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    # The parameter's name in http.server
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing."""

    def _json(self, members: Mapping[str, Any]) -> None:
        self._send("application/json", json.dumps(members).encode())

    def _events(self, events: Iterator[dict[str, Any]]) -> None:
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        self._send("text/event-stream", text.encode())

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _anthropic(reply: str | ToolCall, model: str) -> Iterator[dict[str, Any]]:
    """The events of a streamed answer in the format of Anthropic's Messages API. reply: text, or a
    tool call.
    """
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
    }
    yield {
        "type": "message_start",
        "message": message | {"usage": {"input_tokens": 10, "output_tokens": 1}},
    }
    if isinstance(reply, ToolCall):
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": "toolu_01",
            "name": reply.name,
            "input": {},
        }
        delta = {"type": "input_json_delta", "partial_json": json.dumps(reply.arguments)}
    else:
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": reply}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    stop = {
        "stop_reason": "tool_use" if isinstance(reply, ToolCall) else "end_turn",
        "stop_sequence": None,
    }
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def _openai(reply: str | ToolCall) -> Iterator[dict[str, Any]]:
    """The events of a streamed answer in the format of OpenAI's Responses API. reply: text, or a
    tool call.
    """
    usage = {
        "input_tokens": 10,
        "input_tokens_details": None,
        "output_tokens": 5,
        "output_tokens_details": None,
    }
    response = {
        "id": "resp_1",
        "object": "response",
        "output": [],
        "usage": usage | {"total_tokens": 15},
    }
    yield {"type": "response.created", "response": {"id": "resp_1"}}
    if isinstance(reply, ToolCall):
        call = {"type": "function_call", "call_id": "call_1", "name": reply.name}
        item: dict[str, Any] = call | {"arguments": json.dumps(reply.arguments)}
        item |= {"namespace": reply.namespace} if reply.namespace else {}
    else:
        item = {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "content": [{"type": "output_text", "text": reply}],
        }
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": response}
