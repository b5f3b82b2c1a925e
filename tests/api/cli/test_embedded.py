"""Commands on the embedded store, which run the service's code in the command's own process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.auth.rate_limit import RateLimit
from api.cli.embedded import client_of
from api.cli.serving import show_samples
from api.wiring.container import Services
from memtypes.model.times import system_clock
from tests.api.fake_services import fake_services

pytestmark = pytest.mark.anyio


async def test_commands_need_no_key_and_have_no_rate_limit(
    guarded: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    """`remembrancer run` loads its sample memories even if calls over HTTP need a key and have a
    rate limit.
    """
    services = fake_services(system_clock)
    await show_samples(replace(services, keys=guarded.keys, rate=RateLimit(per_minute=1)))
    assert "memories loaded" in capsys.readouterr().out


async def test_a_client_finds_only_the_memories_of_its_tenant(services: Services) -> None:
    async with client_of(services, "acme") as client, client_of(services) as other:
        item = {"type": "semantic", "content": "The kiln is lit on Fridays."}
        await client.post("/v1/memories/batch", {"namespace": "n", "items": [item]})
        assert [await each.is_empty("n") for each in (client, other)] == [False, True]
