"""The states of memories (current, replaced, contested) after interrupted changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from ingest.identity.states import contradicted
from ingest.writing.linked_states import StateWriter
from ingest.writing.pipeline import Ingestor
from memtypes.model.errors import Unavailable
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import State
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import Embedding, InContext
from retrieval.context.entries import Entries, EntryCounter
from tests.builders import NOW
from tests.fakes import FakeEmbedder, FakeTokenizer
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore
from tests.ingest.doubles import draft

pytestmark = pytest.mark.anyio

SCOPE = Scope("acme", "shop")
COUNT_TOKENS = EntryCounter(FakeTokenizer(), Entries())


class FailingStore(InMemoryStore):
    """An in-memory store in which one operation raises Unavailable. fails: the name of this
    operation.
    """

    fails = ""

    async def patch(
        self, scope: Scope, changes: Mapping[str, Mapping[str, Any]], **options: Any
    ) -> None:
        """Patch the memories. Raise Unavailable if `fails` is "patch"."""
        self._check("patch")
        await super().patch(scope, changes, **options)

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Write the memories. If `fails` is "write", store the records, then raise Unavailable."""
        if self.fails == "write":
            await super().upsert(scope, records)
        self._check("write")
        await super().write(scope, records, changes)

    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete the memories. Raise Unavailable if `fails` is "delete"."""
        self._check("delete")
        return await super().delete(scope, ids)

    def _check(self, operation: str) -> None:
        if self.fails == operation:
            raise Unavailable("the store is away")


class AwayEmbedder(FakeEmbedder):
    """An encoder that is unavailable."""

    # It is away
    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:  # noqa: ARG002
        """Raise Unavailable, as if the model could not be reached."""
        raise Unavailable("the encoder is away")


def ingestor_of(store: InMemoryStore) -> Ingestor:
    """An ingestor that writes to `store`."""
    return plain_ingestor(store, lambda: NOW)


async def ports(ingestor: Ingestor, count: int) -> list[str]:
    """Store facts about ports, each of which replaces the one before; return their ids."""
    drafts = [
        draft(
            f"The port of the API is {8000 + number}.",
            created_at=(NOW - timedelta(days=count - number)).isoformat(),
        )
        for number in range(count)
    ]
    return [str(outcome.id) for outcome in await ingestor.write(SCOPE, drafts)]


async def states(store: InMemoryStore, *ids: str) -> list[State]:
    """The states of the memories with these ids, as they are stored."""
    memories = await store.get(SCOPE, ids)
    return [memories[memory_id].state for memory_id in ids]


async def test_a_failed_deletion_of_a_newer_memory_leaves_both_contested() -> None:
    """If the store fails to delete a fact that had replaced an older one, both are contested.

    The older one is current once the deletion is repeated.
    """
    store = FailingStore()
    ingestor = ingestor_of(store)
    old, new = await ports(ingestor, 2)
    store.fails = "delete"
    with pytest.raises(Unavailable):
        await ingestor.editor.remove(SCOPE, [new])
    assert (await store.get(SCOPE, [old]))[old].at(NOW).state is not State.REPLACED
    store.fails = ""
    await StateWriter(store, COUNT_TOKENS).mend(SCOPE, NOW)
    assert await states(store, old, new) == [State.CONTESTED] * 2
    await ingestor.editor.remove(SCOPE, [new])
    assert await states(store, old) == [State.CURRENT]


class CountdownStore(InMemoryStore):
    """An in-memory store that accepts `left` more writes and is then unavailable."""

    left = 1_000

    async def patch(
        self, scope: Scope, changes: Mapping[str, Mapping[str, Any]], **options: Any
    ) -> None:
        """Patch the memories. Raise Unavailable if no more writes are left."""
        self._count()
        await super().patch(scope, changes, **options)

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Write the memories. If only one more write is left, store the records alone."""
        self._count()
        if records:
            await super().upsert(scope, records)
        if changes:
            self._count()
            await super().patch(scope, changes)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Unavailable("the store is away")


