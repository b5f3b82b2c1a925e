"""Where commands run: on the embedded store or on a running service, with the requests of the HTTP API in both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import msgspec

from api.auth.keys import DEFAULT_TENANT, KeyRing
from api.cli.client import ApiClient
from api.http.routes.retrieval import run_retrieve, run_search
from api.settings import Settings
from api.wiring import open_services
from api.wiring.container import Services
from ingest.conversations.sessions import MessageOutcome, SessionWriter
from ingest.files.sessions import SessionPart
from ingest.screening.submission import Classification, ReviewMode, submission_from
from ingest.upkeep.planners import JobRequest, UpkeepJob
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Model
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from retrieval.query.request import RankedRequest, RetrieveRequest, SearchRequest


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command runs: on the service at `url` with `key` or, without a url, on the embedded store as `tenant`."""

    settings: Settings
    url: str | None = None
    key: str | None = None
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """Runs commands on the embedded store, opened in this process."""

    services: Services
    tenant: str

    async def search(self, request: SearchRequest) -> dict[str, Any]:
        """Search the store; the answer is that of POST /v1/search."""
        return (await run_search(self.services, self._scope(request), request)).model_dump(mode="json")

    async def retrieve(self, request: RetrieveRequest) -> dict[str, Any]:
        """Retrieve a context from the store; the answer is that of POST /v1/retrieve."""
        return (await run_retrieve(self.services, self._scope(request), request)).model_dump(mode="json")

    async def job(self, job: UpkeepJob, request: JobRequest) -> dict[str, Any]:
        """Run the upkeep job `job`; the answer is that of POST /v1/admin/jobs/NAME."""
        return asdict(await self.services.upkeep.run_all(self.tenant, job, request))

    async def write_items(self, namespace: str, items: list[dict[str, Any]]) -> list[WriteOutcome]:
        """Write items of an import into `namespace`. Returns the outcome of each item."""
        submissions = [submission_from(item) for item in items]
        return await self.services.ingestor.write(Scope(self.tenant, namespace), submissions)

    async def is_empty(self, namespace: str) -> bool:
        """Whether a namespace has no memories."""
        return not any(size.count for size in (await self.services.store.stats(Scope(self.tenant, namespace))).values())

    async def delete_all(self, namespace: str) -> None:
        """Delete all memories of a namespace."""
        await self.services.store.delete_where(Scope(self.tenant, namespace), (), None)

    async def write_part(self, part: SessionPart) -> list[MessageOutcome]:
        """Store the messages of a part of a past session. Returns the outcome of each message."""
        writer = SessionWriter(self.services.ingestor, self.services.recall_guard)
        scope = Scope(self.tenant, part.namespace, part.session_id)
        return await writer.write(scope, part.messages, ReviewMode.AUTO, part.before)

    def _scope(self, request: RankedRequest) -> Scope:
        return Scope(self.tenant, request.namespace, request.session_id, request.agent_id)


@dataclass(frozen=True, slots=True)
class RemoteBackend:
    """Runs commands on a running service over HTTP."""

    client: ApiClient

    async def search(self, request: SearchRequest) -> dict[str, Any]:
        """The service's answer to POST /v1/search."""
        return await self._post("/v1/search", request)

    async def retrieve(self, request: RetrieveRequest) -> dict[str, Any]:
        """The service's answer to POST /v1/retrieve."""
        return await self._post("/v1/retrieve", request)

    async def job(self, job: UpkeepJob, request: JobRequest) -> dict[str, Any]:
        """The service's answer to POST /v1/admin/jobs/NAME."""
        return await self._post(f"/v1/admin/jobs/{job}", request)

    async def write_items(self, namespace: str, items: list[dict[str, Any]]) -> list[WriteOutcome]:
        """Post items of an import as one batch. Returns the outcome of each item."""
        answer = await self.client.post("/v1/memories/batch", {"namespace": namespace, "items": items})
        return [_outcome(item) for item in answer["results"]]

    async def is_empty(self, namespace: str) -> bool:
        """Whether a namespace has no memories, by GET /v1/stats."""
        return not (await self.client.get("/v1/stats", {"namespace": namespace}))["total"]["count"]

    async def delete_all(self, namespace: str) -> None:
        """Delete all memories of a namespace."""
        await self.client.delete("/v1/memories", {"namespace": namespace, "confirm": "true"})

    async def write_part(self, part: SessionPart) -> list[MessageOutcome]:
        """Post a part of a past session to the service; no to-dos are paused. Returns each message's outcome."""
        body = {
            "namespace": part.namespace,
            "session_id": part.session_id,
            "messages": [message.model_dump(exclude_none=True) for message in part.messages],
            "before": part.before.model_dump(exclude_none=True),
            "ended": False,
        }
        answer = await self.client.post("/v1/hooks/session-stop", body)
        return msgspec.convert(answer["results"], list[MessageOutcome])

    async def _post(self, path: str, request: Model) -> dict[str, Any]:
        """Post only the fields that were set in `request`, so that the service's defaults apply to the others."""
        return await self.client.post(path, request.model_dump(mode="json", exclude_unset=True))


def _outcome(item: Mapping[str, Any]) -> WriteOutcome:
    """The outcome of an item as the service reports it. classified: only of an item that was sent without a type."""
    named = (WriteStatus(item["status"]), item.get("id"), item.get("reason"), item.get("merged_into"))
    if (answer := item.get("classified")) is None:
        return WriteOutcome(*named)
    found = Classification(MemoryType(answer["type"]), answer["confidence"], answer["reason"])
    return WriteOutcome(*named, classified=found)


def body_of(**members: Any) -> dict[str, Any]:
    """The body of a request: the command's options without those that are None."""
    return {name: value for name, value in members.items() if value is not None}


Backend: TypeAlias = LocalBackend | RemoteBackend


@asynccontextmanager
async def open_backend(place: Place) -> AsyncIterator[Backend]:
    """Open the store or connect to the service that `place` names; closed at the end."""
    if place.url:
        if place.tenant != DEFAULT_TENANT:
            raise InvalidRequest("with --url the key determines the tenant; leave out --tenant")
        async with ApiClient.open(place.url, place.key) as client:
            yield RemoteBackend(client)
    else:
        async with open_services(place.settings, KeyRing()) as services:
            yield LocalBackend(services, place.tenant)
