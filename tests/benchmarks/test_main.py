"""The command line of the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import COMMANDS, main, parser
from benchmarks.sets.loading import manifest_path
from tests.benchmarks.small_set import CORPUS, QUERIES, write_set

INDEX = Path(__file__).parents[2] / "benchmarks" / "README.md"


def test_there_are_nine_commands_at_most() -> None:
    assert len(COMMANDS) <= 9


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_a_help_text_and_a_row_in_the_readme(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command's help has a description and the option --json, and benchmarks/README.md has a row
    for it.
    """
    with pytest.raises(SystemExit):
        parser().parse_args([command, "--help"])
    assert "--json FILE" in capsys.readouterr().out
    assert f"| `{command}" in INDEX.read_text(encoding="utf-8")


def test_an_error_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data folder without sets gives exit code 1 and one line on standard error."""
    assert main(["quality", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"benchmarks: no folder in {tmp_path}")


@pytest.mark.slow
def test_quality_evaluates_a_set_and_keeps_its_store(
    tmp_path: Path,
    onnx_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It compares ranking profiles too.

    All evidence is found, and no context exceeds its budget.
    """
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    write_set(tmp_path / "sets" / "small", CORPUS, QUERIES)
    paths = {"--data": "sets", "--store": "store", "--json": "result.json"}
    words = [word for option, name in paths.items() for word in (option, str(tmp_path / name))]
    assert main(["quality", *words, "--against", "balanced", "--pooled"]) == 0
    assert "Paired comparisons" in capsys.readouterr().out
    figures = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["figures"]
    assert [comparison["kind"] for comparison in figures["comparisons"]] == ["profile", "pooled"]
    assert figures["comparisons"][0]["by_category"]["(all)"]["n"] == 3
    all_questions = figures["small"]["(all)"]
    assert all_questions["own"]["ranking"]["R@10"]["mean"] == 1.0
    assert all_questions["all"]["evidence_recall"]["500"]["mean"] == 1.0
    assert all(budget["violations"] == 0 for budget in all_questions["own"]["budgets"].values())
    assert manifest_path(tmp_path / "store", "small").is_file()
