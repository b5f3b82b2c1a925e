"""The files in the directory of an embedded store."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtypes.model.errors import Unavailable
from memtypes.stores.edge.layout import Layout


def test_a_directory_without_store_json_is_not_a_store(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with pytest.raises(Unavailable, match=r"store\.json is missing"):
        layout.shard_paths()
