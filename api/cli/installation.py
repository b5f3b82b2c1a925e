"""The checks that `remembrancer doctor` makes of this installation: Python, disk, configuration
files, port, models, stores.
"""

from __future__ import annotations

import platform
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from api.auth.keys import load_keys
from api.cli.client import ApiClient
from api.cli.diagnosis import Diagnosis, readiness, round_trip
from api.cli.embedded import client_of
from api.cli.mcp.starting import local_url
from api.http.serve import check_exposure, listen
from api.settings import BadSettings, Settings
from api.wiring.container import Services
from api.wiring.resources import (
    left_out,
    open_embedder,
    open_reader,
    open_tokenizers,
)
from api.wiring.services import open_services
from memtypes.live.thread_policy import read_policies
from memtypes.llms.registry import RegistrySource
from memtypes.model.errors import RemembrancerError, SetupRequired, Unavailable

LEAST_FREE_BYTES = 500 * 1024 * 1024
"""Free disk space, in bytes, below which the check fails: the encoder and some 100,000 memories
need this much.
"""


async def diagnose_installation(settings: Settings, diagnosis: Diagnosis) -> None:
    """Run all checks and record them in `diagnosis`. The last check writes, finds and deletes a
    memory.
    """
    await diagnosis.check("python", _python)
    await diagnosis.check("disk", lambda: _disk(settings.data_dir))
    await diagnosis.check("keys", lambda: _keys(settings))
    models = await diagnosis.check("models", lambda: _models(settings))
    policies = await diagnosis.check("policies", lambda: _policies(settings))
    await diagnosis.check("port", lambda: _port(settings))
    await diagnosis.check("tokenizers", open_tokenizers, ", ".join)
    embedder = await diagnosis.check(
        "encoder",
        lambda: open_embedder(settings),
        lambda opened: left_out(opened.fingerprint) or opened.fingerprint,
    )
    if embedder is None:
        return
    await embedder.aclose()
    if models is None or policies is None:  # no service starts with them
        return
    await diagnosis.check("reader", lambda: _reader(settings))
    async with AsyncExitStack() as stack:
        services = await diagnosis.check(
            "store", lambda: stack.enter_async_context(open_services(settings)), lambda _: "opened"
        )
        if services is not None:
            await diagnosis.check("live", lambda: _live(settings, services), lambda _: "answers")
            client = await stack.enter_async_context(client_of(services))
            await diagnosis.check("round trip", lambda: round_trip(client))


async def _reader(settings: Settings) -> str:
    """What reader the service has, or why it has none. It is optional, so this check passes."""
    try:
        reader = await open_reader(settings)
    except SetupRequired as error:
        return f"optional: {error}"
    await reader.aclose()
    return reader.fingerprint


async def _live(settings: Settings, services: Services) -> None:
    try:
        await services.pings["live"]()
    except Unavailable as error:
        if settings.redis_url is None:
            raise
        address = urlsplit(settings.redis_url).netloc.rpartition("@")[2]
        raise Unavailable(
            f"{error}; does a Redis or Valkey server run at {address} (REMEMBRANCER_REDIS_URL)?"
        ) from error


async def _python() -> str:
    return platform.python_version()


async def _disk(directory: Path) -> str:
    folder, free = _free_bytes(directory)
    if free < LEAST_FREE_BYTES:
        raise BadSettings(
            f"only {free // 2**20} MiB are free in {folder}; free some, or choose another "
            "--data-dir"
        )
    return f"{free // 2**20} MiB free in {folder}"


def _free_bytes(directory: Path) -> tuple[Path, int]:
    """`directory` or its nearest existing parent, and the free bytes of its disk."""
    folder = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    return folder, shutil.disk_usage(folder).free


async def _keys(settings: Settings) -> str:
    keys = load_keys(settings.keys)
    check_exposure(settings.host, keys)
    if settings.keys is not None and settings.keys.stat().st_mode & 0o077:
        fault = "other users than its owner have access to it"
        raise BadSettings(f"keys file {settings.keys}: {fault}; run: chmod 600 {settings.keys}")
    return f"{len(keys)} keys" if keys else "none: loopback only, no key needed"


async def _models(settings: Settings) -> str:
    registry = RegistrySource(settings.models)()
    return f"{len(registry.listed())} models, {settings.models or 'the built-in list alone'}"


async def _policies(settings: Settings) -> str:
    policies = read_policies(settings.policies)
    if settings.policies is None:
        return "none: all threads have the default policy"
    known = (
        f"{len(policies.threads)} of threads, {len(policies.agents)} agents, {settings.policies}"
    )
    return "; ".join([known, *policies.notes])


async def _port(settings: Settings) -> str:
    try:
        listen(settings.host, settings.port).close()
    except BadSettings as taken:
        url = local_url(settings.host, settings.port)
        try:
            async with ApiClient.open(url, None) as client:
                await readiness(client, "/health/live")
        except RemembrancerError:
            raise taken from None
        return f"a running service answers on {url}"
    return f"{settings.host}:{settings.port} is free"
