"""The directory of an embedded store: its files, the version of each collection, and the embedder
it was built with.

    store.json       current version of each collection, the embedder's fingerprint and dimensions
    NAME/VERSION/    the shard of a collection, and beside it slots/, terms/, tokens/ and fields/
    engine.lock      held while the shards are open; has the ids of the worker and of its program

Uses neither the engine nor Qdrant Edge.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from memtypes.model.errors import EmbedderMismatch, Unavailable
from memtypes.stores.files import holder_of, private_directory, replace_file
from memtypes.stores.operations.schema import COLLECTIONS, VERSION, Collection, mismatch


class StoreManifest(msgspec.Struct, frozen=True):
    """Contents of store.json: the store's embedder (fingerprint, dimensions), and each collection's
    current version.
    """

    fingerprint: str
    dimensions: int
    current: dict[str, str]


class Layout:
    """The paths in a store's directory. Reads and writes store.json."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest_path = directory / "store.json"
        self.lock_path = directory / "engine.lock"

    @classmethod
    def create(cls, path: Path) -> Layout:
        """The layout of the directory `path`, which is created if missing, for its owner only.
        Raises Unavailable.
        """
        return cls(private_directory(path))

    def shard_paths(self) -> Mapping[Collection, Path]:
        """The directory of each collection's current shard. Raises Unavailable if store.json can't
        be read.
        """
        manifest = self.require_manifest()
        return {
            kind: self.directory / kind / manifest.current.get(kind, VERSION)
            for kind in COLLECTIONS
        }

    def read_manifest(self) -> StoreManifest | None:
        """Read store.json (embedder, current shards); None if it is missing. Raises Unavailable if
        it is damaged.
        """
        try:
            return msgspec.json.decode(self.manifest_path.read_bytes(), type=StoreManifest)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(
                f"{self.manifest_path} can't be read: {error}; restore it from a copy of "
                "the data folder"
            ) from error

    def require_manifest(self) -> StoreManifest:
        """Read store.json (embedder, current shards). Raises Unavailable if it is missing or
        damaged.
        """
        manifest = self.read_manifest()
        if manifest is None:
            raise Unavailable(f"{self.manifest_path} is missing")
        return manifest

    def write_manifest(self, manifest: StoreManifest) -> None:
        """Replace store.json (embedder, current shards) atomically."""
        replace_file(self.manifest_path, msgspec.json.format(msgspec.json.encode(manifest)))

    def next_path(self, kind: Collection) -> Path:
        """The directory for a collection's next version, such as v2/. Deletes it if an unfinished
        rewrite left one.
        """
        version = int(self.shard_paths()[kind].name.removeprefix("v")) + 1
        path = self.directory / kind / f"v{version}"
        shutil.rmtree(path, ignore_errors=True)
        return path

    def use_version(self, kind: Collection, path: Path) -> None:
        """Record in store.json that the shard in `path` is the current shard of its collection."""
        manifest = self.require_manifest()
        self.write_manifest(
            msgspec.structs.replace(manifest, current={**manifest.current, kind: path.name})
        )

    def worker_pid(self) -> int:
        """The id of the worker process that has, or had last, the store open."""
        return int(holder_of(self.lock_path).split()[0])

    def holder(self) -> str:
        """The id of the program that has, or had last, the store open."""
        return holder_of(self.lock_path).split()[-1]

    def prepare(self, fingerprint: str, dimensions: int) -> None:
        """Check the store's embedder, or record it for a new store. Raises EmbedderMismatch if it
        is another one.
        """
        manifest = self.read_manifest()
        if manifest is None and any((self.directory / kind).exists() for kind in COLLECTIONS):
            raise EmbedderMismatch(
                f"{self.directory} holds memories, but store.json, which names their "
                "embedder, is missing. Nothing was "
                "changed. Put store.json back, or use another --data-dir."
            )
        if manifest is None:
            self.write_manifest(
                StoreManifest(fingerprint, dimensions, {str(kind): VERSION for kind in COLLECTIONS})
            )
        elif (manifest.fingerprint, manifest.dimensions) != (fingerprint, dimensions):
            built = (manifest.fingerprint, manifest.dimensions)
            configured = (fingerprint, dimensions)
            raise EmbedderMismatch(mismatch(f"the store in {self.directory}", built, configured))
