"""Files beside a shard with its passages: the fields of memories that a context shows.

It takes 20 microseconds to make a passage from a payload, and less than one to read a stored
passage. A passage is stored when its memory is written or first shown, and removed before its
memory changes, so the files stay correct if the process dies. A power cut may leave wrong passages,
so files that were not closed are deleted on opening.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import msgspec
import numpy as np

from memtypes.model.scope import Scope
from memtypes.search.passage import Passage, passage_of
from memtypes.stores.edge.sidecar.array_files import RaggedFile
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.files import sync_directory
from memtypes.stores.operations.engine import Payload, memory_of

_COMPLETE = "closed-2"
"""Name of the file that marks the others as complete. It ends with a format version: raise it if
passages change.
"""


class _Entry(NamedTuple):
    tenant: str
    namespace: str
    passage: Passage


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Entry])


class PassageFile(RaggedFile):
    """Files with the passages of one shard, by slot (point number). A passage has the fields that a
    context shows.
    """

    name = "passages"
    row: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)

    @classmethod
    def beside(cls, shard: Path) -> Self:
        """Open the passage files in a shard's directory; empty ones if `close` did not mark them as
        complete.
        """
        directory = shard / cls.name
        if not (directory / _COMPLETE).exists():
            shutil.rmtree(directory, ignore_errors=True)
        passages = super().beside(shard)
        (directory / _COMPLETE).unlink(missing_ok=True)
        sync_directory(directory)
        return passages

    def put(self, payloads: Mapping[int, Payload]) -> None:
        """Make passages (the fields that a context shows) and store them. payloads: by slot (point
        number).
        """
        entries = (
            _Entry(payload["tenant"], payload["namespace"], passage_of(memory_of(payload)))
            for payload in payloads.values()
        )
        self.set(
            slots_of(payloads),
            [np.frombuffer(_ENCODER.encode(entry), np.uint8) for entry in entries],
        )

    def read(
        self, scope: Scope, slots: Slots, payloads_of: Callable[[Slots], Mapping[int, Payload]]
    ) -> list[Passage]:
        """The passages of those memories at `slots` that are in the scope. Makes missing ones from
        `payloads_of`.
        """
        spans = self.spans(slots)
        missing = slots[spans[:, 1] == 0]
        if len(missing):
            self.put(payloads_of(missing))
            spans = self.spans(slots)
        content = self.content.data
        encoded = [content[start : start + length] for start, length in spans.tolist() if length]
        head = b"\xdd" + len(encoded).to_bytes(4, "big")  # of a MessagePack array
        entries = _DECODER.decode(b"".join([head, *encoded]))
        owner = (scope.tenant, scope.namespace)
        return [entry.passage for entry in entries if entry[:2] == owner]

    def close(self) -> None:
        """Close the files. Once they are on disk, mark them as complete, so that the next opening
        may use them.
        """
        super().close()
        sync_directory(self.directory)
        (self.directory / _COMPLETE).touch()
