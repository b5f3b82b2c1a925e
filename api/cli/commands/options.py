"""The options that several commands share, and how a command runs: its errors become one line and an exit code."""

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
from api.cli.client import Refused
from api.http.validation import InvalidInput
from api.settings import BadSettings, Settings, read_settings, unknown_variables
from ingest.screening.redaction.redactor import BadRedactionRules
from memtypes.config import InvalidConfigFile
from memtypes.model.errors import EmbedderMismatch, InvalidRequest, RemembrancerError, SetupRequired, StoreInUse

USAGE = 2
FAILED = 1
_TO_BE_SET_RIGHT = (
    BadSettings, BadKeys, InvalidConfigFile, BadRedactionRules, InvalidInput, InvalidRequest, SetupRequired,
    StoreInUse, EmbedderMismatch, Refused,
)  # fmt: skip
"""Errors that the one who typed the command can set right: exit code 2."""

_Value = TypeVar("_Value")

DataDir: TypeAlias = Annotated[Path | None, typer.Option(help="Where everything is kept.", show_default=False)]
Url: TypeAlias = Annotated[str | None, typer.Option(help="Work on a running service instead of the embedded store.")]
Key: TypeAlias = Annotated[str | None, typer.Option(help="API key, with --url.", envvar="REMEMBRANCER_KEY")]
Tenant: TypeAlias = Annotated[str, typer.Option(help="Whose data, on the embedded store.")]
Namespace: TypeAlias = Annotated[str, typer.Option("--namespace", "-n", help="Whose memory: a user, a project ...")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def place(data_dir: Path | None, url: str | None, key: str | None, tenant: str = DEFAULT_TENANT) -> Place:
    """Where a command works, from its options."""
    if key is not None and url is None and "REMEMBRANCER_KEY" not in os.environ:
        raise BadSettings("--key goes with --url; on the embedded store --tenant says whose data it is")
    return Place(settings_from({"data_dir": data_dir}), url, key, tenant)


def settings_from(flags: Mapping[str, Any]) -> Settings:
    """The settings, with logging set up as they say."""
    settings = read_settings(flags)
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines show URLs, which hold namespaces
    known_elsewhere = {"REMEMBRANCER_KEY"}
    for name in unknown_variables(os.environ):
        if name not in known_elsewhere:
            print(f"{name} is no setting of this version and is ignored", file=sys.stderr)  # noqa: T201 - to a person
    return settings


def run(work: Callable[[], Coroutine[Any, Any, _Value]]) -> _Value:
    """What `work` gives; an error of ours ends the process with one clear line."""
    with_errors = told(lambda: anyio.run(work))
    return with_errors()


def told(work: Callable[[], _Value]) -> Callable[[], _Value]:
    """`work`, with domain errors turned into a line on standard error and an exit code."""

    def telling() -> _Value:
        try:
            return work()
        except* RemembrancerError as group:
            end(_first(group))

    return telling


def _first(group: BaseExceptionGroup[Any]) -> RemembrancerError:
    first: Any = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, RemembrancerError)  # noqa: S101 - except* let nothing else in
    return first


def end(error: RemembrancerError) -> NoReturn:
    """Say what was wrong on one line and exit: 2 for what the caller can set right, else 1."""
    print(f"remembrancer: {error}", file=sys.stderr)  # noqa: T201 - this is for a person
    raise typer.Exit(USAGE if isinstance(error, _TO_BE_SET_RIGHT) else FAILED)


def present(answer: Mapping[str, Any], view: Callable[[Mapping[str, Any]], RenderableType], *, as_json: bool) -> None:
    """Print `answer` as JSON or as `view` shows it."""
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))  # noqa: T201 - the command's output
    else:
        Console().print(view(answer))
