"""The checks of `remembrancer doctor`, on this installation or on a running service."""

from __future__ import annotations

import platform
import shutil
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from api.auth.keys import DEFAULT_TENANT, KeyRing, load_keys
from api.cli.backend import Backend, LocalBackend, RemoteBackend
from api.cli.client import ApiClient
from api.cli.install.checks import client_checks
from api.cli.mcp.starting import local_url
from api.http.routes.service import HealthCheck
from api.http.serve import check_exposure, listen
from api.settings import BadSettings, Settings
from api.wiring import open_services
from api.wiring.container import Services
from api.wiring.resources import open_embedder, open_tokenizers
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import RemembrancerError, Unavailable
from memtypes.model.policy import MemoryType
from retrieval.query.request import SearchRequest

LEAST_FREE_BYTES = 500 * 1024 * 1024
"""Free disk space that the check asks for: enough for the encoder and some hundred thousand memories."""

_Value = TypeVar("_Value")
_PROBE = "The lighthouse keeper waters the ferns on Thursdays."


class Diagnosis:
    """The results of the checks by name, in the order in which they ran."""

    def __init__(self) -> None:
        self.checks: dict[str, HealthCheck] = {}

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return all(check.ok for check in self.checks.values())

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
        self.checks[name] = HealthCheck(ok=ok, ms=ms, detail=detail)
        return result


async def diagnose(settings: Settings) -> Diagnosis:
    """Check this installation, then the AI clients (such as Claude Code) that are set up to use it.

    The checks: Python, disk, keys file, port, models, stores, and whether a memory is written and found.
    """
    diagnosis = Diagnosis()
    await _diagnose_installation(settings, diagnosis)
    for name, check in client_checks(Path.cwd(), None):
        await diagnosis.check(name, check)
    return diagnosis


async def _diagnose_installation(settings: Settings, diagnosis: Diagnosis) -> None:
    await diagnosis.check("python", _python)
    await diagnosis.check("disk", lambda: _disk(settings.data_dir))
    await diagnosis.check("keys", lambda: _keys(settings))
    await diagnosis.check("port", lambda: _port(settings))
    async with AsyncExitStack() as stack:
        await diagnosis.check("tokenizers", lambda: open_tokenizers(settings), ", ".join)
        embedder = await diagnosis.check("encoder", lambda: open_embedder(settings), lambda opened: opened.fingerprint)
        if embedder is None:
            return
        await embedder.aclose()
        services = await diagnosis.check(
            "store", lambda: stack.enter_async_context(open_services(settings, KeyRing())), lambda _: "opened"
        )
        if services is not None:
            await diagnosis.check("live", lambda: _live(settings, services), lambda _: "answers")
            await diagnosis.check("round trip", lambda: _round_trip(LocalBackend(services, DEFAULT_TENANT)))


async def _live(settings: Settings, services: Services) -> None:
    """Ping the live server. Raises Unavailable, which names the address of a server of your own."""
    try:
        await services.pings["live"]()
    except Unavailable as error:
        if settings.redis_url is None:
            raise
        address = urlsplit(settings.redis_url).netloc.rpartition("@")[2]
        raise Unavailable(
            f"{error}; does a Redis or Valkey server run at {address} (REMEMBRANCER_REDIS_URL)?"
        ) from error


async def diagnose_service(url: str, key: str | None) -> Diagnosis:
    """Check that a service is ready, accepts `key`, and stores and finds a memory; then check the clients set up."""
    diagnosis = Diagnosis()
    async with ApiClient.open(url, key) as client:
        answer = await diagnosis.check(
            "service", lambda: client.get("/health/ready"), lambda answer: str(answer["status"])
        )
        for name, check in (answer or {}).get("checks", {}).items():
            diagnosis.checks[name] = HealthCheck.model_validate(check)
        if answer is not None:
            await diagnosis.check("round trip", lambda: _round_trip(RemoteBackend(client)))
    for name, check in client_checks(Path.cwd(), key):
        await diagnosis.check(name, check)
    return diagnosis


async def _round_trip(backend: Backend) -> str:
    """Write, find and delete a memory, in a temporary namespace."""
    namespace = f"doctor-{uuid.uuid4()}"
    try:
        (outcome,) = await backend.write_items(namespace, [{"type": MemoryType.EPISODIC, "content": _PROBE}])
        if outcome.status is not WriteStatus.STORED:
            raise Unavailable(f"a memory could not be written: {outcome.reason}")
        answer = await backend.search(SearchRequest(query=_PROBE, namespace=namespace))
    finally:
        await backend.delete_all(namespace)
    if [hit["id"] for hit in answer["hits"]] != [outcome.id] or not await backend.is_empty(namespace):
        raise Unavailable("a memory that was written is not found, or not deleted; see the service's log")
    return "written, found and deleted"


async def _python() -> str:
    if sys.version_info < (3, 11):  # noqa: UP036 - for those who run it without installing the package
        raise BadSettings(f"Python 3.11 or newer is needed, this is {platform.python_version()}")
    return platform.python_version()


async def _disk(directory: Path) -> str:
    folder, free = _free_bytes(directory)
    if free < LEAST_FREE_BYTES:
        raise BadSettings(f"only {free // 2**20} MiB are free in {folder}; free some, or choose another --data-dir")
    return f"{free // 2**20} MiB free in {folder}"


def _free_bytes(directory: Path) -> tuple[Path, int]:
    """`directory` or its nearest parent that exists, and the free bytes on its disk."""
    folder = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    return folder, shutil.disk_usage(folder).free


async def _keys(settings: Settings) -> str:
    keys = load_keys(settings.keys)
    check_exposure(settings.host, keys)
    return f"{len(keys.entries)} keys" if keys.entries else "none: loopback only, no key needed"


async def _port(settings: Settings) -> str:
    try:
        listen(settings.host, settings.port).close()
    except BadSettings as error:
        return await _running_service(settings, error)
    return f"{settings.host}:{settings.port} is free"


async def _running_service(settings: Settings, taken: BadSettings) -> str:
    url = local_url(settings.host, settings.port)
    try:
        async with ApiClient.open(url, None) as client:
            await client.get("/health/live")
    except RemembrancerError:
        raise taken from None
    return f"a running service answers on {url}"
