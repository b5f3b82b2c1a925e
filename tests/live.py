"""A real server of live state for tests: on a socket in a directory of the test's own, gone with it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from memtypes.scope import Scope
from memtypes.stores.redis.client import LiveClient, LiveSettings


@asynccontextmanager
async def running_server(directory: Path) -> AsyncIterator[LiveClient]:
    """A client of a server of its own in `directory`."""
    client = await LiveClient.open(LiveSettings(directory))
    try:
        yield client
    finally:
        await client.aclose()


def fresh_scope() -> Scope:
    """A scope that no other test uses."""
    return Scope("acme", f"test {uuid.uuid4()}")
