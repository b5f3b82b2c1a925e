"""Export of a namespace and restoring it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.screening.redaction.redactor import RedactionRules, Redactor, RuleBook, Treatment
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import Ingestor
from ingest.writing.transfer import exported, read_exported
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.ports.memory_store import MemoryStore
from tests.builders import NOW
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore
from tests.ingest.doubles import Bench, draft

pytestmark = pytest.mark.anyio


SCOPE = Scope("acme", "shop")


def ingestor_of(store: MemoryStore, rules: RedactionRules | None = None) -> Ingestor:
    """An ingestor that writes to `store`."""
    return plain_ingestor(
        store, lambda: NOW, redactor=Redactor(RuleBook(default=rules or RedactionRules()))
    )


async def everything(store: MemoryStore, scope: Scope) -> list[dict[str, Any]]:
    """All lines of an export of the namespace, as JSON objects."""
    return [payload async for payload in exported(store, scope)]


async def fill(store: MemoryStore, contents: list[tuple[str, str]]) -> None:
    """Write memories of the given types and contents; add an access count, links and state fields
    to the first one.
    """
    drafts = [
        DRAFT.validate_python(
            {"type": kind, "content": content, "session_id": "s", "metadata": {"ü": [1, None]}}
        )
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
                "state_until": "2028-01-01T00:00:00Z",
                "links": [{"to": ids[-1], "type": "contradicts", "strength": 0.5}],
                "upkeep": {
                    "job": "compact",
                    "at": "2026-01-01T00:00:00Z",
                    "reason": "the same",
                    "into": ids[-1],
                },
            }
        },
    )


async def test_restored_memories_are_redacted() -> None:
    """The redaction rules of the restoring service remove secrets from a restored memory or reject
    it.
    """
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
    for number, (rules, statuses, content) in enumerate(cases):
        there = Scope("acme", f"moved {number}")
        outcomes = await ingestor_of(store, rules).restorer.restore(
            there, read_exported(there, lines)
        )
        assert sorted(outcome.status for outcome in outcomes) == statuses
        contents = [memory["content"] for memory in await everything(store, there)]
        assert (content in contents) is (content is not None)
        assert "ann@" not in str(contents)


printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ")


texts = st.text(printable, min_size=1, max_size=30).filter(str.strip)


memories = st.lists(
    st.tuples(st.sampled_from([str(kind) for kind in MemoryType]), texts), min_size=1, max_size=8
)


@settings(max_examples=30, deadline=None)
@given(memories)
async def test_export_and_restore_preserve_everything(contents: list[tuple[str, str]]) -> None:
    """Memories restored to the same tenant and namespace equal the exported ones."""
    source = InMemoryStore()
    target = InMemoryStore()
    await fill(source, contents)
    lines = await everything(source, SCOPE)
    outcomes = await ingestor_of(target).restorer.restore(SCOPE, read_exported(SCOPE, lines))
    assert {outcome.status for outcome in outcomes} == {WriteStatus.STORED}
    assert await everything(target, SCOPE) == lines


async def test_ids_and_references_change_with_the_namespace() -> None:
    """A memory restored to another namespace gets the id that writing its content there would give.

    References to the memory, such as links and successors, get the new id.
    """
    source = InMemoryStore()
    target = InMemoryStore()
    other = Scope("rival", "copy")
    await fill(source, [("semantic", "The tea is green."), ("semantic", "The tea is black.")])
    lines = await everything(source, SCOPE)
    await ingestor_of(target).restorer.restore(other, read_exported(other, lines))
    again = await ingestor_of(target).write_one(
        other,
        DRAFT.validate_python(
            {"type": "semantic", "content": "The tea is black.", "session_id": "s"}
        ),
    )
    assert again.status is WriteStatus.MERGED
    moved = {memory["content"]: memory for memory in await everything(target, other)}
    old = moved["The tea is green."]
    references = {
        old["superseded_by"],
        old["links"][0]["to"],
        old["upkeep"]["into"],
        moved["The tea is black."]["id"],
    }
    assert references == {again.id}
    assert {memory["namespace"] for memory in moved.values()} == {"copy"}
    assert not {memory["id"] for memory in moved.values()} & {line["id"] for line in lines}


class ForgetfulStore(InMemoryStore):
    """A memory store whose `get` returns no memories."""

    async def get(self, _scope: Scope, _ids: object) -> dict[str, Memory]:
        """No memories, whatever the ids are."""
        return {}


async def test_a_restored_memory_that_is_not_read_back_has_failed() -> None:
    """After a restore, memories are read from the store. A memory that the store does not return
    has failed.
    """
    source = InMemoryStore()
    await fill(source, [("episodic", "x")])
    memories = read_exported(SCOPE, await everything(source, SCOPE))
    (outcome,) = await ingestor_of(ForgetfulStore()).restorer.restore(SCOPE, memories)
    assert outcome.status is WriteStatus.FAILED


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "dream"}, "items[0].type"),
        ({"type": ["semantic"]}, "items[0].type"),
        ({"content": " "}, "items[0].content"),
        ({"content": "a\x00b"}, "items[0].content"),
        ({"importance": 11}, "items[0].importance"),
        ({"nonsense": 1}, "items[0].nonsense"),
        ({"identities": {"x": []}}, "items[0].identities"),
    ],
)
async def test_an_invalid_line_is_refused_with_its_field(change: dict[str, Any], path: str) -> None:
    source = InMemoryStore()
    await fill(source, [("episodic", "x")])
    (line,) = await everything(source, SCOPE)
    with pytest.raises(InvalidRequest) as raised:
        read_exported(SCOPE, [line | change])
    assert raised.value.path == path


async def test_restored_turns_are_embedded_in_order_of_arrival() -> None:
    """An export lists the newest turns first; restoring reverses the order, so turns are embedded
    as they arrived.
    """
    bench = Bench()
    other = Bench()
    contents = ["one", "two", "three", "four"]
    for content in contents:
        await bench.ingestor.write_one(SCOPE, draft(content, "episodic", session_id="s1"))
    lines = [line async for line in exported(bench.store, SCOPE)]
    outcomes = await other.ingestor.restorer.restore(SCOPE, read_exported(SCOPE, lines))
    assert {outcome.status for outcome in outcomes} == {WriteStatus.STORED}
    assert other.embedder.texts == bench.embedder.texts
    assert other.embedder.before == bench.embedder.before


async def test_earlier_texts_and_further_sources_are_redacted_too() -> None:
    """Secrets are removed from the earlier texts and the additional sources of a memory that is
    restored.
    """
    store = InMemoryStore()
    (outcome,) = await ingestor_of(store).write(SCOPE, [draft("Ask Ann.", source="a@b.example")])
    for source, content in (("ann@shop.example", "Ask Ann."), ("x", "ask ann.")):
        await ingestor_of(store).write(SCOPE, [draft(content, source=source)])
    await ingestor_of(store).editor.revise(
        SCOPE, str(outcome.id), {"content": "Write to bob@shop.example."}
    )
    await ingestor_of(store).editor.revise(SCOPE, str(outcome.id), {"content": "Ask Bob."})
    memories = read_exported(SCOPE, await everything(store, SCOPE))
    (restored,) = await ingestor_of(InMemoryStore(), RedactionRules()).restorer.restore(
        SCOPE, memories
    )
    assert restored.memory is not None
    stored = restored.memory.model_dump_json()
    assert "shop.example" not in stored
    assert restored.memory.earlier[0].content == "Ask Ann."
    assert len(restored.memory.sources) == 2


async def test_an_export_imported_in_parts_elsewhere_keeps_all_references() -> None:
    """An export is restored to another namespace, whole or line by line, with the same result.

    Links, successors and merge notes still name the same memories, even if a text was edited.
    """
    source = InMemoryStore()
    at_once = InMemoryStore()
    by_line = InMemoryStore()
    other = Scope("rival", "copy")
    await fill(
        source,
        [("semantic", "The tea is green."), ("semantic", "The tea is black."), ("episodic", "x")],
    )
    first, second, _ = sorted(
        await everything(source, SCOPE), key=lambda line: str(line["content"])
    )
    link = {"to": second["id"], "type": "refines", "strength": 1.0}
    await source.patch(
        SCOPE, {first["id"]: {"links": [link]}, second["id"]: {"content": "The tea is white."}}
    )
    lines = await everything(source, SCOPE)
    await ingestor_of(at_once).restorer.restore(other, read_exported(other, lines))
    for line in (*lines, *lines):
        await ingestor_of(by_line).restorer.restore(other, read_exported(other, [line]))
    assert await everything(by_line, other) == await everything(at_once, other)
    names = {memory["id"]: memory["content"] for memory in await everything(by_line, other)}
    black = next(
        memory
        for memory in await everything(by_line, other)
        if memory["content"] == "The tea is black."
    )
    white = next(
        memory
        for memory in await everything(by_line, other)
        if memory["content"] == "The tea is white."
    )
    assert (len(names), names[black["links"][0]["to"]]) == (3, "The tea is white.")
    assert (names[white["superseded_by"]], names[white["upkeep"]["into"]]) == ("x", "x")
