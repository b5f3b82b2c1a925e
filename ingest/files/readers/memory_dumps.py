"""Read exports of other memory services and stores: each memory, fact or item becomes a row.

As JSON or JSON Lines: the answer of mem0's get_all, and Zep's facts (edges of its graph) and
episodes. As JSON Lines only: the items of a LangGraph store, and the graph of the MCP memory
server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from ingest.files.readers.json_files import Exported, export_reader
from ingest.files.readers.rows import BadLine, FileRow, as_metadata
from memtypes.model.memory import MAX_LABEL

_TEXT_NAMES = ("content", "text", "memory", "fact", "data", "value")
_SPEAKERS = frozenset(("user", "assistant"))


@export_reader("results", "memories")
def read_mem0(line: FileRow) -> Iterator[Exported]:
    """One fact per memory of a mem0 export; the memory's own id and its user id become metadata."""
    memory = line.fields
    ids = {f"mem0_{name}": memory[name] for name in ("id", "user_id") if memory.get(name)}
    yield {
        "key": ids.get("mem0_id"),
        "type": "semantic",
        "content": memory["memory"] if "memory" in memory else memory["data"]["memory"],
        "created_at": _as_utc(memory.get("created_at") or memory.get("updated_at")),
        "session_id": memory.get("run_id"),
        "agent_id": memory.get("agent_id"),
        "tags": [str(category) for category in memory.get("categories") or []],
        "metadata": as_metadata(memory.get("metadata") or {}) | ids,
    }


@export_reader("edges", "facts", "episodes", "results")
def read_zep(line: FileRow) -> Iterator[Exported]:
    """One event per episode of a Zep graph, or one fact per edge, with the expiry at which the edge
    became invalid.
    """
    record = line.fields
    names = ("uuid", "name", "source_description", "role_name", "source")
    metadata = {
        f"zep_{name}": record[name]
        for name in names
        if isinstance(record.get(name), str) and record[name]
    }
    created = _as_utc(record.get("created_at"))
    key = metadata.get("zep_uuid")
    if "fact" in record:
        ended = _as_utc(record.get("invalid_at") or record.get("expired_at"))
        began = _as_utc(record.get("valid_at")) or created
        if ended and (
            began is None or datetime.fromisoformat(began) >= datetime.fromisoformat(ended)
        ):
            # It must begin before it ends
            began = (datetime.fromisoformat(ended) - timedelta(seconds=1)).isoformat()
        fact = {"key": key, "type": "semantic", "content": record["fact"], "metadata": metadata}
        yield {**fact, "created_at": began, "expires_at": ended}
        return
    role = record.get("role") if record.get("role") in _SPEAKERS else None
    yield {
        "key": key,
        "type": "episodic",
        "content": record["content"],
        "session_id": record.get("thread_uuid") or record.get("session_id"),
        "speaker": role or record.get("role_name"),
        "created_at": _as_utc(record.get("reference_time")) or created,
        "metadata": metadata,
        "review": "auto",
    }


@export_reader()
def read_langgraph(line: FileRow) -> Iterator[Exported]:
    """One memory per item (line) of a LangGraph store; the item's namespace path and key become
    metadata.
    """
    item = line.fields
    path = [str(label) for label in item["namespace"]]
    text = value = item["value"]
    for _ in range(3):  # a text may be some levels down, in fields such as `content`
        if isinstance(text, dict):
            text = next((text[name] for name in _TEXT_NAMES if text.get(name)), None)
    yield {
        "key": json.dumps([path, item["key"]]),
        "content": text if isinstance(text, str) else json.dumps(value, ensure_ascii=False),
        "created_at": _as_utc(item.get("created_at")),
        "metadata": {"langgraph_path": path, "langgraph_key": str(item["key"])},
    }


def _as_utc(time: str | None) -> str | None:
    """The ISO time `time` as RFC 3339; without an offset it is taken as UTC. None for year 1, which
    means no time.
    """
    parsed = None if time is None else datetime.fromisoformat(time)
    if parsed is None or parsed.year == 1:
        return None
    return parsed.isoformat() if parsed.tzinfo else f"{parsed.isoformat()}Z"


@export_reader()
def read_mcp(line: FileRow) -> Iterator[Exported]:
    """One fact per observation of an entity ("Ann: likes tea") and per relation in the MCP memory
    server's graph.
    """
    record = line.fields
    if record["type"] == "entity":
        name = str(record["name"])
        kind = str(record.get("entityType") or "")
        texts = [f"{name}: {observation}" for observation in record.get("observations") or []]
        for number, text in enumerate(texts or [f"{name} is a {kind}" if kind else name]):
            yield _mcp_fact(line, text, name, {"entity_type": kind, "observation": number})
    elif record["type"] == "relation":
        words = (record["from"], str(record["relationType"]).replace("_", " "), record["to"])
        yield _mcp_fact(
            line, " ".join(map(str, words)), str(record["from"]), {"related_to": str(record["to"])}
        )
    else:
        yield BadLine(
            line.file,
            line.line,
            f"has the type {record['type']!r:.50}; known are entity and relation",
        )


def _mcp_fact(line: FileRow, text: str, concept: str, metadata: dict[str, Any]) -> dict[str, Any]:
    # Several facts come from one line, so the line alone does not identify the source.
    source = {
        "thread_id": f"{line.file}:{line.line}"[-256:],
        "turns": [metadata.get("observation", 0)],
        "line": None,
    }
    return {
        "type": "semantic",
        "content": text,
        "concept": concept[:MAX_LABEL],
        "metadata": {name: value for name, value in metadata.items() if value != ""},
        "source": source,
    }
