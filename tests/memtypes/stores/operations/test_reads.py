"""Pages of memories and the cursors between them, on an engine that orders memories of equal time
at random.
"""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import Vectors
from memtypes.stores.operations.conditions import within
from memtypes.stores.operations.reads import (
    Position,
    cursor_of,
    get_page,
    parse_cursor,
    split_off_oldest,
)
from memtypes.stores.operations.schema import Kind
from memtypes.stores.operations.vector_engine import Payload, PutPoints, Scroll, ScrollOrder
from tests.builders import SCOPE, make_dense, make_sparse
from tests.fakes_memories import InMemoryEngine

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = st.lists(st.tuples(st.sampled_from(list(MemoryType)), st.integers(0, 4)), max_size=40)
VECTORS = Vectors(make_dense(1), make_sparse([1]))


def payloads_of(times: list[tuple[MemoryType, int]]) -> list[Payload]:
    """One payload for each pair of a memory type and a number, which is converted to the time of
    creation.
    """
    return [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))),
            "type": kind,
            "tenant": SCOPE.tenant,
            "namespace": SCOPE.namespace,
            # With and without microseconds
            "created_at": rfc3339(START + timedelta(0, at // 2, at % 2)),
        }
        for n, (kind, at) in enumerate(times)
    ]


def created(payload: Payload) -> datetime:
    """The instant at which the memory of a payload was created."""
    return datetime.fromisoformat(payload["created_at"])


class ShufflingEngine(InMemoryEngine):
    """An in-memory engine that orders memories by time, and those of equal time at random,
    differently on each call.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)  # noqa: S311 - a simulation

    async def scroll(self, scrolls: Mapping[Kind, Scroll]) -> dict[Kind, dict[str, Payload]]:
        """Answer scrolls like the base class, except that payloads of equal time come in random
        order.
        """
        newest = {
            kind: scroll
            for kind, scroll in scrolls.items()
            if scroll.order is ScrollOrder.NEWEST_FIRST
        }
        answers = await super().scroll(
            {kind: scroll for kind, scroll in scrolls.items() if kind not in newest}
        )
        for kind, scroll in newest.items():
            everything = Scroll(scroll.where, 10_000, scroll.fields)
            payloads = list((await super().scroll({kind: everything}))[kind].items())
            self._random.shuffle(payloads)
            payloads.sort(key=lambda pair: created(pair[1]), reverse=True)
            answers[kind] = dict(payloads[: scroll.limit])
        return {kind: answers[kind] for kind in scrolls}


@given(TIMES, st.integers(1, 12), st.integers())
async def test_pages_show_everything_once_in_order(
    times: list[tuple[MemoryType, int]], limit: int, seed: int
) -> None:
    """Joined, the pages are the whole list of memories, newest first; memories of equal time are
    ordered by id.
    """
    payloads = payloads_of(times)
    engine = ShufflingEngine(seed)
    for payload in payloads:
        point = Record(payload["id"], payload["type"], payload, VECTORS)
        await engine.write({payload["type"]: [PutPoints([point], within(SCOPE))]})
    after = None
    shown = list[Payload]()
    for _ in range(len(payloads) + 1):
        page = await get_page(
            engine, scope=SCOPE, types=list(MemoryType), where={}, limit=limit, after=after
        )
        assert page.total == len(payloads)
        shown += page.payloads
        if not page.more:
            break
        assert len(page.payloads) == limit
        after = parse_cursor(cursor_of(page.payloads[-1]))
    expected = sorted(sorted(payloads, key=lambda p: p["id"]), key=created, reverse=True)
    assert shown == expected


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_round_trips(at: datetime, memory_id: uuid.UUID) -> None:
    """Parsing a cursor returns the time and the id from which it was made. A cursor is safe in a
    URL.
    """
    cursor = cursor_of({"created_at": rfc3339(at), "id": str(memory_id)})
    assert parse_cursor(cursor) == (rfc3339(at), str(memory_id))
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


@pytest.mark.parametrize(
    "time", ["2026-11-23T16:37:59,5Z", "2026-W48-1T00:00:00Z", "2026-11-23T16:37:59+00:00:30"]
)
def test_a_cursor_whose_time_engines_cannot_read_is_refused(time: str) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps([time, str(uuid.uuid4())]).encode()).decode()
    with pytest.raises(InvalidRequest, match="is not a cursor of this store"):
        parse_cursor(cursor)


@given(
    st.one_of(
        st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)
    )
)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    for cursor in (text, base64.urlsafe_b64encode(text.encode()).decode()):
        with pytest.raises(InvalidRequest) as caught:
            parse_cursor(cursor)
        assert caught.value.path == "cursor"


def test_the_oldest_instant_is_read_again_after_a_full_page() -> None:
    """An engine's full page may have cut off memories of its oldest time, so that time is read
    again.

    A page with fewer memories than its limit has cut off none.
    """
    times = [START + timedelta(0, at) for at in (3, 2, 2)]
    positions = [Position(at, str(n), MemoryType.EPISODIC) for n, at in enumerate(times)]
    assert split_off_oldest(positions, 4) == (positions, None)
    assert split_off_oldest(positions, 3) == (positions[:1], times[1])
