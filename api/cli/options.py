"""Options that commands share, and `run`, which ends a command that fails with one line and an exit code."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeAlias, TypeVar

import anyio
import typer
from rich.console import Console, RenderableType

from api.auth.keys import DEFAULT_TENANT, BadKeys
from api.cli.backend import Place
from api.cli.client import Refused, is_live
from api.cli.install.text import MalformedSettings
from api.cli.mcp.starting import local_url
from api.http.problems import InvalidInput
from api.settings import BadSettings, Settings, read_settings
from memtypes.config import InvalidConfigFile
from memtypes.model.errors import (
    EmbedderMismatch,
    InvalidRequest,
    RemembrancerError,
    SetupRequired,
    StoreInUse,
    Unavailable,
)

USAGE = 2
FAILED = 1
_USAGE_ERRORS = (
    BadSettings, BadKeys, InvalidConfigFile, InvalidInput, InvalidRequest, SetupRequired,
    StoreInUse, EmbedderMismatch, Refused, MalformedSettings,
)  # fmt: skip
"""Errors that the caller can correct: exit code 2."""

_Value = TypeVar("_Value")
_KEY_VARIABLE = "REMEMBRANCER_KEY"
_URL_VARIABLE = "REMEMBRANCER_URL"
_FOLDER_VARIABLE = "REMEMBRANCER_DATA_DIR"

DataDir: TypeAlias = Annotated[Path | None, typer.Option(help="Data folder.", show_default=False)]
Url: TypeAlias = Annotated[
    str | None, typer.Option(help="URL of a service; by default this machine's, if it runs.", envvar=_URL_VARIABLE)
]
Key: TypeAlias = Annotated[str | None, typer.Option(help="API key, with a service.", envvar=_KEY_VARIABLE)]
Tenant: TypeAlias = Annotated[str, typer.Option(help="Tenant, on the embedded store.")]
Namespace: TypeAlias = Annotated[str, typer.Option("--namespace", "-n", help="Namespace: a user, a project ...")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def place(data_dir: Path | None, url: str | None, key: str | None, tenant: str = DEFAULT_TENANT) -> Place:
    """Where the command runs, from its options: on the service at `url`, or on the store in `data_dir`.

    If neither is named, nor a tenant: on this machine's service if it runs, else on the store of the settings; which of
    them is printed on stderr. Raises BadSettings for a key without a service, and for an empty url.
    """
    if url is not None and not url.strip():
        raise BadSettings("--url is empty; name a service, or leave it out to use the store in the data folder")
    if data_dir is not None and url == os.environ.get(_URL_VARIABLE):
        url = None  # the flag is meant, not the variable
    settings = settings_from({"data_dir": data_dir})
    if url is None and data_dir is None and tenant == DEFAULT_TENANT and _FOLDER_VARIABLE not in os.environ:
        local = local_url(settings.host, settings.port)
        url = local if is_live(local) else None
        used = f"the service at {local}" if url else f"the store in {settings.data_dir}, as no service runs at {local}"
        print(f"remembrancer: using {used}", file=sys.stderr)  # noqa: T201 - a message to the user
    if key is not None and url is None and _KEY_VARIABLE not in os.environ:
        raise BadSettings("--key goes with a service, which --url names; the embedded store takes --tenant")
    return Place(settings, url, key, tenant)


def settings_from(flags: Mapping[str, Any]) -> Settings:
    """The settings, in which the flags take precedence. Also configures logging."""
    settings = read_settings(flags)
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines contain URLs and so namespaces
    return settings


def run(work: Callable[[], Coroutine[Any, Any, _Value]]) -> _Value:
    """Run `work` and return its result. A domain or system error ends the program with one line and an exit code."""
    try:
        return anyio.run(work)
    except* (RemembrancerError, OSError) as group:
        first: Any = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, OSError):
            logging.getLogger(__name__).debug("refused by the system", exc_info=first)
            first = Unavailable(f"the operating system refused a step: {first}")
        end(first)


def end(error: RemembrancerError) -> NoReturn:
    """Print the error and exit: with code 2 for an error that the user can correct, else with 1."""
    print(f"remembrancer: {error}", file=sys.stderr)  # noqa: T201 - a message to the user
    raise typer.Exit(USAGE if isinstance(error, _USAGE_ERRORS) else FAILED)


def present(answer: Mapping[str, Any], view: Callable[[Mapping[str, Any]], RenderableType], *, as_json: bool) -> None:
    """Print `answer`: as JSON if `as_json`, else as `view` renders it."""
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))  # noqa: T201 - the command's output
    else:
        Console().print(view(answer))
