"""What was shown is noted as used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from memtypes.model.errors import Unavailable
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Use
from memtypes.search.passage import Passage, passage_of
from memtypes.stores.memory import InMemoryStore
from retrieval.use_counts import MAX_WAITING, PAUSE_FACTOR, UseCounts
from tests.retrieval.builders import NOW, SCOPE, World

pytestmark = pytest.mark.anyio


async def passage(world: World, memory_id: str) -> Passage:
    """The memory as a context shows it."""
    return passage_of(await stored(world, memory_id))


async def stored(world: World, memory_id: str) -> Memory:
    """The memory as it is now."""
    return (await world.store.get(SCOPE, [memory_id]))[memory_id]


async def test_each_use_is_counted_once() -> None:
    """Several uses of one memory in a batch are added up, with the time of the last."""
    world = World()
    used, unused = await world.add_all("semantic", ["a fact", "another fact"])
    memory = await passage(world, used)
    use_counts = UseCounts(world.store)
    use_counts.note(SCOPE, [memory], NOW)
    use_counts.note(SCOPE, [memory, memory], NOW + timedelta(seconds=5))
    assert (await stored(world, used)).access_count == 0
    await use_counts.write()
    after = await stored(world, used)
    assert (after.access_count, after.accessed_at) == (3, NOW + timedelta(seconds=5))
    assert (await stored(world, unused)).access_count == 0


async def test_uses_are_written_while_it_runs_and_at_its_end() -> None:
    """Closing loses nothing that was noted."""
    world = World()
    used = await world.add("semantic", "a fact")
    async with UseCounts(world.store, period_s=60).running() as use_counts:
        use_counts.note(SCOPE, [await passage(world, used)], NOW)
    assert (await stored(world, used)).access_count == 1


class SlowStore(InMemoryStore):
    """Takes its time to note uses, and knows when it did. some: set once it has done so `after` times."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.some = asyncio.Event()
        self.written: list[tuple[str, float, float]] = []

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Note them slowly."""
        began = time.monotonic()
        await asyncio.sleep(0.05)
        await super().note_uses(scope, uses)
        self.written.append((scope.namespace, began, time.monotonic()))
        if len(self.written) == self.after:
            self.some.set()


async def test_between_two_writes_the_store_is_left_alone() -> None:
    """Namespaces are written one by one with pauses between them; at the end without, so that it comes soon."""
    store = SlowStore(after=2)
    world = World(store=store)
    memory = await passage(world, await world.add("semantic", "a fact"))
    scopes = [Scope(SCOPE.tenant, f"elsewhere {number}") for number in range(4)]
    async with UseCounts(store, period_s=0.01).running() as use_counts:
        for scope in scopes:
            use_counts.note(scope, [memory], NOW)
        await store.some.wait()
    assert [name for name, _, _ in store.written] == [scope.namespace for scope in scopes]
    pauses = [later[1] - earlier[2] for earlier, later in pairwise(store.written)]
    assert pauses[0] >= PAUSE_FACTOR * 0.05
    assert pauses[-1] < PAUSE_FACTOR * 0.05


async def test_what_waits_for_a_pause_is_written_when_somebody_needs_it() -> None:
    """A call that looks at uses finds all that were noted before it."""
    store = SlowStore(after=1)
    world = World(store=store)
    memory = await passage(world, await world.add("semantic", "a fact"))
    async with UseCounts(store, period_s=0.01).running() as use_counts:
        for number in range(3):
            use_counts.note(Scope(SCOPE.tenant, f"elsewhere {number}"), [memory], NOW)
        await store.some.wait()
        await use_counts.write()
        assert len(store.written) == 3


async def test_a_memory_that_is_gone_is_passed_over() -> None:
    """Its use is not an error, and does not bring it back."""
    world = World()
    used = await world.add("semantic", "a fact")
    memory = await passage(world, used)
    await world.store.delete(SCOPE, [used])
    use_counts = UseCounts(world.store)
    use_counts.note(SCOPE, [memory], NOW)
    await use_counts.write()
    assert await world.store.get(SCOPE, [used]) == {}
    assert use_counts.lost == 0


class AwayStore(InMemoryStore):
    """A store that can't be written."""

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Fail."""
        raise Unavailable(f"{len(uses)} uses in {scope.namespace}")


async def test_a_failure_is_counted_and_told_to_nobody_who_asked() -> None:
    """A retrieval is long answered by then."""
    world = World(store=AwayStore())
    used = await world.add("semantic", "a fact")
    use_counts = UseCounts(world.store)
    use_counts.note(SCOPE, [await passage(world, used)], NOW)
    await use_counts.write()
    assert use_counts.lost == 1


async def test_waiting_memories_are_bounded() -> None:
    """Uses of more memories are dropped and counted; uses of one memory take one place."""
    world = World()
    memory = await passage(world, await world.add("semantic", "a fact"))
    use_counts = UseCounts(world.store)
    use_counts.note(
        SCOPE, [memory, *(memory._replace(id=str(UUID(int=n))) for n in range(MAX_WAITING + 6)), memory], NOW
    )
    assert use_counts.lost == 7
    await use_counts.write()
    assert (await stored(world, memory.id)).access_count == 2
