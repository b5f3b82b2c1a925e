"""The results of checks, and the checks of a service, in process or over HTTP."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from api.cli.client import ApiClient
from memtypes.model.errors import RemembrancerError, Unavailable
from retrieval.answer import SearchAnswer

_Value = TypeVar("_Value")
_PROBE = "The lighthouse keeper waters the ferns on Thursdays."


class _Check(BaseModel):
    ok: bool
    ms: float
    detail: str | None = None


class _Readiness(BaseModel):
    status: str
    checks: dict[str, _Check] = {}


class Diagnosis:
    """Collects results of checks in order: `checks` has `ok`, `ms` and `detail` by name, as in GET
    /health/ready.
    """

    def __init__(self) -> None:
        self.checks: dict[str, dict[str, Any]] = {}

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return all(check["ok"] for check in self.checks.values())

    async def check(
        self,
        name: str,
        probe: Callable[[], Awaitable[_Value]],
        describe: Callable[[_Value], str] = str,
    ) -> _Value | None:
        """Run the check `look` and record whether it succeeded. Returns its result, or None after a
        RemembrancerError.

        describe: turns the result into the recorded detail. After an error, the detail is its
        message.
        """
        started = time.perf_counter()
        value: _Value | None = None
        try:
            value = await probe()
            ok = True
            detail = describe(value)
        except RemembrancerError as error:
            value = None
            ok = False
            detail = str(error)
        ms = round((time.perf_counter() - started) * 1000, 1)
        self.checks[name] = {"ok": ok, "ms": ms, "detail": detail}
        return value


async def readiness(client: ApiClient, path: str) -> _Readiness:
    """The service's answer to GET `path`, its call for health or readiness, with a check for each
    of its parts.
    """
    return client.parsed(await client.get(path), _Readiness)


async def round_trip(client: ApiClient) -> str:
    """Write, find and delete a memory in a temporary namespace; return a report. Raises Unavailable
    if a step fails.
    """
    namespace = f"doctor-{uuid.uuid4()}"
    try:
        batch = {"namespace": namespace, "items": [{"type": "episodic", "content": _PROBE}]}
        (written,) = await client.post_all("/v1/memories/batch", batch, dict[str, Any], 1)
        if written.get("status") != "stored":
            raise Unavailable(f"a memory could not be written: {written.get('reason')}")
        answer = await client.post("/v1/search", {"query": _PROBE, "namespace": namespace})
        ids = [hit.id for hit in client.parsed(answer, SearchAnswer).hits]
    finally:
        await client.delete("/v1/memories", {"namespace": namespace, "confirm": "true"})
    if ids != [written.get("id")] or not await client.is_empty(namespace):
        raise Unavailable(
            "a memory that was written is not found, or not deleted; see the service's log"
        )
    return "written, found and deleted"
