"""Real Redis servers for tests: a single one, a cluster of three, and a Sentinel with a primary and
its replica.

They are child processes on free loopback ports and end with the test run at the latest. By default
they run the binary that the service would start.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from memtypes.platform import dies_with_parent
from memtypes.stores.redis.connection.server import find_servers

SLOTS = 16_384
NODES = 3
START_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A redis-server process on a loopback port."""

    process: subprocess.Popen[bytes]
    port: int

    def ask(self, *words: str | int) -> object:
        """Send a command and return the server's answer, with strings decoded but otherwise as the
        server sent it.
        """
        with Redis(port=self.port, decode_responses=True, socket_timeout=5.0) as redis:
            redis.response_callbacks.clear()
            return redis.execute_command(*words)


def packaged_server() -> Path | None:
    """Path of the redis-server named by REDIS_TEST_BINARY, else of the one on PATH."""
    binary = os.environ.get("REDIS_TEST_BINARY") or shutil.which("redis-server")
    return Path(binary) if binary else None


def free_ports(count: int) -> list[int]:
    """`count` loopback ports that are not in use."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def running(
    directory: Path, port: int, options: Sequence[str] = (), binary: Path | None = None
) -> Iterator[Server]:
    """Run a redis-server and yield it once it answers. It is killed when the context ends."""
    directory.mkdir()
    command = [
        str(binary or find_servers()[0]),
        *options,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
    ]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            dies_with_parent([*command, "--dir", str(directory)]), stdout=log, stderr=log
        )
        server = Server(process, port)
        try:
            until(lambda: server.ask("PING") == "PONG")
            yield server
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_cluster(directory: Path, *, partial: bool = False) -> Iterator[list[Server]]:
    """Run a Redis cluster and yield its three nodes. partial: whether the other nodes keep serving
    when one is lost.
    """
    ports = free_ports(2 * NODES)[::2]
    buses = free_ports(NODES)
    serving = ("--cluster-require-full-coverage", "no") if partial else ()
    with ExitStack() as started:
        nodes = [
            started.enter_context(
                running(directory / str(port), port, (*_cluster_options(bus), *serving))
            )
            for port, bus in zip(ports, buses, strict=True)
        ]
        for number, node in enumerate(nodes):
            node.ask(
                "CLUSTER",
                "ADDSLOTSRANGE",
                number * SLOTS // NODES,
                (number + 1) * SLOTS // NODES - 1,
            )
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        for node in nodes:
            until(lambda node=node: _whole(node))  # type: ignore[misc]
        yield nodes


@contextmanager
def running_sentinel(directory: Path, name: str) -> Iterator[tuple[Server, Server, Server]]:
    """Run a Redis Sentinel, the primary that it monitors as `name`, and a replica. Yields them in
    this order.
    """
    watch, first, second = free_ports(3)
    config = directory / "sentinel.conf"
    config.write_text(
        f"sentinel monitor {name} 127.0.0.1 {first} 1\n"
        f"sentinel down-after-milliseconds {name} 500\n"
        f"sentinel failover-timeout {name} 3000\n",
        encoding="utf-8",
    )
    with (
        running(
            directory / "primary", first, ("--save", "", "--repl-diskless-sync-delay", "0")
        ) as primary,
        running(
            directory / "replica", second, ("--save", "", "--replicaof", "127.0.0.1", str(first))
        ) as replica,
        running(directory / "sentinel", watch, (str(config), "--sentinel")) as sentinel,
    ):
        until(lambda: "state=online" in str(primary.ask("INFO", "REPLICATION")))
        until(lambda: bool(sentinel.ask("SENTINEL", "REPLICAS", name)))
        yield sentinel, primary, replica


def until(holds: Callable[[], bool], seconds: float = START_S) -> None:
    """Wait until `holds()` is true, and fail after `seconds`. While the server starts, its errors
    count as false.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(RedisError):
            if holds():
                return
        time.sleep(0.02)
    raise AssertionError("not in time")


def _cluster_options(bus: int) -> list[str]:
    return [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        str(bus),
        "--cluster-node-timeout",
        "5000",
        "--save",
        "",
    ]


def _whole(node: Server) -> bool:
    """Whether `node` knows the owners of all hash slots, so that the cluster is ready."""
    slots = node.ask("CLUSTER", "SLOTS")
    assert isinstance(slots, list)
    return "cluster_state:ok" in str(node.ask("CLUSTER", "INFO")) and len(slots) == NODES
