"""Files beside a shard with some payload fields of its memories: those that contexts show.

It takes 13 microseconds to read a payload from the engine, and less than one to read stored fields.
The first request names the fields; a request for others starts the files anew. A memory's fields
are stored when it is written or first read, and removed before they change, so the files stay
correct if the process dies. A power cut may leave wrong fields, so files that were not closed are
deleted on opening.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import msgspec
import numpy as np

from memtypes.model.scope import Scope
from memtypes.stores.edge.sidecar.array_files import RaggedFile
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.files import sync_directory
from memtypes.stores.operations.conditions import SCOPE_FIELDS, in_scope
from memtypes.stores.operations.vector_engine import Payload

_COMPLETE = "closed.json"
"""Name of the file that marks the others as complete. It has the names of the fields."""

_FORMER = "passages"
"""Name of the directory in which earlier versions kept rendered texts."""


class _Row(NamedTuple):
    """What the files have of a memory. owner: the fields of SCOPE_FIELDS. fields: MessagePack."""

    id: str
    owner: dict[str, Any]
    fields: bytes


_rows = msgspec.msgpack.Decoder(list[_Row])


class FieldFile(RaggedFile):
    """Files with the payload fields `names` of one shard's memories, by slot (point number)."""

    name = "fields"
    row: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)
    names: tuple[str, ...]

    @classmethod
    def beside(cls, shard: Path) -> Self:
        """Open the files in a shard's directory; empty ones if `close` did not mark them as
        complete.
        """
        shutil.rmtree(shard / _FORMER, ignore_errors=True)
        directory = shard / cls.name
        complete = directory / _COMPLETE
        names: tuple[str, ...] = ()
        if complete.exists():
            names = msgspec.json.decode(complete.read_bytes(), type=tuple[str, ...])
        else:
            shutil.rmtree(directory, ignore_errors=True)
        files = super().beside(shard)
        files.names = names
        complete.unlink(missing_ok=True)
        sync_directory(directory)
        return files

    def holds_any(self, names: Iterable[str]) -> bool:
        """Whether the files have one of these payload fields."""
        return not {*self.names, *SCOPE_FIELDS}.isdisjoint(names)

    def put(self, payloads: Mapping[int, Payload]) -> None:
        """Store the fields of memories. payloads: by slot (point number). Nothing is stored before
        the first `read`, which names the fields.
        """
        if not self.names:
            return
        rows: list[bytes] = []
        for payload in payloads.values():
            fields = {name: payload[name] for name in self.names if name in payload}
            owner = {name: payload[name] for name in SCOPE_FIELDS if name in payload}
            row = _Row(payload["id"], owner, msgspec.msgpack.encode(fields))
            rows.append(msgspec.msgpack.encode(row))
        self.set(slots_of(payloads), [np.frombuffer(row, np.uint8) for row in rows])

    def read(
        self,
        scope: Scope,
        slots: Slots,
        names: tuple[str, ...],
        payloads_of: Callable[[Slots], Mapping[int, Payload]],
    ) -> dict[str, bytes]:
        """The fields `names` of those memories at `slots` that are in the scope, as MessagePack, by
        id. Missing ones are made from `payloads_of`.
        """
        if names != self.names:
            self._restart(names)
        spans = self.spans(slots)
        missing = slots[spans[:, 1] == 0]
        if len(missing):
            self.put(payloads_of(missing))
            spans = self.spans(slots)
        content = self.content.data
        encoded = [content[start : start + length] for start, length in spans.tolist() if length]
        head = b"\xdd" + len(encoded).to_bytes(4, "big")  # of a MessagePack array
        rows = _rows.decode(b"".join([head, *encoded]))
        return {row.id: row.fields for row in rows if in_scope(scope, row.owner)}

    def copy(self, source: Self, slots: Slots, new: Slots) -> None:
        """Copy the fields of the slots (point numbers) `slots` in `source` to the slots `new` in
        these files, which start anew if they have other fields.
        """
        if source.names != self.names:
            self._restart(source.names)
        super().copy(source, slots, new)

    def close(self) -> None:
        """Close the files. Once they are on disk, mark them as complete, so that the next opening
        may use them.
        """
        super().close()
        sync_directory(self.directory)
        (self.directory / _COMPLETE).write_bytes(msgspec.json.encode(self.names))

    def _restart(self, names: tuple[str, ...]) -> None:
        super().close()
        shutil.rmtree(self.directory)
        self._open()
        self.names = names
