"""`remembrancer install` and `uninstall`, which add and remove hooks and MCP servers in the
settings of AI clients.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli.entry import application
from api.cli.install import commands
from api.cli.install.clients import EVENTS, ClientName
from api.cli.install.text import parse_json
from api.project import project_namespace
from tests.api.cli.install.test_files import tree

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, with REMEMBRANCER_URL set to an address at which no service runs."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (
        "CLAUDE_CONFIG_DIR",
        "CODEX_HOME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "REMEMBRANCER_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("REMEMBRANCER_URL", NOWHERE)
    return home


def call(*arguments: str) -> Result:
    """Run `remembrancer ARGUMENTS`."""
    return CliRunner().invoke(application(*arguments[:1]), list(arguments))


def settings(path: Path) -> Any:
    """The parsed content of a JSON settings file."""
    return parse_json(path.read_text())


@pytest.mark.parametrize("client", list(ClientName))
def test_install_says_what_it_wrote_and_uninstall_removes_it(
    home: Path, client: ClientName
) -> None:
    """`install` prints each file that it writes and the command that undoes it. That command leaves
    nothing behind.
    """
    done = call("install", client)
    assert done.exit_code == 0, done.output
    written = [path for path in home.rglob("*") if path.is_file() and ".local" not in path.parts]
    assert written
    assert all(f"created  {path}" in done.output for path in written)
    assert f"Undo: remembrancer uninstall {client}" in done.output
    assert f"No service answers on {NOWHERE} yet" in done.output
    assert "unchanged" in call("install", client).output
    assert call("uninstall", client).exit_code == 0
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_install_and_uninstall_dry_runs_change_no_file(home: Path) -> None:
    assert "Dry run: nothing was changed." in call("install", "claude-code", "--dry-run").output
    assert tree(home) == {}
    call("install", "claude-code")
    before = tree(home)
    assert "removed" in call("uninstall", "claude-code", "--dry-run").output
    assert tree(home) == before


def test_claude_code_gets_http_hooks_and_a_command_at_the_start(home: Path) -> None:
    """`install claude-code` writes hooks with which Claude Code posts its events to the service.

    The hook for SessionStart runs a command, because Claude Code does not post that event. Hooks
    time out after 3 s.
    """
    call("install", "claude-code", "--url", "http://localhost:9999/")
    hooks = settings(home / ".claude" / "settings.json")["hooks"]
    assert tuple(hooks) == EVENTS
    handlers = {event: groups[0]["hooks"][0] for event, groups in hooks.items()}
    start = handlers.pop("SessionStart")
    assert start["type"] == "command"
    assert start["args"][-1] == "http://localhost:9999/v1/hooks/claude-code"
    assert {(handler["type"], handler["url"]) for handler in handlers.values()} == {
        ("http", start["args"][-1])
    }
    assert {handler["timeout"] for handler in [start, *handlers.values()]} == {3}
    server = settings(home / ".claude.json")["mcpServers"]["remembrancer"]
    assert server["args"][-3:] == ["mcp", "--url", "http://localhost:9999"]


def test_exported_key_is_referred_to_and_not_stored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If REMEMBRANCER_KEY is exported, `install` writes the variable's name into the settings
    instead of the key.
    """
    monkeypatch.setenv("REMEMBRANCER_KEY", "top-secret")
    for client in ClientName:
        assert "REMEMBRANCER_KEY" in call("install", client).output
    texts = {path.name: path.read_text() for path in home.rglob("*") if path.is_file()}
    assert not any("top-secret" in text for text in texts.values())
    assert '"Bearer $REMEMBRANCER_KEY"' in texts["settings.json"]
    assert '"allowedEnvVars"' in texts["settings.json"]
    assert 'env_vars = ["REMEMBRANCER_KEY"]' in texts["config.toml"]


