"""Writes a data folder with some of everything: `python -m tests.data.folders.write NAME`.

NAME.tar.xz is then the folder as the service of this checkout left it, without the encoder, and
NAME.json is what a reader must find in it. Write one whenever the format of a folder changes, and
keep the earlier ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tests.data.folders.reading import NAMESPACE, SESSION, TIMEOUT_S, read, retrieve, verified
from tests.processes import Process

HERE = Path(__file__).parent
LEFT_OUT = ("encoder", "api.log")

FACTS = (
    {"type": "semantic", "content": "The staging server of the shop is in Frankfurt"},
    {"type": "semantic", "content": "The staging server of the shop is now in Helsinki"},
    {"type": "semantic", "content": "Ann's favourite tea is Assam", "tags": ["tea"]},
    {
        "type": "semantic",
        "content": "Deploys of the shop need two approvals",
        "importance": 8,
        "tags": ["deploy"],
        "metadata": {"team": "payments", "tickets": 3},
        "source": "wiki",
    },
    {"type": "semantic", "content": "Straße, 東京 and \U0001f375: texts of any script come back"},
    {
        "type": "episodic",
        "content": "The nightly import held one advisory lock for 47 seconds.",
        "created_at": "2026-10-27T03:10:00Z",
        "event_type": "error",
    },
    {
        "type": "prospective",
        "content": "Renew the TLS certificate of the shop",
        "due_at": "2099-01-31T09:00:00Z",
    },
    {"type": "prospective", "content": "Move the images of the shop to the new bucket"},
    {
        "type": "procedural",
        "content": "To deploy the shop: run the migrations, then start the new version.",
        "procedure_name": "Deploying the shop",
        "steps": ["run the migrations", "start the new version"],
    },
    {
        "type": "working",
        "content": "The tests of the checkout are failing on the branch",
        "session_id": SESSION,
    },
)
MESSAGES = (
    ("user", "We decided to keep the stock counter in Postgres, because Redis lost two writes."),
    ("assistant", "Understood: the stock counter stays in Postgres."),
    ("user", "Can you remind me to call the roofer next week?"),
)


def main(name: str) -> None:
    """Write `name`.tar.xz and `name`.json beside this module."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        service = Process(home, Path(".remembrancer/encoder").resolve())
        service.wait_until_ready()
        _fill(service.url)
        receipt = retrieve(service.url)["receipt_id"]
        time.sleep(2)  # the receipt is recorded, and live items are copied, after the answer
        expected = read(service.url) | {"receipt": verified(service.url, receipt)}
        assert service.stop() == 0
        _pack(home / "data", HERE / f"{name}.tar.xz")
    text = json.dumps(expected, indent=1, ensure_ascii=False)
    (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _fill(url: str) -> None:
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        _memories(client)
        _live_state(client)
        tea = {"text": "Ann drinks green tea", "cups": 3, "big": 2**70}
        item = {"namespace": NAMESPACE, "path": ["users", "ann"], "key": "tea", "value": tea}
        client.put("/v1/items", json=item).raise_for_status()
        client.put("/v1/items", json={**item, "key": "none", "value": None}).raise_for_status()


def _memories(client: httpx.Client) -> None:
    ids = [_post(client, "/v1/memories", **fact)["id"] for fact in FACTS]
    older, newer, tea, approvals, *_, moved, _, _ = ids
    replaced = {"superseded_by": newer}
    parameters = {"namespace": NAMESPACE}
    client.patch(f"/v1/memories/{older}", params=parameters, json=replaced).raise_for_status()
    contest = {"type": "semantic", "content": "Ann's favourite tea is Darjeeling"}
    links = [{"to": tea, "type": "contradicts", "strength": 0.9}]
    _post(client, "/v1/memories", **contest, links=links)
    _post(client, f"/v1/memories/{moved}/complete?namespace={NAMESPACE}")
    edited = {"content": "Deploys of the shop need three approvals", "pinned": True}
    client.patch(f"/v1/memories/{approvals}", params=parameters, json=edited).raise_for_status()
    messages = [{"role": role, "content": content} for role, content in MESSAGES]
    _post(client, "/v1/hooks/session-stop", session_id=SESSION, messages=messages, review="skip")


def _live_state(client: httpx.Client) -> None:
    for content in ("Look at the failing test of the checkout first", "Ask Ben about the bucket"):
        _post(client, "/v1/working", session_id=SESSION, content=content, ttl_s=86_400)
    to_do = {"todo_id": "todo-1", "content": "Fix the checkout"}
    _post(client, "/v1/hooks/todo-created", session_id=SESSION, **to_do)
    thread = _post(client, "/v1/threads", key="support-1")
    key = thread.get("id") or thread["thread_id"]
    for role, content in MESSAGES:
        turn = {"role": role, "content": content}
        path = f"/v1/threads/{key}/turns"
        client.post(path, params={"namespace": NAMESPACE}, json=turn).raise_for_status()
    workflow = _post(client, "/v1/workflows", workflow_id="release-7", data={"version": "7"})
    path = f"/v1/workflows/{workflow['workflow_id']}/events?namespace={NAMESPACE}"
    events: tuple[dict[str, Any], ...] = (
        {"type": "started"},
        {"type": "step_started", "step_id": "migrate", "agent": "builder"},
        {"type": "resource_changed", "resources": {"db": "migrated"}},
    )
    for event in events:
        client.post(path, json=event).raise_for_status()


def _post(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    space = {} if "?" in path else {"namespace": NAMESPACE}
    answer = client.post(path, json={**space, **body})
    assert answer.is_success, answer.text
    read: dict[str, Any] = answer.json()
    return read


def _pack(folder: Path, archive: Path) -> None:
    """Pack with GNU tar: files of the engine are 1 GB with holes, and tarfile would fill these."""
    left_out = [f"--exclude=data/{name}" for name in LEFT_OUT]
    owner = ("--owner=0", "--group=0", "--numeric-owner", "--sort=name")
    command = ["tar", "--sparse", "--xz", *left_out, *owner, "-cf", str(archive), folder.name]
    subprocess.run(command, cwd=folder.parent, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
