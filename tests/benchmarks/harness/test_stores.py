"""Stores filled with synthetic memories."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.stores import TENANT, filled, namespace_of, open_parts, settings_in
from memtypes.model.scope import Scope

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_store_is_filled_once_and_evenly(tmp_path: Path, onnx_directory: Path) -> None:
    """Every namespace gets the same number of memories of each type. A filled store is not filled
    again.
    """
    settings = settings_in(tmp_path).model_copy(update={"encoder_dir": onnx_directory})
    assert await filled(settings, 20, 2) > 0
    assert await filled(settings, 20, 2) == 0.0
    async with open_parts(settings) as opened:
        for index in range(2):
            stats = await opened.store.stats(Scope(TENANT, namespace_of(index)))
            assert {counts.count for counts in stats.values()} == {2}
