"""The commands `remembrancer install` and `uninstall`, which set up AI clients and a systemd unit,
and undo it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

import httpx
import typer

from api.cli.client import PROBE_S, check_key, is_live
from api.cli.install.clients import (
    ClientName,
    Installation,
    config_folder,
    files_of,
    program_command,
    stored_key,
)
from api.cli.install.entries import WholeFile
from api.cli.install.files import FileChange, SettingsFile, SettingsFiles, settings_text
from api.cli.options import FAILED, DataDir, end
from api.cli.service import KEY_VARIABLE, URL_VARIABLE, settings_from
from api.project import project_namespace
from api.settings import BadSettings, is_loopback
from memtypes.model.errors import RemembrancerError
from memtypes.model.scope import clean_name

DEFAULT_URL = "http://127.0.0.1:8707"

UNIT = "remembrancer.service"
_TIMEOUT_S = 30.0

_Client: TypeAlias = Annotated[ClientName, typer.Argument(help="The client.", show_default=False)]
_Project: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Only for this project, by its folder; by default for all of the user's.",
        show_default=False,
    ),
]
_ServiceUrl: TypeAlias = Annotated[
    str, typer.Option(help="URL of the service.", envvar=URL_VARIABLE)
]
_DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be changed.")
]
_Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def install(
    client: _Client,
    project: _Project = None,
    url: _ServiceUrl = DEFAULT_URL,
    key: Annotated[
        str | None,
        typer.Option(
            help=f"API key; best left out, and exported as {KEY_VARIABLE}.", show_default=False
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            help="Namespace; by default that of the project that the client works in.",
        ),
    ] = None,
    service: Annotated[
        bool, typer.Option("--service", help="Start the service at login too, by systemd.")
    ] = False,
    data_dir: DataDir = None,
    dry_run: _DryRun = False,
    yes: _Yes = False,
) -> None:
    """Set up an AI client: add hooks, which give it a memory, and the MCP server. Its other
    settings stay.
    """
    try:
        files = _settings_files()
        installation = _installation(client, project, url, key, namespace)
        settings_files = files_of(installation)
        _check_installed_once(installation)
        if service:
            _check_systemd()
            settings_files.append(_unit_file(installation.url, data_dir))
        changes = [files.plan_install(file) for file in settings_files]
        if _confirm_changes(changes, dry_run=dry_run, yes=yes):
            for change in changes:
                files.apply(change)
            print(*_after_install(installation), sep="\n")
            if service:
                start = [] if is_live(installation.url) else ["--now"]
                refusal = _systemctl("daemon-reload") or _systemctl("enable", *start, UNIT)
                _report_systemd(refusal, "started at login from now on")
    except RemembrancerError as error:
        end(error)


def uninstall(
    client: _Client,
    project: _Project = None,
    service: Annotated[
        bool, typer.Option("--service", help="No longer start the service at login.")
    ] = False,
    dry_run: _DryRun = False,
    yes: _Yes = False,
) -> None:
    """Take the entries that `install` made out of an AI client's settings. Memories stay."""
    try:
        if service:
            _check_systemd()
        files = _settings_files()
        settings_files = files_of(_installation(client, project, DEFAULT_URL, None, None))
        if service:
            settings_files.append(SettingsFile(_unit_path(), WholeFile("")))
        changes = [files.plan_uninstall(file) for file in settings_files]
        if _confirm_changes(changes, dry_run=dry_run, yes=yes):
            refusal = _systemctl("disable", "--now", UNIT) if service else None
            for change in changes:
                files.apply(change)
            if service:
                _report_systemd(refusal, "no longer started at login")
    except RemembrancerError as error:
        end(error)


def _settings_files() -> SettingsFiles:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return SettingsFiles(state / "remembrancer" / "installed")


def _installation(
    client: ClientName, project: Path | None, url: str, key: str | None, namespace: str | None
) -> Installation:
    root = None if project is None else project.expanduser().absolute()
    if root is not None and not root.is_dir():
        raise BadSettings(f"--project {project}: there is no such folder")
    if root is not None and root.resolve() == Path.home().resolve():
        raise BadSettings(
            "--project is your home folder: leave it out to set up the client for all of "
            "your projects"
        )
    check_key(key)
    try:
        namespace = None if namespace is None else clean_name(namespace)
    except ValueError as error:
        raise BadSettings(f"--namespace {error}") from error
    if root is not None and namespace is None:
        namespace = project_namespace(str(root))
    exported = os.environ.get(KEY_VARIABLE)
    key = None if key == exported else key
    if not (key or exported):
        key = stored_key(client, root)  # by an earlier installation
    return Installation(client, root, _checked_url(url), key, bool(key or exported), namespace)


def _checked_url(url: str) -> str:
    plain = url.rstrip("/")
    try:
        address = urlsplit(plain)
        valid = address.scheme in {"http", "https"} and address.hostname and address.port != 0
    except ValueError:
        valid = False
    if not valid or not plain.isascii() or not plain.isprintable() or " " in plain:
        raise BadSettings(f"--url {url}: must be like {DEFAULT_URL}")
    if address.username or address.query or address.fragment:
        raise BadSettings("--url must have no user, query or fragment; a key goes into --key")
    return plain


def _check_installed_once(installation: Installation) -> None:
    if installation.project is None:
        return
    client = installation.client
    for file in files_of(replace(installation, project=None, namespace=None)):
        text = settings_text(file.path)
        if text is not None and file.entries.owns(text):
            raise BadSettings(
                f"{client} is set up for all of your projects, in {file.path}: with both, "
                "everything would be "
                f"remembered twice. Run `remembrancer uninstall {client}` first; or, for "
                "another namespace in "
                'this project, write namespace = "NAME" into '
                f"{installation.project}/.remembrancer.toml"
            )


