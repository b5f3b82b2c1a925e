"""Options and fixtures of the soak tests, which kill processes under load and check that no
acknowledged write is lost.

`pytest tests/soak -m soak` runs them in minutes, with `--full` in about an hour. Without `-m soak`
they are deselected.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from api.settings import Settings
from benchmarks.harness.stores import settings_in
from tests.soak.service import Sizes


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--full`, which runs the soak tests with the sizes of the published
    results.
    """
    parser.addoption("--full", action="store_true", help="run the soak tests at full size")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `soak`."""
    config.addinivalue_line("markers", "soak: kills processes for minutes; runs with -m soak only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests with the marker `soak`, unless the option `-m` names it."""
    if "soak" in config.option.markexpr:
        return
    deselected = [item for item in items if item.get_closest_marker("soak")]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in deselected]


@pytest.fixture
def sizes(request: pytest.FixtureRequest) -> Sizes:
    """The sizes of the soak tests: full with `--full`, otherwise reduced."""
    return Sizes(full=bool(request.config.getoption("--full", default=False)))


@pytest.fixture
def settings(tmp_path: Path, onnx_directory: Path) -> Settings:
    """Service settings with an empty data folder and the prepared encoder."""
    return settings_in(tmp_path).model_copy(update={"encoder_dir": onnx_directory})
