"""API calls that contain a secret in every text field or id, and import files that contain the
secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

SECRET = "ghp" + "_Zq7Xk2Lm9Pw4Rt6Yb1Nc8Vd3Hf5Jg0Ks"
SAID = f"The deploy key is {SECRET} and it is kept in the vault until the audit"

Door: TypeAlias = tuple[str, str, Any]
"""Method, path and body of a call. {ID} in a path stands for the id in the previous answer, under
any name.
"""

_OWN: dict[str, dict[str, Any]] = {
    "episodic": {"title": SAID, "context": SAID, "speaker": f"a {SECRET}"},
    "semantic": {"concept": SAID, "related": [SECRET, f"a {SECRET}"]},
    "prospective": {"title": SAID, "trigger_type": "event", "trigger_condition": SAID},
    "procedural": {
        "procedure_name": SAID,
        **{
            name: [SAID]
            for name in ("steps", "prerequisites", "success_conditions", "failure_patterns")
        },
    },
    "working": {},
}
_COMMON: dict[str, Any] = {
    "tags": [SECRET, f"x {SECRET}"],
    "source": {"caller": SECRET, "file": f"/x/{SECRET}.md"},
    "metadata": {"a": SECRET, SECRET: 1, "deep": {"list": [SECRET, {"k": SECRET}]}},
}


def doors(namespace: str) -> Iterator[Door]:
    """Requests (method, path, body) with the secret in each text field and id.

    They either store data, or could get an error that quotes their input.
    """
    yield from _memories(namespace)
    yield from _sessions(namespace)
    yield from _threads(namespace)
    yield from _workflows(namespace)
    yield from _ids(namespace)


def _ids(namespace: str) -> Iterator[Door]:
    """Calls with the secret in an id: of a session, agent, to-do, thread, workflow, step or linked
    memory.
    """
    ns = {"namespace": namespace}
    here = f"?namespace={namespace}"
    fact = {
        "type": "semantic",
        "content": "The deploy key is kept in the vault until the audit",
        **ns,
    }
    for ids in (
        {"session_id": SECRET},
        {"agent_id": f"a {SECRET}"},
        {"links": [{"to": SECRET, "type": "extends"}]},
    ):
        yield "POST", "/v1/memories", {**fact, **ids}
        yield (
            "POST",
            "/v1/memories/batch",
            {"items": [{k: v for k, v in {**fact, **ids}.items() if k not in ns}], **ns},
        )
    yield "POST", "/v1/memories", fact
    yield "PATCH", f"/v1/memories/{{ID}}{here}", {"links": [{"to": SECRET, "type": "extends"}]}
    for ids in (
        {"session_id": SECRET},
        {"session_id": "s", "todo_id": SECRET},
        {"session_id": "s", "agent_id": SECRET},
    ):
        yield "POST", "/v1/working", {"content": "kept in the vault", **ns, **ids}
        yield (
            "POST",
            "/v1/hooks/todo-created",
            {"content": "kept in the vault", "todo_id": "t", **ns, **ids},
        )
        yield "POST", "/v1/hooks/prompt-submit", {"prompt": "where is the key?", **ns, **ids}
        yield "POST", "/v1/retrieve", {"query": "where is the key?", **ns, **ids}
    todos = [{"id": SECRET, "content": "rotate the key", "status": "pending"}]
    yield (
        "POST",
        "/v1/hooks/prompt-submit",
        {"prompt": "where is the key?", "session_id": "s", "todos": todos, **ns},
    )
    yield "POST", "/v1/search", {"query": "key", "filters": {"session_id": {"any": [SECRET]}}, **ns}
    said = [{"role": "user", "content": "The key is kept in the vault until the audit."}]
    yield "POST", "/v1/hooks/session-stop", {"messages": said, "session_id": SECRET, **ns}
    for ids in ({"key": f"k:{SECRET}"}, {"parent_id": SECRET}, {"agent_id": SECRET}):
        yield "POST", "/v1/threads", {**ns, **ids}
    yield "POST", "/v1/threads", ns
    yield (
        "POST",
        f"/v1/threads/{{ID}}/turns{here}",
        {"role": "user", "content": "plain", "agent_id": SECRET},
    )
    for ids in ({"workflow_id": SECRET}, {"parent_id": SECRET}):
        yield "POST", "/v1/workflows", {**ns, **ids}
    yield "POST", "/v1/workflows", ns
    for ids in ({"step_id": SECRET}, {"step_id": "a", "agent": SECRET}):
        yield "POST", f"/v1/workflows/{{ID}}/events{here}", {"type": "step_started", **ids}
    yield (
        "POST",
        f"/v1/workflows/{{ID}}/continue{here}",
        {"input": "go on", "idempotency_key": SECRET},
    )


def _memories(namespace: str) -> Iterator[Door]:
    ns = {"namespace": namespace}
    for kind, headers in _OWN.items():
        yield (
            "POST",
            "/v1/memories",
            {"type": kind, "content": f"{SAID} {kind}", **_COMMON, **headers, **ns},
        )
        changed = {
            "content": f"{SAID} changed {kind}",
            "tags": [SECRET],
            "metadata": {SECRET: SECRET},
        }
        yield "PATCH", f"/v1/memories/{{ID}}?namespace={namespace}", changed
    yield "POST", "/v1/memories", {"content": f"Always push with {SECRET}", "review": "auto", **ns}
    for wrong in ({"importance": SECRET}, {SECRET: 1}, {"created_at": SECRET}, {"type": SECRET}):
        yield "POST", "/v1/memories", {"type": "semantic", "content": SAID, **ns, **wrong}
    items = [{"type": "semantic", "content": f"{SAID} {number}"} for number in range(3)]
    yield "POST", "/v1/memories/batch", {"items": items, **ns}
    yield "POST", "/v1/memories/batch", {"items": items, **ns}
    yield "POST", "/v1/classify", {"content": SAID, "context": SAID}
    yield "POST", "/v1/review", {"content": SAID, **ns}
    yield "POST", f"/v1/admin/jobs/{SECRET}", {}


def _sessions(namespace: str) -> Iterator[Door]:
    ns = {"namespace": namespace, "session_id": "s"}
    yield "POST", "/v1/working", {"content": SAID, "todo_id": "t", **ns}
    yield "POST", "/v1/hooks/todo-created", {"content": SAID, "todo_id": "u", **ns}
    steps = [f"step {number}: {SAID}" for number in range(7)]
    yield "POST", "/v1/hooks/todo-completed", {"todo_id": "u", "steps": steps, **ns}
    answer = (
        f"{SAID}. To deploy: 1. use {SECRET} 2. push. Remind me to rotate {SECRET} "
        f"tomorrow. My password is {SECRET}."
    )
    messages = [{"role": role, "content": answer} for role in ("user", "assistant")]
    yield "POST", "/v1/hooks/session-stop", {"messages": messages, **ns}
    yield "POST", "/v1/hooks/prompt-submit", {"prompt": f"why {SAID}?", **ns}
    request = {"query": SAID, "filters": {"metadata.a": {"ne": SECRET}}, "namespace": namespace}
    yield "POST", "/v1/search", request
    yield "POST", "/v1/retrieve", request
    yield "GET", "/v1/receipts/{ID}", None


def _threads(namespace: str) -> Iterator[Door]:
    turn = {
        "role": "user",
        "content": SAID,
        "files": [f"/x/{SECRET}.py"],
        "images": [f"/x/{SECRET}.png"],
    }
    answer = {**turn, "tool": SECRET, "model": SECRET, "metadata": {SECRET: SECRET}}
    here = f"?namespace={namespace}"
    yield (
        "POST",
        "/v1/threads",
        {"initial_context": SAID, "variables": {"user": {"x": SECRET}}, "namespace": namespace},
    )
    yield "POST", f"/v1/threads/{{ID}}/turns{here}", answer
    yield (
        "PUT",
        f"/v1/threads/{{ID}}/turns{here}",
        {"turns": [answer, {**answer, "content": f"{SAID} again"}]},
    )
    yield "POST", f"/v1/threads/{{ID}}/flush{here}", {"force": True}
    yield "POST", f"/v1/threads/{{ID}}/clear{here}", {"confirm": True, "backup": True}


def _workflows(namespace: str) -> Iterator[Door]:
    events = f"/v1/workflows/{{ID}}/events?namespace={namespace}"
    yield "POST", "/v1/workflows", {"data": {"k": SECRET, SECRET: SECRET}, "namespace": namespace}
    yield (
        "POST",
        events,
        {"type": "step_started", "step_id": "a", "agent": "b", "input": {"x": SECRET}},
    )
    yield "POST", events, {"type": "step_completed", "step_id": "a", "output": SAID}
    yield "POST", events, {"type": "resource_changed", "resources": {f"r {SECRET}": SECRET}}
    yield "POST", events, {"type": "data_set", "data": {SECRET: SAID}}
    yield "POST", events, {"type": "failed", "error": SAID}


def plant_files(folder: Path) -> None:
    """Write import files that contain the secret: exports of other programs, and invalid rows."""
    at = "2024-01-01T00:00:00Z"
    message: dict[str, Any] = {
        "author": {"role": "user", "name": SECRET},
        "create_time": 1.7e9,
        "metadata": {"x": SECRET},
    }
    message["content"] = {"content_type": "text", "parts": [SAID]}
    nodes: dict[str, Any] = {
        "b": {"id": "b", "parent": None, "children": [], "message": {"id": "m", **message}}
    }
    chat = {"uuid": "m", "sender": "human", "text": f"{SAID}, I said", "created_at": at}
    memory = {
        "id": "1",
        "memory": f"{SAID} so far",
        "user_id": "u",
        "metadata": {SECRET: SECRET},
        "created_at": at,
    }
    entity = {
        "type": "entity",
        "name": f"Box {SECRET}",
        "entityType": SECRET,
        "observations": [SAID],
    }
    files: dict[str, Any] = {
        "chatgpt.json": [
            {"title": SAID, "create_time": 1.7e9, "mapping": nodes, "current_node": "b", "id": "c"}
        ],
        "claude.json": [{"uuid": "u", "name": SAID, "created_at": at, "chat_messages": [chat]}],
        "mem0.json": {"results": [memory]},
        "memory.jsonl": entity,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "note.md").write_text(
        f"---\ntitle: {SAID}\ntags: [{SECRET}]\nown: {SECRET}\n---\n# {SECRET}\n{SAID}\n"
    )
    (folder / "rows.csv").write_text(
        f"content,metadata.a,tags\nAs noted: {SAID},{SECRET},{SECRET}\n"
    )
    refused = (
        {"content": SAID, "importance": SECRET},
        {"content": SAID, SECRET: 1},
        {"type": SECRET, "content": "x"},
    )
    (folder / "bad.jsonl").write_text("\n".join([*map(json.dumps, refused), f"{{{SECRET}"]))
