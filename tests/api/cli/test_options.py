"""Exit codes and messages of commands that fail."""

from __future__ import annotations

import errno
import os

import anyio
import pytest
import typer

from api.cli.client import ServiceFault
from api.cli.options import run
from api.settings import BadSettings
from memtypes.model.errors import InvalidRequest, NotFound, Overloaded, Unavailable


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (InvalidRequest("bad query"), "bad query", 2),
        (BadSettings("bad port"), "bad port", 2),
        (NotFound("no such job"), "no such job", 1),
        (Overloaded("busy"), "busy", 1),
        (Unavailable("away"), "away", 1),
        (ServiceFault("no JSON"), "no JSON", 1),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            "the operating system refused a step: [Errno 28] No space left on device",
            1,
        ),
    ],
)
def test_a_failed_command_prints_one_line(
    error: Exception, line: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed command prints one line and exits with code 2 if the user can correct the error,
    else with 1.

    This includes an error in one of several concurrent tasks.
    """

    async def fail() -> None:
        raise error

    async def fail_in_a_task() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)

    for work in (fail, fail_in_a_task):
        with pytest.raises(typer.Exit) as ended:
            run(work)
        assert (ended.value.exit_code, capsys.readouterr().err) == (code, f"remembrancer: {line}\n")
