"""A newer fact takes the place of an older one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.outcome import Outcome, Status
from ingest.pipeline import Ingestor, IngestorParts
from ingest.superseding import plan_replacements
from memtypes.memory import LinkType, Memory
from memtypes.policy import MemoryType
from memtypes.scope import Scope
from memtypes.types import DRAFT
from tests.builders import NOW, make_memory
from tests.fakes import FakeEmbedder, FakeSparse, FakeStore, FakeTokenizer

pytestmark = pytest.mark.anyio

SCOPE = Scope("acme", "shop")


def fact(content: str, day: int, **fields: object) -> Memory:
    """A fact that holds from `day` on."""
    begun = NOW - timedelta(days=30 - day)
    return make_memory(MemoryType.SEMANTIC, content, valid_from=begun, created_at=begun, **fields)


def test_each_of_a_row_replaces_the_one_before() -> None:
    """Of three values in a row the newest alone stays, and each points to the one it replaced."""
    facts = [fact(f"The port is {number}", number) for number in (1, 2, 3)]
    planned = plan_replacements(facts[1:], facts, NOW)
    assert planned.by == {facts[1].id: [facts[0].id], facts[2].id: [facts[1].id]}
    assert planned.patches[facts[1].id]["superseded_by"] == facts[2].id
    assert planned.patches[facts[1].id]["links"] == [{"type": LinkType.CONTRADICTS, "id": facts[0].id}]


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
def test_what_is_left_alone(old: Memory) -> None:
    """A newer fact, a pinned one, one of another concept, one that is over and an event stay as they are."""
    assert not plan_replacements([fact("The port is 2", 5)], [old], NOW).patches


async def _write(ingestor: Ingestor, content: str, created_at: str) -> Outcome:
    draft = DRAFT.validate_python({"type": "semantic", "content": content, "created_at": created_at})
    return await ingestor.write_one(SCOPE, draft)


async def test_the_older_fact_ends_where_the_newer_begins() -> None:
    """The answer names what was replaced; that keeps its text, its end and its successor."""
    store = FakeStore()
    ingestor = Ingestor(IngestorParts(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW))
    old = await _write(ingestor, "The deadline of the sprint is April 5", "2026-01-01T00:00:00Z")
    new = await _write(ingestor, "The deadline of the sprint is April 12", "2026-02-01T00:00:00Z")
    assert new.status is Status.STORED
    assert new.supersedes == (old.id,)
    kept = await store.get(SCOPE, [str(old.id), str(new.id)])
    before, after = kept[str(old.id)], kept[str(new.id)]
    assert (before.content, before.superseded_by) == ("The deadline of the sprint is April 5", new.id)
    assert before.valid_to == after.valid_from
    assert [(link.type, link.id) for link in after.links] == [(LinkType.CONTRADICTS, old.id)]
