"""Embedding again over HTTP and on the command line."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from api.auth.keys import Role
from api.settings import Settings
from api.wiring.container import Services
from api.wiring.reembedding import Reembedding
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.model.errors import Conflict, Unavailable
from tests.api.conftest import bearer, connect
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio


async def test_without_an_embedded_store_there_is_nothing_to_do(client: httpx.AsyncClient) -> None:
    """409 with the reason."""
    assert (await client.post("/v1/admin/reembed")).status_code == 409


async def test_only_an_admin_embeds_again(guarded: Services) -> None:
    """A writer is 403."""
    async with connect(guarded) as client:
        assert (await client.post("/v1/admin/reembed", headers=bearer("acme", Role.WRITER))).status_code == 403


async def test_a_service_does_not_embed_its_servers_collections_again(tmp_path: Path) -> None:
    """The reason names the command; that one asks the server."""
    settings = Settings(data_dir=tmp_path, qdrant_url="http://127.0.0.1:1")
    reembedding = Reembedding(settings, FakeEmbedder(), Bm25Encoder())
    with pytest.raises(Conflict, match="remembrancer reembed"):
        await reembedding.run(stop_engine=True)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        await reembedding.run(stop_engine=False)
