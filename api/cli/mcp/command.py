"""The command `remembrancer mcp`, which connects an MCP client on standard input and output to a
running service.

A client, such as an editor, starts one such process for each of its windows. So that the process
stays small, it imports neither the service nor the MCP SDK.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import anyio
import httpx
import typer

from api.cli.client import check_key
from api.cli.mcp.proxy import StdioProxy
from api.cli.mcp.starting import LocalService, local_url
from api.project import project_namespace
from memtypes.model.errors import InvalidRequest

USAGE = 2
PRESETS = ("read", "default", "all")


def mcp(
    url: Annotated[
        str | None, typer.Option(help="Address of the service.", envvar="REMEMBRANCER_URL")
    ] = None,
    key: Annotated[str | None, typer.Option(help="API key.", envvar="REMEMBRANCER_KEY")] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", help="Namespace of all calls.", envvar="REMEMBRANCER_NAMESPACE"
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Folder whose namespace to use; by default the current one.")
    ] = None,
    tools: Annotated[str, typer.Option(help="Tools to offer: read, default or all.")] = "default",
) -> None:
    """Serve the memory tools to an MCP client over stdio. Starts this machine's service if the
    client uses it.
    """
    if tools not in PRESETS:
        _exit_with(f"--tools must be one of {', '.join(PRESETS)}")
    try:
        effective_namespace = namespace or project_namespace(_folder(project))
        check_key(key or None)
    except InvalidRequest as error:
        _exit_with(str(error))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # a thread waits for input: end at once
    local = local_url()
    address = (url or local).rstrip("/")
    try:
        valid = re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", address) and httpx.URL(address)
    except httpx.InvalidURL:
        valid = None
    if not valid:
        _exit_with(f"--url {address} is no address such as http://127.0.0.1:8707")
    service = LocalService(local) if address == local else None
    headers = {"X-Remembrancer-Tools": tools} | ({"Authorization": f"Bearer {key}"} if key else {})
    proxy = StdioProxy(
        f"{address}/mcp/{quote(effective_namespace, safe='')}", headers, tools, service
    )
    anyio.run(proxy.run, sys.stdin.buffer, sys.stdout.buffer)


def _folder(project: str | None) -> str:
    """The absolute path of the project's folder, by default the current folder.

    Raises InvalidRequest if there is no such folder, or if the current folder is the home or root
    folder. Some clients start MCP servers there, so that all projects would get the same namespace.
    """
    folder = Path(project or ".").absolute()
    if "${" in str(folder):
        raise InvalidRequest(
            f"the client did not fill in {project}; give --project FOLDER or --namespace NAME"
        )
    if not folder.is_dir():
        raise InvalidRequest(f"--project {project} is no folder")
    if project is None and folder.resolve() in {Path.home().resolve(), Path(folder.anchor)}:
        raise InvalidRequest(f"{folder} is no project; give --project FOLDER or --namespace NAME")
    return os.fspath(folder)


def _exit_with(message: str) -> None:
    print(f"remembrancer: {message}", file=sys.stderr)
    raise typer.Exit(USAGE)
