"""The directory of an embedded store: what lies where, which version is current, and with what it was built.

    store.json       current version of each type, the embedder's fingerprint and dimensions; replaced as a whole
    TYPE/VERSION/    one shard of the engine, with the sidecar's slots/, terms/ and tokens/
    engine.json      who serves it now: process id, socket, protocol
    engine.lock      held by that process for as long as it lives
    opening.lock     held while someone looks whether there is an engine, and starts one
    engine.log       what the engine wrote to its standard output and error

Knows no engine and no vendor library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from memtypes.model.errors import EmbedderMismatch, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.stores.files import private_directory, replace_file, socket_in
from memtypes.stores.operations.schema import VERSION, mismatch


class Alias(msgspec.Struct, frozen=True):
    """Which version of each type is current, and with what they were built."""

    fingerprint: str
    dimensions: int
    current: dict[MemoryType, str]


class Holder(msgspec.Struct, frozen=True):
    """The engine that serves a store."""

    pid: int
    socket: str
    protocol: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The places in one store's directory."""

    directory: Path

    @property
    def alias_path(self) -> Path:
        """Where the alias is."""
        return self.directory / "store.json"

    @property
    def holder_path(self) -> Path:
        """Where the engine names itself."""
        return self.directory / "engine.json"

    @property
    def engine_lock(self) -> Path:
        """What the engine holds while it lives."""
        return self.directory / "engine.lock"

    @property
    def opening_lock(self) -> Path:
        """What an opener holds while it looks for an engine and starts one."""
        return self.directory / "opening.lock"

    @property
    def log_path(self) -> Path:
        """Where the engine's output goes."""
        return self.directory / "engine.log"

    def shard_paths(self) -> Mapping[MemoryType, Path]:
        """The current version's directory of each type."""
        alias = self.existing_alias()
        return {kind: self.directory / kind / version for kind, version in alias.current.items()}

    def read_alias(self) -> Alias | None:
        """The alias, or None for a new store. Raises Unavailable when it can't be read."""
        try:
            return msgspec.json.decode(self.alias_path.read_bytes(), type=Alias)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(f"{self.alias_path} can't be read: {error}") from error

    def existing_alias(self) -> Alias:
        """The alias of a store that is there. Raises Unavailable."""
        alias = self.read_alias()
        if alias is None:
            raise Unavailable(f"{self.alias_path} is missing")
        return alias

    def write_alias(self, alias: Alias) -> None:
        """Put `alias` in the place of the one before, as a whole."""
        replace_file(self.alias_path, msgspec.json.format(msgspec.json.encode(alias)))

    def read_holder(self) -> Holder | None:
        """The engine that named itself last, alive or not."""
        try:
            return msgspec.json.decode(self.holder_path.read_bytes(), type=Holder)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def prepare(self, fingerprint: str, dimensions: int) -> None:
        """Make a new store's directory and alias, or check an existing one's. Raises EmbedderMismatch; drops nothing.

        Call it with the opening lock held.
        """
        alias = self.read_alias()
        if alias is None and any((self.directory / kind).exists() for kind in MemoryType):
            raise EmbedderMismatch(
                f"{self.directory} holds memories, but store.json, which names their embedder, is missing. Nothing was "
                "changed. Put store.json back, or use another --data-dir."
            )
        if alias is None:
            fresh = Alias(fingerprint, dimensions, dict.fromkeys(MemoryType, VERSION))
            self.write_alias(fresh)
        elif (alias.fingerprint, alias.dimensions) != (fingerprint, dimensions):
            kept, given = (alias.fingerprint, alias.dimensions), (fingerprint, dimensions)
            raise EmbedderMismatch(mismatch(f"the store in {self.directory}", kept, given))

    def socket_path(self) -> Path:
        """Where to listen: in the directory, or, where that path is too long, in an owner-only place for sockets."""
        return socket_in(self.directory, "engine.sock")


def make_directory(path: Path) -> Layout:
    """The layout of `path`, made for its owner alone where it does not exist. Raises Unavailable."""
    return Layout(private_directory(path))


def next_version(version: str) -> str:
    """The name of the version after `version`."""
    return f"v{int(version.removeprefix('v')) + 1}"
