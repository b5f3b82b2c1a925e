"""An import that is killed half-way and run again: a real process, its journal, and the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.imports import ImportsRequest, measure_imports

pytestmark = pytest.mark.slow


def test_nothing_is_lost_or_doubled(onnx_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, then again with the engine if it has not ended: it resumes, keeps each row once, its counts add up."""
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    figures = measure_imports(ImportsRequest("imports", count=1_040, kills=2)).figures
    assert figures["kills"] >= 1
    assert figures["resumed"] >= 256
    assert {figures[name] for name in ("counts_that_do_not_add_up", "lost", "doubled")} == {0}
    assert figures["kept"] == figures["stored"] + figures["merged"] == 1_040
