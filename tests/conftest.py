"""Fixtures that every package's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtypes.encoders.prepare import prepare


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of all async tests."""
    return "asyncio"


@pytest.fixture(scope="session")
def onnx_directory() -> Path:
    """The prepared default encoder: the one that set-up made, or else made here and kept."""
    directory = Path(__file__).parent.parent / ".remembrancer" / "encoder"
    prepare(directory)
    return directory
