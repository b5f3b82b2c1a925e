"""A fake language model behind a real HTTP server on the loopback interface."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, str]]
"""From the request's JSON to status and body; status 0 never answers."""


class ModelServer(ThreadingHTTPServer):
    """A chat completion endpoint that returns `answer` and records requests and API keys."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.stopping = threading.Event()

    @property
    def endpoint(self) -> tuple[str, str, str]:
        """The settings for calling the server: its URL, the name of a model and the API key `k`."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/v1/", "judge", "k"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(request)
        self.server.keys.append(self.headers.get("authorization"))
        status, body = self.server.answer(request)
        if status == 0:
            self.server.stopping.wait(5)
            return
        self.send_response(status)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Do not log."""


@contextmanager
def serving(answer: Answer) -> Iterator[ModelServer]:
    """A context in which a fake model server runs on a free port."""
    server = ModelServer(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def says(content: str) -> Answer:
    """The response of a chat completion endpoint whose message has this content."""
    return lambda _: (
        200,
        json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}),
    )
