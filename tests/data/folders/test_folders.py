"""Data folders that earlier versions of the service wrote, opened by this one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data.folders.reading import read, unpack, verified
from tests.processes import Process

pytestmark = pytest.mark.slow

FOLDERS = sorted(Path(__file__).parent.glob("*.tar.xz"))


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda path: path.name.split(".")[0])
def archive(request: pytest.FixtureRequest) -> Path:
    """A packed data folder, as the service of an earlier version left it."""
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def service(
    archive: Path, tmp_path_factory: pytest.TempPathFactory, onnx_directory: Path
) -> Iterator[Process]:
    """The service on a copy of the folder. It is started twice: the first start may convert."""
    home = tmp_path_factory.mktemp("folder")
    unpack(archive, home)
    first = Process(home, onnx_directory)
    first.wait_until_ready()
    assert first.stop() == 0
    second = Process(home, onnx_directory)
    try:
        second.wait_until_ready()
        yield second
    finally:
        assert second.stop() == 0


def test_everything_in_an_older_folder_is_found(archive: Path, service: Process) -> None:
    expected = expectation(archive)
    answers = read(service.url)
    for part in answers:
        assert answers[part] == expected[part], part


def test_receipts_in_an_older_folder_are_read(archive: Path, service: Process) -> None:
    expected = expectation(archive)["receipt"]
    assert verified(service.url, expected["id"]) == expected


def expectation(archive: Path) -> dict[str, Any]:
    """What a reader must find in the folder, as it was written beside it."""
    text = archive.with_name(archive.name.replace(".tar.xz", ".json")).read_text(encoding="utf-8")
    expected: dict[str, Any] = json.loads(text)
    return expected
