"""Work that takes long leaves the event loop to other calls."""

from __future__ import annotations

import threading

import pytest

from memtypes.offload import SHORT, beside

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("length", "elsewhere"), [(SHORT // 2, False), (SHORT // 2 + 1, True)])
async def test_long_texts_are_looked_through_in_a_thread(length: int, elsewhere: bool) -> None:  # noqa: FBT001
    """It depends on all of them together; what is short is done at once."""
    thread = await beside(["x" * length] * 2, threading.current_thread)
    assert (thread is not threading.current_thread()) is elsewhere
