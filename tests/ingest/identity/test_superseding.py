"""A newer fact takes the place of an older one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.contradictions import place_facts
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.model.errors import Unavailable
from memtypes.model.memory import LinkType, Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.ports.memory_store import Listing
from memtypes.stores.memory import InMemoryStore
from tests.builders import NOW, make_memory
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer

pytestmark = pytest.mark.anyio

SCOPE = Scope("acme", "shop")


def fact(content: str, day: int, **fields: object) -> Memory:
    """A fact that holds from `day` on."""
    begun = NOW - timedelta(days=30 - day)
    return make_memory(MemoryType.SEMANTIC, content, valid_from=begun, created_at=begun, **fields)


def test_each_of_a_row_replaces_the_one_before() -> None:
    """Of three values in a row the newest alone stays, and each points to the one it replaced."""
    facts = [fact(f"The port is {number}", number) for number in (1, 2, 3)]
    near = {facts[1].id: facts[:1], facts[2].id: facts[:2]}
    placed = place_facts(facts[1:], near, NOW)
    assert [placed.replaced_by(one.id) for one in facts] == [[], [facts[0].id], [facts[1].id]]
    second = placed.facts[facts[1].id]
    assert (second.superseded_by, second.valid_to) == (facts[2].id, facts[2].valid_from)
    assert placed.patch(facts[1].id)["links"] == [{"type": LinkType.CONTRADICTS, "id": facts[0].id}]


@given(st.permutations([1, 2, 3, 4]), st.booleans())
def test_facts_find_their_places_in_any_order(order: list[int], together: bool) -> None:  # noqa: FBT001
    """However facts arrive, each ends where the next one in time begins, and the last one stays."""
    known: dict[str, Memory] = {}
    arriving = [fact(f"The port is {number}", number) for number in order]
    pieces = [arriving] if together else [[one] for one in arriving]
    for piece in pieces:
        near = {one.id: [*known.values(), *piece[:place]] for place, one in enumerate(piece)}
        known |= place_facts(piece, near, NOW).facts
    facts = sorted(known.values(), key=lambda one: one.valid_from)
    for one, following in pairwise(facts):
        assert (one.valid_to, one.superseded_by) == (following.valid_from, following.id)
    assert facts[-1].superseded_by is None


def test_of_one_time_the_last_to_arrive_stays() -> None:
    """Two values of the same instant: the second one replaces the first."""
    one, other = fact("The port is 1", 5), fact("The port is 2", 5)
    placed = place_facts([one, other], {other.id: [one]}, NOW)
    assert placed.replaced_by(other.id) == [one.id]
    assert placed.facts[other.id].superseded_by is None


@pytest.mark.parametrize(
    "old",
    [
        fact("The port is 1", 9),
        fact("The port is 1", 1, pinned=True),
        fact("The port is 1", 1, concept="another machine"),
        fact("The port is 1", 1, valid_to=NOW - timedelta(days=1)),
        make_memory(MemoryType.EPISODIC, "The port is 1"),
    ],
    ids=["newer", "pinned", "other concept", "over", "event"],
)
def test_what_is_left_alone(old: Memory) -> None:
    """A newer fact, a pinned one, one of another concept, one that is over and an event stay as they are."""
    newer = fact("The port is 2", 5, pinned=True)
    assert not place_facts([newer], {newer.id: [old]}, NOW).changed


async def _write(ingestor: Ingestor, content: str, created_at: str) -> WriteOutcome:
    draft = DRAFT.validate_python({"type": "semantic", "content": content, "created_at": created_at})
    return await ingestor.write_one(SCOPE, draft)


async def test_the_older_fact_ends_where_the_newer_begins() -> None:
    """The answer names what was replaced; that keeps its text, its end and its successor."""
    store = InMemoryStore()
    ingestor = Ingestor(IngestorParts(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW))
    old = await _write(ingestor, "The deadline of the sprint is April 5", "2026-01-01T00:00:00Z")
    new = await _write(ingestor, "The deadline of the sprint is April 12", "2026-02-01T00:00:00Z")
    assert new.status is WriteStatus.STORED
    assert new.supersedes == (old.id,)
    kept = await store.get(SCOPE, [str(old.id), str(new.id)])
    before, after = kept[str(old.id)], kept[str(new.id)]
    assert (before.content, before.superseded_by) == ("The deadline of the sprint is April 5", new.id)
    assert before.valid_to == after.valid_from
    assert [(link.type, link.id) for link in after.links] == [(LinkType.CONTRADICTS, old.id)]


def _ingestor(store: InMemoryStore) -> Ingestor:
    return Ingestor(IngestorParts(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW))


async def _current(store: InMemoryStore, at: datetime = NOW) -> list[str]:
    """The contents that hold at `at`."""
    kept = (await store.page(SCOPE, Listing())).memories
    return [one.content for one in kept if one.valid_from <= at and (one.valid_to is None or one.valid_to > at)]


async def test_an_older_fact_that_arrives_late_is_stored_as_over() -> None:
    """It takes its place before the one that is there: never current, still found as of its time."""
    store = InMemoryStore()
    ingestor = _ingestor(store)
    new = await _write(ingestor, "The port is 2", "2026-02-01T00:00:00Z")
    late = await _write(ingestor, "The port is 1", "2026-01-01T00:00:00Z")
    assert (late.status, late.supersedes) == (WriteStatus.STORED, ())
    assert late.memory is not None
    assert (late.memory.superseded_by, late.memory.valid_to) == (new.id, new.memory and new.memory.valid_from)
    assert await _current(store) == ["The port is 2"]
    assert await _current(store, datetime(2026, 1, 15, tzinfo=UTC)) == ["The port is 1"]


async def test_a_value_that_comes_back_leaves_the_past_as_it_was() -> None:
    """From one value to another and back: each time has its own memory."""
    store = InMemoryStore()
    ingestor = _ingestor(store)
    for number, month in ((1, 1), (2, 2), (1, 2)):
        day = 10 if (number, month) == (1, 2) else 1
        await _write(ingestor, f"The port is {number}", f"2026-{month:02}-{day:02}T00:00:00Z")
    days = [datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 2, 5, tzinfo=UTC), NOW]
    assert [await _current(store, day) for day in days] == [["The port is 1"], ["The port is 2"], ["The port is 1"]]
    again = await _write(ingestor, "The port is 1", "2026-01-01T00:00:00Z")
    assert (again.status, len((await store.page(SCOPE, Listing())).memories)) == (WriteStatus.MERGED, 3)


async def test_a_batch_that_is_sent_again_ends_as_it_did() -> None:
    """Values that replace each other in one batch stay as they are when the batch is repeated."""
    store = InMemoryStore()
    drafts = [DRAFT.validate_python({"type": "semantic", "content": f"The port is {one}"}) for one in (1, 2, 3)]
    first = await _ingestor(store).write(SCOPE, drafts)
    assert [one.supersedes for one in first] == [(), (first[0].id,), (first[1].id,)]
    later = NOW + timedelta(hours=1)
    parts = IngestorParts(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: later)
    again = await Ingestor(parts).write(SCOPE, drafts)
    assert [(one.status, one.id) for one in again] == [(WriteStatus.MERGED, one.id) for one in first]
    assert await _current(store, later) == ["The port is 3"]


class _Patchless(InMemoryStore):
    """A store that can't be patched while `away`."""

    away = False

    async def patch(self, *given: Any, **named: Any) -> None:
        """Patch, or fail."""
        if self.away:
            raise Unavailable("the engine is away")
        await super().patch(*given, **named)


async def test_what_was_left_unfinished_is_finished_by_the_next_try() -> None:
    """A write that ended between the new fact and the old one's end says so; sent again, it ends the old one."""
    store = _Patchless()
    old = await _write(_ingestor(store), "The port is 1", "2026-01-01T00:00:00Z")
    store.away = True
    with pytest.raises(Unavailable):
        await _write(_ingestor(store), "The port is 2", "2026-02-01T00:00:00Z")
    store.away = False
    assert sorted(await _current(store)) == ["The port is 1", "The port is 2"]
    again = await _write(_ingestor(store), "The port is 2", "2026-02-01T00:00:00Z")
    assert (again.status, again.supersedes) == (WriteStatus.MERGED, (old.id,))
    assert await _current(store) == ["The port is 2"]
