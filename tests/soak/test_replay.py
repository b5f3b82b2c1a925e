"""Replays of receipts (records of how a context was chosen) while the store does not change."""

from __future__ import annotations

import pytest

from api.settings import Settings
from api.wiring.container import Services
from api.wiring.services import open_services
from benchmarks.harness.stores import TENANT, filled, namespace_of
from benchmarks.harness.synthetic import questions
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest
from tests.soak.service import Sizes

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_a_few_replays_are_identical(settings: Settings) -> None:
    """Six contexts in three namespaces are replayed byte for byte."""
    await _replays_are_identical(settings, memories=60, receipts=6)


@pytest.mark.soak
async def test_many_replays_are_identical(settings: Settings, sizes: Sizes) -> None:
    """Replays of receipts give the first contexts byte for byte, although many retrievals were made
    since.
    """
    await _replays_are_identical(
        settings, memories=sizes.pick(1_000, 10_000), receipts=sizes.pick(50, 1_000)
    )


async def _replays_are_identical(settings: Settings, *, memories: int, receipts: int) -> None:
    namespaces = 3
    await filled(settings, memories, namespaces)
    async with open_services(settings) as services:
        ids = [
            await _receipt(services, namespace_of(index % namespaces), question)
            for index, question in enumerate(questions(receipts, seed=31))
        ]
        assert services.receipts is not None
        replays = [await services.receipts.replay(TENANT, receipt_id) for receipt_id in ids]
    assert [replay.changes for replay in replays if not replay.identical] == []
    assert [replay.behind for replay in replays if replay.changes or replay.behind] == []


async def _receipt(services: Services, namespace: str, question: str) -> str:
    request = RetrieveRequest(query=question, namespace=namespace)
    receipt_id = (await services.retriever.retrieve(Scope(TENANT, namespace), request)).receipt_id
    assert receipt_id is not None
    return receipt_id
