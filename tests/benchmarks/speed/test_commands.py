"""The commands of the speed benchmarks at tiny sizes: they run, keep their stores and write their
results.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from benchmarks.__main__ import main
from benchmarks.speed import latency, throughput
from benchmarks.speed.ingest import Rates

slow = pytest.mark.slow

Run: TypeAlias = Callable[[str], Any]


@pytest.fixture
def figures(tmp_path: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs a benchmark's command line and returns `figures`, the measured values in
    its JSON report.
    """
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    monkeypatch.setattr(latency, "_WARM_UP", 2)
    monkeypatch.setattr(throughput, "_BATCH", 10)

    def run(line: str) -> Any:
        result = tmp_path / "result.json"
        assert main([*line.format(store=tmp_path / "kept").split(), "--json", str(result)]) == 0
        return json.loads(result.read_text(encoding="utf-8"))["figures"]

    return run


@slow
def test_scale_compares_two_sizes(figures: Run) -> None:
    """The benchmark `scale` fills stores of two sizes, queries them, and measures their disk and
    memory use.
    """
    result = figures(
        "scale --small 20 --large 60 --namespaces 2 --queries 4 --settle-s 0 --store {store}"
    )
    assert result["ratios"]["warm"]["p95"] > 0
    assert result["ratios"]["cold"]["p95"] > 0
    assert result["ms"]["60"]["cold: candidates"]["p50"] > 0
    assert result["stores"]["60"]["disk_gb"] > 0
    assert result["stores"]["60"]["engine_mb"] > 1


@slow
def test_trace_counts_what_one_call_runs(figures: Run) -> None:
    """A write needs more calls of the engine than a retrieval, and both need at least one."""
    result = figures("trace --warm-up 1")
    write = result["a plain write"]
    retrieval = result["a retrieval"]
    assert write["engine calls"] > retrieval["engine calls"] > 0
    assert "write 1" in write["by name"]
    assert retrieval["functions"] > retrieval["files"] > 20


@slow
def test_throughput_compares_clients_with_tasks(figures: Run) -> None:
    """The command `throughput` has, for each round, the ratio of HTTP clients' speed to that of
    in-process tasks.
    """
    result = figures(
        "throughput --size 40 --namespaces 2 --queries 6 --clients 2 --rounds 1 --store {store}"
    )
    assert len(result["ratios"]) == 1
    assert min(result["ratios"]) > 0
    for calls in (
        "HTTP while a batch is written",
        "turns appended over HTTP",
        "workflow events over HTTP",
    ):
        assert result["ms"][calls]["p99"] > 0


@slow
def test_latency_is_compared_with_the_bare_engine(figures: Run) -> None:
    """The command `latency` measures percentiles of retrievals and writes, and ratios to the
    engine's plain queries.
    """
    result = figures(
        "latency --sizes 40 --namespaces 2 --queries 4 --writes 3 --scenes 1 --settle-s 0 "
        "--store {store}"
    )["40"]
    assert result["ratios"][f"{latency.PLAIN} / {latency.ENGINE_IDS}"]["p50"] > 0
    assert set(result["added"]) == {"late interaction", "a receipt"}
    timed = ("HTTP write", "HTTP append to a thread", latency.TOLD, latency.CAPTURED)
    assert all(result["ms"][name]["p50"] > 0 for name in timed)


@slow
def test_sidecar_measures_the_engine_without_each_index_and_cache(figures: Run) -> None:
    """The benchmark `sidecar` reports a median time for all indexes and caches, and for all but one
    of them.
    """
    result = figures("sidecar --sizes 40 --namespaces 2 --queries 4")["40"]
    assert len(result) == 6
    assert min(result.values()) > 0


@slow
def test_ingest_compares_the_pipeline_with_the_encoder(figures: Run) -> None:
    """The command `ingest` has, for each round, the ratio of the pipeline's speed to that of the
    encoder alone.
    """
    assert len(figures("ingest --count 20 --rounds 2 --screened")["ratios"]) == 2


def test_ratios_compare_rates_of_the_same_round() -> None:
    """The rate of the ingest pipeline is divided by the rate of the encoder alone, measured in the
    same round.
    """
    assert Rates(encoder=[100.0, 50.0], pipeline=[90.0, 50.0]).ratios() == [0.9, 1.0]
