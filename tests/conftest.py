"""Fixtures that every package's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memtypes.encoders.prepare import prepare
from memtypes.stores.redis.client import LiveClient
from tests.live import running_server


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of all async tests."""
    return "asyncio"


@pytest.fixture(scope="module")  # not longer: its event loop would be in the way of tests that run one of their own
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveClient]:
    """A client of a real server of live state; each test takes a scope of its own."""
    async with running_server(tmp_path_factory.mktemp("live")) as client:
        yield client


@pytest.fixture(scope="session")
def onnx_directory() -> Path:
    """The prepared default encoder: the one that set-up made, or else made here and kept."""
    directory = Path(__file__).parent.parent / ".remembrancer" / "encoder"
    prepare(directory)
    return directory
