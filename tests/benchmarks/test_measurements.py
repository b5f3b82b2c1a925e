"""Made-up texts, ingestion's rates, latency's report and the processes' bookkeeping."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import main, parser
from benchmarks.apparatus.processes import Service, free_port, holders, rss_mb, status_mb
from benchmarks.apparatus.synthetic import questions, turns
from benchmarks.faults.durability import DurabilityRequest, kills
from benchmarks.speed.ingestion import Rates
from benchmarks.speed.latency_report import ADDED, RATIOS, latency_report
from benchmarks.speed.samples import Samples, Stages


@given(st.integers(0, 50), st.integers(0, 1_000))
def test_made_up_texts_repeat_and_differ(count: int, seed: int) -> None:
    """The same seed gives the same texts, no two of them alike."""
    made = list(turns(count, seed=seed))
    assert made == list(turns(count, seed=seed))
    assert len({turn.text for turn in made}) == count
    assert len(set(questions(count, seed=seed))) == count


def test_made_up_texts_are_as_long_as_turns() -> None:
    """They have a few dozen words on average, as a conversation's turns do."""
    lengths = [len(turn.text.split()) for turn in turns(300, seed=1)]
    assert min(lengths) >= 8
    assert max(lengths) <= 61
    assert 25 < sum(lengths) / len(lengths) < 45


def test_ratios_are_taken_round_by_round() -> None:
    """A round's ratio compares what was measured next to each other."""
    assert Rates(encoder=[100.0, 50.0], pipeline=[90.0, 50.0]).ratios() == [0.9, 1.0]


def test_samples_are_kept_only_while_recording() -> None:
    """What is measured while warming up is not counted."""
    samples = Samples()
    samples.add("retrieve", 5.0)
    samples.recording = True
    samples.add("retrieve", 7.0)
    assert samples.ms == {"retrieve": [7.0]}


def test_stages_are_those_of_the_last_retrieval() -> None:
    """Each retrieval replaces what the one before reported."""
    stages = Stages()
    stages.note({"embed": 3.0})
    stages.note({"embed": 4.0})
    assert stages.last == {"embed": 4.0}


def test_latency_compares_like_percentiles() -> None:
    """Each ratio is a percentile over the same percentile of the floor, and all samples are told."""
    names = {name for pair in (*RATIOS.values(), *ADDED.values()) for name in pair}
    samples = {name: [float(n) for n in range(1, 101)] for name in names}
    samples["retrieve"] = [2.0 * n for n in range(1, 101)]
    report = latency_report("c", {1_000: samples}, 50)
    found = report.figures["1000"]
    assert found["ratios"]["retrieve / floor"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0}
    low, high = found["added_p95_within"]["late interaction"]
    assert low <= found["added_ms"]["late interaction"]["p95"] <= high
    assert found["added_ms"]["a receipt"] == {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    assert found["ms"]["retrieve"] == {"p50": 100.0, "p95": 190.0, "p99": 198.0}
    assert len(report.tables[0].rows) == len(samples)


def test_a_process_is_found_by_the_store_that_it_names(tmp_path: Path) -> None:
    """The store's keepers are those whose command line names it, and only they; memory is read from the system."""
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        child.stdout.readline()
        assert holders(tmp_path, besides={os.getpid()}) == [child.pid]
        assert holders(tmp_path, besides={os.getpid(), child.pid}) == []
        assert 1.0 < rss_mb(child.pid) < 500.0
        assert 0.0 < status_mb(child.pid, "RssAnon") < rss_mb(child.pid)
        Service(child, "", tmp_path, 0.0).kill([child.pid])
        assert child.returncode == -9
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(timeout=10)
    assert rss_mb(child.pid) == 0.0


def test_a_kill_comes_after_some_hundred_acknowledged_writes() -> None:
    """At a moment of its own in each round, and the same ones for the same seed."""
    planned = kills(DurabilityRequest("", rounds=9, least=300))
    assert planned == kills(DurabilityRequest("", rounds=9, least=300))
    assert all(kill.after >= 300 for kill in planned)
    assert len({(kill.after, kill.later_s) for kill in planned}) == 9


def test_ports_are_free_ones() -> None:
    """A free port is above the reserved ones."""
    assert 1_024 < free_port() < 65_536


def test_every_command_has_a_json_option() -> None:
    """Each command takes --json FILE and knows what to measure."""
    for command in ("latency", "ingest", "interference", "startup", "durability"):
        given_ = parser().parse_args([command, "--json", "out.json"])
        assert given_.json == Path("out.json")
        assert callable(given_.measure)
    given_ = parser().parse_args(["quality", "--data", "d", "--sets", "a", "b", "--limit-queries", "5"])
    assert (given_.data, given_.sets, given_.limit_queries) == (Path("d"), ["a", "b"], 5)


def test_nonsense_on_the_command_line_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A number out of range is a usage error."""
    with pytest.raises(SystemExit):
        parser().parse_args(["latency", "--queries", "0"])
    assert "needs a whole number from 1 on" in capsys.readouterr().err


def test_an_error_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What can't be measured is told on one line with exit code 1."""
    assert main(["quality", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"benchmarks: no folder in {tmp_path}")
