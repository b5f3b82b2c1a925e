"""Runs the server process: opens the services, answers HTTP calls until SIGTERM or SIGINT, and
closes all stores.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import uvicorn
from anyio import to_thread

from api.auth.keys import HashedKey, load_keys
from api.http.app import create_app
from api.http.timeouts import TimedProtocol
from api.settings import BadSettings, Settings, is_loopback
from api.wiring.container import Services
from api.wiring.services import open_services

_log = logging.getLogger(__name__)

_ALLOCATIONS = 20_000
"""New objects after which Python collects garbage, instead of 700.

Queued receipts hold tens of thousands of objects. With eight clients, collections took a ninth of
the time, 80 ms each.
"""


def check_exposure(host: str, keys: Sequence[HashedKey]) -> None:
    """Raise BadSettings if the service has no API keys but `host` is not a loopback address."""
    if not keys and not is_loopback(host):
        raise BadSettings(
            "without keys the service listens on loopback only: give --keys FILE, or not "
            f"--host {host}"
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, before the stores are opened, so that errors come early.
    Raises BadSettings.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Asyncio sets TCP_NODELAY only on sockets named as TCP; without it an answer waits 40 ms for an
    # acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise BadSettings(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from error
    return listener


async def serve(
    settings: Settings, before: Callable[[Services], Awaitable[None]] | None = None
) -> None:
    """Answer calls until SIGTERM or SIGINT, then close the stores. before: awaited before the first
    call.
    """
    keys = load_keys(settings.keys)
    check_exposure(settings.host, keys)
    with listen(settings.host, settings.port) as listener:
        async with AsyncExitStack() as stack:
            services = await stack.enter_async_context(open_services(settings, keys))
            await stack.enter_async_context(services.jobs.running())
            loading = asyncio.create_task(_load_vocabularies(services))
            stack.callback(loading.cancel)
            if before is not None:
                await before(services)
            config = uvicorn.Config(
                create_app(services, local_only=not keys),
                http=TimedProtocol,
                ws="none",
                log_config=None,
                log_level="warning" if settings.log_level == "info" else settings.log_level,
                access_log=False,  # its lines would contain namespaces
                server_header=False,
                timeout_graceful_shutdown=settings.shutdown_s,
            )
            freeze_loaded_objects()
            _log.info("listening on http://%s:%s", settings.host, listener.getsockname()[1])
            _log.info("inspector on http://%s:%s/inspect", settings.host, listener.getsockname()[1])
            # Uvicorn raises the signal again after it has stopped, which would end the process
            # before the stores are closed.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(
                    number, lambda name, _: _log.debug("signal %s ignored: already stopped", name)
                )
            await uvicorn.Server(config).serve(sockets=[listener])
    _log.info("stopped")


async def _load_vocabularies(services: Services) -> None:
    """Load the tokenizers' vocabularies, so that the first call that counts tokens does not wait
    half a second.
    """
    for tokenizer in services.tokenizers.values():
        await to_thread.run_sync(tokenizer.count, "")


def freeze_loaded_objects() -> None:
    """Exclude all existing objects from garbage collection, which would spend 100 ms on them each
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)
