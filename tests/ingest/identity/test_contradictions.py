"""Facts that contradict and replace older facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.contradictions import MAX_CHARACTERS, ParsedFact, place_facts, replaces
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.model.errors import Unavailable
from memtypes.model.memory import LinkType, Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.ports.memory_store import Listing
from tests.builders import NOW, make_memory
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("The deadline is April 12", "The deadline is April 5"),
        ("Ann lives in Berlin now", "Ann lives in Paris"),
        ("The office is no longer in Rome", "The office is in Rome"),
        ("Ann isn't a vegetarian", "Ann is a vegetarian"),
        ("The meeting is on Friday at 4pm", "The meeting is on Friday at 3pm"),
        ("The budget limit is $500", "The budget limit is $400"),
        ("My favourite colour is green", "My favourite colour is blue"),
        ("The deploy port is now 9090", "The deploy port is 8080"),
        ("The server runs on port 81", "The server runs on port 80"),
        ("Ann prefers light mode", "Ann prefers dark mode"),
        ("Ann's phone is a Pixel 8", "Ann's phone is an iPhone 12"),
        ("Ann works as a doctor at the clinic", "Ann works as a nurse at the clinic"),
        ("My job title is senior analyst", "My job title is analyst"),
        ("Ann's dog is called Bello", "Ann's dog is called Rex"),
        ("Ann has three kids", "Ann has two kids"),
        ("Ann likes spicy food", "Ann does not like spicy food"),
        ("The rate limit was raised to 500 requests a minute", "The rate limit is 100 requests a minute"),
        ("The meeting moved to Friday", "The meeting is on Monday"),
        ("Ann moved to Berlin", "Ann lives in Paris"),
        ("Ann moved from Paris to Berlin", "Ann lives in Paris"),
        ("We now use Emacs", "We use Vim"),
        ("We switched the shop from MySQL to Postgres", "We use MySQL for the shop"),
        ("The database is Postgres 16", "The database is Postgres 14"),
    ],
)
def test_another_value_replaces_the_old_one(newer: str, older: str) -> None:
    """A negation, or a statement such as "from A to B", replaces the old value too."""
    assert replaces(ParsedFact.of(newer), ParsedFact.of(older))


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("Ann visited Paris", "Ann visited Rome"),
        ("Ann is friends with Bob", "Ann is friends with Carl"),
        ("Chapter 2 is short", "Chapter 1 is short"),
        ("Ann has 3 cats", "Ann has 2 dogs"),
        ("Ann is tall", "Ann is kind"),
        ("Is the deadline May 1?", "The deadline is May 2"),
        ("Bob lives in Paris", "Ann lives in Paris"),
        ("The deadline is 3", "The deadline is Rome"),
        ("is 3", "is 4"),
        ("Ann is Catholic", "Ann is American"),
        ("Ann's dog is old", "Ann's dog is brown"),
        ("Ann is 30 years old", "Ann is 5 feet tall"),
        ("Ann works on Gemini", "Ann works on Apollo"),
        ("Ann works at Acme", "Ann works as Editor"),
        ("Ann has two sisters", "Ann has two brothers"),
        ("Ann speaks German", "Ann speaks French"),
        ("We use hypothesis for tests", "We use pytest for tests"),
        ("We switched from MySQL to Postgres", "MySQL is a database"),
        ("We moved to Berlin", "We like Paris"),
        ("The office moved to Paris", "Ann moved to Berlin"),
        ("The cache is cold", "The cache is warm"),
    ],
)
def test_statements_that_may_both_hold_replace_nothing(newer: str, older: str) -> None:
    """Other subjects, multi-valued relations, values of another kind, and questions replace nothing."""
    assert not replaces(ParsedFact.of(newer), ParsedFact.of(older))


@given(st.text(max_size=80))
def test_a_text_does_not_replace_itself(text: str) -> None:
    """No text is read as a contradiction of the same text."""
    assert not replaces(ParsedFact.of(text), ParsedFact.of(text))


def test_long_texts_are_not_parsed() -> None:
    """They replace nothing and are not replaced."""
    page = "The port is 8080 " + "and so on " * (MAX_CHARACTERS // 10)
    assert not replaces(ParsedFact.of("The port is 9090"), ParsedFact.of(page))
    assert not ParsedFact.of(page).words


SCOPE = Scope("acme", "shop")


def fact(content: str, day: int, **fields: object) -> Memory:
    """A fact that is valid from this day on."""
    begun = NOW - timedelta(days=30 - day)
    return make_memory(MemoryType.SEMANTIC, content, valid_from=begun, created_at=begun, **fields)


def test_each_value_replaces_the_one_before() -> None:
    """Of three successive values the newest is current; each fact links to the one that it replaced."""
    facts = [fact(f"The port is {number}", number) for number in (1, 2, 3)]
    near = {facts[1].id: facts[:1], facts[2].id: facts[:2]}
    timeline = place_facts(facts[1:], near, NOW)
    assert [timeline.replaced_by(fact.id) for fact in facts] == [[], [facts[0].id], [facts[1].id]]
    second = timeline.states.memories[facts[1].id]
    assert (second.superseded_by, second.valid_to) == (facts[2].id, facts[2].valid_from)
    assert timeline.states.patch(facts[1].id)["links"] == [
        {"to": facts[0].id, "type": LinkType.CONTRADICTS, "strength": 1.0}
    ]


@given(st.permutations([1, 2, 3, 4]), st.booleans())
def test_the_timeline_does_not_depend_on_the_order_of_arrival(order: list[int], together: bool) -> None:  # noqa: FBT001
    """Each fact ends when the next one begins; the latest is current."""
    known: dict[str, Memory] = {}
    arriving = [fact(f"The port is {number}", number) for number in order]
    pieces = [arriving] if together else [[new] for new in arriving]
    for piece in pieces:
        near = {new.id: [*known.values(), *piece[:place]] for place, new in enumerate(piece)}
        known |= place_facts(piece, near, NOW).states.memories
    facts = sorted(known.values(), key=lambda known_fact: known_fact.valid_from)
    for earlier, following in pairwise(facts):
        assert (earlier.valid_to, earlier.superseded_by) == (following.valid_from, following.id)
    assert facts[-1].superseded_by is None


def test_of_two_values_at_the_same_time_the_last_to_arrive_holds() -> None:
    """It replaces the value that arrived first."""
    first, last = fact("The port is 1", 5), fact("The port is 2", 5)
    timeline = place_facts([first, last], {last.id: [first]}, NOW)
    assert timeline.replaced_by(last.id) == [first.id]
    assert timeline.states.memories[last.id].superseded_by is None


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
def test_newer_pinned_ended_and_unrelated_facts_are_not_replaced(old: Memory) -> None:
    """Newer facts, pinned facts, facts about other concepts, ended facts and events stay current."""
    newer = fact("The port is 2", 5, pinned=True)
    assert not place_facts([newer], {newer.id: [old]}, NOW).states.changed


async def _write(ingestor: Ingestor, content: str, created_at: str) -> WriteOutcome:
    draft = DRAFT.validate_python({"type": "semantic", "content": content, "created_at": created_at})
    return await ingestor.write_one(SCOPE, draft)


async def test_the_old_fact_ends_where_the_new_one_begins() -> None:
    """The outcome has the id of the replaced fact, which keeps its text and points to its successor."""
    store = InMemoryStore()
    ingestor = Ingestor(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW)
    old = await _write(ingestor, "The deadline of the sprint is April 5", "2026-01-01T00:00:00Z")
    new = await _write(ingestor, "The deadline of the sprint is April 12", "2026-02-01T00:00:00Z")
    assert new.status is WriteStatus.STORED
    assert new.supersedes == (old.id,)
    stored = await store.get(SCOPE, [str(old.id), str(new.id)])
    before, after = stored[str(old.id)], stored[str(new.id)]
    assert (before.content, before.superseded_by) == ("The deadline of the sprint is April 5", new.id)
    assert before.valid_to == after.valid_from
    assert [(link.type, link.to) for link in after.links] == [(LinkType.CONTRADICTS, old.id)]


def _ingestor(store: InMemoryStore) -> Ingestor:
    return Ingestor(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW)


async def _current(store: InMemoryStore, at: datetime = NOW) -> list[str]:
    """The contents that are valid at this time."""
    stored = (await store.page(SCOPE, Listing())).memories
    return [
        memory.content
        for memory in stored
        if memory.valid_from <= at and (memory.valid_to is None or memory.valid_to > at)
    ]


async def test_an_older_fact_that_arrives_late_is_stored_as_ended() -> None:
    """It is never current, but a search as of its time finds it."""
    store = InMemoryStore()
    ingestor = _ingestor(store)
    new = await _write(ingestor, "The port is 2", "2026-02-01T00:00:00Z")
    late = await _write(ingestor, "The port is 1", "2026-01-01T00:00:00Z")
    assert (late.status, late.supersedes) == (WriteStatus.STORED, ())
    assert late.memory is not None
    assert (late.memory.superseded_by, late.memory.valid_to) == (new.id, new.memory and new.memory.valid_from)
    assert await _current(store) == ["The port is 2"]
    assert await _current(store, datetime(2026, 1, 15, tzinfo=UTC)) == ["The port is 1"]


async def test_a_value_that_returns_is_a_new_memory() -> None:
    """Each period of the value has its memory, and the earlier one is unchanged."""
    store = InMemoryStore()
    ingestor = _ingestor(store)
    for number, month in ((1, 1), (2, 2), (1, 2)):
        day = 10 if (number, month) == (1, 2) else 1
        await _write(ingestor, f"The port is {number}", f"2026-{month:02}-{day:02}T00:00:00Z")
    days = [datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 2, 5, tzinfo=UTC), NOW]
    assert [await _current(store, day) for day in days] == [["The port is 1"], ["The port is 2"], ["The port is 1"]]
    again = await _write(ingestor, "The port is 1", "2026-01-01T00:00:00Z")
    assert (again.status, len((await store.page(SCOPE, Listing())).memories)) == (WriteStatus.MERGED, 3)


async def test_repeating_a_batch_of_contradictions_changes_nothing() -> None:
    """The last value is still the current one."""
    store = InMemoryStore()
    drafts = [DRAFT.validate_python({"type": "semantic", "content": f"The port is {number}"}) for number in (1, 2, 3)]
    first = await _ingestor(store).write(SCOPE, drafts)
    assert [outcome.supersedes for outcome in first] == [(), (first[0].id,), (first[1].id,)]
    later = NOW + timedelta(hours=1)
    ingestor = Ingestor(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: later)
    again = await ingestor.write(SCOPE, drafts)
    assert [(outcome.status, outcome.id) for outcome in again] == [
        (WriteStatus.MERGED, outcome.id) for outcome in first
    ]
    assert await _current(store, later) == ["The port is 3"]


class _Patchless(InMemoryStore):
    """A memory store whose patches fail while `away` is set."""

    away = False

    async def patch(self, *given: Any, **named: Any) -> None:
        """Patch the memory, or raise while `away` is set."""
        if self.away:
            raise Unavailable("the engine is away")
        await super().patch(*given, **named)


async def test_an_interrupted_replacement_is_completed_by_the_next_write() -> None:
    """If the store failed after the new fact was stored, writing it again ends the old one."""
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