def _confirm_changes(changes: Sequence[FileChange], *, dry_run: bool, yes: bool) -> bool:
    """Print the changes; return whether to make them. In a terminal the user decides; a dry run
    makes none.
    """
    for change in changes:
        print(f"{change.kind:>9}  {change.path}")
    if dry_run:
        print("Dry run: nothing was changed.")
        return False
    unasked = yes or not sys.stdin.isatty() or all(change.kind == "unchanged" for change in changes)
    if unasked or typer.confirm("Change these files?", default=True):
        return True
    print("Nothing was changed.")
    return False


def _after_install(installation: Installation) -> list[str]:
    """Lines to print after an installation: how to undo it, where the API key is, what is still
    missing.
    """
    client = installation.client
    url = installation.url
    scope = f" --project {shlex.quote(str(installation.project))}" if installation.project else ""
    lines = [
        f"Undo: remembrancer uninstall {client}{scope}    Check: remembrancer doctor --url {url}"
    ]
    if installation.namespace:
        lines.append(f"Namespace: {installation.namespace}")
    if installation.stores_key:
        lines.append(
            f"The key is in the settings file, as env.{KEY_VARIABLE}; only you may read that file."
        )
        settings = files_of(installation)[0].path
        if settings.is_symlink():
            lines.append(
                f"{settings} is a link to {settings.resolve()}: do not publish the key from there."
            )
    elif installation.authorised:
        lines.append(
            f"The key is not stored: {client} reads it from {KEY_VARIABLE}; export it in "
            "your profile."
        )
    lines += _NOTES.get(client, [])
    if not is_live(url):
        lines.append(
            f"No service answers on {url} yet: start it with `make run` or `remembrancer serve`."
        )
    elif _refuses_key(installation):
        fault = "does not know this key" if installation.authorised else "needs a key"
        lines.append(
            f"The service {fault}, so nothing is remembered: install again with --key, or "
            f"with {KEY_VARIABLE} exported."
        )
    return lines


_NOTES: dict[ClientName, list[str]] = {
    ClientName.CLAUDE_CODE: [
        "Without the service Claude Code works on, and shows a notice at each prompt.",
        'To switch all hooks off for a while, set "disableAllHooks": true in its settings.',
    ],
    ClientName.CODEX: [
        "Codex runs new hooks only when you trust them: start codex, enter /hooks, and trust these."
    ],
    ClientName.VSCODE: [
        "Hooks are a preview in Visual Studio Code; an organisation can switch them off."
    ],
    ClientName.CURSOR: [
        (
            "Cursor's hooks can't add to a prompt: it has the tools, and in a project a rule "
            "that says when."
        )
    ],
}


def _refuses_key(installation: Installation) -> bool:
    key = installation.key or os.environ.get(KEY_VARIABLE)
    headers = {"Authorization": f"Bearer {key}"} if installation.authorised else {}
    try:
        answer = httpx.get(
            f"{installation.url}/v1/stats",
            params={"namespace": "default"},
            headers=headers,
            timeout=PROBE_S,
        )
    except httpx.HTTPError:
        return False
    return answer.status_code == HTTPStatus.UNAUTHORIZED


def _report_systemd(refusal: str | None, state: str) -> None:
    if refusal is not None:
        print(f"systemd refused: {refusal}")
        raise typer.Exit(FAILED)
    print(f"The service is {state}.")


def _unit_file(url: str, data_dir: Path | None) -> SettingsFile:
    """The systemd unit of a service. Raises BadSettings unless `url` is local and the data folder
    has an encoder.
    """
    folder = settings_from({"data_dir": data_dir}).data_dir.expanduser().absolute()
    if not (folder / "encoder").is_dir():
        raise BadSettings(
            f"{folder} has no encoder: name the service's folder with --data-dir. "
            "`make run` keeps its data in .remembrancer of the folder where it ran"
        )
    address = urlsplit(url)
    host = address.hostname or ""
    if address.scheme != "http" or not is_loopback(host):
        raise BadSettings(f"--service starts a service on this machine; {url} is elsewhere")
    options = ["--host", host, "--port", str(address.port or 80), "--data-dir", str(folder)]
    command = " ".join(map(_quoted, [*program_command(), "serve", *options]))
    return SettingsFile(_unit_path(), WholeFile(_UNIT.format(command=command)))


def _unit_path() -> Path:
    return config_folder() / "systemd" / "user" / UNIT


def _check_systemd() -> None:
    if shutil.which("systemctl") is None:
        raise BadSettings(
            f"--service needs systemd, which this machine ({sys.platform}) does not have; "
            "have `remembrancer serve` started at login by your system's own means, and "
            "leave out --service"
        )


def _systemctl(*arguments: str) -> str | None:
    """Run systemctl for this user. Returns None, or systemd's message if it refuses."""
    command = ["systemctl", "--user", *arguments]
    try:
        # Systemd's
        completed = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not answer in {_TIMEOUT_S:g} s"
    return (
        None
        if completed.returncode == 0
        else (completed.stderr.strip() or f"exit code {completed.returncode}")
    )


def _quoted(argument: str) -> str:
    """`argument` quoted for a unit's ExecStart line, with systemd's specifiers (%) and variables
    ($) escaped.
    """
    escaped = (
        argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    )
    return f'"{escaped}"'


_UNIT = """\
[Unit]
Description=Remembrancer, a memory service for AI agents

[Service]
Type=exec
ExecStart={command}
Restart=on-failure
RestartSec=2
TimeoutStopSec=40

[Install]
WantedBy=default.target
"""
