"""Runs the service on the embedded store in a command's process. The command calls it by the HTTP
API.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import httpx

from api.auth.keys import KeyBook
from api.auth.rate_limit import RateLimit
from api.cli.client import ApiClient
from api.http.app import create_app
from api.http.problems import validated
from api.settings import Settings
from api.wiring.container import Services
from api.wiring.services import open_services
from ingest.upkeep.planners import JobRequest, UpkeepJob
from memtypes.model.memory import StrictModel
from memtypes.model.scope import DEFAULT_TENANT
from retrieval.query.request import RetrieveRequest, SearchRequest

_BODIES: Mapping[str, type[StrictModel]] = {
    "/v1/search": SearchRequest,
    "/v1/retrieve": RetrieveRequest,
    **{f"/v1/admin/jobs/{job}": JobRequest for job in UpkeepJob},
}


def check_body(path: str, body: Mapping[str, object]) -> None:
    """Raise InvalidInput if `body` is not a valid body for POST `path`, as the service would."""
    validated(_BODIES[path], body)


@asynccontextmanager
async def open_embedded(settings: Settings, tenant: str) -> AsyncIterator[ApiClient]:
    """Context manager that yields a client of a service in this process, with the rights of an
    admin of `tenant`.
    """
    async with open_services(settings) as services, client_of(services, tenant) as client:
        yield client


def client_of(
    services: Services, tenant: str = DEFAULT_TENANT
) -> AbstractAsyncContextManager[ApiClient]:
    """Context manager that yields a client with the rights of an admin of `tenant`, without a rate
    limit.
    """
    app = create_app(replace(services, keys=KeyBook(tenant=tenant), rate=RateLimit()))
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    return ApiClient.open("http://localhost", None, transport)
