"""The directory of an embedded store: its files, the current version of each type, and the embedder it was built with.

    store.json       current version of each type, the embedder's fingerprint and dimensions
    TYPE/VERSION/    one shard of the engine, with the sidecar's slots/, terms/ and tokens/
    engine.json      the engine process: id, socket, protocol
    engine.lock      held by that process while it runs
    opening.lock     held while a process looks for an engine and starts one
    engine.log       the engine's standard output and error

Knows no engine and no vendor library.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from memtypes.model.errors import EmbedderMismatch, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.stores.files import private_directory, replace_file
from memtypes.stores.operations.schema import VERSION, mismatch


class Alias(msgspec.Struct, frozen=True):
    """The current version of each type, and the embedder of all of them."""

    fingerprint: str
    dimensions: int
    current: dict[MemoryType, str]


class Holder(msgspec.Struct, frozen=True):
    """The engine process that serves a store."""

    pid: int
    socket: str
    protocol: int


class Layout:
    """The files in a store's directory, which the module's docstring lists."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.alias_path = directory / "store.json"
        self.holder_path = directory / "engine.json"
        self.engine_lock = directory / "engine.lock"
        self.opening_lock = directory / "opening.lock"
        self.log_path = directory / "engine.log"

    @classmethod
    def create(cls, path: Path) -> Layout:
        """The layout of `path`, created for its owner alone where it does not exist. Raises Unavailable."""
        return cls(private_directory(path))

    def shard_paths(self) -> Mapping[MemoryType, Path]:
        """The directory of the current version of each type."""
        alias = self.existing_alias()
        return {kind: self.directory / kind / version for kind, version in alias.current.items()}

    def read_alias(self) -> Alias | None:
        """Version of each type and the embedder; None for a new store. Raises Unavailable when it can't be read."""
        try:
            return msgspec.json.decode(self.alias_path.read_bytes(), type=Alias)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(f"{self.alias_path} can't be read: {error}") from error

    def existing_alias(self) -> Alias:
        """The alias of an existing store. Raises Unavailable."""
        alias = self.read_alias()
        if alias is None:
            raise Unavailable(f"{self.alias_path} is missing")
        return alias

    def write_alias(self, alias: Alias) -> None:
        """Replace the alias atomically."""
        replace_file(self.alias_path, msgspec.json.format(msgspec.json.encode(alias)))

    def next_path(self, kind: MemoryType) -> Path:
        """Where the next version of a type goes, without what an unfinished one left there."""
        path = self.directory / kind / _next_version(self.existing_alias().current[kind])
        shutil.rmtree(path, ignore_errors=True)
        return path

    def use_version(self, kind: MemoryType, path: Path) -> None:
        """Make the version in `path` the current one of its type."""
        alias = self.existing_alias()
        self.write_alias(msgspec.structs.replace(alias, current={**alias.current, kind: path.name}))

    def read_holder(self) -> Holder | None:
        """The latest engine process, running or not."""
        try:
            return msgspec.json.decode(self.holder_path.read_bytes(), type=Holder)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def prepare(self, fingerprint: str, dimensions: int) -> None:
        """Create the alias of a new store, or check that of an existing one. Raises EmbedderMismatch; deletes nothing.

        The caller holds the opening lock.
        """
        alias = self.read_alias()
        if alias is None and any((self.directory / kind).exists() for kind in MemoryType):
            raise EmbedderMismatch(
                f"{self.directory} holds memories, but store.json, which names their embedder, is missing. Nothing was "
                "changed. Put store.json back, or use another --data-dir."
            )
        if alias is None:
            self.write_alias(Alias(fingerprint, dimensions, dict.fromkeys(MemoryType, VERSION)))
        elif (alias.fingerprint, alias.dimensions) != (fingerprint, dimensions):
            built, now = (alias.fingerprint, alias.dimensions), (fingerprint, dimensions)
            raise EmbedderMismatch(mismatch(f"the store in {self.directory}", built, now))


def _next_version(version: str) -> str:
    """The name of the version after `version`."""
    return f"v{int(version.removeprefix('v')) + 1}"
