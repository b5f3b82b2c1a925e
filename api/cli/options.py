"""Options that several commands share, and functions that run a command, print its answer and
report its errors.
"""

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
"""Errors that the command's arguments did not cause. They exit with code 1, all others with code
2.
"""

_Value = TypeVar("_Value")

DataDir: TypeAlias = Annotated[Path | None, typer.Option(help="Data folder.", show_default=False)]
Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="URL of a service; by default this machine's, if it runs.", envvar=URL_VARIABLE
    ),
]
Key: TypeAlias = Annotated[
    str | None, typer.Option(help="API key, with a service.", envvar=KEY_VARIABLE)
]
Tenant: TypeAlias = Annotated[str, typer.Option(help="Tenant, on the embedded store.")]
Namespace: TypeAlias = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace: a user, a project ...")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def run(work: Callable[[], Coroutine[Any, Any, _Value]]) -> _Value:
    """Run `work` and return its result. A RemembrancerError or OSError prints one line and ends the
    program.
    """
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
    """Print the error and end the program, with code 2 if the user can correct the command, else
    with code 1.
    """
    print(f"remembrancer: {error}", file=sys.stderr)
    raise typer.Exit(FAILED if isinstance(error, _FAULTS) else USAGE)


def present(answer: Mapping[str, Any], view: RenderableType, *, as_json: bool) -> None:
    """Print a command's answer: as JSON if `as_json`, else as `view`, its form for the terminal."""
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        Console().print(view)
