"""A service whose models file becomes invalid while it runs, and `doctor` on such a file."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api.cli.entry import application
from tests.processes import Process

pytestmark = pytest.mark.slow

MODELS = "models: [{provider: house, names: [house-one], window: 10000, categories: [code_review]}]"


def doctor(*arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
    """The exit code of `remembrancer doctor` and its checks."""
    done = CliRunner().invoke(application("doctor"), ["doctor", *arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)["checks"]


def test_an_invalid_models_file_is_told_and_the_last_valid_one_stays_in_use(
    tmp_path: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of the file fails in readiness and `doctor`, and a metric tells it; the service
    stays ready. A new service would not start with the file, and `doctor` names the fault.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "models.yaml"
    path.write_text(MODELS)
    service = Process(tmp_path, onnx_directory, models=str(path))
    try:
        service.wait_until_ready()

        def told() -> tuple[int, dict[str, object], bool]:
            ready = httpx.get(f"{service.url}/health/ready", timeout=10)
            metrics = httpx.get(f"{service.url}/metrics", timeout=10).text
            invalid = 'remembrancer_config_invalid{file="models"} 1.0' in metrics
            return ready.status_code, ready.json()["checks"]["models"], invalid

        status, check, invalid = told()
        assert (status, check.get("detail"), invalid) == (200, None, False)

        path.write_text(MODELS.replace("10000", "tall"))
        status, check, invalid = told()
        assert (status, check["ok"], invalid) == (200, False, True)
        assert "models.0.window" in str(check["detail"])
        exit_code, checks = doctor("--url", service.url)
        assert (exit_code, checks["models"]["ok"]) == (1, False)
        assert "models.0.window" in str(checks["models"]["detail"])
        task = {"task": "code_review"}
        best = httpx.post(f"{service.url}/v1/models/resolve", json=task, timeout=10).json()
        assert best["model"]["context_window"] == 10_000

        path.write_text(MODELS.replace("10000", "11000"))
        status, check, invalid = told()
        assert (status, check.get("detail"), invalid) == (200, None, False)
    finally:
        service.stop()

    path.write_text(MODELS.replace("10000", "tall"))
    monkeypatch.setenv("REMEMBRANCER_MODELS", str(path))
    monkeypatch.setenv("REMEMBRANCER_DATA_DIR", str(tmp_path / "data"))
    exit_code, checks = doctor("--port", "0")
    assert (exit_code, checks["models"]["ok"]) == (1, False)
    assert "models.0.window" in str(checks["models"]["detail"])
