"""Benchmarks of growth, many callers and replays, at tiny sizes: each runs, keeps its stores and tells its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main

pytestmark = pytest.mark.slow


@pytest.fixture
def figures(tmp_path: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command on stores that are kept, and gives its figures."""
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))

    def run(*words: str) -> Any:
        result = tmp_path / "result.json"
        assert main([*words, "--store", str(tmp_path / "kept"), "--json", str(result)]) == 0
        return json.loads(result.read_text(encoding="utf-8"))["figures"]

    return run


def test_sizes_are_compared(figures: Any) -> None:
    """Both stores are filled and asked; what it took on the disk and in memory is told."""
    sizes = ("--small", "20", "--large", "60")
    found = figures("scale", *sizes, "--namespaces", "2", "--queries", "4", "--settle", "0")
    assert found["ratios"]["p95"] > 0
    assert found["ratios"]["first"]["p95"] > 0
    assert found["ms"]["60"]["met for the first time: candidates"]["p50"] > 0
    assert found["sizes"]["60"]["disk_gb"] > 0
    assert found["sizes"]["60"]["engine_mb"] > 1


def test_an_unchanged_store_is_replayed(figures: Any) -> None:
    """Every receipt gives the same bytes again, and nothing fared otherwise; a kept store is not filled again."""
    small = ("replay", "--size", "60", "--namespaces", "3", "--queries", "6")
    for _ in range(2):
        found = figures(*small)
        assert (found["receipts"], found["identical"], found["unchanged"]) == (6, 6, 6)


def test_clients_are_compared_with_tasks(figures: Any) -> None:
    """As many clients over HTTP as tasks in this process, each side in each round."""
    found = figures(
        "throughput", "--size", "40", "--namespaces", "2", "--queries", "6", "--clients", "2", "--rounds", "1"
    )
    assert len(found["ratios"]) == 1
    assert min(found["ratios"]) > 0
