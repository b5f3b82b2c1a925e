"""Fixtures that every package's tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of all async tests."""
    return "asyncio"
