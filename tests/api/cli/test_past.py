"""`remembrancer import`, which imports past sessions and notes of other programs, into a real
embedded store.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from api.cli.client import ApiClient
from api.cli.entry import application
from api.cli.past import write_part
from api.project import project_namespace
from ingest.conversations.sessions import SaidBefore, SessionMessage
from ingest.files.sessions import SessionPart
from ingest.writing.outcome import WriteStatus
from memtypes.platform import dies_with_parent
from tests.ingest.files.past.transcripts import NOISE, ClaudeTranscript, Rollout
from tests.processes import REPOSITORY

FACT = "The staging database is read-only on Sundays, so exports run on Mondays."


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, which is also the current folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "REMEMBRANCER_URL", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def call(home: Path, *arguments: str) -> Result:
    """Run `remembrancer import ARGUMENTS` on the store in `home`."""
    return CliRunner().invoke(
        application("import"), ["import", *arguments, "--data-dir", str(home / "data")]
    )


def as_json(home: Path, *arguments: str) -> dict[str, Any]:
    """Run `remembrancer import ARGUMENTS --json` on the store in `home` and return the parsed
    output.
    """
    done = call(home, *arguments, "--json")
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def old(root: Path) -> None:
    """Date all files below `root` back by a minute, so that the importer takes the last message in
    each as complete.
    """
    for path in root.rglob("*"):
        os.utime(path, (time.time() - 60,) * 2)


def transcripts(home: Path) -> str:
    """Write a Claude Code transcript and a Codex session file in one project; return the project's
    namespace.
    """
    folder = str(home / "shop")
    talk = ClaudeTranscript("s1", folder)
    talk.user(FACT)
    talk.assistant(
        "I move the exports of the staging database to Mondays, because it is read-only on Sundays."
    )
    talk.noise()
    talk.write(home / ".claude")
    rollout = Rollout("c1", folder)
    rollout.turn(
        "We decided to deploy on Thursdays from now on.", "Noted: deploys are on Thursdays."
    )
    rollout.write(home / ".codex")
    old(home)
    return project_namespace(folder)


def test_a_dry_run_lists_what_would_be_imported_and_opens_no_store(home: Path) -> None:
    """A dry run lists the sessions, messages and dates to import for each namespace, and creates no
    store.

    It also counts the messages that the import would leave out, such as those of subagents.
    """
    namespace = transcripts(home)
    plan = as_json(home, "claude-code", "--dry-run")
    assert plan["namespaces"][namespace] == {
        "sessions": 1,
        "messages": 2,
        "new": 2,
        "first": "2026-03-02T09:00:07+00:00",
        "last": "2026-03-02T09:00:21+00:00",
    }
    assert plan["left_out"]["messages of subagents"] == 3
    shown = call(home, "claude-code", "--dry-run").stdout
    assert ("2026-03-02" in shown, "left out: 3 messages of subagents" in shown) == (True, True)
    assert not (home / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("codex",),
            "there is nothing of codex to import in {home}/.codex/sessions; name a file or folder",
        ),
        (("codex", "no/such"), "there is no file or folder no/such"),
        (("mem0",), "mem0 has no usual place; name the file that it was exported to"),
        (("obsidian", "--watch"), "--watch follows claude-code and codex, not obsidian"),
    ],
)
def test_a_bad_argument_is_explained_in_one_line(
    home: Path, arguments: tuple[str, ...], message: str
) -> None:
    """For an invalid argument the command prints one line with the reason and exits with code 2."""
    done = call(home, *arguments)
    assert done.exit_code == 2
    assert message.format(home=home) in done.stderr


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("codex", "sessions, as .jsonl files"),
        ("chatgpt", "the conversations.json or ZIP file of an export"),
        ("markdown", "notes, as .md files"),
    ],
)
def test_a_path_without_matching_files_is_explained(home: Path, source: str, expected: str) -> None:
    """If a path has nothing to import, the message names the path and the kind of files that were
    expected there.
    """
    (home / "empty").mkdir()
    done = call(home, source, "empty")
    assert done.exit_code == 2
    assert f"empty has nothing of {source} to import; expected {expected}" in done.stderr


def test_dumps_and_chats_of_no_project_need_a_namespace(home: Path) -> None:
    """Memory dumps and chat exports belong to no project, so an import leaves them out and exits
    with code 1.

    With --project or --namespace they are imported.
    """
    dump = home / "mem0.json"
    dump.write_text('{"results": [{"id": "1", "memory": "Ann likes tea."}]}')
    done = call(home, "mem0", str(dump))
    assert (done.exit_code, "left out: 1 files of no project; name a namespace" in done.stdout) == (
        1,
        True,
    )
    project = home / "shop"
    plan = as_json(home, "mem0", str(dump), "--project", str(project), "--dry-run")
    assert plan["namespaces"] == {
        project_namespace(str(project)): {"files": 1, "rows": 1, "types": {"semantic": 1}}
    }
    chat = home / "conversations.json"
    message = {"uuid": "m", "sender": "human", "text": FACT, "created_at": "2026-03-01T10:00:00Z"}
    chat.write_text(json.dumps([{"uuid": "k", "name": "x", "chat_messages": [message]}]))
    done = call(home, "claude", str(chat))
    assert (
        done.exit_code,
        "left out: 1 messages of no project; name a namespace" in done.stdout,
    ) == (1, True)


def test_an_import_fails_at_once_if_no_service_answers(home: Path) -> None:
    transcripts(home)
    done = call(home, "claude-code", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "http://127.0.0.1:1 cannot be reached" in done.stderr


def _answer_of(body: Any) -> bytes:
    """The bytes of an HTTP response with status 200 and `body` as JSON."""
    content = json.dumps(body).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        f"{len(content)}\r\n\r\n"
    )
    return head.encode() + content


@pytest.mark.slow
def test_ctrl_c_ends_an_import_with_its_summary(home: Path) -> None:
    """After Ctrl-C the import prints a summary that says how to continue, and exits with code 1."""
    transcripts(home)
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = f"{heeding}; from api.cli.entry import main; main()"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arguments = [sys.executable, "-c", command, "import", "claude-code", "--yes", "--url", url]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with subprocess.Popen(
            dies_with_parent(arguments), env=environment, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(65536).startswith(b"GET /v1/stats")
                connection.sendall(_answer_of({"total": {"count": 0}}))
                assert connection.recv(1)  # the request with messages, which is never answered
                child.send_signal(signal.SIGINT)
                output = child.stdout.read()
    assert "stopped before the end; run the command again to continue" in output
    assert child.returncode == 1


@pytest.mark.slow
def test_sessions_are_imported_into_the_namespace_of_their_project(
    home: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages of users and agents in a project's sessions are imported into the project's
    namespace.

    Tool output and other content is not stored. A second import sends no message again.
    """
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    namespace = transcripts(home)
    report = as_json(home, "claude-code")
    assert (report["sent"], report["namespaces"]) == (2, {namespace: 2})
    assert sum(report["types"].values()) >= report["counts"]["stored"] >= 1
    again = call(home, "claude-code")
    assert (again.exit_code, "imported before  2" in again.stdout) == (0, True)
    assert as_json(home, "codex", "--project", str(home / "shop"))["sent"] == 2
    hits = CliRunner().invoke(
        application("search"),
        ["search", "staging exports", "-n", namespace, "--data-dir", str(home / "data"), "--json"],
    )
    assert FACT in hits.stdout
    assert NOISE not in hits.stdout


