"""Ends the memories of rows that a file no longer has when it is imported again. Nothing is
deleted.

A row has a key that stays the same while its text changes: the headings of a section, or the id in
an export. The memory of a former text is replaced by the memory of the text that now has its key.
If a note no longer has the section, the memory is ended. An export may be incomplete, so a missing
row ends nothing. Memories that another source states, too, are left as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ingest.files.journal import ImportedFile, ImportedFiles, WrittenRow
from ingest.files.readers.rows import FileRow
from ingest.files.readers.sources import Format, SourceFile
from ingest.files.report import FormerRow
from ingest.files.sessions import PATIENCE_S
from ingest.identity.duplicates import SAME_WRITE
from ingest.writing.outcome import WriteOutcome, WriteStatus, retried
from memtypes.model.errors import NotFound, Overloaded, Unavailable
from memtypes.model.memory import PAST, State, first_line
from memtypes.model.prospective import OPEN, Status
from memtypes.model.times import Clock, rfc3339

_NOTES = (Format.MARKDOWN, Format.NOTES, Format.OBSIDIAN)
"""Formats of files that are edited by hand, so that a missing section was removed."""

_GLOBAL_IDS = (Format.MEM0, Format.ZEP, Format.LANGGRAPH)
"""Formats with ids that are the same in every export, whatever the name of its file."""

MemoryCall: TypeAlias = Callable[[str, Mapping[str, Any] | None], Awaitable[dict[str, Any]]]
"""Sets the given fields of the memory with this id (None: reads it only); returns the memory as
plain JSON.

Raises NotFound, and Overloaded or Unavailable, after which it is called again.
"""


def written_rows(
    rows: Iterable[FileRow], items: Iterable[Mapping[str, Any]], outcomes: Iterable[WriteOutcome]
) -> list[WrittenRow]:
    """The rows that have a key, or a field `id`, and were stored or merged."""
    keys = (row.fields.get("id") if row.key is None else row.key for row in rows)
    return [
        WrittenRow(
            str(key),
            write.id,
            write.status is WriteStatus.STORED or write.reason == SAME_WRITE,
            item.get("expires_at"),
        )
        for key, item, write in zip(keys, items, outcomes, strict=True)
        if isinstance(key, str | int) and write.id is not None
    ]


@dataclass(frozen=True, slots=True)
class Reimport:
    """Compares the rows of a file with those that it had when it was last imported into
    `namespace`.
    """

    namespace: str
    files: ImportedFiles
    call: MemoryCall
    clock: Clock

    async def finish(
        self, source: SourceFile, rows: Sequence[WrittenRow], *, complete: bool
    ) -> list[FormerRow]:
        """Replace or end the memories of former rows of `source`, and list its present rows.
        Returns the changes made.

        rows: all that have a key. complete: whether every row of the file was stored; otherwise no
        memory is ended.
        """
        if source.path is None:
            return []
        file = str(source.format if source.format in _GLOBAL_IDS else source.path.resolve())
        imported = self.files.files.get((self.namespace, file)) or ImportedFile(
            self.namespace, file
        )
        written = {row.id for row in rows}
        current = {
            row.id: row.key
            for row in rows
            if row.is_new or self.files.with_memory(self.namespace, row.id)
        }
        ends = {row.id: row.expires_at for row in rows if row.expires_at is not None}
        restored = written.intersection(imported.ended) - ends.keys()
        expired = (ends.keys() & imported.rows.keys()).difference(imported.ended)
        change = partial(FormerRow, source.name)
        former = [
            change(memory_id, "restored", "in the file again", {"valid_to": None})
            for memory_id in restored
        ]
        former += [
            change(key, "ended", "expired there", {"expires_at": end})
            for key, end in ends.items()
            if key in expired
        ]
        for memory_id, key, newer in _former(imported.rows, rows):
            if newer is not None:
                former.append(
                    change(memory_id, "replaced", f"by {newer}", {"superseded_by": newer})
                )
            elif complete and rows and source.format in _NOTES:
                former.append(change(memory_id, "ended", "no longer in the file"))
            else:
                current[memory_id] = key  # the next import looks at it again
        changed = [done for row in former if (done := await self._change(row, file)) is not None]
        names = [*dict.fromkeys([*imported.names, source.name])]
        ended = {
            *imported.ended,
            *(row.id for row in changed if row.change in ("replaced", "ended")),
        } - written
        self.files.add(
            ImportedFile(self.namespace, file, names, current, sorted(ended | ends.keys()))
        )
        return changed

    async def _change(self, row: FormerRow, file: str) -> FormerRow | None:
        """Change a memory as `row` says, or keep it and say why; None if nothing is to be done.
        file: of the row.
        """
        try:
            memory = await self._call(row.id)
        except NotFound:
            return None  # deleted meanwhile
        newer = row.fields.get("superseded_by")
        row = replace(row, text=first_line(memory["content"]))
        if (State(memory["state"]) in PAST) != (row.change == "restored"):
            return row if row.change != "restored" and memory["superseded_by"] == newer else None
        holders = self.files.with_memory(self.namespace, row.id)
        if row.change != "restored":
            if any(map(_exists, {holder.file for holder in holders} - {file})):
                return None
            names = {row.file, *(name for holder in holders for name in holder.names)}
            if (reason := _reason_to_keep(memory, names, newer)) is not None:
                return replace(row, change="kept", why=reason)
        began = datetime.fromisoformat(memory["valid_from"])  # by the service's clock
        await self._call(row.id, row.fields or {"valid_to": rfc3339(max(began, self.clock()))})
        if newer is not None and memory["pinned"]:
            await self._call(newer, {"pinned": True})
        return row

    async def _call(
        self, memory_id: str, changes: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        call = partial(self.call, memory_id, changes)
        return await retried(call, Overloaded, Unavailable, patience_s=PATIENCE_S)


def _exists(file: str) -> bool:
    return file in _GLOBAL_IDS or Path(file).exists()


def _former(
    imported: Mapping[str, str], rows: Sequence[WrittenRow]
) -> Iterable[tuple[str, str, str | None]]:
    """The memories of `imported` (keys by id) without a row now, each with its key and the new
    memory of that key.
    """
    written = {row.id for row in rows}
    new_ids = defaultdict[str, dict[str, None]](dict)
    for row in rows:
        if row.id not in imported:
            new_ids[row.key][row.id] = None
    for memory_id in [memory_id for memory_id in imported if memory_id not in written]:
        newer = next(iter(new_ids[imported[memory_id]]), None)
        new_ids[imported[memory_id]].pop(newer or "", None)
        yield memory_id, imported[memory_id], newer


def _reason_to_keep(memory: Mapping[str, Any], names: set[str], newer: str | None) -> str | None:
    """Reason to keep a memory whose row its file no longer has; None if it may be ended, or
    replaced by `newer`.

    names: the file's present and former names; a source with another name is another source of the
    memory.
    """
    sources = [source for source in (memory["source"], *memory["sources"]) if source is not None]
    if memory["evidence_count"] > len(sources) or any(
        source.get("file") not in names for source in sources
    ):
        return "another source says it, too"
    if memory.get("status", Status.PENDING) not in OPEN:
        return f"it is {memory['status']}"
    return "it is pinned" if newer is None and memory["pinned"] else None
