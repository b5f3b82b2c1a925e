"""The contract of MemoryStore: storing, reading, patching and deleting memories, on every
implementation.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from memtypes.model.errors import Conflict, InvalidRequest
from memtypes.model.filters import Absent, All, parse_filter
from memtypes.model.memory import Link, LinkType, Source, State, TokenCount
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.procedural import ProcedureCategory
from memtypes.model.prospective import Status, TriggerType
from memtypes.model.scope import Scope
from memtypes.model.semantic import Category
from memtypes.model.working import ContextType, WorkingScope
from memtypes.ports.memory_store import Listing, MemoryStore
from tests.builders import NOW, make_dense, make_memory, make_record
from tests.contracts.memory_steps import keep

pytestmark = pytest.mark.anyio

EVERY_COMMON_FIELD: dict[str, Any] = {
    "session_id": "s / 1",
    "agent_id": "агент",
    "importance": 9,
    "tags": ["a", "b c", "日本"],
    "source": Source(thread_id="t1", turns=[1, 2], file="notes/übung.md", line=7, caller="me"),
    "metadata": {
        "a.b": 1,
        "n": 1.5,
        "deep": {"list": [1, "two", {"three": True}]},
        "empty": [],
        "big": 2**63,
    },
    "pinned": True,
    "visibility": Visibility.SESSION,
    "seq": 2**53 - 1,
    "created_at": NOW - timedelta(microseconds=1),
    "updated_at": NOW,
    "accessed_at": NOW + timedelta(hours=1),
    "access_count": 12,
    "valid_from": NOW - timedelta(days=1),
    "valid_to": NOW + timedelta(days=1),
    "expires_at": NOW + timedelta(days=2),
    "links": [Link(to="m-2", type=LinkType.EXTENDS, strength=0.25)],
    "state": State.REPLACED,
    "state_until": NOW + timedelta(days=9),
    "state_reason": "another value",
    "superseded_by": "11111111-1111-4111-8111-111111111111",
    "tokens": TokenCount(count=31, tokenizer="cl100k_base", line=40),
    "evidence_count": 3,
    "source_sessions": ["s1", "s2"],
}
OWN_FIELDS: dict[MemoryType, dict[str, Any]] = {
    MemoryType.EPISODIC: {
        "event_type": "error",
        "title": "T",
        "context": "C",
        "emotional_valence": -2,
        "speaker": "Gina",
    },
    MemoryType.SEMANTIC: {
        "concept": "C",
        "category": Category.PRINCIPLE,
        "confidence": 1.0,
        "related": ["x"],
    },
    MemoryType.PROSPECTIVE: {
        "intention_type": "reminder",
        "title": "T",
        "trigger_type": TriggerType.TIME,
        "trigger_condition": "at noon",
        "priority": 1,
        "status": Status.COMPLETED,
        "due_at": NOW,
        "completed_at": NOW,
    },
    MemoryType.PROCEDURAL: {
        "procedure_name": "P",
        "category": ProcedureCategory.TECHNIQUE,
        "steps": ["one", "two\nlines"],
        "prerequisites": ["p"],
        "success_conditions": ["s"],
        "failure_patterns": ["f"],
        "usage_count": 4,
        "success_rate": 0.1 + 0.2,
        "last_used_at": NOW,
    },
    MemoryType.WORKING: {
        "todo_id": "todo 1",
        "context_type": ContextType.STATE,
        "scope": WorkingScope.SESSION,
        "priority": 5,
        "cleared_at": NOW,
    },
}


@pytest.mark.parametrize("kind", MemoryType)
async def test_a_memory_is_read_with_every_field(
    store: MemoryStore, scope: Scope, kind: MemoryType
) -> None:
    """A stored memory of any type is read back equal, whether all of its optional fields are set or
    none.
    """
    full = make_memory(
        kind, "everything\tis\nset 😀", scope, **EVERY_COMMON_FIELD, **OWN_FIELDS[kind]
    )
    bare = make_memory(kind, "only what must be", scope)
    await keep(store, scope, full, bare)
    memories = await store.get(scope, [full.id, bare.id])
    assert memories == {full.id: full, bare.id: bare}
    assert (await store.page(scope, Listing())).memories == (bare, full)


async def test_memories_of_all_types_are_stored_and_read_in_one_call(
    store: MemoryStore, scope: Scope
) -> None:
    memories = [make_memory(kind, f"a {kind}", scope) for kind in MemoryType]
    await keep(store, scope, *memories)
    ids = [memory.id for memory in reversed(memories)]
    stored = await store.get(scope, ids)
    assert list(stored) == ids
    assert list(stored.values()) == memories[::-1]


async def test_an_id_with_a_type_is_found_in_that_type_only(
    store: MemoryStore, scope: Scope
) -> None:
    """If ids are given with their types, an id with the wrong type is not found.

    Memories come in the order of the ids.
    """
    memories = [make_memory(kind, f"a {kind}", scope) for kind in MemoryType]
    await keep(store, scope, *memories)
    types = {memory.id: memory.type for memory in reversed(memories)}
    assert list((await store.get(scope, types)).values()) == memories[::-1]
    wrong = {memories[0].id: memories[1].type, memories[2].id: memories[2].type}
    assert list(await store.get(scope, wrong)) == [memories[2].id]
    assert await store.get(Scope(scope.tenant, "another"), types) == {}


async def test_an_upsert_replaces_the_whole_memory(store: MemoryStore, scope: Scope) -> None:
    """After a second memory is stored with the same id, nothing of the first memory is left."""
    old = make_memory(
        MemoryType.SEMANTIC, "old", scope, tags=["x"], metadata={"k": 1}, session_id="s"
    )
    new = make_memory(MemoryType.SEMANTIC, "new", scope, id=old.id)
    await keep(store, scope, old)
    await keep(store, scope, new)
    assert (await store.get(scope, [old.id]))[old.id] == new
    assert (await store.page(scope, Listing())).total == 1


async def test_the_last_record_with_an_id_is_stored(store: MemoryStore, scope: Scope) -> None:
    first = make_memory(MemoryType.SEMANTIC, "first", scope)
    await keep(store, scope, first, first.replace(importance=1))
    assert (await store.get(scope, [first.id]))[first.id].importance == 1


async def test_more_records_than_one_batch_are_stored(store: MemoryStore, scope: Scope) -> None:
    """A call with more records than fit into one batch stores all of them.

    One has a text of half a million characters.
    """
    memories = [make_memory(MemoryType.EPISODIC, f"number {n}", scope) for n in range(150)]
    large = make_memory(MemoryType.SEMANTIC, "ü" * 500_000, scope)
    await keep(store, scope, *memories, large)
    assert (await store.get(scope, [large.id]))[large.id] == large
    assert await store.get(scope, [memory.id for memory in memories]) == {
        memory.id: memory for memory in memories
    }


async def test_unknown_ids_are_ignored(store: MemoryStore, scope: Scope) -> None:
    """No call raises for an id that does not exist, or that cannot exist."""
    unknown = [
        "00000000-0000-4000-8000-000000000000",
        "no uuid",
        "",
        "ABCDEF00-0000-4000-8000-000000000000",
    ]
    assert await store.get(scope, unknown) == {}
    assert await store.get(scope, []) == {}
    assert await store.delete(scope, unknown) == 0
    assert await store.delete(scope, []) == 0
    await store.patch(scope, {memory_id: {"importance": 1} for memory_id in unknown})
    await store.patch(scope, {})
    await store.upsert(scope, [])
    assert (await store.page(scope, Listing())).total == 0


async def test_an_invalid_record_rejects_the_whole_call(store: MemoryStore, scope: Scope) -> None:
    """If one record has another scope, a wrong vector, an invalid id or a huge integer, no record
    is stored.
    """
    good = make_record(make_memory(MemoryType.SEMANTIC, "good", scope))
    elsewhere = make_memory(MemoryType.SEMANTIC, "x", Scope(scope.tenant, "elsewhere"))
    bad = [
        make_record(elsewhere),
        make_record(make_memory(MemoryType.SEMANTIC, "x", scope), dense=make_dense(1, 3)),
        make_record(
            make_memory(MemoryType.SEMANTIC, "x", scope, id="ABCDEF00-0000-4000-8000-000000000000")
        ),
        make_record(
            make_memory(MemoryType.SEMANTIC, "x", scope, metadata={"deep": [{"n": 2**64}]})
        ),
    ]
    for record in bad:
        with pytest.raises(InvalidRequest):
            await store.upsert(scope, [good, record])
    assert (await store.page(scope, Listing())).total == 0


async def test_a_patch_sets_and_clears_fields(store: MemoryStore, scope: Scope) -> None:
    """A patch replaces top-level fields, clears others, and leaves all other fields and memories
    unchanged.
    """
    before = make_memory(
        MemoryType.SEMANTIC, "a", scope, metadata={"old": 1, "k": 2}, session_id="s", tags=["t"]
    )
    other = make_memory(MemoryType.EPISODIC, "b", scope, session_id="s")
    third = make_memory(MemoryType.EPISODIC, "c", scope, session_id="s")
    await keep(store, scope, before, other, third)
    await store.patch(
        scope,
        {
            before.id: {"metadata": {"k": 3}, "importance": 1, "session_id": None},
            other.id: {"access_count": 4, "session_id": None},
        },
    )
    patched = await store.get(scope, [before.id, other.id, third.id])
    assert patched[before.id] == before.replace(metadata={"k": 3}, importance=1, session_id=None)
    assert patched[other.id] == other.replace(access_count=4, session_id=None)
    assert patched[third.id] == third


async def test_a_patch_can_not_change_identity(store: MemoryStore, scope: Scope) -> None:
    """A patch can neither set nor clear type, id, tenant and namespace."""
    memory = make_memory(MemoryType.SEMANTIC, "a", scope)
    await keep(store, scope, memory)
    with pytest.raises(InvalidRequest, match="tenant"):
        await store.patch(scope, {memory.id: {"tenant": "other"}})
    with pytest.raises(InvalidRequest, match="namespace"):
        await store.patch(scope, {memory.id: {"importance": 1, "namespace": None}})
    assert (await store.get(scope, [memory.id]))[memory.id] == memory


async def test_a_patched_field_is_found_by_its_new_value(store: MemoryStore, scope: Scope) -> None:
    """After a patch, filters match the new values, and no longer the replaced or cleared values."""
    memory = make_memory(MemoryType.SEMANTIC, "a", scope, importance=2, tags=["old"])
    await keep(store, scope, memory)
    await store.patch(scope, {memory.id: {"importance": 8, "tags": []}})
    for tree, hits in (
        ({"importance": {"eq": 8}}, 1),
        ({"importance": {"eq": 2}}, 0),
        ({"tags": {"eq": "old"}}, 0),
    ):
        assert (await store.page(scope, Listing(filter=parse_filter(tree)))).total == hits


async def test_a_patch_to_none_leaves_a_field_without_value(
    store: MemoryStore, scope: Scope
) -> None:
    """A field that is patched to None is None in the memory that is read, and counts as absent in
    filters.
    """
    memory = make_memory(MemoryType.SEMANTIC, "a", scope, valid_to=NOW, superseded_by="b")
    await keep(store, scope, memory)
    await store.patch(scope, {memory.id: {"valid_to": None, "superseded_by": None}})
    page = await store.page(
        scope, Listing(filter=All((Absent("valid_to"), Absent("superseded_by"))))
    )
    assert page.memories == (memory.replace(valid_to=None, superseded_by=None),)


async def test_delete_removes_and_counts(store: MemoryStore, scope: Scope) -> None:
    """delete() removes the named memories and returns how many existed."""
    memories = [make_memory(kind, "x", scope) for kind in MemoryType]
    await keep(store, scope, *memories)
    removed = [memories[0].id, memories[1].id, memories[0].id]
    assert await store.delete(scope, removed) == 2
    assert await store.delete(scope, removed) == 0
    assert set(await store.get(scope, [memory.id for memory in memories])) == {
        memory.id for memory in memories[2:]
    }


async def test_delete_where_removes_matching_memories(store: MemoryStore, scope: Scope) -> None:
    """delete_where() removes the memories of the given types that match the filter.

    Without types and filter, it removes all memories of the scope.
    """
    memories = [
        make_memory(kind, f"{kind} {n}", scope, importance=n) for kind in MemoryType for n in (1, 2)
    ]
    await keep(store, scope, *memories)
    low = parse_filter({"importance": {"eq": 1}})
    assert await store.delete_where(scope, (MemoryType.SEMANTIC,), low) == 1
    assert await store.delete_where(scope, (), low) == 4
    assert {memory.importance for memory in (await store.page(scope, Listing())).memories} == {2}
    assert await store.delete_where(scope, (MemoryType.SEMANTIC, MemoryType.EPISODIC), None) == 2
    assert await store.delete_where(scope, (), None) == 3
    assert (await store.page(scope, Listing())).total == 0


async def test_a_memory_is_stored_with_or_without_token_vectors(
    store: MemoryStore, scope: Scope
) -> None:
    memory = make_memory(MemoryType.SEMANTIC, "t", scope)
    record = make_record(memory)
    tokens = np.arange(-128, 128, dtype=np.int16).astype(np.int8).reshape(2, 128)
    vectors = type(record.vectors)(record.vectors.dense, record.vectors.sparse, tokens)
    await store.upsert(scope, [type(record).from_memory(memory, vectors)])
    await keep(store, scope, memory)
    assert (await store.get(scope, [memory.id]))[memory.id] == memory


async def test_an_open_store_answers_a_ping(store: MemoryStore) -> None:
    await store.ping()


async def test_an_id_of_another_scope_can_not_be_taken(store: MemoryStore, scope: Scope) -> None:
    """Storing a memory under an id that another tenant uses raises Conflict and leaves the other
    memory unchanged.
    """
    existing = make_memory(MemoryType.SEMANTIC, "theirs", scope)
    await keep(store, scope, existing)
    other_scope = Scope("rival", scope.namespace)
    with pytest.raises(Conflict):
        await keep(
            store,
            other_scope,
            make_memory(MemoryType.SEMANTIC, "mine", other_scope, id=existing.id),
        )
    assert (await store.get(scope, [existing.id]))[existing.id] == existing
    assert await store.get(other_scope, [existing.id]) == {}
