"""The checks of `remembrancer doctor` on the AI clients (such as Claude Code) that are set up."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

from api.cli.client import ApiClient
from api.cli.install.clients import KEY_VARIABLE, SERVER, ClientName, Installation, files_of, hook_path
from api.cli.install.files import settings_text
from api.cli.install.text import JsonText, MalformedSettings
from memtypes.model.errors import Unavailable
from memtypes.project import project_namespace

ClientCheck: TypeAlias = Callable[[], Awaitable[str]]

_INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "remembrancer-doctor", "version": "1"},
    },
}


def client_checks(folder: Path, key: str | None) -> Iterator[tuple[str, ClientCheck]]:
    """Yield (name, check) for the namespace of `folder` and for each AI client set up for `folder` or for the user.

    key: API key that the checks send; by default the one that the client would send.
    """
    yield "namespace here", partial(_namespace, folder)
    for client in ClientName:
        places = [None] if folder.resolve() == Path.home().resolve() else [None, folder]
        places = [place for place in places if _is_installed(client, place)]
        for place in places:
            twice = len(places) > 1 and place is not None
            yield client if place is None else f"{client} here", partial(_check, client, place, key, twice=twice)


def _is_installed(client: ClientName, project: Path | None) -> bool:
    files = files_of(Installation(client, project, ""))
    return any(file.entries.owns(text) for file in files if (text := settings_text(file.path)) is not None)


async def _namespace(folder: Path) -> str:
    return project_namespace(str(folder))


async def _check(client: ClientName, project: Path | None, key: str | None, *, twice: bool) -> str:
    """Check a client and return what works. Raises MalformedSettings or the service's error at the first fault.

    twice: whether the client is also set up for all projects, which is a fault.
    """
    here = " --project ." if project else ""
    if twice:
        raise MalformedSettings(
            f"it is set up for all projects and for this one, so everything is remembered twice: "
            f"run `remembrancer uninstall {client}{here}`"
        )
    wanted = _written(client, project)
    for file in files_of(wanted) if wanted is not None else ():
        text = settings_text(file.path)
        if text is None or not file.entries.present(text):
            raise MalformedSettings(
                f"{file.path} lacks entries, or has old ones: run `remembrancer install {client}{here}`"
            )
    if wanted is None:
        raise MalformedSettings(f"its entries name no service: run `remembrancer install {client}{here}`")
    return await _call(wanted, key or os.environ.get(KEY_VARIABLE) or _stored_key(wanted))


async def _call(wanted: Installation, key: str | None) -> str:
    """Send the service what the client would send. Returns which calls were answered; raises the service's errors."""
    if wanted.authorised and not key:
        raise Unavailable(f"it reads the key from {KEY_VARIABLE}, which is not set here: export it in your profile")
    async with ApiClient.open(wanted.url, key if wanted.authorised else None) as service:
        if wanted.client is not ClientName.CURSOR:
            event = {"hook_event_name": "SessionStart", "source": "resume", "session_id": "doctor"}
            await service.post(wanted.hook_url.removeprefix(wanted.url), event | {"cwd": str(Path.cwd())})
        answer = await service.post("/mcp", _INITIALIZE)
    if "result" not in answer:
        raise Unavailable(f"{wanted.url}/mcp refuses: {answer.get('error')}")
    return f"{'MCP answers' if wanted.client is ClientName.CURSOR else 'hooks and MCP answer'} on {wanted.url}"


def _written(client: ClientName, project: Path | None) -> Installation | None:
    """The installation that the client's files describe; None if they name no service."""
    texts = [settings_text(file.path) or "" for file in files_of(Installation(client, project, ""))]
    authorised = any(KEY_VARIABLE in text for text in texts)
    if client is ClientName.CURSOR:
        entry = JsonText(texts[0]).get(("mcpServers", SERVER)) or {}
        arguments = [*entry.get("args", ()), ""]
        url = arguments[arguments.index("--url") + 1] if "--url" in arguments else entry.get("url", "")
        url, _, namespace = url.partition("/mcp/")
    else:
        pattern = rf'(https?://[^\s"\'\\]+){re.escape(hook_path(client))}(?:\?namespace=([^\s"\'\\]+))?'
        match = re.search(pattern, texts[0])
        url, namespace = (match[1], match[2] or "") if match is not None else ("", "")
    return Installation(client, project, url, None, authorised, unquote(namespace) or None) if url else None


def _stored_key(wanted: Installation) -> str | None:
    """The API key in the settings of Claude Code; None if they have none, and for other clients."""
    if wanted.client is not ClientName.CLAUDE_CODE:
        return None
    value = JsonText(settings_text(files_of(wanted)[0].path) or "").get(("env", KEY_VARIABLE))
    return value if isinstance(value, str) else None
