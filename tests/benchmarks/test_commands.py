"""The command line: every command explains itself, is written down, and, where that is quick, runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main, parser
from benchmarks.sets.loading import manifest_path
from tests.benchmarks.sets import CORPUS, QUERIES, write_set


def _commands() -> dict[str, argparse.ArgumentParser]:
    (choices,) = [action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(choices)


def test_every_command_explains_itself() -> None:
    """Each has a sentence, writes its results on demand, and says what each of its options is."""
    for name, command in _commands().items():
        assert command.description, name
        assert "--json" in command._option_string_actions, name
        assert all(action.help for action in command._actions), name
        assert command.format_help()


def test_a_default_is_told() -> None:
    """An option that has one tells it; one that has none says nothing of it."""
    latency, quality = _commands()["latency"].format_help(), _commands()["quality"].format_help()
    assert "(default: 200)" in latency
    assert "None" not in quality
    assert "False" not in quality


def test_every_command_is_written_down() -> None:
    """CONTRIBUTING's table has each command."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = [name for name in _commands() if f"| `{name}" not in text]
    assert missing == []


@pytest.mark.slow
def test_quality_runs_in_two_processes(
    tmp_path: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real run over a small set finds everything, keeps every budget, compares profiles and keeps its store."""
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    write_set(tmp_path / "sets" / "small", CORPUS, QUERIES)
    places = {"--data": "sets", "--store": "store", "--json": "found.json"}
    given = [word for option, name in places.items() for word in (option, str(tmp_path / name))]
    assert main(["quality", *given, "--workers", "2", "--against", "balanced"]) == 0
    assert "Paired comparisons" in capsys.readouterr().out
    figures = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["figures"]
    assert figures["comparisons"][0]["by_category"]["(all)"]["n"] == 3
    whole = figures["small"]["(all)"]
    assert whole["right"]["ranking"]["R@10"]["mean"] == 1.0
    assert whole["all"]["evidence_recall"]["500"]["mean"] == 1.0
    assert all(budget["violations"] == 0 for budget in whole["right"]["budgets"].values())
    assert manifest_path(tmp_path / "store", "small").is_file()
