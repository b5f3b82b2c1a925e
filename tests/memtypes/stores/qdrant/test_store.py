"""The store on a Qdrant server: its requests, translated errors, and the check of the embedder's
fingerprint.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from memtypes.model.errors import (
    EmbedderMismatch,
    InvalidRequest,
    RemembrancerError,
    SetupRequired,
    Unavailable,
)
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import CandidateSearch
from memtypes.stores.operations.schema import COLLECTIONS
from memtypes.stores.operations.uuids import ids_of
from memtypes.stores.operations.vector_engine import VectorQuery
from memtypes.stores.qdrant.store import LOCAL, QdrantSettings, QdrantStore
from memtypes.stores.qdrant.translate import to_query
from retrieval.columns import COLUMNS
from tests.builders import DIMENSIONS, SCOPE, make_dense, make_memory, make_record, make_sparse
from tests.memtypes.stores.stub import StubAnswer, StubRequest, stub_server

pytestmark = pytest.mark.anyio


def settings_for(url: str, **changes: Any) -> QdrantSettings:
    """Settings of a store on the server at a URL, with short timeouts."""
    defaults: dict[str, Any] = {
        "fingerprint": "test-embedder",
        "dimensions": DIMENSIONS,
        "column_kinds": COLUMNS,
        "timeout_s": 5,
        "prefix": "p",
    }
    return QdrantSettings(url, **defaults | changes)


def answering(answer: StubAnswer) -> Any:
    """An answer function for a stub server, which returns `answer` for every request."""

    async def answers(_: StubRequest) -> StubAnswer:
        return answer

    return answers


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (StubAnswer(401, b"no key"), Unavailable, r"refused the API key \(401\)"),
        (StubAnswer(403, {}), Unavailable, r"refused the API key \(403\)"),
        (StubAnswer(500, b"boom"), Unavailable, "answered 500: boom"),
        (StubAnswer(503, b""), Unavailable, "answered 503"),
        (StubAnswer(404, b"gone"), Unavailable, "answered 404: gone"),
        (StubAnswer(400, b"bad"), InvalidRequest, "refused the request: bad"),
        (StubAnswer(200, {"hello": "world"}), Unavailable, "does not answer like Qdrant"),
        (StubAnswer(200, b"<html>"), Unavailable, "does not answer like Qdrant"),
        (
            StubAnswer(429, {"status": {"error": "slow"}}, {"Retry-After": "7"}),
            Unavailable,
            "is overloaded",
        ),
    ],
)
async def test_error_answers_are_translated(
    answer: StubAnswer, error: type[RemembrancerError], text: str
) -> None:
    """An error answer of the server becomes an error of the store that names the server and the
    reason.
    """
    async with stub_server(answering(answer)) as url:
        with pytest.raises(error, match=text) as caught:
            await QdrantStore.open(settings_for(url))
    assert url in str(caught.value)


async def test_an_overloaded_server_names_a_retry_time() -> None:
    async with stub_server(
        answering(StubAnswer(429, {"status": {"error": "slow"}}, {"Retry-After": "7"}))
    ) as url:
        with pytest.raises(Unavailable) as caught:
            await QdrantStore.open(settings_for(url))
    assert caught.value.retry_after_s == 7


async def test_an_unreachable_server_is_unavailable() -> None:
    """The error for an unreachable server names its URL."""
    async with stub_server(answering(StubAnswer())) as url:
        pass
    with pytest.raises(Unavailable, match=f"{url} can't be reached"):
        await QdrantStore.open(settings_for(url))


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    """A call that the server does not answer fails after the timeout in the settings."""
    hung = asyncio.Event()

    async def answers(_: StubRequest) -> StubAnswer:
        await hung.wait()
        return StubAnswer()

    async with stub_server(answers) as url:
        with pytest.raises(Unavailable, match=f"{url} did not answer in time"):
            await QdrantStore.open(settings_for(url, timeout_s=1))
        hung.set()


async def test_another_embedder_is_refused_and_nothing_changes() -> None:
    """The error for an embedder with another fingerprint or dimension names the stored one. Nothing
    is written.
    """
    client = AsyncQdrantClient(LOCAL)
    store = QdrantStore(settings_for(LOCAL), client)
    await store.prepare()
    memory = make_memory(MemoryType.EPISODIC, "x")
    await store.upsert(SCOPE, [make_record(memory)])
    for changes in ({"fingerprint": "other"}, {"dimensions": 9}):
        with pytest.raises(
            EmbedderMismatch, match=r"test-embedder \(8 dimensions\).*Nothing was changed"
        ):
            await QdrantStore(settings_for(LOCAL, **changes), client).prepare()
    reopened = QdrantStore(settings_for(LOCAL), client)
    await reopened.prepare()
    assert await reopened.get(SCOPE, [memory.id]) == {memory.id: memory}
    await reopened.aclose()


async def test_collections_have_versions_behind_aliases() -> None:
    """Each memory type has an alias for the first version of its collection. Each prefix has its
    own collections.
    """
    client = AsyncQdrantClient(LOCAL)
    for prefix in ("p", "q"):
        await QdrantStore(settings_for(LOCAL, prefix=prefix), client).prepare()
    aliases = {
        alias.alias_name: alias.collection_name for alias in (await client.get_aliases()).aliases
    }
    assert aliases == {
        f"{prefix}_{kind}": f"{prefix}_{kind}_v1" for prefix in "pq" for kind in COLLECTIONS
    }
    await client.close()


async def test_a_store_opens_although_its_first_opening_was_interrupted() -> None:
    """If opening a store was interrupted before an alias was set, the next opening checks and uses
    the collection.
    """
    client = AsyncQdrantClient(LOCAL)
    store = QdrantStore(settings_for(LOCAL), client)
    await store.prepare()
    drop = models.DeleteAlias(alias_name="p_semantic")
    await client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=drop)])
    await store.prepare()
    assert (await store.stats(SCOPE))[MemoryType.SEMANTIC].count == 0
    await store.aclose()


class FreshServer:
    """A Qdrant server without collections. requests: all received. taken: another process creates
    collections first. version: as the server states it.
    """

    def __init__(self, *, taken: bool = False, version: str = "1.19.0") -> None:
        self.requests: list[StubRequest] = []
        self.taken = taken
        self.version = version

    async def answers(self, request: StubRequest) -> StubAnswer:
        """Answer a request as Qdrant does while a store creates its collections."""
        self.requests.append(request)
        segments = request.path.split("?")[0].strip("/").split("/")
        if segments == [""]:
            return StubAnswer(200, {"title": "qdrant", "version": self.version})
        if request.path.startswith("/aliases"):
            return _result({"aliases": []})
        if segments[-1] == "exists":
            return _result({"exists": False})
        if request.method == "GET":
            return _result(_collection_info())
        if request.method == "PUT" and len(segments) == 2 and self.taken:
            return StubAnswer(409, b"already exists")
        return _result(
            {"operation_id": 1, "status": "completed"} if segments[-1] == "index" else True
        )

    def bodies(self, method: str, ending: str) -> list[Any]:
        """The bodies of the requests with this method whose paths end with `ending`."""
        return [
            request.body
            for request in self.requests
            if request.method == method and request.path.split("?")[0].endswith(ending)
        ]


def _result(answer: Any) -> StubAnswer:
    return StubAnswer(200, {"result": answer, "status": "ok", "time": 0.0})


def _collection_info() -> dict[str, Any]:
    return {
        "status": "green",
        "optimizer_status": "ok",
        "segments_count": 1,
        "payload_schema": {"tenant": {"data_type": "keyword", "points": 0}},
        "config": {
            "params": {},
            "hnsw_config": {"m": 0, "ef_construct": 100, "full_scan_threshold": 10000},
            "optimizer_config": {
                "deleted_threshold": 0.2,
                "vacuum_min_vector_number": 1000,
                "default_segment_number": 0,
                "flush_interval_sec": 5,
            },
            "metadata": {"fingerprint": "test-embedder", "dimensions": DIMENSIONS},
        },
    }


async def test_collections_are_created_with_the_settings() -> None:
    """New collections have the shards, replicas and quantization of the settings; requests have
    their API key.
    """
    server = FreshServer()
    chosen: dict[str, Any] = {
        "shards": 3,
        "replicas": 2,
        "write_consistency": 2,
        "quantization": "int8",
    }
    async with stub_server(server.answers) as url:
        # Rightly so: the stub speaks plain HTTP
        with pytest.warns(UserWarning, match="insecure connection"):
            store = await QdrantStore.open(settings_for(url, api_key="secret", **chosen))
        await store.ping()
        await store.aclose()
    assert {request.headers["api-key"] for request in server.requests} == {"secret"}
    (collection,) = server.bodies("PUT", "/collections/p_semantic_v1")
    assert (
        collection["shard_number"],
        collection["replication_factor"],
        collection["write_consistency_factor"],
    ) == (
        3,
        2,
        2,
    )
    assert collection["metadata"] == {"fingerprint": "test-embedder", "dimensions": DIMENSIONS}
    assert collection["vectors"]["dense"]["quantization_config"]["scalar"]["type"] == "int8"
    assert collection["vectors"]["tokens"]["datatype"] == "float16"
    assert collection["sparse_vectors"]["sparse"]["modifier"] == "idf"
    fields = {
        body["field_name"] for body in server.bodies("PUT", "/collections/p_semantic_v1/index")
    }
    assert {"namespace", "session_id", "tags", "created_at", "importance"} <= fields
    assert "tenant" not in fields, "an index that is there is not made again"
    assert len(server.bodies("POST", "/collections/aliases")) == len(COLLECTIONS)


@pytest.mark.parametrize("version", ["1.18.3", "0.11.0", "1.9.0", "unknown"])
async def test_a_server_that_ignores_the_tenant_of_keyword_scores_is_refused(version: str) -> None:
    server = FreshServer(version=version)
    async with stub_server(server.answers) as url:
        with pytest.raises(SetupRequired, match=rf"{url} has version {version}: take 1\.19 or"):
            await QdrantStore.open(settings_for(url))
    assert {request.method for request in server.requests} == {"GET"}, "nothing was made"


@pytest.mark.parametrize("version", ["1.19.0-dev", "1.20.1", "2.0.0", "v1.19.0+a1b2c3"])
async def test_a_server_of_the_right_version_is_used(version: str) -> None:
    server = FreshServer(version=version)
    async with stub_server(server.answers) as url:
        store = await QdrantStore.open(settings_for(url))
        await store.aclose()
    assert server.bodies("PUT", "/collections/p_semantic_v1")


async def test_another_process_may_create_the_collections_first() -> None:
    """Collections that another process has created are checked and used."""
    server = FreshServer(taken=True)
    async with stub_server(server.answers) as url:
        store = await QdrantStore.open(settings_for(url))
        await store.aclose()
    assert len(server.bodies("POST", "/collections/aliases")) == len(COLLECTIONS)


async def test_a_server_failure_after_the_start_raises_unavailable() -> None:
    """If the server fails after the store was opened, every call raises Unavailable."""
    async with stub_server(FreshServer().answers) as url:
        store = await QdrantStore.open(settings_for(url))
    memory = make_memory(MemoryType.EPISODIC, "x")
    for call in (
        store.ping(),
        store.get(SCOPE, [memory.id]),
        store.upsert(SCOPE, [make_record(memory)]),
        store.candidates(
            SCOPE, [CandidateSearch({MemoryType.EPISODIC: None}, make_dense(1), make_sparse([1]))]
        ),
        store.stats(SCOPE),
    ):
        with pytest.raises(Unavailable, match=url):
            await call
    await store.aclose()


@pytest.mark.parametrize("exact", [True, False])
# A parameter of the test
def test_scores_come_from_the_original_vectors(exact: bool) -> None:  # noqa: FBT001
    """A search selects candidates by quantized vectors and scores them by the original vectors.

    An exact search ignores quantized vectors.
    """
    among = ids_of([make_memory(MemoryType.EPISODIC, "x").id]) if exact else None
    params = to_query(VectorQuery(make_dense(1), 5, {}, {}, among), local=False).params
    assert params is not None
    assert params.quantization is not None
    assert (params.exact, params.quantization.ignore, params.quantization.rescore) == (
        exact,
        exact,
        True,
    )
