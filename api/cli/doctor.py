"""The command `remembrancer doctor`: checks of this installation or of a running service, and of the AI clients."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from api.cli.client import ApiClient
from api.cli.install.checks import client_checks
from api.cli.options import FAILED, AsJson, DataDir, Key, present, run
from api.cli.service import settings_from
from api.cli.tables import checks_table
from memtypes.model.errors import RemembrancerError, Unavailable

_Value = TypeVar("_Value")
_PROBE = "The lighthouse keeper waters the ferns on Thursdays."


def doctor(
    data_dir: DataDir = None,
    keys: Annotated[Path | None, typer.Option(help="Keys file to check.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port to check.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="Check the service at this URL, not the installation.")] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Check the installation, or a running service with --url. Exit code 1 when a check fails."""

    async def work() -> Diagnosis:
        settings = settings_from({"data_dir": data_dir, "keys": keys, "port": port})
        diagnosis = Diagnosis()
        if url:
            await _diagnose_service(url, key, diagnosis)
        else:
            from api.cli.installation import diagnose_installation  # noqa: PLC0415 - imports the whole service

            await diagnose_installation(settings, diagnosis)
        for name, check in client_checks(Path.cwd(), key if url else None):
            await diagnosis.check(name, check)
        return diagnosis

    diagnosis = run(work)
    answer = {"ok": diagnosis.ok, "checks": diagnosis.checks}
    present(answer, lambda _: checks_table(diagnosis.checks), as_json=as_json)
    if not diagnosis.ok:
        raise typer.Exit(FAILED)


class Diagnosis:
    """The results of the checks by name, in the order in which they ran, as GET /health/ready has them."""

    def __init__(self) -> None:
        self.checks: dict[str, dict[str, Any]] = {}

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return all(check["ok"] for check in self.checks.values())

    async def check(
        self, name: str, look: Callable[[], Awaitable[_Value]], describe: Callable[[_Value], str] = str
    ) -> _Value | None:
        """Run `look` and record whether it succeeded. Returns its result; None after a domain error.

        describe: turns the result into the recorded text. After an error, its message is recorded.
        """
        started = time.perf_counter()
        result: _Value | None = None
        try:
            result = await look()
            ok, detail = True, describe(result)
        except RemembrancerError as error:
            ok, detail = False, str(error)
        ms = round((time.perf_counter() - started) * 1000, 1)
        self.checks[name] = {"ok": ok, "ms": ms, "detail": detail}
        return result


async def _diagnose_service(url: str, key: str | None, diagnosis: Diagnosis) -> None:
    """Check that a service is ready, accepts `key`, and stores and finds a memory."""
    async with ApiClient.open(url, key) as client:
        answer = await diagnosis.check(
            "service", lambda: client.get("/health/ready"), lambda answer: str(answer["status"])
        )
        if answer is not None:
            diagnosis.checks |= answer.get("checks", {})
            await diagnosis.check("round trip", lambda: round_trip(client))


async def round_trip(client: ApiClient) -> str:
    """Write, find and delete a memory, in a temporary namespace. Raises Unavailable, or the service's error."""
    namespace = f"doctor-{uuid.uuid4()}"
    try:
        items = [{"type": "episodic", "content": _PROBE}]
        (written,) = (await client.post("/v1/memories/batch", {"namespace": namespace, "items": items}))["results"]
        if written["status"] != "stored":
            raise Unavailable(f"a memory could not be written: {written.get('reason')}")
        answer = await client.post("/v1/search", {"query": _PROBE, "namespace": namespace})
    finally:
        await client.delete("/v1/memories", {"namespace": namespace, "confirm": "true"})
    if [hit["id"] for hit in answer["hits"]] != [written["id"]] or not await client.is_empty(namespace):
        raise Unavailable("a memory that was written is not found, or not deleted; see the service's log")
    return "written, found and deleted"
