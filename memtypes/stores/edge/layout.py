"""The directory of an embedded store: its files, the version of each collection, and the embedder it was built with.

    store.json       current version of each collection, the embedder's fingerprint and dimensions
    NAME/VERSION/    the shard of a collection, and beside it slots/, terms/, tokens/ and passages/
    engine.json      the engine process: id, socket, protocol
    engine.lock      held by that process while it runs
    opening.lock     held while a process looks for an engine and starts one
    engine.log       the engine's standard output and error

Uses neither the engine nor Qdrant Edge.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from memtypes.model.errors import EmbedderMismatch, Unavailable
from memtypes.stores.files import private_directory, replace_file
from memtypes.stores.operations.schema import COLLECTIONS, VERSION, Collection, mismatch


class Alias(msgspec.Struct, frozen=True):
    """Contents of store.json: the embedder (fingerprint, dimensions), and the version of each collection's shard."""

    fingerprint: str
    dimensions: int
    current: dict[str, str]


class Holder(msgspec.Struct, frozen=True):
    """Contents of engine.json: process id, socket path and message version of the engine that serves the store."""

    pid: int
    socket: str
    protocol: int


class Layout:
    """Paths in a store's directory. Reads and writes store.json, and reads engine.json, which names the engine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.alias_path = directory / "store.json"
        self.holder_path = directory / "engine.json"
        self.engine_lock = directory / "engine.lock"
        self.opening_lock = directory / "opening.lock"
        self.log_path = directory / "engine.log"

    @classmethod
    def create(cls, path: Path) -> Layout:
        """The layout of the directory `path`. Creates it, for its owner only, if missing. Raises Unavailable."""
        return cls(private_directory(path))

    def shard_paths(self) -> Mapping[Collection, Path]:
        """Directory of each collection's current shard, from store.json. Raises Unavailable if that can't be read."""
        alias = self.existing_alias()
        return {kind: self.directory / kind / alias.current.get(kind, VERSION) for kind in COLLECTIONS}

    def read_alias(self) -> Alias | None:
        """Parse store.json (embedder, current shards); None if it is missing. Raises Unavailable if unreadable."""
        try:
            return msgspec.json.decode(self.alias_path.read_bytes(), type=Alias)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(
                f"{self.alias_path} can't be read: {error}; restore it from a copy of the data folder"
            ) from error

    def existing_alias(self) -> Alias:
        """Read store.json (embedder, current shards). Raises Unavailable if the file is missing or unreadable."""
        alias = self.read_alias()
        if alias is None:
            raise Unavailable(f"{self.alias_path} is missing")
        return alias

    def write_alias(self, alias: Alias) -> None:
        """Replace store.json, the file that names the store's embedder and current shards, atomically."""
        replace_file(self.alias_path, msgspec.json.format(msgspec.json.encode(alias)))

    def next_path(self, kind: Collection) -> Path:
        """Path for a new version of a collection's shard, such as v2/. Deletes what an unfinished rewrite left."""
        version = int(self.shard_paths()[kind].name.removeprefix("v")) + 1
        path = self.directory / kind / f"v{version}"
        shutil.rmtree(path, ignore_errors=True)
        return path

    def use_version(self, kind: Collection, path: Path) -> None:
        """Make the shard in `path` the current shard of its collection, by writing it to store.json."""
        alias = self.existing_alias()
        self.write_alias(msgspec.structs.replace(alias, current={**alias.current, kind: path.name}))

    def read_holder(self) -> Holder | None:
        """Read engine.json, which names the engine process (it may have ended); None if missing or invalid."""
        try:
            return msgspec.json.decode(self.holder_path.read_bytes(), type=Holder)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def prepare(self, fingerprint: str, dimensions: int) -> None:
        """Record the embedder of a new store. Raises EmbedderMismatch if the store has, or may have, another one."""
        alias = self.read_alias()
        if alias is None and any((self.directory / kind).exists() for kind in COLLECTIONS):
            raise EmbedderMismatch(
                f"{self.directory} holds memories, but store.json, which names their embedder, is missing. Nothing was "
                "changed. Put store.json back, or use another --data-dir."
            )
        if alias is None:
            self.write_alias(Alias(fingerprint, dimensions, {str(kind): VERSION for kind in COLLECTIONS}))
        elif (alias.fingerprint, alias.dimensions) != (fingerprint, dimensions):
            built, now = (alias.fingerprint, alias.dimensions), (fingerprint, dimensions)
            raise EmbedderMismatch(mismatch(f"the store in {self.directory}", built, now))
