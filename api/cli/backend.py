"""Where a command works: on the embedded store, or on a running service. Both take and give what the HTTP API does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from api.auth.keys import DEFAULT_TENANT, KeyRing
from api.cli.client import ApiClient
from api.http import queries
from api.settings import Settings
from api.wiring import open_services
from api.wiring.container import Services
from ingest.files.run import LocalSink, Sink
from ingest.upkeep.planners import JobRequest, UpkeepJob
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Model
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest, SearchRequest


@dataclass(frozen=True, slots=True)
class Place:
    """Where to work. url, key: a running service; without a url the embedded store, as `tenant`."""

    settings: Settings
    url: str | None = None
    key: str | None = None
    tenant: str = DEFAULT_TENANT


class Backend(Protocol):
    """What commands ask for; requests and answers are those of HTTP."""

    async def search(self, asked: SearchRequest) -> dict[str, Any]:
        """The answer of POST /v1/search."""
        ...

    async def retrieve(self, asked: RetrieveRequest) -> dict[str, Any]:
        """The answer of POST /v1/retrieve."""
        ...

    async def job(self, job: UpkeepJob, asked: JobRequest) -> dict[str, Any]:
        """The answer of POST /v1/admin/jobs/NAME."""
        ...

    def sink(self, namespace: str) -> Sink:
        """Where an import writes."""
        ...


@asynccontextmanager
async def open_backend(place: Place) -> AsyncIterator[Backend]:
    """The backend of `place`, closed at the end."""
    if place.url:
        if place.tenant != DEFAULT_TENANT:
            raise InvalidRequest("over --url the key decides the tenant; leave out --tenant")
        async with ApiClient.open(place.url, place.key) as client:
            yield RemoteBackend(client)
    else:
        async with open_services(place.settings, KeyRing()) as services:
            yield LocalBackend(services, place.tenant)


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """The services of this process."""

    services: Services
    tenant: str

    async def search(self, asked: SearchRequest) -> dict[str, Any]:
        """The answer of POST /v1/search."""
        return (await queries.search(self.services, self.tenant, asked)).model_dump(mode="json")

    async def retrieve(self, asked: RetrieveRequest) -> dict[str, Any]:
        """The answer of POST /v1/retrieve."""
        return (await queries.retrieve(self.services, self.tenant, asked)).model_dump(mode="json")

    async def job(self, job: UpkeepJob, asked: JobRequest) -> dict[str, Any]:
        """The answer of POST /v1/admin/jobs/NAME."""
        return asdict(await self.services.upkeep.run_all(self.tenant, job, asked))

    def sink(self, namespace: str) -> Sink:
        """Writes with this process's ingestor."""
        return LocalSink(self.services.ingestor, Scope(self.tenant, namespace))


@dataclass(frozen=True, slots=True)
class RemoteBackend:
    """A running service."""

    client: ApiClient

    async def search(self, asked: SearchRequest) -> dict[str, Any]:
        """The answer of POST /v1/search."""
        return await self.client.post("/v1/search", _sent(asked))

    async def retrieve(self, asked: RetrieveRequest) -> dict[str, Any]:
        """The answer of POST /v1/retrieve."""
        return await self.client.post("/v1/retrieve", _sent(asked))

    async def job(self, job: UpkeepJob, asked: JobRequest) -> dict[str, Any]:
        """The answer of POST /v1/admin/jobs/NAME."""
        return await self.client.post(f"/v1/admin/jobs/{job}", _sent(asked))

    def sink(self, namespace: str) -> Sink:
        """Writes by batches over HTTP."""
        return HttpSink(self.client, namespace)


@dataclass(frozen=True, slots=True)
class HttpSink:
    """An import's items as batches over HTTP."""

    client: ApiClient
    namespace: str

    async def write(self, items: list[dict[str, Any]]) -> list[WriteOutcome]:
        """What the service says became of each item."""
        answer = await self.client.post("/v1/memories/batch", {"namespace": self.namespace, "items": items})
        return [
            WriteOutcome(WriteStatus(one["status"]), one.get("id"), one.get("reason"), one.get("merged_into"))
            for one in answer["results"]
        ]


def _sent(asked: Model) -> dict[str, Any]:
    """A request as the body of a call: what was not given is the service's to say."""
    return asked.model_dump(mode="json", exclude_unset=True)
