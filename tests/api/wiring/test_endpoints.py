"""The endpoints of language models that the settings name."""

from __future__ import annotations

import httpx
import pytest
from pydantic import SecretStr

from api.settings import Settings
from api.wiring.endpoints import endpoints_of
from memtypes.circuit_breaker import BreakerState


@pytest.mark.anyio
async def test_each_endpoint_has_a_breaker_of_its_own() -> None:
    settings = Settings(
        reviewer_url="http://user:word@judge.example/v1/",
        reviewer_key=SecretStr("k"),
        summariser_url="http://notes.example:8000/v1",
    )
    async with httpx.AsyncClient() as http:
        endpoints = endpoints_of(settings, http)
        assert endpoints_of(Settings(), http).states() == {}
    assert endpoints.reviewer is not None
    for _ in range(3):
        endpoints.reviewer.breaker.record(success=False)
    assert endpoints.states() == {
        ("judge.example/v1", "review"): BreakerState.OPEN,
        ("notes.example:8000/v1", "summary"): BreakerState.CLOSED,
    }