def test_given_key_is_stored_in_the_users_settings_of_claude_code_alone(
    home: Path, tmp_path: Path
) -> None:
    """A key given to `install` is stored only in the user's Claude Code settings, which become
    private.

    Project files and other clients never get it.
    """
    done = call("install", "claude-code", "--key", "top-secret")
    path = home / ".claude" / "settings.json"
    assert "env.REMEMBRANCER_KEY" in done.output
    assert settings(path)["env"] == {"REMEMBRANCER_KEY": "top-secret"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert "top-secret" not in (home / ".claude.json").read_text()
    call("uninstall", "claude-code")
    for arguments in (("codex",), ("claude-code", "--project", str(tmp_path))):
        assert (
            "export it in your profile" in call("install", *arguments, "--key", "top-secret").output
        )
    assert not any(
        "top-secret" in path.read_text() for path in tmp_path.rglob("*") if path.is_file()
    )


def test_a_key_in_a_symbolically_linked_file_gives_a_warning(home: Path) -> None:
    """`install --key` warns if the settings file that gets the key is a symbolic link.

    The link's target may be in a published repository.
    """
    (home / "dotfiles").mkdir()
    (home / ".claude").mkdir()
    target = home / "dotfiles" / "settings.json"
    link = home / ".claude" / "settings.json"
    target.write_text("{}")
    link.symlink_to(target)
    note = f"{link} is a link to {target}: do not publish the key from there."
    assert note not in call("install", "claude-code").output
    assert note in call("install", "claude-code", "--key", "secret-key").output
    assert link.is_symlink()


def test_printed_undo_command_works_for_a_folder_with_blanks(home: Path, tmp_path: Path) -> None:
    """The undo command that `install` prints is quoted for a shell, so that a folder's name may
    have blanks.
    """
    project = tmp_path / "my project"
    project.mkdir()
    output = call("install", "codex", "--project", str(project)).output
    undo = output.split("Undo: remembrancer ")[1].split("    Check:")[0]
    assert call(*shlex.split(undo)).exit_code == 0
    assert [
        path for folder in (home, project) for path in folder.rglob("*") if path.is_file()
    ] == []


def test_installing_again_without_the_key_keeps_a_stored_one(home: Path) -> None:
    call("install", "claude-code", "--key", "top-secret")
    assert "unchanged" in call("install", "claude-code").output
    call("install", "claude-code", "--url", "http://127.0.0.1:2")
    members = settings(home / ".claude" / "settings.json")
    assert members["env"] == {"REMEMBRANCER_KEY": "top-secret"}
    assert "headers" in members["hooks"]["Stop"][0]["hooks"][0]


def test_project_gets_files_of_its_own_and_its_namespace(home: Path, tmp_path: Path) -> None:
    """With --project, `install` writes only files in the project, and its MCP server uses the
    project's namespace.
    """
    project = tmp_path / "shop"
    project.mkdir()
    done = call("install", "claude-code", "--project", str(project))
    assert [path for path in home.rglob("*") if path.is_file() and ".local" not in path.parts] == []
    namespace = project_namespace(str(project))
    assert f"Namespace: {namespace}" in done.output
    server = settings(project / ".mcp.json")["mcpServers"]["remembrancer"]
    assert server == {"type": "http", "url": f"{NOWHERE}/mcp/{namespace}"}
    members = settings(project / ".claude" / "settings.local.json")
    assert members["enabledMcpjsonServers"] == ["remembrancer"]
    assert members["hooks"]["Stop"][0]["hooks"][0]["url"].endswith(
        f"/v1/hooks/claude-code?namespace={namespace}"
    )
    call("uninstall", "claude-code", "--project", str(project))
    assert list(project.iterdir()) == []


@pytest.mark.usefixtures("home")
def test_project_installation_is_refused_if_the_user_has_one(tmp_path: Path) -> None:
    """If a client is installed for all projects, `install --project` fails.

    With both installations every turn would be stored twice.
    """
    call("install", "codex")
    done = call("install", "codex", "--project", str(tmp_path))
    assert (done.exit_code, "would be remembered twice" in done.stderr) == (2, True)
    assert not (tmp_path / ".codex").exists()


def test_namespaces_of_any_script_are_percent_encoded_in_urls(home: Path) -> None:
    """Hooks and the MCP server send the namespace in their URLs, percent-encoded.

    A header could not carry it, because headers lose characters outside Latin-1.
    """
    call("install", "claude-code", "--namespace", "проект/1")
    encoded = "%D0%BF%D1%80%D0%BE%D0%B5%D0%BA%D1%82%2F1"
    hooks = settings(home / ".claude" / "settings.json")["hooks"]
    assert hooks["Stop"][0]["hooks"][0]["url"].endswith(f"?namespace={encoded}")
    assert settings(home / ".claude.json")["mcpServers"]["remembrancer"]["url"].endswith(
        f"/mcp/{encoded}"
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--url", "localhost:8707"], "must be like http://127.0.0.1:8707"),
        (["--url", "http://me:pw@host"], "a key goes into --key"),
        (["--url", "http://host?x=1"], "no user, query or fragment"),
        (["--key", "schlüssel"], "--key or REMEMBRANCER_KEY must have printable ASCII"),
        (["--namespace", " "], "--namespace must not begin or end with a blank"),
        (["--project", "/nowhere"], "--project /nowhere: there is no such folder"),
        (["--service", "--url", "http://example.org"], "is elsewhere"),
    ],
)
def test_usage_errors_are_one_line_and_write_nothing(
    home: Path, arguments: list[str], why: str
) -> None:
    """A wrong option ends the command with exit code 2 and one line that says what was expected."""
    if "--service" in arguments and shutil.which("systemctl") is None:
        pytest.skip("needs systemctl")
    data_dir = home.parent / "data"
    (data_dir / "encoder").mkdir(parents=True)
    done = call("install", "claude-code", "--data-dir", str(data_dir), *arguments)
    assert (done.exit_code, why in done.stderr) == (2, True), done.stderr
    assert tree(home) == {}


