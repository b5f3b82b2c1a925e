"""Changing a stored memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import anyio
import pytest

from memtypes.model.errors import Conflict, InvalidRequest, NotFound, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.search.vectors import Embedding, InContext
from tests.ingest.doubles import NOW, SCOPE, Bench, CountingEmbedder, ObservedStore, draft

pytestmark = pytest.mark.anyio


async def stored(bench: Bench, content: str, kind: str = "semantic", **fields: Any) -> Memory:
    """A memory in the store, a minute old."""
    outcome = await bench.ingestor.write_one(SCOPE, draft(content, kind, **fields))
    assert outcome.memory is not None
    bench.clock.move(timedelta(minutes=1))
    return outcome.memory


async def test_a_new_content_is_embedded_and_counted_under_the_same_id() -> None:
    """Content, hash, counts and vectors are new; id and age are not; a derived concept follows."""
    bench = Bench()
    before = await stored(bench, "Mill packs ten.")
    after = await bench.ingestor.revise(SCOPE, before.id, {"content": "Mill packs twelve pieces."})
    assert (after.id, after.created_at, after.updated_at) == (before.id, before.created_at, NOW + timedelta(minutes=1))
    assert after.content_hash != before.content_hash
    assert after.tokens.count == len("Mill packs twelve pieces.")
    assert after.model_dump()["concept"] == "Mill packs twelve pieces."
    assert bench.embedder.texts == ["Mill packs ten.", "Mill packs twelve pieces."]
    assert bench.store.vectors[before.id].sparse.values.tolist() == [25.0]


async def test_other_fields_do_not_embed() -> None:
    """Importance, tags, metadata, pinned and expiry change without a new vector."""
    bench = Bench()
    before = await stored(bench, "Mill packs ten.", tags=["old"])
    changes = {
        "importance": 9,
        "tags": ["a", "b", "a"],
        "metadata": {"k": [1]},
        "pinned": True,
        "expires_at": "2027-01-01T00:00:00+01:00",
        "confidence": 0.5,
    }
    after = await bench.ingestor.revise(SCOPE, before.id, changes)
    assert (after.importance, after.tags, after.metadata, after.pinned) == (9, ["a", "b"], {"k": [1]}, True)
    assert after.to_payload()["expires_at"] == "2026-12-31T23:00:00Z"
    assert after.model_dump()["confidence"] == 0.5
    assert len(bench.embedder.texts) == 1


async def test_null_clears_what_may_be_absent() -> None:
    """An expiry or due time that is set to null is gone from the payload; a cleared title follows the content again."""
    bench = Bench()
    before = await stored(
        bench,
        "Order labels.",
        "prospective",
        title="Labels",
        due_at="2026-12-01T00:00:00Z",
        expires_at="2027-01-01T00:00:00Z",
    )
    after = await bench.ingestor.revise(SCOPE, before.id, {"expires_at": None, "due_at": None, "title": None})
    payload = after.to_payload()
    assert "expires_at" not in payload
    assert "due_at" not in payload
    assert payload["title"] == "Order labels."


async def test_an_own_field_that_is_embedded_makes_a_new_vector() -> None:
    """Steps are part of a procedure's text, so new steps are embedded; a title of one's own stays."""
    bench = Bench()
    before = await stored(bench, "Release.", "procedural", procedure_name="How to release", steps=["build"])
    after = await bench.ingestor.revise(SCOPE, before.id, {"steps": ["build", "ship"], "content": "Release it."})
    assert after.model_dump()["procedure_name"] == "How to release"
    assert bench.embedder.texts[-1].endswith("build\nship")


async def test_no_change_writes_nothing() -> None:
    """A change that changes nothing leaves updated_at alone."""
    bench = Bench()
    before = await stored(bench, "Mill packs ten.")
    assert await bench.ingestor.revise(SCOPE, before.id, {"importance": 5}) == before
    assert await bench.ingestor.revise(SCOPE, before.id, {}) == before


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"due_at": None}, "due_at"),
        ({"id": "x"}, "id"),
        ({"namespace": "other"}, "namespace"),
        ({"session_id": "s"}, "session_id"),
        ({"created_at": "2026-01-01T00:00:00Z"}, "created_at"),
        ({"content": None}, "content"),
        ({"content": " "}, "content"),
        ({"importance": 11}, "importance"),
        ({"importance": "5"}, "importance"),
        ({"tags": ["ok", ""]}, "tags[1]"),
        ({"metadata": {"tenant": "x"}}, "metadata"),
        ({"confidence": 1.5}, "confidence"),
        ({"expires_at": "2026-11-20T12:00:00Z"}, "expires_at"),
    ],
)
async def test_what_may_not_be_changed_is_refused_by_name(changes: dict[str, Any], path: str) -> None:
    """Unknown, foreign and identity fields and invalid values are refused, and nothing changes."""
    bench = Bench()
    before = await stored(bench, "Mill packs ten.")
    with pytest.raises(InvalidRequest) as refused:
        await bench.ingestor.revise(SCOPE, before.id, changes)
    assert refused.value.path == path
    assert bench.store.memories()[before.id] == before


async def test_a_change_that_repeats_another_memory_is_a_conflict() -> None:
    """Two memories never come to say the same; the other one is named, and nothing changes."""
    bench = Bench()
    other = await stored(bench, "Mill packs twelve.")
    before = await stored(bench, "Mill packs ten.")
    with pytest.raises(Conflict, match=other.id):
        await bench.ingestor.revise(SCOPE, before.id, {"content": "Mill  packs twelve."})
    assert bench.store.memories()[before.id] == before


async def test_an_id_of_another_namespace_is_unknown() -> None:
    """Neither its words nor its existence is shown."""
    bench = Bench()
    before = await stored(bench, "Mill packs ten.")
    with pytest.raises(NotFound):
        await bench.ingestor.revise(Scope("acme", "other"), before.id, {"importance": 1})


class StubbornStore(ObservedStore):
    """Changes nothing that it has."""

    async def patch(self, *_: Any, **__: Any) -> None:
        """Leave it."""


async def test_a_change_that_is_not_read_back_is_an_error() -> None:
    """A store that does not keep the change is not taken at its word."""
    bench = Bench(store=StubbornStore())
    before = await stored(bench, "Mill packs ten.")
    with pytest.raises(Unavailable, match="was not stored"):
        await bench.ingestor.revise(SCOPE, before.id, {"importance": 1})


async def test_a_refusal_names_the_field_once_and_what_may_be_changed() -> None:
    """The path names it; the text says why, and the way out."""
    bench = Bench()
    before = (await bench.ingestor.write_one(SCOPE, draft("a fact"))).memory
    assert before is not None
    for field, why in (("visibility", "can't be changed"), ("mood", "is no field of this type")):
        with pytest.raises(InvalidRequest, match=f"^{why}; may be changed: .*importance") as refused:
            await bench.ingestor.revise(SCOPE, before.id, {field: "x"})
        assert refused.value.path == field


class HeldEmbedder(CountingEmbedder):
    """Says when it is asked for a revision, and answers once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let = anyio.Event(), anyio.Event()

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The vectors, as long as everything takes."""
        if any("revised" in one.text for one in texts):
            self.asked.set()
            await self.let.wait()
        return await super().embed_in_context(texts)


async def test_what_is_removed_does_not_come_back_with_a_change_under_way() -> None:
    """A removal of many waits until the revision is written, and takes it along."""
    embedder = HeldEmbedder()
    bench = Bench(embedder=embedder)
    before = await stored(bench, "Mill packs ten.")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.ingestor.revise, SCOPE, before.id, {"content": "Mill packs twelve, revised."})
        await embedder.asked.wait()
        tasks.start_soon(bench.ingestor.remove_where, SCOPE, (), None)
        await anyio.wait_all_tasks_blocked()
        embedder.let.set()
    assert bench.store.memories() == {}
