"""Long texts are processed in a worker thread."""

from __future__ import annotations

import threading

import pytest

from memtypes.offload import SHORT, offload

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("length", "offloaded"), [(SHORT // 2, False), (SHORT // 2 + 1, True)])
async def test_texts_over_the_limit_in_total_are_processed_in_a_thread(length: int, offloaded: bool) -> None:  # noqa: FBT001
    """Texts are processed in a worker thread if the sum of their lengths exceeds the limit."""
    thread = await offload(["x" * length] * 2, threading.current_thread)
    assert (thread is not threading.current_thread()) is offloaded
