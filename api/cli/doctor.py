"""The command `remembrancer doctor`, which checks this installation or a running service, and the
AI clients.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import typer

from api.cli.client import ApiClient
from api.cli.diagnosis import Diagnosis, readiness, round_trip
from api.cli.install.clients import (
    SERVER,
    ClientName,
    Installation,
    files_of,
    hook_path,
    stored_key,
)
from api.cli.install.files import SettingsFile, settings_text
from api.cli.install.text import JsonText, MalformedSettings
from api.cli.options import FAILED, AsJson, DataDir, Key, present, run
from api.cli.service import KEY_VARIABLE, settings_from
from api.cli.tables import checks_table
from api.project import project_namespace
from memtypes.model.errors import Unavailable

_CLIENT = {"name": "remembrancer-doctor", "version": "1"}
_HANDSHAKE = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": _CLIENT}
_INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _HANDSHAKE}


def doctor(
    data_dir: DataDir = None,
    keys: Annotated[
        Path | None, typer.Option(help="Keys file to check.", show_default=False)
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to check.", show_default=False)] = None,
    url: Annotated[
        str | None, typer.Option(help="Check the service at this URL, not the installation.")
    ] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Check the installation, or a running service with --url. Exit code 1 when a check fails."""

    async def work() -> Diagnosis:
        settings = settings_from({"data_dir": data_dir, "keys": keys, "port": port})
        diagnosis = Diagnosis()
        if url:
            async with ApiClient.open(url, key) as client:
                ready = await diagnosis.check(
                    "service",
                    lambda: readiness(client, "/health/ready"),
                    lambda answer: answer.status,
                )
                if ready is not None:
                    diagnosis.checks |= ready.model_dump(exclude_none=True)["checks"]
                    await diagnosis.check("round trip", lambda: round_trip(client))
        else:
            # Imports the whole service
            from api.cli.installation import diagnose_installation  # noqa: PLC0415

            await diagnose_installation(settings, diagnosis)
        for name, check in _client_checks(Path.cwd(), key if url else None):
            await diagnosis.check(name, check)
        return diagnosis

    diagnosis = run(work)
    answer = {"ok": diagnosis.ok, "checks": diagnosis.checks}
    present(answer, checks_table(diagnosis.checks), as_json=as_json)
    if not diagnosis.ok:
        raise typer.Exit(FAILED)


def _client_checks(
    folder: Path, key: str | None
) -> Iterator[tuple[str, Callable[[], Awaitable[str]]]]:
    """Yield (name, check) for the namespace of `folder` and for each AI client set up for `folder`
    or for the user.

    key: API key that the checks send; None for the key that the client itself would send.
    """
    yield "namespace here", partial(_namespace, folder)
    for client in ClientName:
        projects = [None] if folder.resolve() == Path.home().resolve() else [None, folder]
        projects = [
            project
            for project in projects
            if any(map(_has_entries, files_of(Installation(client, project, ""))))
        ]
        for project in projects:
            twice = len(projects) > 1 and project is not None
            yield (
                client if project is None else f"{client} here",
                partial(_check, client, project, key, twice=twice),
            )


def _has_entries(file: SettingsFile) -> bool:
    """Whether a settings file has entries of Remembrancer; True for an unreadable one, so that its
    check says why.
    """
    text: str | None = None
    try:
        text = settings_text(file.path)
        return text is not None and file.entries.owns(text)
    except MalformedSettings:
        return text is None or SERVER in text


async def _namespace(folder: Path) -> str:
    return project_namespace(str(folder))


async def _check(client: ClientName, project: Path | None, key: str | None, *, twice: bool) -> str:
    """Check the settings of an AI client and call the service as it would. Returns what works, for
    the report.

    twice: whether the client has entries both for `project` and for all projects, which is a fault.
    """
    option = " --project ." if project else ""
    installation = _installation_of(client, project)
    try:
        twice = twice and _installation_of(client, None) is not None
    except MalformedSettings:
        twice = False  # the check of the user's settings reports this
    if twice:
        raise MalformedSettings(
            f"it is set up for all projects and for this one, so everything is remembered twice: "
            f"run `remembrancer uninstall {client}{option}`"
        )
    if installation is None:
        raise MalformedSettings(
            f"its entries name no service: run `remembrancer install {client}{option}`"
        )
    for file in files_of(installation):
        text = settings_text(file.path)
        if text is None or not file.entries.is_in(text):
            raise MalformedSettings(
                f"{file.path} lacks entries, or has old ones: run `remembrancer install "
                f"{client}{option}`"
            )
    return await _call(
        installation, key or os.environ.get(KEY_VARIABLE) or stored_key(client, project)
    )


async def _call(installation: Installation, key: str | None) -> str:
    if installation.authorised and not key:
        raise Unavailable(
            f"it reads the key from {KEY_VARIABLE}, which is not set here: export it in "
            "your profile"
        )
    async with ApiClient.open(
        installation.url, key if installation.authorised else None
    ) as service:
        if installation.client is not ClientName.CURSOR:
            event = {"hook_event_name": "SessionStart", "source": "resume", "session_id": "doctor"}
            await service.post(
                installation.hook_url.removeprefix(installation.url),
                event | {"cwd": str(Path.cwd())},
            )
        answer = await service.post("/mcp", _INITIALIZE)
    if "result" not in answer:
        raise Unavailable(f"{installation.url}/mcp refuses: {answer.get('error')}")
    has_hooks = installation.client is not ClientName.CURSOR
    return f"{'hooks and MCP answer' if has_hooks else 'MCP answers'} on {installation.url}"


def _installation_of(client: ClientName, project: Path | None) -> Installation | None:
    """The installation that the AI client's settings files describe; None if they name no
    service.
    """
    texts = [settings_text(file.path) or "" for file in files_of(Installation(client, project, ""))]
    authorised = any(KEY_VARIABLE in text for text in texts)
    if client is ClientName.CURSOR:
        entry = JsonText(texts[0]).get(("mcpServers", SERVER))
        match = re.search(r'"(?:--url", |url": )"([^"]+?)(?:/mcp/([^"]*))?"', json.dumps(entry))
    else:
        pattern = (
            rf'(https?://[^\s"\'\\]+){re.escape(hook_path(client))}(?:\?namespace=([^\s"\'\\]+))?'
        )
        match = re.search(pattern, texts[0])
    if match is None:
        return None
    return Installation(
        client, project, match[1], None, authorised, unquote(match[2] or "") or None
    )
