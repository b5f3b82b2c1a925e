"""A namespace out of one store and into another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.screening.redaction.redactor import RedactionRules, Redactor, RuleBook, Treatment
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import Ingestor, IngestorParts
from ingest.writing.transfer import exported, read_exported
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.ports.memory_store import MemoryStore
from memtypes.stores.memory import InMemoryStore
from tests.builders import NOW
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer

pytestmark = pytest.mark.anyio

SCOPE = Scope("acme", "shop")


def ingestor_of(store: MemoryStore, rules: RedactionRules | None = None) -> Ingestor:
    """Ingestion into `store`."""
    parts = IngestorParts(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW)
    return Ingestor(parts if rules is None else replace(parts, redactor=Redactor(RuleBook(default=rules))))


async def everything(store: MemoryStore, scope: Scope) -> list[dict[str, Any]]:
    """Every memory of the namespace as it is exported."""
    return [payload async for payload in exported(store, scope)]


async def fill(store: MemoryStore, contents: list[tuple[str, str]]) -> None:
    """Write memories of these types and contents, used and superseded in part."""
    drafts = [
        DRAFT.validate_python({"type": kind, "content": content, "session_id": "s", "metadata": {"ü": [1, None]}})
        for kind, content in contents
    ]
    outcomes = await ingestor_of(store).write(SCOPE, drafts)
    ids = [outcome.id for outcome in outcomes if outcome.id]
    await store.patch(
        SCOPE,
        {
            ids[0]: {
                "access_count": 3,
                "valid_to": "2026-01-01T00:00:00Z",
                "superseded_by": ids[-1],
                "links": [{"type": "contradicts", "id": ids[-1]}],
            }
        },
    )


async def test_what_comes_from_elsewhere_is_looked_through() -> None:
    """Secrets are taken out, or the memory is refused, by the rules that hold here; roles and types likewise."""
    store = InMemoryStore()
    await fill(store, [("semantic", "ask ann@example.org"), ("procedural", "wait an hour")])
    lines = await everything(store, SCOPE)
    assert "ann@" in str(lines)
    cases = (
        (RedactionRules(), ["stored", "stored"], "ask [redacted:email]"),
        (RedactionRules(policy=Treatment.REFUSE), ["rejected", "stored"], None),
        (
            RedactionRules(never_keep_types=frozenset({MemoryType.PROCEDURAL})),
            ["rejected", "stored"],
            "ask [redacted:email]",
        ),
    )
    for number, (rules, statuses, kept) in enumerate(cases):
        there = Scope("acme", f"moved {number}")
        outcomes = await ingestor_of(store, rules).restore(there, read_exported(there, lines))
        assert sorted(one.status for one in outcomes) == statuses
        contents = [one["content"] for one in await everything(store, there)]
        assert (kept in contents) is (kept is not None)
        assert "ann@" not in str(contents)


printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
texts = st.text(printable, min_size=1, max_size=30).filter(str.strip)
memories = st.lists(st.tuples(st.sampled_from([str(kind) for kind in MemoryType]), texts), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(memories)
async def test_the_way_there_and_back_loses_nothing(contents: list[tuple[str, str]]) -> None:
    """Exported and imported under the same name every memory is what it was, whatever it holds."""
    source, target = InMemoryStore(), InMemoryStore()
    await fill(source, contents)
    lines = await everything(source, SCOPE)
    outcomes = await ingestor_of(target).restore(SCOPE, read_exported(SCOPE, lines))
    assert {outcome.status for outcome in outcomes} == {WriteStatus.STORED}
    assert await everything(target, SCOPE) == lines


async def test_in_another_namespace_ids_and_what_points_to_them_follow() -> None:
    """Each memory gets the id that its words would have there, and a pointer leads to the same memory as before."""
    source, target, other = InMemoryStore(), InMemoryStore(), Scope("rival", "copy")
    await fill(source, [("semantic", "The tea is green."), ("semantic", "The tea is black.")])
    lines = await everything(source, SCOPE)
    await ingestor_of(target).restore(other, read_exported(other, lines))
    again = await ingestor_of(target).write_one(
        other, DRAFT.validate_python({"type": "semantic", "content": "The tea is black.", "session_id": "s"})
    )
    assert again.status is WriteStatus.MERGED
    moved = {one["content"]: one for one in await everything(target, other)}
    old = moved["The tea is green."]
    assert old["superseded_by"] == old["links"][0]["id"] == moved["The tea is black."]["id"] == again.id
    assert {one["namespace"] for one in moved.values()} == {"copy"}
    assert not {one["id"] for one in moved.values()} & {one["id"] for one in lines}


class ForgetfulStore(InMemoryStore):
    """A store that takes everything and gives nothing back."""

    async def get(self, _scope: Scope, _ids: object) -> dict[str, Memory]:
        """Nothing."""
        return {}


async def test_what_is_not_read_back_has_failed() -> None:
    """A memory counts as stored only when the store gives it back as it was."""
    source = InMemoryStore()
    await fill(source, [("episodic", "x")])
    kept = read_exported(SCOPE, await everything(source, SCOPE))
    (outcome,) = await ingestor_of(ForgetfulStore()).restore(SCOPE, kept)
    assert outcome.status is WriteStatus.FAILED


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "dream"}, "items[0].type"),
        ({"importance": 11}, "items[0].importance"),
        ({"nonsense": 1}, "items[0].nonsense"),
    ],
)
async def test_a_damaged_line_is_named(change: dict[str, Any], path: str) -> None:
    """The line and the field that are wrong are told, and nothing is read."""
    source = InMemoryStore()
    await fill(source, [("episodic", "x")])
    (line,) = await everything(source, SCOPE)
    with pytest.raises(InvalidRequest) as raised:
        read_exported(SCOPE, [line | change])
    assert raised.value.path == path
