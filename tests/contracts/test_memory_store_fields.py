"""The contract of MemoryStore: reading some fields of memories, and use counts, on every
implementation.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from memtypes.model.memory import Memory, TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, MemoryStore, Use
from tests.builders import NOW, make_memory, make_record
from tests.candidates import rows_of

pytestmark = pytest.mark.anyio
KINDS = (MemoryType.EPISODIC, MemoryType.PROCEDURAL, MemoryType.WORKING)


class Shown(msgspec.Struct, frozen=True):
    """Some fields of payloads."""

    id: str
    content: str
    seq: int = 0
    session_id: str | None = None
    steps: tuple[str, ...] = ()

    @classmethod
    def from_memory(cls, memory: Memory) -> Shown:
        """The fields of `memory`."""
        return msgspec.convert(memory.to_payload(), cls)


class Titled(msgspec.Struct, frozen=True):
    """Other fields of payloads."""

    content: str
    importance: int


def written(scope: Scope, number: int, content: str) -> Memory:
    """A memory with this content; `number` selects its type and sets its id and sequence number."""
    extra = {"steps": ["first\nof all", "then"]} if number % len(KINDS) == 1 else {}
    tokens = TokenCount(count=len(content), line=len(content) + 2, tokenizer="words")
    memory = make_memory(
        KINDS[number % len(KINDS)], f"number {number}", scope, seq=number, tokens=tokens, **extra
    )
    return memory.replace(content=content)


async def check_fields(store: MemoryStore, scope: Scope, ids: dict[str, MemoryType]) -> int:
    """Check that the fields are those of the stored memories, in their order; return their
    number.
    """
    memories = await store.get(scope, ids)
    fields = await store.read_as(scope, ids, Shown)
    assert fields == {
        memory_id: Shown.from_memory(memory) for memory_id, memory in memories.items()
    }
    assert list(fields) == list(memories)
    return len(fields)


@pytest.mark.slow
async def test_fields_follow_every_kind_of_change(store: MemoryStore, scope: Scope) -> None:
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
                await store.patch(scope, {changed.id: {"seq": turn, "session_id": None}})
            case 4:
                await store.delete(scope, [changed.id])
            case _:
                await store.upsert(scope, [make_record(memory) for memory in memories[::2]])
        assert await check_fields(store, scope, ids) > 0
    await store.delete_where(scope, KINDS, None)
    assert await check_fields(store, scope, ids) == 0


async def test_fields_are_read_from_their_own_scope_and_type_alone(
    store: MemoryStore, scope: Scope
) -> None:
    memory = written(scope, 1, "here alone")
    ids = {memory.id: memory.type}
    await store.upsert(scope, [make_record(memory)])
    assert await store.read_as(scope, ids, Shown) == {memory.id: Shown.from_memory(memory)}
    for other_scope in (replace(scope, tenant="other"), replace(scope, namespace="elsewhere")):
        assert await store.read_as(other_scope, ids, Shown) == {}
    assert await store.read_as(scope, {"no id": MemoryType.EPISODIC}, Shown) == {}
    assert await store.read_as(scope, {memory.id: MemoryType.SEMANTIC}, Shown) == {}


async def test_a_working_item_of_another_agent_is_not_read(
    store: MemoryStore, scope: Scope
) -> None:
    memory = make_memory(MemoryType.WORKING, "a note", replace(scope, agents=("ann",)))
    memory = memory.replace(agent_id="ann")
    await store.upsert(scope, [make_record(memory)])
    ids = {memory.id: memory.type}
    assert await store.read_as(replace(scope, agents=("ann",)), ids, Shown)
    assert await store.read_as(replace(scope, agents=("bob",)), ids, Shown) == {}


async def test_each_read_names_its_own_fields(store: MemoryStore, scope: Scope) -> None:
    memory = written(scope, 1, "a text")
    await store.upsert(scope, [make_record(memory)])
    ids = {memory.id: memory.type}
    assert await store.read_as(scope, ids, Shown) == {memory.id: Shown.from_memory(memory)}
    titled = Titled("a text", memory.importance)
    assert await store.read_as(scope, ids, Titled) == {memory.id: titled}
    assert await store.read_as(scope, ids, Shown) == {memory.id: Shown.from_memory(memory)}


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
