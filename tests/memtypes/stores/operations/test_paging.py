"""The order of pages and their cursors, as plain values; a page over a simulated engine that cuts ties at will."""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.stores.operations import messages
from memtypes.stores.operations.paging import Key, cursor_of, in_order, list_page, parse_cursor, split_at_cut
from memtypes.stores.operations.steps import ById, Count, Fetch, Scroll, Step, run

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = st.lists(st.tuples(st.sampled_from(list(MemoryType)), st.integers(0, 4)), max_size=40)
Payload = dict[str, Any]


def payloads_of(times: list[tuple[MemoryType, int]]) -> list[Payload]:
    """Payloads at few different times."""
    return [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))),
            "type": kind,
            "created_at": rfc3339(START + timedelta(0, at)),
        }
        for n, (kind, at) in enumerate(times)
    ]


def engine_of(payloads: list[Payload], seed: int) -> Callable[[MemoryType, Step], Any]:
    """An engine that orders by time, and equal times in a different order each time it is asked."""
    shuffled = random.Random(seed)  # noqa: S311 - a simulation

    def do(kind: MemoryType, step: Step) -> Any:
        own = [payload for payload in payloads if payload["type"] is kind]
        match step:
            case Count():
                return len(own)
            case Fetch(ids):
                return {payload["id"]: payload for payload in own if payload["id"] in ids}
            case Scroll():
                return newest(own, step)
            case ById():
                return by_id(own, step)
        raise AssertionError(step)

    def newest(own: list[Payload], step: Scroll) -> list[tuple[str, Payload]]:
        assert step.newest_first
        matching = [payload for payload in own if meets(payload, step.where)]
        shuffled.shuffle(matching)
        matching.sort(key=lambda payload: payload["created_at"], reverse=True)
        return pairs(matching[: step.limit])

    return do


def by_id(own: list[Payload], step: ById) -> list[tuple[str, Payload]]:
    """What an engine says of equal times."""
    matching = (p for p in own if meets(p, step.where) and p["id"] >= (step.start or ""))
    return pairs(sorted(matching, key=lambda p: p["id"])[: step.limit])


def pairs(found: list[Payload]) -> list[tuple[str, Payload]]:
    """Ids and times."""
    return [(payload["id"], {"created_at": payload["created_at"]}) for payload in found]


def meets(payload: Payload, where: dict[str, Any]) -> bool:
    """Whether a payload's time is in the ranges of `where`."""
    ranges = [part["range"] for part in where["must"] if "range" in part]
    at = payload["created_at"]
    return all(("lt" not in ends or at < ends["lt"]) and ("gte" not in ends or at == ends["gte"]) for ends in ranges)


@given(TIMES, st.integers(1, 12), st.integers())
def test_pages_show_everything_once_in_order(times: list[tuple[MemoryType, int]], limit: int, seed: int) -> None:
    """However an engine orders equal times, the pages are the whole list, newest first, ties by id."""
    payloads = payloads_of(times)
    do, after, shown = engine_of(payloads, seed), None, list[Payload]()
    for _ in range(len(payloads) + 1):
        ask = messages.List(tenant="t", namespace="n", types=list(MemoryType), where={}, limit=limit, after=after)
        listed = run(list_page(ask), do)
        assert listed.total == len(payloads)
        shown += listed.payloads
        if not listed.more:
            break
        assert len(listed.payloads) == limit
        after = parse_cursor(cursor_of(listed.payloads[-1]))
    expected = sorted(sorted(payloads, key=lambda p: p["id"]), key=lambda p: p["created_at"], reverse=True)
    assert shown == expected


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_gives_back_what_it_was_made_of(at: datetime, memory_id: uuid.UUID) -> None:
    """Any time and any id survive the way through a cursor, which is safe in a URL."""
    cursor = cursor_of({"created_at": rfc3339(at), "id": str(memory_id)})
    assert parse_cursor(cursor) == (rfc3339(at), str(memory_id))
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


@given(st.one_of(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)))
def test_anything_else_is_no_cursor(text: str) -> None:
    """No text makes parsing fail in another way than by refusing it."""
    for cursor in (text, base64.urlsafe_b64encode(text.encode()).decode()):
        with pytest.raises(InvalidRequest) as caught:
            parse_cursor(cursor)
        assert caught.value.path == "cursor"


def test_a_group_is_only_cut_where_the_engine_stopped() -> None:
    """With fewer keys than were asked for nothing was cut; else the oldest instant has to be read again."""
    keys = [Key(rfc3339(START + timedelta(0, at)), str(n), MemoryType.EPISODIC) for n, at in enumerate((3, 2, 2))]
    assert split_at_cut(keys, 4) == (keys, None)
    assert split_at_cut(keys, 3) == (keys[:1], "2026-01-01T00:00:02Z")


def test_times_are_ordered_as_instants() -> None:
    """Microseconds are written only where there are some; the order does not depend on that."""
    keys = [Key(text, "x", MemoryType.EPISODIC) for text in ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z")]
    assert in_order(keys) == keys[::-1]
