"""The contract of MemoryStore: a patch with a lock's fence changes no memory that a higher fence
has patched.
"""

from __future__ import annotations

import pytest

from memtypes.model.errors import LockLost
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.working import Working
from memtypes.ports.memory_store import MemoryStore
from tests.builders import make_memory
from tests.contracts.memory_steps import keep

pytestmark = pytest.mark.anyio


async def test_a_patch_with_a_lower_fence_raises_lock_lost(
    store: MemoryStore, scope: Scope
) -> None:
    memory, other = (
        make_memory(MemoryType.WORKING, text, scope, session_id="s") for text in ("a", "b")
    )
    await keep(store, scope, memory, other)
    await store.patch(scope, {memory.id: {"importance": 8}}, fence=20)
    with pytest.raises(LockLost):
        await store.patch(
            scope, {memory.id: {"importance": 1}, other.id: {"importance": 2}}, fence=10
        )
    with pytest.raises(LockLost):
        await store.patch(scope, {memory.id: {"importance": 1}}, removed=["session_id"], fence=19)
    memories = await store.get(scope, [memory.id, other.id])
    unchanged = memories[memory.id]
    changed = memories[other.id]
    assert isinstance(unchanged, Working)
    assert isinstance(changed, Working)
    assert (unchanged.importance, unchanged.fence, unchanged.session_id) == (8, 20, "s")
    assert (changed.importance, changed.fence) == (2, 10)


async def test_a_patch_with_an_equal_or_higher_fence_succeeds(
    store: MemoryStore, scope: Scope
) -> None:
    """A patch with an equal or higher fence, or without one, is applied. Missing memories are not
    created.
    """
    memory = make_memory(MemoryType.WORKING, "a", scope)
    missing = make_memory(MemoryType.WORKING, "missing", scope)
    await keep(store, scope, memory)
    for fence, importance in (
        (1_772_000_000_000, 3),
        (1_772_000_000_000, 4),
        (1_772_000_000_001, 5),
        (None, 6),
    ):
        await store.patch(
            scope,
            {memory.id: {"importance": importance}, missing.id: {"importance": 1}},
            fence=fence,
        )
        memories = await store.get(scope, [memory.id, missing.id])
        assert [memory.importance for memory in memories.values()] == [importance]
