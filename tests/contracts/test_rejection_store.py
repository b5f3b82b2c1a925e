"""The contract of RejectionStore, which stores the texts that were rejected as memories."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from memtypes.model.scope import Scope
from memtypes.ports.rejections import MAX_REJECTED, REJECTED_TTL, RejectedText, RejectionStore
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.rejections import RedisRejections
from tests.fakes_rejections import FakeRejections
from tests.live import LIVE

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)


@pytest.fixture(params=["fake", *LIVE])
def store(request: pytest.FixtureRequest) -> RejectionStore:
    """The RejectionStore under test: a test runs once with each implementation."""
    if request.param == "fake":
        return FakeRejections(lambda: NOW)
    live: LiveClient = request.getfixturevalue(request.param)
    return RedisRejections(live, lambda: NOW)


@pytest.fixture
def scope() -> Scope:
    """A scope whose tenant no other test uses."""
    return Scope(f"t {uuid.uuid4()}", "n/1 \u00fc")


def text(name: str, age: timedelta = timedelta()) -> RejectedText:
    """A rejected text with this name, rejected `age` ago."""
    return RejectedText(name, NOW - age, "filler", {"content": f"ok \u00fc {name}", "tags": ["a"]})


async def test_the_newest_texts_come_first(store: RejectionStore, scope: Scope) -> None:
    """Rejected texts are listed newest first, up to the limit, with all their fields."""
    old = text("a", timedelta(hours=2))
    new = text("c", timedelta(hours=1))
    newest = text("b")
    await store.add(scope, [old, newest])
    await store.add(scope, [new])
    assert await store.latest(scope, 2) == [newest, new]
    assert await store.get(scope, "a") == old
    assert await store.get(scope, "z") is None


async def test_a_text_that_is_rejected_again_is_listed_once(
    store: RejectionStore, scope: Scope
) -> None:
    repeated = replace(text("a"), reason="repetition")
    await store.add(scope, [text("a", timedelta(days=1))])
    await store.add(scope, [repeated])
    assert await store.latest(scope, 10) == [repeated]


async def test_removed_and_expired_texts_are_not_listed(
    store: RejectionStore, scope: Scope
) -> None:
    """A rejected text is not listed after it was removed, or once it is older than REJECTED_TTL."""
    await store.add(scope, [text("a"), text("b"), text("c", REJECTED_TTL + timedelta(minutes=1))])
    await store.remove(scope, ["a", "unknown"])
    await store.remove(scope, [])
    assert [rejected.id for rejected in await store.latest(scope, 10)] == ["b"]
    assert await store.get(scope, "a") is None


async def test_matching_texts_are_found_even_if_expired(
    store: RejectionStore, scope: Scope
) -> None:
    """The ids of the texts that match are returned, also if a text is older than REJECTED_TTL."""
    await store.add(scope, [text("a"), text("b"), text("c", REJECTED_TTL + timedelta(minutes=1))])
    assert set(
        await store.matching(scope, lambda rejected: rejected.fields["content"] != "ok \u00fc a")
    ) == {"b", "c"}
    assert await store.matching(replace(scope, namespace="m"), lambda _: True) == []


async def test_the_oldest_texts_beyond_the_limit_are_dropped(
    store: RejectionStore, scope: Scope
) -> None:
    """A namespace keeps the newest MAX_REJECTED rejected texts; a further text removes the
    oldest.
    """
    await store.add(
        scope,
        [text(f"{number:04}", timedelta(seconds=number)) for number in range(MAX_REJECTED + 1)],
    )
    ids = [rejected.id for rejected in await store.latest(scope, MAX_REJECTED + 10)]
    assert (len(ids), ids[0], ids[-1]) == (MAX_REJECTED, "0000", f"{MAX_REJECTED - 1:04}")


async def test_namespaces_do_not_share_texts(store: RejectionStore, scope: Scope) -> None:
    """A rejected text of one namespace is not listed in another namespace and not found by another
    tenant.
    """
    await store.add(scope, [text("a")])
    assert await store.latest(replace(scope, namespace="m"), 10) == []
    assert await store.get(replace(scope, tenant=f"{scope.tenant}2"), "a") is None
