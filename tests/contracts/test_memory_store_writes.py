"""The contract of MemoryStore: what is read before texts are written, and writing them, on every
implementation.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memtypes.model.errors import Conflict, InvalidRequest
from memtypes.model.memory import Link, LinkType, Memory, State
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import Status
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore, Related, RelatedSearch, SimilarSearch
from memtypes.search.vectors import DenseVector
from tests.builders import NOW, make_dense, make_memory, make_record, make_sparse
from tests.contracts.memory_steps import listed

pytestmark = pytest.mark.anyio

FACT = MemoryType.SEMANTIC
VECTOR = make_dense(7)
OTHER = make_dense(8)


def fact(content: str, scope: Scope, **fields: Any) -> Memory:
    """A fact of `scope`."""
    return make_memory(FACT, content, scope, **fields)


async def store_all(
    store: MemoryStore, scope: Scope, *memories: Memory, dense: DenseVector = VECTOR
) -> None:
    """Store `memories`, all with the same dense vector."""
    await store.upsert(scope, [make_record(memory, dense) for memory in memories])


async def related(
    store: MemoryStore, scope: Scope, *similar: SimilarSearch, **asked: Any
) -> Related:
    """What the store answers to these searches. asked: other fields of the request."""
    return await store.related(scope, RelatedSearch(NOW, asked.pop("ids", {}), similar, **asked))


async def test_a_write_stores_records_and_changes_other_memories(
    store: MemoryStore, scope: Scope
) -> None:
    old = fact("The port is 1", scope)
    task = make_memory(MemoryType.PROSPECTIVE, "Open the port", scope)
    await store_all(store, scope, old, task)
    new = fact("The port is 2", scope)
    await store.write(
        scope,
        [make_record(new)],
        {old.id: {"superseded_by": new.id}, task.id: {"tags": ["port"]}},
    )
    stored = await store.get(scope, [old.id, new.id, task.id])
    assert stored[new.id] == new
    assert stored[old.id].superseded_by == new.id
    assert stored[task.id].tags == ["port"]


async def test_a_write_of_records_and_changes_may_be_empty(
    store: MemoryStore, scope: Scope
) -> None:
    await store.write(scope, [], {})
    assert await listed(store, scope) == []


async def test_a_refused_write_changes_nothing(store: MemoryStore, scope: Scope) -> None:
    """An id of another namespace, or a change of an identifying field, refuses the whole write."""
    other_scope = Scope(scope.tenant, f"other {scope.namespace}")
    foreign = fact("Theirs", other_scope)
    await store_all(store, other_scope, foreign)
    mine = fact("Mine", scope)
    await store_all(store, scope, mine)
    taken = make_record(fact("Taken", scope, id=foreign.id))
    with pytest.raises(Conflict):
        await store.write(scope, [taken], {mine.id: {"importance": 1}})
    with pytest.raises(InvalidRequest):
        await store.write(scope, [make_record(fact("New", scope))], {mine.id: {"type": "working"}})
    assert await listed(store, scope) == [mine]


def like(vector: DenseVector = VECTOR, minimum: float = -1.0, depth: int = 8) -> SimilarSearch:
    """A search for the facts nearest to a vector."""
    return SimilarSearch(FACT, vector, minimum, depth)


async def test_memories_are_read_by_id_and_by_similarity(store: MemoryStore, scope: Scope) -> None:
    near = fact("Near", scope)
    far = fact("Far", scope)
    named = make_memory(MemoryType.PROCEDURAL, "Named", scope)
    await store_all(store, scope, near, named)
    await store_all(store, scope, far, dense=OTHER)
    unknown = fact("Unknown", scope).id
    answer = await related(
        store,
        scope,
        like(minimum=0.9),
        like(),
        ids={named.id: MemoryType.PROCEDURAL, unknown: FACT},
    )
    assert answer.memories == {memory.id: memory for memory in (near, far, named)}
    assert answer.absent == {unknown}
    assert [list(hits) for hits in answer.similar] == [[near.id], [near.id, far.id]]
    assert answer.similar[0][near.id] == pytest.approx(1.0, abs=1e-3)
    assert answer.similar[1][far.id] == pytest.approx(float(VECTOR @ OTHER), abs=1e-3)


async def test_a_search_by_words_finds_what_shares_enough_of_them(
    store: MemoryStore, scope: Scope
) -> None:
    """A search with a sparse vector finds memories with a share of its terms; they have no
    cosine.
    """
    same = make_memory(MemoryType.EPISODIC, "Same words", scope)
    other = make_memory(MemoryType.EPISODIC, "Other words", scope)
    await store.upsert(
        scope, [make_record(same, terms=(1, 2, 3)), make_record(other, terms=(1, 7, 8, 9))]
    )
    by_words = SimilarSearch(MemoryType.EPISODIC, make_sparse((1, 2, 3, 4)), 0.5, 8)
    assert (await related(store, scope, by_words)).similar == [{same.id: None}]


async def test_only_public_memories_of_the_type_are_similar(
    store: MemoryStore, scope: Scope
) -> None:
    private = fact("Mine alone", scope, session_id="s", visibility=Visibility.SESSION)
    procedure = make_memory(MemoryType.PROCEDURAL, "Press the key", scope)
    await store_all(store, scope, private, procedure)
    in_session = Scope(scope.tenant, scope.namespace, session_id="s")
    for reader in (scope, in_session):
        answer = await related(store, reader, like())
        assert (answer.memories, answer.similar) == ({}, [{}])


@pytest.mark.parametrize("kind", [FACT, MemoryType.PROSPECTIVE])
async def test_past_memories_do_not_keep_current_ones_out_of_the_hits(
    store: MemoryStore, scope: Scope, kind: MemoryType
) -> None:
    pasts: dict[MemoryType, dict[str, Any]] = {
        FACT: {"valid_to": NOW - timedelta(days=1), "superseded_by": fact("x", scope).id},
        MemoryType.PROSPECTIVE: {"status": Status.COMPLETED},
    }
    past = pasts[kind]
    ended = [make_memory(kind, f"Ended {number}", scope, **past) for number in range(3)]
    await store_all(store, scope, *ended)
    holding = make_memory(kind, "Holding", scope)
    await store_all(store, scope, holding, dense=OTHER)
    search = SimilarSearch(kind, VECTOR, -1.0, 2)
    (hits,) = (await related(store, scope, search)).similar
    assert len(hits) == 3
    assert holding.id in hits


async def test_tasks_with_the_same_text_are_read(store: MemoryStore, scope: Scope) -> None:
    task = make_memory(MemoryType.PROSPECTIVE, "Order labels", scope)
    other = make_memory(MemoryType.PROSPECTIVE, "Order paper", scope)
    await store_all(store, scope, task, other)
    answer = await related(store, scope, tasks=[task.content_hash])
    assert answer.memories == {task.id: task}


async def test_what_a_memory_contradicts_or_was_replaced_by_is_read_with_it(
    store: MemoryStore, scope: Scope
) -> None:
    """Links are followed twice. A link to a memory that does not exist is reported as absent."""

    def link(end: str) -> list[Link]:
        return [Link(to=end, type=LinkType.CONTRADICTS)]

    deleted = fact("Deleted", scope)
    third = fact("Third", scope, links=link(deleted.id))
    second = fact("Second", scope, links=link(third.id))
    first = fact("First", scope, state=State.REPLACED, superseded_by=second.id)
    mentioned = fact("Mentioned", scope)
    asked = fact(
        "Asked",
        scope,
        links=[*link(first.id), Link(to=mentioned.id, type=LinkType.EXTENDS)],
    )
    await store_all(store, scope, first, second, third, mentioned, asked)
    answer = await related(store, scope, ids={asked.id: FACT})
    assert answer.memories.keys() == {asked.id, first.id, second.id}
    answer = await related(store, scope, ids={second.id: FACT})
    assert answer.memories.keys() == {second.id, third.id}
    assert answer.absent == {deleted.id}


async def test_nothing_of_another_namespace_is_related(store: MemoryStore, scope: Scope) -> None:
    other = Scope(scope.tenant, f"other {scope.namespace}")
    task = make_memory(MemoryType.PROSPECTIVE, "Order labels", other)
    foreign = fact("Theirs", other)
    await store_all(store, other, task, foreign)
    answer = await related(store, scope, like(), ids={foreign.id: FACT}, tasks=[task.content_hash])
    assert answer == Related({}, frozenset({foreign.id}), [{}])
