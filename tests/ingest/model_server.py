"""A language model behind a real server on the loopback, which answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ingest.screening.completions import Endpoint

Answer = Callable[[dict[str, Any]], tuple[int, str]]


class Model(ThreadingHTTPServer):
    """A server that answers as `answer` says, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.released = threading.Event()

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        host, port = self.server_address[:2]
        return Endpoint(f"http://{host!s}:{port}/v1/", "judge", "k")


class _Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers.get("authorization"))
        status, content = self.server.answer(body)
        if status == 0:
            self.server.released.wait(5)
            return
        self.send_response(status)
        self.send_header("content-length", str(len(content.encode())))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(answer: Answer) -> Iterator[Model]:
    """A server on a free port, ended at the end."""
    server = Model(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def says(content: str) -> Answer:
    """An answer with this message."""
    return lambda _: (200, json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}))
