"""The history of a memory: the versions of its text and of related memories."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.writing import versions
from ingest.writing.versions import history_of
from memtypes.model.memory import State, UpkeepMark
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from tests.builders import NOW, make_memory
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore
from tests.ingest.doubles import draft

pytestmark = pytest.mark.anyio

SCOPE = Scope("acme", "shop")


async def test_a_history_names_what_a_memory_was_merged_into() -> None:
    """If an upkeep job merged a memory into another, the memory's history has the other's id and
    the reason.
    """
    mark = UpkeepMark(job="compact", at=NOW, reason="the same statement", into="m-2")
    ended = {"valid_to": NOW, "state": State.REPLACED, "state_reason": "the same statement"}
    memory = make_memory(MemoryType.SEMANTIC, "The tea is green.", SCOPE, upkeep=mark, **ended)
    (version,) = await history_of(InMemoryStore(), SCOPE, memory, NOW)
    assert (version.until, version.replaced_by, version.reason) == (
        NOW,
        "m-2",
        "the same statement",
    )


async def test_a_history_is_read_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory's history has at most MAX_VERSIONS earlier and later values: those nearest to the
    requested memory.
    """
    store = InMemoryStore()
    drafts = [
        draft(
            f"The port of the API is {8000 + number}.",
            created_at=(NOW - timedelta(days=6 - number)).isoformat(),
        )
        for number in range(6)
    ]
    outcomes = await plain_ingestor(store, lambda: NOW).write(SCOPE, drafts)
    ids = [str(outcome.id) for outcome in outcomes]
    memory = (await store.get(SCOPE, [ids[2]]))[ids[2]]
    history = await history_of(store, SCOPE, memory, NOW)
    assert [version.memory.id for version in history] == ids
    monkeypatch.setattr(versions, "MAX_VERSIONS", 3)
    history = await history_of(store, SCOPE, memory, NOW)
    assert [version.memory.id for version in history] == ids[1:4]
