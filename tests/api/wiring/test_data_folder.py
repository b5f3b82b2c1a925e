"""The version of a data folder: conversions of older folders, and newer folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from api.settings import BadSettings, Settings
from api.wiring.data_folder import Conversion, DataFolder
from api.wiring.resources import Resources
from api.wiring.services import open_services

pytestmark = pytest.mark.anyio

NO_RESOURCES = cast("Resources", None)
"""The conversions of these tests convert nothing."""


class Steps:
    """Two conversions that record that they ran; the second one fails as long as `fails` is set."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails = False
        self.both = (
            Conversion("the first change", self._first),
            Conversion("the second change", self._second),
        )

    async def _first(self, _: Resources) -> None:
        self.ran.append("first")

    async def _second(self, _: Resources) -> None:
        if self.fails:
            raise OSError
        self.ran.append("second")


@pytest.fixture
def steps() -> Steps:
    """Two conversions, of which none has run."""
    return Steps()


def older(path: Path) -> Settings:
    """Settings whose data folder was written before folders had a version."""
    (path / "memories").mkdir()
    return Settings(data_dir=path)


async def opened(settings: Settings, conversions: Sequence[Conversion]) -> None:
    """Open the folder as the service does."""
    folder = DataFolder(settings, conversions)
    await folder.convert(NO_RESOURCES, folder.version())


async def test_a_folder_without_a_version_is_converted_once(tmp_path: Path, steps: Steps) -> None:
    settings = older(tmp_path)
    await opened(settings, steps.both)
    await opened(settings, steps.both)
    assert steps.ran == ["first", "second"]
    assert DataFolder(settings, steps.both).version() == 3


async def test_a_folder_gets_only_the_conversions_that_it_lacks(
    tmp_path: Path, steps: Steps
) -> None:
    settings = older(tmp_path)
    await opened(settings, steps.both[:1])
    await opened(settings, steps.both)
    assert steps.ran == ["first", "second"]


async def test_an_interrupted_conversion_is_run_again(tmp_path: Path, steps: Steps) -> None:
    settings = older(tmp_path)
    steps.fails = True
    with pytest.raises(OSError):  # noqa: PT011 - has no text
        await opened(settings, steps.both)
    steps.fails = False
    await opened(settings, steps.both)
    assert steps.ran == ["first", "second"]


async def test_a_new_folder_has_nothing_to_convert(tmp_path: Path, steps: Steps) -> None:
    folder = DataFolder(Settings(data_dir=tmp_path), steps.both)
    version = folder.version()
    (tmp_path / "memories").mkdir()  # as the store does that is opened now
    await folder.convert(NO_RESOURCES, version)
    assert steps.ran == []
    assert folder.version() == 3


async def test_what_servers_hold_is_converted_though_the_folder_is_new(
    tmp_path: Path, steps: Steps
) -> None:
    await opened(Settings(data_dir=tmp_path, redis_url="redis://redis:6379"), steps.both)
    assert steps.ran == ["first", "second"]


async def test_a_folder_that_a_newer_program_wrote_is_refused(tmp_path: Path) -> None:
    settings = older(tmp_path)
    newest = DataFolder(settings).newest
    (tmp_path / "version").write_text(f"{newest + 1}\n")
    with pytest.raises(BadSettings, match=rf"has version {newest + 1}.* up to {newest}: a newer"):
        async with open_services(settings):
            pytest.fail("it was opened")
    assert not (tmp_path / "encoder").exists()


async def test_a_damaged_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("two")
    with pytest.raises(BadSettings, match=r"version can't be read: .*restore it from a copy"):
        DataFolder(Settings(data_dir=tmp_path)).version()
