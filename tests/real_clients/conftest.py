"""Fixtures of the tests with real clients, which `make real-clients` runs; else they are
deselected.

REAL_CLAUDE_CODE and REAL_CODEX are the paths of the programs; tests of a client that is not named
are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.project import project_namespace
from tests.processes import Process
from tests.real_clients.clients import ClaudeCode, Codex
from tests.real_clients.stub_models import StubModel, running_model


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `real_clients`."""
    config.addinivalue_line(
        "markers", "real_clients: drives Claude Code and Codex; runs with -m real_clients only"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests with the marker `real_clients`, unless the option `-m` names it."""
    if "real_clients" in config.option.markexpr:
        return
    deselected = [item for item in items if item.get_closest_marker("real_clients")]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in deselected]


def program(variable: str) -> Path:
    """The program's path from the environment variable `variable`; if it is not set, the test is
    skipped.
    """
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"set {variable}, or run `make real-clients`")
    return Path(path)


class MemoryService(Process):
    """A running service whose memories of a project can be read."""

    def contents(self, folder: Path) -> list[str]:
        """The texts of the memories in the namespace of the project in `folder`."""
        query = {"namespace": project_namespace(str(folder)), "limit": "500"}
        answer = (
            httpx.get(f"{self.url}/v1/memories", params=query, timeout=10).raise_for_status().json()
        )
        return [memory["content"] for memory in answer["memories"]]


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, onnx_directory: Path
) -> Iterator[MemoryService]:
    """A running service."""
    started = MemoryService(tmp_path_factory.mktemp("service"), onnx_directory)
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture
def model() -> Iterator[StubModel]:
    """A model that answers "Done." to every request, unless the test sets its script."""
    with running_model(StubModel()) as model:
        yield model


@pytest.fixture
def claude_code(tmp_path: Path, model: StubModel) -> ClaudeCode:
    """Claude Code with an empty home folder."""
    client = ClaudeCode(program("REAL_CLAUDE_CODE"), tmp_path / "home", model)
    client.home.mkdir()
    client.configure()
    return client


@pytest.fixture
def codex(tmp_path: Path, model: StubModel) -> Codex:
    """Codex with a home folder that contains only the configuration of the stub model."""
    client = Codex(program("REAL_CODEX"), tmp_path / "home", model)
    client.home.mkdir()
    client.configure()
    return client
