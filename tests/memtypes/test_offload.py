"""`offload()`, which processes long texts in a worker thread, so that they do not block the event
loop.
"""

from __future__ import annotations

import threading

import pytest

from memtypes.offload import SHORT, offload

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("length", "offloaded"), [(SHORT // 2, False), (SHORT // 2 + 1, True)])
async def test_long_texts_are_processed_in_a_worker_thread(length: int, offloaded: bool) -> None:  # noqa: FBT001
    """`offload()` uses a worker thread if the lengths of all texts together exceed SHORT, else the
    event loop.
    """
    thread = await offload(["x" * length] * 2, threading.current_thread)
    assert (thread is not threading.current_thread()) is offloaded
