"""Facts that contradict and replace older facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.judgement import Relation, update_model
from ingest.identity.relation import MAX_CHARACTERS
from ingest.identity.states import States
from ingest.identity.stored import Neighbour
from ingest.identity.timeline import Timeline
from ingest.identity.update_evidence import Statement
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.model.errors import Unavailable
from memtypes.model.memory import LinkType, Memory, State
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.ports.memory_store import Listing, Record
from tests.builders import NOW, make_memory
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio


def relation_of(newer: str, older: str, cosine: float = 0.85) -> Relation:
    """Whether the newer text replaces, contests or is unrelated to the older one, if their vectors
    have this cosine.
    """
    return (
        update_model()
        .judge(Statement.from_text(newer), Statement.from_text(older), cosine)
        .relation
    )


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("The deadline is 12 April", "The deadline is 5 April"),
        ("The budget limit is $500", "The budget limit is $400"),
        ("The server is on port 81", "The server is on port 80"),
        ("The database is Postgres 16", "The database is Postgres 14"),
        ("The build uses version 28.10.7", "The build uses version 28.10.2"),
        ("Le cours de yoga a lieu le jeudi", "Le cours de yoga a lieu le mardi"),
    ],
)
def test_the_same_sentence_with_another_value_replaces(newer: str, older: str) -> None:
    """The newer of two sentences that differ in a value (such as a number, a date or a version)
    replaces the older.
    """
    assert relation_of(newer, older) is Relation.REPLACES


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (
            "We upgraded the web client to React 19 last night",
            "The web client is built with React 18",
        ),
        (
            "The flag fast_checkout is on for 50 % of users now",
            "The flag fast_checkout is on for 10 % of users",
        ),
        ("The standup moved to 10:30", "The standup is at 9:30"),
        (
            "The rate limit was raised to 500 requests a minute",
            "The rate limit is 100 requests a minute",
        ),
        ("We switched the shop from MySQL to Postgres", "We use MySQL for the shop"),
    ],
)
def test_a_report_of_a_change_in_other_words_replaces_or_contests_the_older_fact(
    newer: str, older: str
) -> None:
    """A text that gives another value in a sentence of another form replaces or contests the older
    text.
    """
    assert relation_of(newer, older, 0.7) is not Relation.UNRELATED


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("Ann visited Paris", "Ann visited Rome"),
        ("Bob lives in Paris", "Ann lives in Paris"),
        ("Ann is tall", "Ann is kind"),
        ("Is the deadline May 1?", "The deadline is May 2"),
        ("Ann's dog is old", "Ann's dog is brown"),
        ("Ann is 30 years old", "Ann is 5 feet tall"),
        ("Ann speaks German", "Ann speaks French"),
        ("Bob moved to Rome", "Bob is CTO"),
        ("We moved the sessions from Redis to Postgres", "We use Redis"),
        ("The service is in Kubernetes", "The service is in Go"),
        ("The default branch is main", "The default branch is protected"),
        ("Alice works in Engineering", "Alice works in Rome"),
        ("The ledger listens on port 9090", "The gateway listens on port 8080"),
        ("The dose was 250 mg", "The dose is 500 mg"),
        ("The rent is not 920 euros", "The rent is 850 euros"),
        ("The pool is open to 20:00", "The pool is open from 7:00"),
        ("The server crashed at 17:45", "The server crashed at 03:10"),
        ("Rosa ran the marathon in 2024", "Rosa ran the marathon in 2021"),
        ("Fact number 2 of the list", "Fact number 1 of the list"),
        ("Ticket 12 closed by Ann", "Ticket 11 closed by Ann"),
    ],
)
def test_statements_that_can_both_be_true_do_not_replace_each_other(newer: str, older: str) -> None:
    """Texts about different subjects or attributes, compatible texts and questions do not replace
    each other.
    """
    assert relation_of(newer, older) is not Relation.REPLACES


@pytest.mark.parametrize(
    ("newer", "older", "relation"),
    [
        ("Gateway port: 9090", "Gateway port: 8080", Relation.REPLACES),
        ("timeout=45", "timeout = 30", Relation.REPLACES),
        ("Frist: 3. Mai", "Frist: 1. Mai", Relation.REPLACES),
        ("- **Port**: 9090", "- **Port**: 8080", Relation.REPLACES),
        ("**Port**: 8080", "Port: 8080", Relation.UNRELATED),
        ("DB_POOL_MAX=10", "DB_POOL_MIN=2", Relation.UNRELATED),
        ("Owner: Jonas", "Owner: Marta", Relation.CONTESTS),
        ("Gateway port: 81", "Proxy port: 80", Relation.UNRELATED),
        ("Standup: Monday 9:30", "Standup: Friday 9:00", Relation.UNRELATED),
        ("Lesson: pin versions", "Lesson: write tests first", Relation.UNRELATED),
        ("Marta: I'll send it", "Marta: I'll be late", Relation.UNRELATED),
    ],
)
def test_a_key_with_a_value_is_compared_like_a_sentence(
    newer: str, older: str, relation: Relation
) -> None:
    """The text "Owner: Marta" is compared as "Owner is Marta"; "Marta: I'll send it" is not such a
    text.
    """
    assert relation_of(newer, older) is relation


def test_texts_with_the_same_key_need_no_similar_vectors() -> None:
    """Another number for the same key replaces the earlier one although the vectors of such short
    texts differ.
    """
    assert relation_of("Port: 9090", "Port: 8080", 0.5) is Relation.REPLACES
    assert relation_of("Depth: 9090", "Port: 8080", 0.5) is Relation.UNRELATED


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_contradiction_model_gives_a_probability_for_any_two_texts(
    newer: str, older: str
) -> None:
    assert (
        0.0
        <= update_model()
        .judge(Statement.from_text(newer), Statement.from_text(older), 0.5)
        .strength
        <= 1.0
    )


@given(st.text(max_size=80))
def test_a_fact_is_not_replaced_by_one_with_the_same_text(text: str) -> None:
    assert relation_of(text, text, 1.0) is not Relation.REPLACES


def test_long_texts_are_not_searched_for_contradictions() -> None:
    """A fact longer than MAX_CHARACTERS is not replaced by a newer fact that contradicts a part of
    it.
    """
    page = fact("The port is 8080 " + "and so on " * (MAX_CHARACTERS // 10), 1)
    newer = fact("The port is 9090", 2)
    assert not states_after([newer], {newer.id: neighbours_of(page)}).changed


SCOPE = Scope("acme", "shop")


def states_after(
    arriving: Sequence[Memory], neighbours: Mapping[str, Sequence[Neighbour]]
) -> States:
    """The states of memories after the `arriving` facts were compared with their neighbours.

    neighbours: similar memories for each arriving fact, by the fact's id.
    """
    states = States(NOW)
    timeline = Timeline(states)
    for new in arriving:
        timeline.add(new, neighbours.get(new.id, ()))
    return states


def fact(content: str, day: int, **fields: object) -> Memory:
    """A fact that became valid `30 - day` days before NOW. A higher `day` is later."""
    begun = NOW - timedelta(days=30 - day)
    return make_memory(MemoryType.SEMANTIC, content, valid_from=begun, created_at=begun, **fields)


def neighbours_of(*facts: Memory) -> list[Neighbour]:
    """The facts as neighbours (similar memories), in the form in which a search returns them."""
    return [Neighbour(memory, 0.9) for memory in facts]


def test_each_value_replaces_the_one_before() -> None:
    """Of three successive values the newest is current; each fact links to the one that it
    replaced.
    """
    facts = [fact(f"The gateway listens on port 808{number}", number) for number in (1, 2, 3)]
    states = states_after(
        facts[1:], {facts[1].id: neighbours_of(*facts[:1]), facts[2].id: neighbours_of(*facts[:2])}
    )
    assert [states.memories[fact.id].superseded_by for fact in facts] == [
        facts[1].id,
        facts[2].id,
        None,
    ]
    second = states.memories[facts[1].id]
    assert (second.superseded_by, second.valid_to) == (facts[2].id, facts[2].valid_from)
    assert states.patch(facts[1].id)["links"] == [
        {"to": facts[0].id, "type": LinkType.CONTRADICTS, "strength": 1.0}
    ]


def test_a_value_replaces_the_current_one_even_if_only_an_earlier_one_is_near() -> None:
    """A new fact replaces the current one even if a search finds only a fact that the current one
    has replaced.
    """
    facts = [fact(f"The gateway listens on port 808{number}", number) for number in (1, 2, 3)]
    first = neighbours_of(facts[0])
    states = states_after(facts, {facts[1].id: first, facts[2].id: first})
    assert [states.memories[fact.id].superseded_by for fact in facts] == [
        facts[1].id,
        facts[2].id,
        None,
    ]


@given(st.permutations([1, 2, 3, 4]), st.booleans())
def test_the_timeline_does_not_depend_on_the_order_of_arrival(
    order: list[int],
    together: bool,  # noqa: FBT001
) -> None:
    """Contradicting facts arrive in any order. Each ends when the next one begins, and the latest
    is current.
    """
    memories: dict[str, Memory] = {}
    arriving = [fact(f"The gateway listens on port 808{number}", number) for number in order]
    pieces = [arriving] if together else [[new] for new in arriving]
    for piece in pieces:
        neighbours = {
            new.id: neighbours_of(*memories.values(), *piece[:index])
            for index, new in enumerate(piece)
        }
        memories |= states_after(piece, neighbours).memories
    facts = sorted(memories.values(), key=lambda known_fact: known_fact.valid_from)
    for earlier, following in pairwise(facts):
        assert (earlier.valid_to, earlier.superseded_by) == (following.valid_from, following.id)
    assert facts[-1].superseded_by is None


def test_the_last_to_arrive_of_contradicting_facts_with_the_same_time_is_current() -> None:
    first = fact("The gateway listens on port 8081", 5)
    last = fact("The gateway listens on port 8082", 5)
    states = states_after([first, last], {last.id: neighbours_of(first)})
    assert states.memories[first.id].superseded_by == last.id
    assert states.memories[last.id].superseded_by is None


@pytest.mark.parametrize(
    "old",
    [
        fact("The gateway listens on port 8081", 1, concept="another machine"),
        fact("The gateway listens on port 8081", 1, tags=["spare"]),
        fact("The gateway listens on port 8081", 1, valid_to=NOW - timedelta(days=1)),
        make_memory(MemoryType.EPISODIC, "The gateway listens on port 8081"),
    ],
    ids=["other concept", "other tag", "ended", "event"],
)
def test_ended_and_unrelated_facts_are_not_changed_by_a_newer_one(old: Memory) -> None:
    """A fact neither replaces nor contests an event, an ended fact, or one with another concept or
    tag.
    """
    newer = fact("The gateway listens on port 8082", 5, concept="gateway", tags=["live"])
    assert not states_after([newer], {newer.id: neighbours_of(old)}).changed


@pytest.mark.parametrize(
    "fields",
    [
        {"pinned": True},
        {"concept": "Gateway"},
        {"tags": ["ports", "test"]},
        {"metadata": {"page": 4}},
    ],
    ids=["pinned", "concept of one", "some other tags", "other metadata"],
)
def test_a_fact_that_may_be_about_another_thing_is_contested_not_replaced(
    fields: dict[str, Any],
) -> None:
    """A newer value contests a fact that is pinned, or whose concept, tags or metadata are not
    quite the same.
    """
    old = fact("The gateway listens on port 8081", 1, **fields)
    newer = fact(
        "The gateway listens on port 8082", 5, tags=["PORTS", "live"], metadata={"page": 5}
    )
    states = states_after([newer], {newer.id: neighbours_of(old)}).memories
    assert [states[fact.id].state for fact in (old, newer)] == [State.CONTESTED] * 2


async def _write(ingestor: Ingestor, content: str, created_at: str) -> WriteOutcome:
    draft = DRAFT.validate_python(
        {"type": "semantic", "content": content, "created_at": created_at}
    )
    return await ingestor.write_one(SCOPE, draft)


async def test_the_old_fact_ends_when_the_new_one_begins() -> None:
    """A replaced fact keeps its text, ends when the new fact begins, and names the new fact as its
    successor.

    The outcome has the replaced fact's id.
    """
    store = InMemoryStore()
    ingestor = plain_ingestor(store, lambda: NOW)
    old = await _write(ingestor, "The deadline of the sprint is April 5", "2026-01-01T00:00:00Z")
    new = await _write(ingestor, "The deadline of the sprint is April 12", "2026-02-01T00:00:00Z")
    assert new.status is WriteStatus.STORED
    assert new.supersedes == (old.id,)
    stored = await store.get(SCOPE, [str(old.id), str(new.id)])
    before = stored[str(old.id)]
    after = stored[str(new.id)]
    assert (before.content, before.superseded_by) == (
        "The deadline of the sprint is April 5",
        new.id,
    )
    assert before.valid_to == after.valid_from
    assert [(link.type, link.to) for link in after.links] == [(LinkType.CONTRADICTS, old.id)]


def _ingestor(store: InMemoryStore) -> Ingestor:
    return plain_ingestor(store, lambda: NOW)


async def _current(store: InMemoryStore, at: datetime = NOW) -> list[str]:
    """The contents of the memories that are valid at the time `at`."""
    stored = (await store.page(SCOPE, Listing())).memories
    return [
        memory.content
        for memory in stored
        if memory.valid_from <= at and (memory.valid_to is None or memory.valid_to > at)
    ]


async def test_an_older_fact_that_arrives_late_is_stored_as_ended() -> None:
    """A fact that arrives after the newer fact that contradicts it is stored as replaced by it, and
    is never current.

    It is listed as valid for times before the newer fact began.
    """
    store = InMemoryStore()
    ingestor = _ingestor(store)
    new = await _write(ingestor, "The gateway listens on port 8082", "2026-02-01T00:00:00Z")
    late = await _write(ingestor, "The gateway listens on port 8081", "2026-01-01T00:00:00Z")
    assert (late.status, late.supersedes) == (WriteStatus.STORED, ())
    assert late.memory is not None
    assert (late.memory.superseded_by, late.memory.valid_to) == (
        new.id,
        new.memory and new.memory.valid_from,
    )
    assert await _current(store) == ["The gateway listens on port 8082"]
    assert await _current(store, datetime(2026, 1, 15, tzinfo=UTC)) == [
        "The gateway listens on port 8081"
    ]


async def test_a_value_that_returns_is_a_new_memory() -> None:
    """If a fact changes from one value to another and back, the third is a new memory. The first
    keeps its period.
    """
    store = InMemoryStore()
    ingestor = _ingestor(store)
    for number, month in ((1, 1), (2, 2), (1, 2)):
        day = 10 if (number, month) == (1, 2) else 1
        await _write(
            ingestor,
            f"The gateway listens on port 808{number}",
            f"2026-{month:02}-{day:02}T00:00:00Z",
        )
    days = [datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 2, 5, tzinfo=UTC), NOW]
    assert [await _current(store, day) for day in days] == [
        ["The gateway listens on port 8081"],
        ["The gateway listens on port 8082"],
        ["The gateway listens on port 8081"],
    ]
    again = await _write(ingestor, "The gateway listens on port 8081", "2026-01-01T00:00:00Z")
    assert (again.status, len((await store.page(SCOPE, Listing())).memories)) == (
        WriteStatus.MERGED,
        3,
    )


async def test_repeating_a_batch_of_contradictions_changes_nothing() -> None:
    """If a batch of facts that contradict each other is written again, its last fact is still the
    current one.
    """
    store = InMemoryStore()
    drafts = [
        DRAFT.validate_python(
            {"type": "semantic", "content": f"The gateway listens on port 808{number}"}
        )
        for number in (1, 2, 3)
    ]
    first = await _ingestor(store).write(SCOPE, drafts)
    assert [outcome.supersedes for outcome in first] == [(), (first[0].id,), (first[1].id,)]
    later = NOW + timedelta(hours=1)
    ingestor = plain_ingestor(store, lambda: later)
    again = await ingestor.write(SCOPE, drafts)
    assert [(outcome.status, outcome.id) for outcome in again] == [
        (WriteStatus.MERGED, outcome.id) for outcome in first
    ]
    assert await _current(store, later) == ["The gateway listens on port 8083"]


class _Interrupted(InMemoryStore):
    """A memory store whose writes end after the records while `away` is set."""

    away = False

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Write the memories. While `away` is set, store only the records and raise Unavailable."""
        if self.away:
            await super().upsert(scope, records)
            raise Unavailable("the engine is away")
        await super().write(scope, records, changes)


async def test_an_interrupted_replacement_is_completed_by_the_next_write() -> None:
    """If the store fails before a new fact replaces the old one, writing the new fact again
    replaces the old one.
    """
    store = _Interrupted()
    old = await _write(_ingestor(store), "The gateway listens on port 8081", "2026-01-01T00:00:00Z")
    store.away = True
    with pytest.raises(Unavailable):
        await _write(_ingestor(store), "The gateway listens on port 8082", "2026-02-01T00:00:00Z")
    store.away = False
    assert sorted(await _current(store)) == [
        "The gateway listens on port 8081",
        "The gateway listens on port 8082",
    ]
    again = await _write(
        _ingestor(store), "The gateway listens on port 8082", "2026-02-01T00:00:00Z"
    )
    assert (again.status, again.supersedes) == (WriteStatus.MERGED, (old.id,))
    assert await _current(store) == ["The gateway listens on port 8082"]
