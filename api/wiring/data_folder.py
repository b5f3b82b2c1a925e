"""The version of a data folder, and the conversions that bring an older folder up to date.

A folder has the version of its format in the file `version`. A folder without it is of
version 1. A conversion is run once, when the service has opened its stores and serves nothing yet.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.settings import BadSettings, Settings
from api.wiring.resources import Resources
from ingest.working.copies import remove_live_copies
from memtypes.model.errors import Unavailable
from memtypes.model.times import system_clock
from memtypes.stores.files import replace_file
from memtypes.stores.redis.working import RedisWorking

FIRST = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Conversion:
    """One change of the format. does: what is changed, for the log. run: converts what the opened
    stores hold.

    It may be cut off at any point, and is then run again.
    """

    does: str
    run: Callable[[Resources], Awaitable[None]]


async def _one_home_of_live_items(resources: Resources) -> None:
    items = RedisWorking(resources.live)
    try:
        removed = await remove_live_copies(items, resources.store, system_clock())
    except Unavailable as error:
        # A service starts without its Redis server. A copy is written over when its item ends.
        _log.warning("copies of live working items stay until the items end: %s", error)
    else:
        _log.info("%d copies of live working items were removed", removed)


CONVERSIONS: tuple[Conversion, ...] = (
    Conversion("the memory store has no copies of live working items", _one_home_of_live_items),
)
"""All changes of the format, oldest first. A folder of version 1 lacks all of them, and one of
version 2 all but the first.
"""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The data folder of the settings, and the conversions that this program knows."""

    settings: Settings
    conversions: Sequence[Conversion] = CONVERSIONS

    @property
    def newest(self) -> int:
        """The version that this program writes."""
        return FIRST + len(self.conversions)

    def version(self) -> int:
        """The version of the folder; the newest for an empty one, which has nothing to convert.

        Call it before the stores are opened, which fills an empty folder. Raises BadSettings if a
        newer program wrote the folder, or if the file is damaged.
        """
        try:
            version = int(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return FIRST if self._has_data() else self.newest
        except (OSError, ValueError) as error:
            raise BadSettings(
                f"{self._path} can't be read: {error}; restore it from a copy of the data folder"
            ) from error
        if version > self.newest:
            raise BadSettings(
                f"the data folder {self.settings.data_dir} has version {version}, and this program "
                f"reads versions up to {self.newest}: a newer Remembrancer wrote it. Nothing was "
                "changed. Install the newer one, or choose another --data-dir"
            )
        return version

    async def convert(self, resources: Resources, version: int) -> None:
        """Run the conversions that a folder of `version` lacks, and record each of them."""
        for conversion in self.conversions[version - FIRST :]:
            _log.info("converting %s: %s", self.settings.data_dir, conversion.does)
            await conversion.run(resources)
            version += 1
            self._record(version)
        if not self._path.exists():
            self._record(version)

    @property
    def _path(self) -> Path:
        return self.settings.data_dir / "version"

    def _has_data(self) -> bool:
        settings = self.settings
        # What a server holds may be older than the folder of this machine.
        on_servers = settings.qdrant_url is not None or settings.redis_url is not None
        return on_servers or settings.store_path.exists() or settings.live_path.exists()

    def _record(self, version: int) -> None:
        replace_file(self._path, b"%d\n" % version)
