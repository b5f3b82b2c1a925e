"""`remembrancer doctor`, which checks an installation, on configured AI clients and a real
service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli.entry import application
from api.cli.install.clients import ClientName
from api.project import project_namespace
from tests.api.cli.install.test_commands import call
from tests.processes import Process

pytestmark = pytest.mark.slow

KEY = "k" * 32


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, onnx_directory: Path) -> Iterator[Process]:
    """A running service process that requires a key."""
    folder = tmp_path_factory.mktemp("service")
    keys = folder / "keys.json"
    keys.write_text(json.dumps([{"key": KEY, "tenant": "default", "role": "writer"}]))
    started = Process(folder, onnx_directory, "--keys", str(keys))
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder, which is the current folder. The home folder is a second empty
    folder.
    """
    for name in (
        "CLAUDE_CONFIG_DIR",
        "CODEX_HOME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "REMEMBRANCER_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def checks(service: Process) -> dict[str, Any]:
    """The results of `remembrancer doctor --url ... --key ...` by the name of the check."""
    done = CliRunner().invoke(
        application("doctor"), ["doctor", "--url", service.url, "--key", KEY, "--json"]
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["ok"] == all(check["ok"] for check in answer["checks"].values())
    assert done.exit_code == (0 if answer["ok"] else 1)
    return {name: (check["ok"], check.get("detail")) for name, check in answer["checks"].items()}


def test_the_report_lists_the_parts_of_each_client_that_work(
    service: Process, project: Path
) -> None:
    """`doctor` lists the settings, hooks and MCP server of every client, and the namespace of the
    current folder.
    """
    for client in ClientName:
        assert call("install", client, "--url", service.url, "--key", KEY).exit_code == 0
    results = checks(service)
    assert results["namespace here"] == (True, project_namespace(str(project)))
    for name in ("claude-code", "codex", "vscode"):
        assert results[name] == (True, f"hooks and MCP answer on {service.url}")
    assert results["cursor"] == (True, f"MCP answers on {service.url}")


@pytest.mark.usefixtures("project")
def test_install_says_that_the_service_refuses_the_key(service: Process) -> None:
    """`install` warns if the service requires an API key and gets none, or if it does not know the
    given key.
    """
    install = ("install", "claude-code", "--url", service.url)
    assert "The service needs a key, so nothing is remembered" in call(*install).output
    assert "The service does not know this key" in call(*install, "--key", "unknown-key").output
    assert "so nothing is remembered" not in call(*install, "--key", KEY).output


def test_doctor_says_what_to_do_about_each_fault(
    service: Process, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each fault of an installed client, such as Claude Code, `doctor` prints what to do.

    The faults are a stopped service, a missing API key, a missing MCP server, and a client that is
    installed twice: for the user and for the project.
    """
    call("install", "claude-code", "--project", str(project), "--url", "http://127.0.0.1:1")
    assert "http://127.0.0.1:1 cannot be reached" in checks(service)["claude-code here"][1]
    call("install", "claude-code", "--project", str(project), "--url", service.url)
    monkeypatch.setenv("REMEMBRANCER_KEY", "")
    assert "give one with --key" in checks(service)["claude-code here"][1]
    (project / ".mcp.json").unlink()
    assert (
        "run `remembrancer install claude-code --project .`"
        in checks(service)["claude-code here"][1]
    )
    call("install", "claude-code", "--url", service.url)
    assert "everything is remembered twice" in checks(service)["claude-code here"][1]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("text", "names"), [('{"remembrancer": ', ["claude-code"]), ('{"other": ', [])]
)
def test_settings_that_cannot_be_parsed_fail_one_check_only(text: str, names: list[str]) -> None:
    """If one client's settings file is malformed, `doctor` still shows the other checks.

    A malformed file that does not mention Remembrancer is not reported.
    """
    call("install", "claude-code")
    settings = Path.home() / ".claude" / "settings.json"
    settings.write_text(settings.read_text() + text if names else text)
    (Path.home() / ".claude.json").unlink()
    done = CliRunner().invoke(
        application("doctor"), ["doctor", "--url", "http://127.0.0.1:1", "--json"]
    )
    results = json.loads(done.stdout)["checks"]
    assert [name for name in results if name.startswith("claude")] == names
    assert [results[name]["detail"].startswith("it is not valid JSON") for name in names] == [
        True
    ] * len(names)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "entry", ["no object", {"command": "remembrancer", "args": None}, {"url": 1}]
)
def test_an_entry_of_another_form_is_reported(entry: object) -> None:
    """If somebody gave Cursor's entry another form, its check says that it names no service."""
    settings = Path.home() / ".cursor" / "mcp.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"mcpServers": {"remembrancer": entry}}))
    done = CliRunner().invoke(
        application("doctor"), ["doctor", "--url", "http://127.0.0.1:1", "--json"]
    )
    detail = json.loads(done.stdout)["checks"]["cursor"]["detail"]
    assert detail == "its entries name no service: run `remembrancer install cursor`"


@pytest.mark.parametrize("everywhere", [True, False])
def test_settings_that_cannot_be_read_fail_their_own_check_only(
    project: Path, *, everywhere: bool
) -> None:
    """If a client's user or project settings file is not UTF-8, the check of these settings names
    the file.

    `doctor` still runs the other checks. It does not count the unreadable file as a second
    installation of the client, which it would report as a fault.
    """
    other = ("--project", str(project)) if everywhere else ()
    call("install", "claude-code", *other, "--url", "http://127.0.0.1:1")
    folder, name = (
        (Path.home(), "settings.json") if everywhere else (project, "settings.local.json")
    )
    settings = folder / ".claude" / name
    settings.parent.mkdir(exist_ok=True)
    settings.write_bytes(b"\xff")
    done = CliRunner().invoke(
        application("doctor"), ["doctor", "--url", "http://127.0.0.1:1", "--json"]
    )
    results = json.loads(done.stdout)["checks"]
    assert {"namespace here", "claude-code", "claude-code here"} <= results.keys()
    assert (
        f"{settings}: it is not UTF-8"
        in results["claude-code" if everywhere else "claude-code here"]["detail"]
    )
    assert (
        str(settings) not in results["claude-code here" if everywhere else "claude-code"]["detail"]
    )
    assert "twice" not in str(results)
