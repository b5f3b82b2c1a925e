"""The clients of the memory service: `Remembrancer`, which is sync, and `AsyncRemembrancer`."""

from __future__ import annotations

import copy
import os
from typing import Any, TypeVar

import httpx

from remembrancer_client.calls import ConnectionT_co
from remembrancer_client.connection import AsyncConnection, Connection, Retries, Target
from remembrancer_client.groups.admin import Admin
from remembrancer_client.groups.items import Items
from remembrancer_client.groups.memories import Memories
from remembrancer_client.groups.threads import Threads
from remembrancer_client.groups.workflows import Workflows
from remembrancer_client.groups.working import Hooks, Working

DEFAULT_URL = "http://127.0.0.1:8707"
TIMEOUT = httpx.Timeout(10.0, read=120.0)
"""The read timeout is long: a batch of a thousand texts is embedded before it is answered."""

ClientT = TypeVar("ClientT", bound="AnyClient[Any]")


class AnyClient(Memories[ConnectionT_co]):
    """Base of both clients. Calls on memories are methods of the client itself, the other calls are
    in groups.

    The groups are attributes. working: calls on working memory. hooks: calls that report events of
    an agent's session. threads: calls on conversations. workflows: calls on logs of agents' work.
    items: calls on JSON values under keys. admin: export, import, API keys and upkeep, for which
    the client needs an admin key.
    """

    def __init__(self, connection: ConnectionT_co, namespace: str | None) -> None:
        super().__init__(connection, namespace)
        self.working: Working[ConnectionT_co] = Working(connection, namespace)
        self.hooks: Hooks[ConnectionT_co] = Hooks(connection, namespace)
        self.threads: Threads[ConnectionT_co] = Threads(connection, namespace)
        self.workflows: Workflows[ConnectionT_co] = Workflows(connection, namespace)
        self.items: Items[ConnectionT_co] = Items(connection, namespace)
        self.admin: Admin[ConnectionT_co] = Admin(connection, namespace)

    def within(self: ClientT, namespace: str) -> ClientT:
        """A client for another namespace that shares this client's connection. Closing either
        client closes both.
        """
        client = copy.copy(self)
        AnyClient.__init__(client, self.connection, namespace)
        return client


class Remembrancer(AnyClient[Connection]):
    """A sync client of the memory service at `url`.

    By default, url, key and namespace are the environment variables REMEMBRANCER_URL (or
    http://127.0.0.1:8707), REMEMBRANCER_KEY and REMEMBRANCER_NAMESPACE. key: API key. namespace:
    used by calls that do not name a namespace. timeout: in seconds, or an `httpx.Timeout`. retries:
    when a failed call is sent again. transport: an httpx transport, for example for a Unix socket.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        namespace: str | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        retries: Retries = Retries(),  # noqa: B008 - immutable
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(
            Connection(_target(url, key, timeout, retries, transport)), _namespace(namespace)
        )

    def close(self) -> None:
        """Close the connections to the service."""
        self.connection.http.close()

    def __enter__(self) -> Remembrancer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncRemembrancer(AnyClient[AsyncConnection]):
    """An async client of the memory service at `url`. It has the arguments and calls of
    `Remembrancer`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        namespace: str | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        retries: Retries = Retries(),  # noqa: B008 - immutable
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(
            AsyncConnection(_target(url, key, timeout, retries, transport)), _namespace(namespace)
        )

    async def close(self) -> None:
        """Close the connections to the service."""
        await self.connection.http.aclose()

    async def __aenter__(self) -> AsyncRemembrancer:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


def _target(
    url: str | None,
    key: str | None,
    timeout: float | httpx.Timeout,
    retries: Retries,
    transport: object,
) -> Target:
    url = url if url is not None else os.environ.get("REMEMBRANCER_URL") or DEFAULT_URL
    return Target(
        url,
        key if key is not None else os.environ.get("REMEMBRANCER_KEY"),
        timeout,
        retries,
        transport,
    )


def _namespace(namespace: str | None) -> str | None:
    return namespace if namespace is not None else os.environ.get("REMEMBRANCER_NAMESPACE") or None