def test_malformed_settings_are_named_and_untouched(home: Path) -> None:
    """If a client's settings file is malformed, `install` prints the file's name and changes no
    file.
    """
    path = home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{\n  "a": 1\n')
    done = call("install", "claude-code")
    assert (done.exit_code, f"{path}: it is not valid JSON" in done.stderr) == (2, True)
    assert path.read_text() == '{\n  "a": 1\n'
    assert not (home / ".claude.json").exists()


def test_cursor_gets_a_rule_in_a_project(home: Path, tmp_path: Path) -> None:
    """In a project `install cursor` writes a rule file that tells the agent when to call the memory
    tools.

    The rule stands in for hooks, because Cursor's hooks cannot add text to a prompt.
    """
    call("install", "cursor")
    server = settings(home / ".cursor" / "mcp.json")["mcpServers"]["remembrancer"]
    assert server["args"][-2:] == ["--project", "${workspaceFolder}"]
    call("uninstall", "cursor")
    call("install", "cursor", "--project", str(tmp_path))
    rule = (tmp_path / ".cursor" / "rules" / "remembrancer.mdc").read_text()
    assert rule.startswith("---\n")
    assert "alwaysApply: true" in rule
    assert "memory_recall" in rule


def test_vscode_gets_hooks_and_a_server(home: Path) -> None:
    """`install vscode` writes a hook that posts prompts to /v1/hooks/vscode.

    It also adds an MCP server for the open workspace folder to mcp.json.
    """
    call("install", "vscode")
    hooks = settings(home / ".copilot" / "hooks" / "remembrancer.json")["hooks"]
    assert hooks["UserPromptSubmit"][0]["command"].endswith("/v1/hooks/vscode")
    server = settings(home / ".config" / "Code" / "User" / "mcp.json")["servers"]["remembrancer"]
    assert server["args"][-2:] == ["--project", "${workspaceFolder}"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_service_writes_a_unit_that_systemd_accepts(home: Path, tmp_path: Path) -> None:
    """The systemd unit that `install` writes starts the service at login and passes systemd's own
    check.
    """
    data_dir = tmp_path / 'da"ta %h $x'
    (data_dir / "encoder").mkdir(parents=True)
    done = call(
        "install",
        "claude-code",
        "--service",
        "--data-dir",
        str(data_dir),
        "--url",
        "http://127.0.0.1:8799",
    )
    unit = home / ".config" / "systemd" / "user" / "remembrancer.service"
    assert f"created  {unit}" in done.output
    assert '"--port" "8799"' in unit.read_text()
    checked = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "remembrancer.service" not in checked.stderr, checked.stderr
    call("uninstall", "claude-code", "--service")
    assert not unit.exists()


@pytest.mark.usefixtures("home")
def test_install_of_the_service_fails_without_systemd(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = call("install", "codex", "--service")
    assert (done.exit_code, "--service needs systemd" in done.stderr) == (2, True)


@pytest.mark.usefixtures("home")
def test_systemd_that_does_not_answer_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If systemctl hangs, `install --service` prints so and exits with code 1."""
    (tmp_path / "data" / "encoder").mkdir(parents=True)
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\nexec sleep 30\n")
    systemctl.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(commands, "_TIMEOUT_S", 0.2)
    done = call("install", "codex", "--service", "--data-dir", str(tmp_path / "data"))
    assert (done.exit_code, "systemd refused: it did not answer in 0.2 s" in done.output) == (
        1,
        True,
    ), done.output


def test_install_records_contain_none_of_the_users_other_settings(home: Path) -> None:
    path = home / ".claude.json"
    path.write_text(
        json.dumps(
            {"oauth": "foreign-secret", "mcpServers": {"other": {"env": {"K": "foreign-secret"}}}}
        )
    )
    call("install", "claude-code")
    records = list((home / ".local" / "state" / "remembrancer" / "installed").iterdir())
    assert len(records) == 2
    assert not any("foreign-secret" in record.read_text() for record in records)
    assert {record.stat().st_mode & 0o777 for record in records} == {0o600}
