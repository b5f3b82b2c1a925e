"""Nothing of ours reports on its user to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SWITCH = "ORT_DISABLE_TELEMETRY"


@pytest.mark.parametrize("module", ["memtypes.encoders.onnx", "memtypes.stores.edge.process.server", "api.cli.main"])
def test_onnxruntime_is_loaded_without_its_telemetry(tmp_path: Path, module: str) -> None:
    """It makes no id of the device and no file of events to send, whichever of our processes loads it."""
    given = {name: value for name, value in os.environ.items() if name != SWITCH}
    environment = {**given, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = f"import {module}, sys; assert 'onnxruntime' in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
