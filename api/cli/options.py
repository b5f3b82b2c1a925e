"""Options that commands share, and `run`, which ends a command that fails with one line and an exit code."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeAlias, TypeVar

import anyio
import typer
from rich.console import Console, RenderableType

from api.cli.client import ServiceFault
from api.cli.service import KEY_VARIABLE, URL_VARIABLE
from memtypes.model.errors import Conflict, NotFound, Overloaded, RemembrancerError, Unavailable

USAGE = 2
FAILED = 1
_FAULTS = (Unavailable, Overloaded, NotFound, Conflict, ServiceFault)
"""Errors that are not in what the user gave: exit code 1."""

_Value = TypeVar("_Value")

DataDir: TypeAlias = Annotated[Path | None, typer.Option(help="Data folder.", show_default=False)]
Url: TypeAlias = Annotated[
    str | None, typer.Option(help="URL of a service; by default this machine's, if it runs.", envvar=URL_VARIABLE)
]
Key: TypeAlias = Annotated[str | None, typer.Option(help="API key, with a service.", envvar=KEY_VARIABLE)]
Tenant: TypeAlias = Annotated[str, typer.Option(help="Tenant, on the embedded store.")]
Namespace: TypeAlias = Annotated[str, typer.Option("--namespace", "-n", help="Namespace: a user, a project ...")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


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
    print(f"remembrancer: {error}", file=sys.stderr)
    raise typer.Exit(FAILED if isinstance(error, _FAULTS) else USAGE)


def present(answer: Mapping[str, Any], view: Callable[[Mapping[str, Any]], RenderableType], *, as_json: bool) -> None:
    """Print `answer`: as JSON if `as_json`, else as `view` renders it."""
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        Console().print(view(answer))
