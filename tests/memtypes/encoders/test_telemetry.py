"""onnxruntime is loaded with its telemetry switched off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SWITCH = "ORT_DISABLE_TELEMETRY"


@pytest.mark.parametrize(
    "module", ["memtypes.encoders.onnx", "memtypes.stores.edge.worker", "api.cli.serving"]
)
def test_onnxruntime_writes_no_telemetry_files(tmp_path: Path, module: str) -> None:
    """Importing onnxruntime through this product leaves no device id and no event log on the
    disk.
    """
    inherited = {name: value for name, value in os.environ.items() if name != SWITCH}
    environment = {**inherited, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = f"import {module}, sys; assert 'onnxruntime' in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