@pytest.mark.slow
def test_notes_are_imported_into_the_namespaces_of_their_projects(
    home: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Obsidian notes and instructions such as CLAUDE.md are imported into the namespaces of their
    projects.

    A memory dump of another program is imported into the namespace in --namespace.
    """
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    vault = home / "vault"
    claude = home / ".claude"
    for path, text in {
        vault / "Locks.md": "We use [[Advisory locks|advisory locks]] since March. #db\n",
        vault / ".trash" / "Old.md": NOISE,
        home
        / "CLAUDE.md": "# Deploying\n\nRun the migrations first.\n\n# Testing\n\nRun make test.\n",
        claude / "projects" / "-shop" / "memory" / "MEMORY.md": "Ann prefers short answers.\n",
        claude / "projects" / "-shop" / "s.jsonl": json.dumps({"cwd": "/home/ann/shop"}) + "\n",
        claude / "CLAUDE.md": "Be brief.\n",
        home / ".config" / "obsidian" / "obsidian.json": json.dumps(
            {"vaults": {"a": {"path": str(vault)}}}
        ),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    plan = as_json(home, "markdown", "--dry-run")
    assert {name: counts["types"] for name, counts in plan["namespaces"].items()} == {
        project_namespace(str(home)): {"procedural": 2},
        project_namespace("/home/ann/shop"): {"semantic": 1},
    }
    assert plan["left_out"] == {
        "files of no project; name a namespace for them with --namespace": 1
    }
    only = as_json(home, "markdown", "--dry-run", "--project", str(home))["namespaces"]
    assert list(only) == [project_namespace(str(home))]
    notes = as_json(home, "markdown")["imports"]
    assert [counts["types"] for counts in notes] == [{"procedural": 2}, {"semantic": 1}]
    (imported,) = as_json(home, "obsidian")["imports"]
    assert (imported["namespace"], imported["types"]) == (
        project_namespace(str(vault)),
        {"semantic": 1},
    )
    items = home / "store.jsonl"
    items.write_text(
        '{"namespace": ["ann"], "key": "k", "value": {"text": "Ann likes green tea."}}\n'
    )
    (dumped,) = as_json(home, "langgraph", str(items), "--namespace", "ann")["imports"]
    assert (dumped["namespace"], dumped["counts"]["stored"], sum(dumped["types"].values())) == (
        "ann",
        1,
        1,
    )


@pytest.mark.anyio
async def test_session_parts_are_sent_over_http_with_the_earlier_messages(
    client: httpx.AsyncClient,
) -> None:
    """A later part of a session is sent with the number and the last texts of the messages before
    it.

    Only the new messages are stored. Their turn numbers continue after the earlier messages.
    """
    before = SaidBefore(
        count=9, messages=[SessionMessage(role="user", content="When is staging read-only?")]
    )
    part = SessionPart("n", "s", (SessionMessage(role="assistant", content=FACT),), before)
    (outcome,) = await write_part(ApiClient(client), part)
    assert (outcome.status, len(outcome.ids), len(outcome.types)) == (WriteStatus.STORED, 1, 1)
    memory = (await client.get(f"/v1/memories/{outcome.ids[0]}", params={"namespace": "n"})).json()
    assert (memory["session_id"], memory["source"]["turns"]) == ("s", [9])
