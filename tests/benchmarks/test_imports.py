"""An import that is killed half-way and run again: a real process, its journal, and the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.imports import ImportsRequest, measure_imports

pytestmark = pytest.mark.slow


def test_nothing_is_lost_or_doubled(onnx_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kills, the second with the engine: it resumes, keeps each row once, and its counts add up."""
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    figures = measure_imports(ImportsRequest("imports", count=1_040, kills=2)).figures
    assert figures["kills"] == 2
    assert figures["resumed"] >= 256
    assert {figures[name] for name in ("counts_that_do_not_add_up", "lost", "doubled")} == {0}
    assert figures["kept"] == figures["stored"] + figures["merged"] == 1_040
