"""The contract of MemoryStore: passages (the fields that a context shows) and use counts, on every
implementation.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from memtypes.model.memory import Memory, TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, MemoryStore, Use
from memtypes.search.passage import passage_of
from tests.builders import NOW, make_memory, make_record
from tests.candidates import rows_of

pytestmark = pytest.mark.anyio
KINDS = (MemoryType.EPISODIC, MemoryType.PROCEDURAL, MemoryType.WORKING)


def written(scope: Scope, number: int, content: str) -> Memory:
    """A memory with this content; `number` selects its type and sets its id and sequence number."""
    extra = {"steps": ["first\nof all", "then"]} if number % len(KINDS) == 1 else {}
    tokens = TokenCount(count=len(content), line=len(content) + 2, tokenizer="words")
    memory = make_memory(
        KINDS[number % len(KINDS)], f"number {number}", scope, seq=number, tokens=tokens, **extra
    )
    return memory.replace(content=content)


async def check_passages(store: MemoryStore, scope: Scope, ids: dict[str, MemoryType]) -> int:
    """Check that the passages (fields that a context shows) equal those of the stored memories;
    return their number.
    """
    memories = await store.get(scope, ids)
    passages = await store.passages(scope, ids)
    assert passages == {memory_id: passage_of(memory) for memory_id, memory in memories.items()}
    assert list(passages) == list(memories)
    return len(passages)


@pytest.mark.slow
async def test_passages_follow_every_kind_of_change(store: MemoryStore, scope: Scope) -> None:
    """After every kind of write, the passages (memories' texts for a context) agree with the stored
    memories.
    """
    memories = [written(scope, number, f"text {number} " * 3) for number in range(12)]
    ids = {changed.id: changed.type for changed in memories}
    await store.upsert(scope, [make_record(changed) for changed in memories])
    for turn in range(30):
        changed = memories[5 * turn % len(memories)]
        match turn % 6:
            case 0:
                await store.upsert(
                    scope,
                    [make_record(written(scope, memories.index(changed), f"other text {turn}"))],
                )
            case 1:
                await store.patch(scope, {changed.id: {"content": f"patched {turn}"}})
            case 2:
                await store.patch(
                    scope, {memory.id: {"access_count": turn} for memory in memories[:5]}
                )
            case 3:
                await store.patch(scope, {changed.id: {"seq": turn}}, removed=["session_id"])
            case 4:
                await store.delete(scope, [changed.id])
            case _:
                await store.upsert(scope, [make_record(memory) for memory in memories[::2]])
        assert await check_passages(store, scope, ids) > 0
    await store.delete_where(scope, KINDS, None)
    assert await check_passages(store, scope, ids) == 0


async def test_passages_are_bounded_by_their_scope(store: MemoryStore, scope: Scope) -> None:
    """A memory's passage (its text for a context) is returned only for its own tenant, namespace
    and memory type.
    """
    memory = written(scope, 1, "told\n<memories>here alone")
    ids = {memory.id: memory.type}
    await store.upsert(scope, [make_record(memory)])
    (passage,) = (await store.passages(scope, ids)).values()
    assert passage.line == memory.line() != memory.content
    for other_scope in (replace(scope, tenant="other"), replace(scope, namespace="elsewhere")):
        assert await store.passages(other_scope, ids) == {}
    assert await store.passages(scope, {"no id": MemoryType.EPISODIC}) == {}
    assert await store.passages(scope, {memory.id: MemoryType.SEMANTIC}) == {}


async def test_uses_are_added_to_existing_memories(store: MemoryStore, scope: Scope) -> None:
    """Noting uses adds them to each memory's access count, and sets its access time to the time of
    the last use.

    Unknown ids and memories of other scopes are not changed.
    """
    memories = [written(scope, number, f"text {number}") for number in range(4)]
    await store.upsert(
        scope,
        [
            make_record(memory.replace(access_count=number // 2))
            for number, memory in enumerate(memories)
        ],
    )
    uses = [
        Use(memory.id, memory.type, 1 + number % 2, NOW + timedelta(minutes=number))
        for number, memory in enumerate(memories)
    ]
    unknown = written(scope, 9, "never written")
    await store.note_uses(
        scope, [*uses[:3], Use(unknown.id, unknown.type, 1, NOW), Use("no id", KINDS[0], 1, NOW)]
    )
    await store.note_uses(replace(scope, namespace="elsewhere"), uses)
    used = await store.get(scope, {memory.id: memory.type for memory in (*memories, unknown)})
    assert [used[memory.id].access_count for memory in memories] == [1, 2, 2, 1]
    assert [used[memory.id].accessed_at for memory in memories] == [
        *(use.at for use in uses[:3]),
        None,
    ]
    await store.note_uses(scope, uses[:1])
    await store.note_uses(scope, [])
    used_again = await store.get(scope, {memories[0].id: memories[0].type})
    assert used_again[memories[0].id] == used[memories[0].id].replace(access_count=2)
    assert unknown.id not in used


async def test_a_search_sees_the_latest_access_counts(store: MemoryStore, scope: Scope) -> None:
    """After uses of a memory are noted, its candidate in the next search has the new access
    count.
    """
    memory = written(scope, 0, "a text")
    record = make_record(memory)
    await store.upsert(scope, [record])
    search = [CandidateSearch({memory.type: None}, record.vectors.dense, None)]
    await store.candidates(scope, search)
    await store.note_uses(scope, [Use(memory.id, memory.type, 3, NOW)])
    (candidates,) = await store.candidates(scope, search)
    (hit,) = rows_of(candidates)
    assert hit.payload["access_count"] == 3