@pytest.mark.parametrize(("change", "left"), [("edit", 0), ("edit", 1), ("undo", 0)])
async def test_an_interrupted_change_leaves_no_memory_wrongly_replaced(
    change: str, left: int
) -> None:
    """An interrupted edit or undo leaves an older fact replaced only if the newer one contradicts
    and links to it.
    """
    store = CountdownStore()
    ingestor = ingestor_of(store)
    old, new = await ports(ingestor, 2)
    call = partial(ingestor.editor.part, SCOPE, old)
    if change == "edit":
        link = {"to": old, "type": "contradicts"}
        await ingestor.editor.revise(SCOPE, new, {"content": "Tea is green."})
        await ingestor.editor.revise(SCOPE, new, {"links": [link]})
        assert await states(store, old, new) == [State.CONTESTED] * 2
        call = partial(
            ingestor.editor.revise, SCOPE, new, {"content": "The port of the API is 9000."}
        )
    store.left = left
    with pytest.raises(Unavailable):
        await call()
    memories = await store.get(SCOPE, [old, new])
    if memories[old].state is State.REPLACED:
        assert memories[new].content.startswith("The port")
        assert old in contradicted(memories[new])


async def test_an_edit_that_cannot_be_embedded_changes_nothing() -> None:
    """If an edited text cannot be embedded, neither the memory nor the older one that it had
    replaced changes.
    """
    store = InMemoryStore()
    old, new = await ports(ingestor_of(store), 2)
    before = await store.get(SCOPE, [old, new])
    ingestor = plain_ingestor(store, lambda: NOW, AwayEmbedder())
    with pytest.raises(Unavailable):
        await ingestor.editor.revise(SCOPE, new, {"content": "The office is closed in August."})
    assert await store.get(SCOPE, [old, new]) == before


async def test_a_replacement_that_is_interrupted_is_completed_by_the_next_write() -> None:
    """If a write stores a fact and fails before it replaces the old fact, repeating the write
    replaces the old fact.
    """
    store = FailingStore()
    ingestor = ingestor_of(store)
    (old,) = await ports(ingestor, 1)
    store.fails = "write"
    with pytest.raises(Unavailable):
        await ingestor.write_one(SCOPE, draft("The port of the API is 9000."))
    store.fails = ""
    again = await ingestor.write_one(SCOPE, draft("The port of the API is 9000."))
    assert (again.supersedes, await states(store, old)) == ((old,), [State.REPLACED])


async def test_mending_makes_a_memory_without_its_successor_current() -> None:
    """If the memory that replaced another is missing, `mend` makes the other current and changes no
    further states.
    """
    store = InMemoryStore()
    ingestor = ingestor_of(store)
    first, second, third = await ports(ingestor, 3)
    await store.delete(SCOPE, [third])
    before = await store.get(SCOPE, [first])
    assert await StateWriter(store, COUNT_TOKENS).mend(SCOPE, NOW) == 1
    assert await states(store, first, second) == [State.REPLACED, State.CURRENT]
    assert await store.get(SCOPE, [first]) == before
    assert await StateWriter(store, COUNT_TOKENS).mend(SCOPE, NOW) == 0


async def test_removal_by_filter_makes_replaced_memories_of_other_sessions_current() -> None:
    """A session's memories are removed. A memory of another session that one of them had replaced
    is current again.
    """
    store = InMemoryStore()
    ingestor = ingestor_of(store)
    (old,) = await ports(ingestor, 1)
    (new,) = await ingestor.write(SCOPE, [draft("The port of the API is 9000.", session_id="s")])
    assert new.supersedes == (old,)
    assert await ingestor.editor.remove_where(SCOPE, (), Compare("session_id", Op.EQ, "s")) == 1
    assert await states(store, old) == [State.CURRENT]
