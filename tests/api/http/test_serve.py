"""Listening addresses: which of them need keys, and how their sockets are opened."""

from __future__ import annotations

import asyncio
import socket

import pytest

from api.auth.keys import KeyEntry, Role, hashed
from api.http.serve import check_exposure, listen
from api.settings import BadSettings, is_loopback

KEYS = hashed([KeyEntry(key="abcdefgh", tenant="t", role=Role.ADMIN)])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_addresses_need_no_keys(host: str) -> None:
    """Addresses that only this machine can reach may be served without keys."""
    assert is_loopback(host)
    check_exposure(host, ())


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.0.7", "example.org", "localhost.example.org"],  # noqa: S104
)
def test_other_addresses_need_keys(host: str) -> None:
    """Listening on a non-loopback address without keys is an error that says how to configure
    them.
    """
    check_exposure(host, KEYS)
    with pytest.raises(BadSettings, match="--keys FILE"):
        check_exposure(host, ())


def test_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(BadSettings, match=f"cannot listen on 127.0.0.1:{port}"):
            listen("127.0.0.1", port)


@pytest.mark.anyio
async def test_accepted_connections_have_tcp_nodelay() -> None:
    """Accepted connections have TCP_NODELAY set, so that small writes are sent at once."""
    delayed: asyncio.Queue[int] = asyncio.Queue()

    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        delayed.put_nowait(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen("127.0.0.1", 0) as bound:
        async with await asyncio.start_server(accepted, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            assert await asyncio.wait_for(delayed.get(), 10) != 0
            writer.close()


def test_unresolvable_host_is_named() -> None:
    """Listening on a host name that does not resolve raises an error that names the address."""
    with pytest.raises(BadSettings, match="cannot listen on"):
        listen("no.such.host.invalid", 1)
