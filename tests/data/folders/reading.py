"""What a reader must find in a data folder: all that HTTP calls show of namespace `shop`."""

from __future__ import annotations

import re
import tarfile
import time
from pathlib import Path
from typing import Any

import httpx

NAMESPACE = "shop"
SESSION = "chat-1"
TIMEOUT_S = 30.0

_MEMORY_FIELDS = (
    "id",
    "type",
    "content",
    "state",
    "superseded_by",
    "links",
    "importance",
    "tags",
    "metadata",
    "created_at",
    "valid_from",
    "valid_to",
    "session_id",
)
_TYPE_FIELDS = ("status", "due_at", "steps", "concept", "title")
_SOURCE_FIELDS = ("thread_id", "turns", "file", "line", "caller")
_QUERY = "Where is the staging server, and what is left to do for the shop?"
_MILLISECONDS = re.compile(rb"\b1[78]\d{11}\b")


def read(url: str) -> dict[str, Any]:
    """Everything that the folder of the service at `url` holds: memories, live items, and so on."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        return {
            "memories": _memories(client),
            "searched": _searched(client),
            "histories": _histories(client),
            "working": _working(client),
            "threads": _threads(client),
            "workflows": _workflows(client),
            "items": _items(client),
        }


def verified(url: str, receipt: str) -> dict[str, Any]:
    """The receipt as it was recorded, and whether it is valid or only of an older format."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        recorded = _got(client, f"/v1/receipts/{receipt}")
        checks = client.post(f"/v1/receipts/{receipt}/verify").raise_for_status().json()
    # Of a receipt whose format has changed only the hash can be verified, and the answer says so.
    failed = [check["detail"] for check in checks["checks"] if not check["ok"]]
    is_older = len(failed) == 1 and "made by an earlier version" in failed[0]
    return {
        "id": recorded["id"],
        "query": recorded["request"]["query"],
        "included": [
            item["id"] for item in recorded["candidates"] if item["outcome"] == "included"
        ],
        "valid": checks["valid"] or is_older,
    }


def retrieve(url: str) -> dict[str, Any]:
    """A retrieval's answer, whose receipt is recorded."""
    body = {"namespace": NAMESPACE, "query": _QUERY, "session_id": SESSION, "budget": 400}
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        answer: dict[str, Any] = client.post("/v1/retrieve", json=body).raise_for_status().json()
    return answer


def unpack(archive: Path, home: Path) -> None:
    """Unpack a data folder to `home`/data, with the times of its live state moved to today.

    Live state ends hours or days after its last use, so that nothing of it would be left. The log
    of the live store has these times as milliseconds of thirteen digits, before and after.
    """
    with tarfile.open(archive) as packed:
        packed.extractall(home, filter="data")
    for log in (home / "data" / "live" / "appendonlydir").glob("*.incr.aof"):
        log.write_bytes(_moved_to_today(log.read_bytes()))


def _moved_to_today(commands: bytes) -> bytes:
    """The commands with all their times moved, so that the earliest is now."""
    times = [int(time_ms) for time_ms in _MILLISECONDS.findall(commands)]
    by_ms = round(time.time() * 1000) - min(times)
    return _MILLISECONDS.sub(lambda time_ms: b"%d" % (int(time_ms[0]) + by_ms), commands)


def _memories(client: httpx.Client) -> list[dict[str, Any]]:
    """Memories that last, by id; live working items may have a copy among them or not."""
    listed = []
    for state in ("current", "contested", "replaced"):
        query = {"namespace": NAMESPACE, "state": state, "limit": 500, "session_id": SESSION}
        for scope in (query, {**query, "session_id": ""}):
            parameters = {name: value for name, value in scope.items() if value}
            listed += _got(client, "/v1/memories", **parameters)["memories"]
    by_id = {memory["id"]: memory for memory in listed if memory["expires_at"] is None}
    fields = (*_MEMORY_FIELDS, *_TYPE_FIELDS)
    memories = []
    for memory in (by_id[key] for key in sorted(by_id)):
        source = memory["source"] and {name: memory["source"][name] for name in _SOURCE_FIELDS}
        memories.append({name: memory[name] for name in fields if name in memory})
        memories[-1]["source"] = source
    return memories


def _searched(client: httpx.Client) -> list[str]:
    """Ids of the memories that a search with vectors and words finds, whatever their order."""
    body = {"namespace": NAMESPACE, "query": _QUERY, "top_k": 100, "session_id": SESSION}
    answer = client.post("/v1/search", json=body).raise_for_status().json()
    return sorted(hit["id"] for hit in answer["hits"] if hit["memory"]["expires_at"] is None)


def _histories(client: httpx.Client) -> dict[str, list[str]]:
    """The texts that each memory with several versions had, oldest first."""
    histories = {}
    for memory in _memories(client):
        answer = _got(client, f"/v1/memories/{memory['id']}/history", namespace=NAMESPACE)
        texts = [version["memory"]["content"] for version in answer["versions"]]
        if len(texts) > 1:
            histories[memory["id"]] = texts
    return histories


def _working(client: httpx.Client) -> list[dict[str, Any]]:
    items = _got(client, "/v1/working", namespace=NAMESPACE, session_id=SESSION)["items"]
    return [{name: item[name] for name in ("id", "content", "todo_id")} for item in items]


def _threads(client: httpx.Client) -> list[dict[str, Any]]:
    threads = []
    for thread in _got(client, "/v1/threads", namespace=NAMESPACE)["threads"]:
        key = thread.get("id") or thread["thread_id"]
        turns = _got(client, f"/v1/threads/{key}", namespace=NAMESPACE)["turns"]
        said = [(turn["index"], turn["role"], turn["content"]) for turn in turns]
        threads.append({"id": key, "turns": [list(turn) for turn in said]})
    return threads


def _workflows(client: httpx.Client) -> list[dict[str, Any]]:
    workflows = []
    for listed in _got(client, "/v1/workflows", namespace=NAMESPACE)["workflows"]:
        key = listed["workflow_id"]
        workflow = _got(client, f"/v1/workflows/{key}", namespace=NAMESPACE)
        state = {name: workflow["state"][name] for name in ("status", "resources", "data")}
        workflows.append({"id": key, "version": workflow["version"], **state})
    return workflows


def _items(client: httpx.Client) -> list[dict[str, Any]]:
    body = {"namespace": NAMESPACE, "prefix": [], "query": "what does Ann drink?", "limit": 50}
    answer = client.post("/v1/items/search", json=body).raise_for_status().json()
    fields = ("path", "key", "value", "created_at")
    return [{name: item[name] for name in fields} for item in answer["items"]]


def _got(client: httpx.Client, path: str, **parameters: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(path, params=parameters).raise_for_status().json()
    return answer
