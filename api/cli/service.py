"""Chooses the service that a command calls: a running service, or one in this process on the
embedded store.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from api.cli.client import ApiClient, is_live
from api.cli.mcp.starting import local_url
from api.settings import BadSettings, Settings, read_settings
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import DEFAULT_TENANT

KEY_VARIABLE = "REMEMBRANCER_KEY"
URL_VARIABLE = "REMEMBRANCER_URL"
_FOLDER_VARIABLE = "REMEMBRANCER_DATA_DIR"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Backend:
    """The service at `url` with the API key `key`; if `url` is None, the embedded store of
    `settings` for `tenant`.
    """

    settings: Settings
    url: str | None = None
    key: str | None = None
    tenant: str = DEFAULT_TENANT

    @property
    def destination(self) -> str:
        """Text that identifies the service or store, under which import journals record what has
        been sent to it.
        """
        if self.url:
            return f"{self.url} {hashlib.sha256((self.key or '').encode()).hexdigest()[:12]}"
        return f"{self.settings.data_dir.absolute()} {self.settings.qdrant_url or ''} {self.tenant}"

    @property
    def journal(self) -> Path:
        """Folder with the journals of imports, by which an interrupted import can be resumed."""
        return self.settings.data_dir / "journal"


def backend_of(
    data_dir: Path | None, url: str | None, key: str | None, tenant: str = DEFAULT_TENANT
) -> Backend:
    """The service or store that a command works on: the service at `url`, or the embedded store in
    `data_dir`.

    If the user gives neither url nor data_dir nor tenant, this is the local service if it runs,
    else the embedded store; the choice is printed on stderr. tenant: tenant to act for on the
    embedded store. Raises BadSettings if `key` is given for the embedded store, or if `url` is
    empty.
    """
    if url is not None and not url.strip():
        raise BadSettings(
            "--url is empty; name a service, or leave it out to use the store in the data folder"
        )
    if data_dir is not None and url == os.environ.get(URL_VARIABLE):
        url = None  # the flag is meant, not the variable
    settings = settings_from({"data_dir": data_dir})
    if (
        url is None
        and data_dir is None
        and tenant == DEFAULT_TENANT
        and _FOLDER_VARIABLE not in os.environ
    ):
        local = local_url(settings.host, settings.port)
        url = local if is_live(local) else None
        used = (
            f"the service at {local}"
            if url
            else f"the store in {settings.data_dir}, as no service runs at {local}"
        )
        print(f"remembrancer: using {used}", file=sys.stderr)
    if key is not None and url is None and KEY_VARIABLE not in os.environ:
        raise BadSettings(
            "--key goes with a service, which --url names; the embedded store takes --tenant"
        )
    return Backend(settings, url, key, tenant)


def settings_from(flags: Mapping[str, Any]) -> Settings:
    """The settings, in which `flags` (command-line options) take precedence. Also configures
    logging.
    """
    settings = read_settings(flags)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines contain URLs and so namespaces
    return settings


def require_store(settings: Settings) -> None:
    """Raise InvalidRequest if the data folder has no embedded store, which a command that only
    reads must not make.
    """
    if settings.qdrant_url is None and not settings.store_path.exists():
        raise InvalidRequest(
            f"there is no store in {settings.data_dir}: name the data folder of one with --data-dir"
        )


async def ask(
    backend: Backend, path: str, body: Mapping[str, Any], shape: type[_T]
) -> tuple[dict[str, Any], _T]:
    """Send `body`, without its members that are None, to POST `path`. Returns the answer as JSON
    and as a `shape`.

    Raises the service's errors. An embedded store must exist; it is opened, which takes seconds,
    for a valid body only.
    """
    sent = {name: value for name, value in body.items() if value is not None}
    if not backend.url:
        from api.cli.embedded import check_body  # noqa: PLC0415 - imports the whole service

        check_body(path, sent)
        require_store(backend.settings)
    async with connect(backend) as client:
        answer = await client.post(path, sent)
        return answer, client.parsed(answer, shape)


@asynccontextmanager
async def connect(backend: Backend) -> AsyncIterator[ApiClient]:
    """Context manager that yields a client of `backend`. An embedded store is closed at the end.

    Raises InvalidRequest if `backend` has a tenant and a service, whose API key determines the
    tenant.
    """
    if backend.url:
        if backend.tenant != DEFAULT_TENANT:
            raise InvalidRequest("with --url the key determines the tenant; leave out --tenant")
        async with ApiClient.open(backend.url, backend.key) as client:
            yield client
    else:
        from api.cli.embedded import open_embedded  # noqa: PLC0415 - imports the whole service

        async with open_embedded(backend.settings, backend.tenant) as client:
            yield client
