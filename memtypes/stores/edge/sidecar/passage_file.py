"""Files beside a shard with its passages: the fields of memories that a context shows.

Making a passage from a payload takes 20 microseconds, reading a stored one less than one. A passage is stored when its
memory is written or first shown, and removed before its memory changes, so the files stay correct if the process dies.
After a power cut they may be wrong, so without the mark of a clean closing they are deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from memtypes.model.scope import Scope
from memtypes.search.passage import Passage, passage_of
from memtypes.stores.edge.sidecar.array_files import RaggedFile
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.files import sync_directory
from memtypes.stores.operations.engine import Payload, memory_of
from memtypes.stores.operations.messages import decode, encode

_CLOSED = "closed-2"
"""Name of the file that marks the others as closed. It ends with a format version: raise it if passages change."""


class _Entry(NamedTuple):
    tenant: str
    namespace: str
    passage: Passage


class PassageFile(RaggedFile):
    """Files with the passages of one shard, by slot (point number). A passage has the fields that a context shows."""

    name = "passages"
    row: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)

    @classmethod
    def beside(cls, shard: Path) -> Self:
        """Open the passage files in a shard's directory. Files that `close` did not mark as complete are replaced."""
        directory = shard / cls.name
        if not (directory / _CLOSED).exists():
            shutil.rmtree(directory, ignore_errors=True)
        passages = super().beside(shard)
        (directory / _CLOSED).unlink(missing_ok=True)
        sync_directory(directory)
        return passages

    def put(self, payloads: Mapping[int, Payload]) -> None:
        """Store passages (the fields that a context shows). payloads: of the memories, by slot (point number)."""
        entries = (_Entry(each["tenant"], each["namespace"], passage_of(memory_of(each))) for each in payloads.values())
        self.set(slots_of(payloads), [np.frombuffer(encode(entry), np.uint8) for entry in entries])

    def read(self, scope: Scope, slots: Slots, payloads_of: Callable[[Slots], Mapping[int, Payload]]) -> list[Passage]:
        """The passages of the memories in the scope, in the order of `slots`. Missing ones are made and stored."""
        places = self.places_of(slots)
        missing = slots[places[:, 1] == 0]
        if len(missing):
            self.put(payloads_of(missing))
            places = self.places_of(slots)
        content = self.content.data
        parts = [content[start : start + length] for start, length in places.tolist() if length]
        array = b"\xdd" + len(parts).to_bytes(4, "big")  # the head of a MessagePack array
        entries: list[_Entry] = decode(b"".join([array, *parts]), list[_Entry])
        bounds = (scope.tenant, scope.namespace)
        return [entry.passage for entry in entries if entry[:2] == bounds]

    def close(self) -> None:
        """Close the files. Once they are on disk, mark them as complete, so that the next opening may use them."""
        super().close()
        sync_directory(self.directory)
        (self.directory / _CLOSED).touch()
