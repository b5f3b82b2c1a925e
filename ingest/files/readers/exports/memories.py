"""Memories of other programs: mem0's get_all as JSON, and the MCP memory server's graph as JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO

from ingest.files.readers.exports.walk import as_metadata, converted, row
from ingest.files.readers.jsonl import read_jsonl
from ingest.files.readers.rows import BadLine, RawItem, Reading


def read_mem0(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A fact for each memory; its metadata, its id and what else it has are kept as metadata."""
    return converted(stream, file, ("results", "memories"), _mem0)


def _mem0(memory: dict[str, Any], file: str, line: int) -> Iterator[Reading]:
    text = memory["memory"] if "memory" in memory else memory["data"]["memory"]
    given = memory.get("metadata") or {}
    extra = {name: memory[name] for name in ("id", "user_id") if memory.get(name)}
    fields = {
        "type": "semantic",
        "content": text,
        "created_at": _instant(memory.get("created_at") or memory.get("updated_at")),
        "session_id": memory.get("run_id"),
        "agent_id": memory.get("agent_id"),
        "tags": [str(one) for one in memory.get("categories") or []],
        "metadata": as_metadata(given) | {f"mem0_{name}": value for name, value in extra.items()},
    }
    yield row(file, line, fields)


def _instant(time: str | None) -> str | None:
    """RFC 3339; a time without an offset is UTC."""
    if time is None:
        return None
    read = datetime.fromisoformat(time)
    return read.isoformat() if read.tzinfo else f"{read.isoformat()}Z"


def read_mcp(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A fact for each observation of each entity ("Ann: likes tea"), and one for each relation."""
    for reading in read_jsonl(stream, file):
        if isinstance(reading, BadLine):
            yield reading
            continue
        try:
            yield from _graph(reading)
        except (KeyError, TypeError, AttributeError) as error:
            yield BadLine(file, reading.line, f"is no entity and no relation: {type(error).__name__} {error}")


def _graph(line: RawItem) -> Iterator[Reading]:
    record = line.fields
    if record["type"] == "entity":
        name, kind = str(record["name"]), str(record.get("entityType") or "")
        texts = [f"{name}: {observation}" for observation in record.get("observations") or []]
        for place, text in enumerate(texts or [f"{name} is a {kind}" if kind else name]):
            yield _fact(line, text, name, {"entity_type": kind, "observation": place})
    elif record["type"] == "relation":
        words = (record["from"], str(record["relationType"]).replace("_", " "), record["to"])
        yield _fact(line, " ".join(map(str, words)), str(record["from"]), {"related_to": str(record["to"])})
    else:
        yield BadLine(line.file, line.line, f"is of type {record['type']!r:.50}; known are entity and relation")


def _fact(line: RawItem, text: str, concept: str, metadata: dict[str, Any]) -> Reading:
    kept = {name: value for name, value in metadata.items() if value != ""}
    # Several facts come from one line, so the line alone does not say which.
    source = {"thread_id": f"{line.file}:{line.line}"[-256:], "turns": [metadata.get("observation", 0)], "line": None}
    fields = {"type": "semantic", "content": text, "concept": concept[:500], "metadata": kept, "source": source}
    return row(line.file, line.line, fields)
