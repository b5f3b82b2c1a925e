"""Changes of stored memories: revisions, removal and feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.writing.changes import FeedbackOutcome, feedback_changes
from ingest.writing.drafts import Preparer
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.rejections import RejectedText
from memtypes.search.vectors import Embedding, InContext
from retrieval.context.entries import Entries, EntryCounter
from tests.fakes_rejections import FakeRejections
from tests.ingest.doubles import (
    NOW,
    SCOPE,
    Bench,
    CharTokenizer,
    CountingEmbedder,
    LengthSparse,
    ObservedStore,
    context_of,
    draft,
    write_turns,
)

pytestmark = pytest.mark.anyio


class AwayRejections(FakeRejections):
    """A store of rejected texts that is unavailable."""

    async def matching(self, _scope: Scope, _matches: Callable[[RejectedText], bool]) -> list[str]:
        """Raise Unavailable."""
        raise Unavailable("the live server is away")


async def stored(bench: Bench, content: str, kind: str = "semantic", **fields: Any) -> Memory:
    """Store a memory, move the clock by a minute, and return the memory."""
    outcome = await bench.ingestor.write_one(SCOPE, draft(content, kind, **fields))
    assert outcome.memory is not None
    bench.clock.move(timedelta(minutes=1))
    return outcome.memory


async def test_changing_the_content_embeds_the_memory_again_under_the_same_id() -> None:
    """Changing a memory's content gives it a new hash, token count, vectors and concept. Id and
    creation time stay.
    """
    bench = Bench()
    before = await stored(bench, "Mill packs ten.")
    after = await bench.ingestor.editor.revise(
        SCOPE, before.id, {"content": "Mill packs twelve pieces."}
    )
    assert (after.id, after.created_at, after.updated_at) == (
        before.id,
        before.created_at,
        NOW + timedelta(minutes=1),
    )
    assert after.content_hash != before.content_hash
    assert after.tokens.count == len("Mill packs twelve pieces.")
    assert after.model_dump()["concept"] == "Mill packs twelve pieces."
    assert bench.embedder.texts == ["Mill packs ten.", "Mill packs twelve pieces."]
    assert bench.store.vectors[before.id].sparse.values.tolist() == [25.0]


async def test_fields_outside_the_embedded_text_keep_the_vectors() -> None:
    """Changing a memory's importance, tags, metadata, pin or expiry does not embed it again."""
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
    after = await bench.ingestor.editor.revise(SCOPE, before.id, changes)
    assert (after.importance, after.tags, after.metadata, after.pinned) == (
        9,
        ["a", "b"],
        {"k": [1]},
        True,
    )
    assert after.to_payload()["expires_at"] == "2026-12-31T23:00:00Z"
    assert after.model_dump()["confidence"] == 0.5
    assert len(bench.embedder.texts) == 1


async def test_no_memory_is_removed_while_its_rejected_repetitions_cannot_be() -> None:
    bench = Bench()
    memory = await stored(bench, "Mill packs ten.")
    editor = replace(bench.ingestor.editor, rejections=AwayRejections(bench.clock))
    with pytest.raises(Unavailable):
        await editor.remove(SCOPE, [memory.id])
    assert await bench.store.get(SCOPE, [memory.id])


async def test_a_refused_change_removes_no_rejected_texts() -> None:
    bench = Bench()
    memory = await stored(bench, "Mill packs ten.")
    rejections = FakeRejections(bench.clock)
    await rejections.add(
        SCOPE, [RejectedText("r", NOW, "trivial", {"content": "OK, Mill packs ten."})]
    )
    editor = replace(bench.ingestor.editor, rejections=rejections)
    with pytest.raises(InvalidRequest):
        await editor.revise(SCOPE, memory.id, {"content": "Mill packs twelve.", "valid_to": "soon"})
    assert await rejections.get(SCOPE, "r") is not None
    await editor.revise(SCOPE, memory.id, {"content": "Mill packs twelve."})
    assert await rejections.get(SCOPE, "r") is None


async def test_null_clears_optional_fields() -> None:
    """A field changed to null is absent from the payload. A cleared title is again the first line
    of the content.
    """
    bench = Bench()
    before = await stored(
        bench,
        "Order labels.",
        "prospective",
        title="Labels",
        due_at="2026-12-01T00:00:00Z",
        expires_at="2027-01-01T00:00:00Z",
    )
    after = await bench.ingestor.editor.revise(
        SCOPE, before.id, {"expires_at": None, "due_at": None, "title": None}
    )
    payload = after.to_payload()
    assert "expires_at" not in payload
    assert "due_at" not in payload
    assert payload["title"] == "Order labels."


async def test_new_steps_of_a_procedure_are_embedded() -> None:
    """New steps of a procedure are embedded with its text; a name that the caller had set stays."""
    bench = Bench()
    before = await stored(
        bench, "Release.", "procedural", procedure_name="How to release", steps=["build"]
    )
    after = await bench.ingestor.editor.revise(
        SCOPE, before.id, {"steps": ["build", "ship"], "content": "Release it."}
    )
    assert after.model_dump()["procedure_name"] == "How to release"
    assert bench.embedder.texts[-1].endswith("build\nship")


async def test_a_revision_without_changes_writes_nothing() -> None:
    """A revision that changes no value keeps the memory's `updated_at`."""
    bench = Bench()
    before = await stored(bench, "Mill packs ten.")
    assert await bench.ingestor.editor.revise(SCOPE, before.id, {"importance": 5}) == before
    assert await bench.ingestor.editor.revise(SCOPE, before.id, {}) == before


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
async def test_invalid_changes_are_refused_with_the_field(
    changes: dict[str, Any], path: str
) -> None:
    """A revision with an unknown field, a field that identifies the memory or an invalid value is
    refused.

    The error has the field, and the memory is unchanged.
    """
    bench = Bench()
    before = await stored(bench, "Mill packs ten.")
    with pytest.raises(InvalidRequest) as refused:
        await bench.ingestor.editor.revise(SCOPE, before.id, changes)
    assert refused.value.path == path
    assert bench.store.memories()[before.id] == before


async def test_a_revision_into_the_statement_of_another_memory_is_a_conflict() -> None:
    """Changing a memory's text to that of another memory is a conflict and changes nothing.

    The error has the id of the other memory.
    """
    bench = Bench()
    other = await stored(bench, "Mill packs twelve.")
    before = await stored(bench, "Mill packs ten.")
    with pytest.raises(Conflict, match=other.id):
        await bench.ingestor.editor.revise(SCOPE, before.id, {"content": "Mill  packs twelve."})
    assert bench.store.memories()[before.id] == before


async def test_ids_of_other_namespaces_are_not_found() -> None:
    """An id of another namespace gives the same error as an id that does not exist."""
    bench = Bench()
    before = await stored(bench, "Mill packs ten.")
    with pytest.raises(NotFound):
        await bench.ingestor.editor.revise(Scope("acme", "other"), before.id, {"importance": 1})


class StubbornStore(ObservedStore):
    """A memory store that ignores patches."""

    async def patch(self, *_: Any, **__: Any) -> None:
        """Change nothing and raise no error."""


async def test_a_revision_that_is_not_read_back_raises_unavailable() -> None:
    """If the store accepts a revision but still returns the old memory, Unavailable is raised."""
    bench = Bench(store=StubbornStore())
    before = await stored(bench, "Mill packs ten.")
    with pytest.raises(Unavailable, match="was not stored"):
        await bench.ingestor.editor.revise(SCOPE, before.id, {"importance": 1})


async def test_a_refusal_lists_the_fields_that_may_be_changed() -> None:
    """If a revision sets a field that cannot be changed, the error names it and lists the fields
    that can.
    """
    bench = Bench()
    before = (await bench.ingestor.write_one(SCOPE, draft("a fact"))).memory
    assert before is not None
    for field, why in (("visibility", "can't be changed"), ("mood", "is no field of this type")):
        with pytest.raises(
            InvalidRequest, match=f"^{why}; may be changed: .*importance"
        ) as refused:
            await bench.ingestor.editor.revise(SCOPE, before.id, {field: "x"})
        assert refused.value.path == field


class HeldEmbedder(CountingEmbedder):
    """An embedder that waits on texts with the word "revised" until `release` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.blocked = anyio.Event()
        self.release = anyio.Event()

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The vectors of the texts. If one has the word "revised", wait until `release` is set."""
        if any("revised" in text.text for text in texts):
            self.blocked.set()
            await self.release.wait()
        return await super().embed_in_context(texts)


async def test_removal_waits_for_a_revision_in_progress() -> None:
    """A removal of all memories waits until a revision in progress has ended. The revised memory is
    removed, too.
    """
    embedder = HeldEmbedder()
    bench = Bench(embedder=embedder)
    before = await stored(bench, "Mill packs ten.")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            bench.ingestor.editor.revise,
            SCOPE,
            before.id,
            {"content": "Mill packs twelve, revised."},
        )
        await embedder.blocked.wait()
        tasks.start_soon(bench.ingestor.editor.remove_where, SCOPE, (), None)
        await anyio.wait_all_tasks_blocked()
        embedder.release.set()
    assert bench.store.memories() == {}


async def test_revising_a_turn_embeds_the_two_turns_after_it_again() -> None:
    """If a turn's text is changed, the two turns after it are embedded again with the new text as
    context.

    No other turn is embedded again.
    """
    bench = Bench()
    first, second, third, _, _ = await write_turns(bench, "one", "two", "three", "four", "five")
    bench.embedder.texts.clear()
    bench.embedder.before.clear()
    changed = await bench.ingestor.editor.revise(SCOPE, second.id, {"content": "another"})
    assert bench.embedder.before[0] == context_of(first)
    assert sorted(bench.embedder.before[1:]) == sorted(
        [context_of(first, changed), context_of(changed, third)]
    )


async def test_removing_a_turn_embeds_the_two_turns_after_it_again() -> None:
    bench = Bench()
    first, second, third, *_ = await write_turns(bench, "one", "two", "three", "four", "five")
    bench.embedder.before.clear()
    assert await bench.ingestor.editor.remove(SCOPE, [second.id, second.id, "0" * 36]) == 1
    assert sorted(bench.embedder.before) == sorted([context_of(first), context_of(third)])
    assert second.id not in bench.store.memories()


async def test_removal_fails_without_the_encoder_and_can_be_repeated() -> None:
    """While the encoder is unavailable nothing is removed; the removal succeeds when it is repeated
    later.
    """
    away: list[bool] = []

    def trouble(_call: str, _nth: int) -> None:
        if away:
            raise Unavailable("the encoder is away")

    bench = Bench(embedder=CountingEmbedder(trouble))
    first, *_ = await write_turns(bench, "one", "two")
    away.append(True)
    with pytest.raises(Unavailable):
        await bench.ingestor.editor.remove(SCOPE, [first.id])
    assert first.id in bench.store.memories()
    away.clear()
    assert await bench.ingestor.editor.remove(SCOPE, [first.id]) == 1


def memory(kind: str, **fields: object) -> Memory:
    """A stored memory of type `kind` with the given fields."""
    return (
        Preparer(LengthSparse(), EntryCounter(CharTokenizer(), Entries()))
        .prepare(draft("x", kind, **fields), SCOPE, NOW, 1)
        .memory
    )


async def test_feedback_used_counts_an_access() -> None:
    """Feedback "used" raises the memory's access count and sets the time of its last access."""
    bench = Bench()
    written = await bench.ingestor.write_one(SCOPE, draft("x"))
    for expected in (1, 2):
        after = await bench.ingestor.editor.rate(SCOPE, written.id or "", FeedbackOutcome.USED)
        assert (after.access_count, after.accessed_at) == (expected, NOW)


@pytest.mark.parametrize(
    ("outcome", "before", "after"),
    [
        ("helpful", 5, 6),
        ("helpful", 10, 10),
        ("unhelpful", 5, 4),
        ("unhelpful", 1, 1),
        ("success", 5, 6),
        ("failure", 5, 4),
    ],
)
def test_feedback_on_a_fact_changes_its_importance(outcome: str, before: int, after: int) -> None:
    """Feedback changes a fact's importance by one, within 1 to 10. Success counts as helpful,
    failure as unhelpful.
    """
    changed = feedback_changes(memory("semantic", importance=before), FeedbackOutcome(outcome), NOW)
    assert changed == {"importance": after, "updated_at": "2026-11-20T12:00:00Z"}


def test_feedback_on_a_procedure_updates_its_success_rate() -> None:
    """A failure changes a procedure's rate from three successes in four uses to three in five."""
    changed = feedback_changes(
        memory("procedural", usage_count=4, success_rate=0.75), FeedbackOutcome.FAILURE, NOW
    )
    assert changed["usage_count"] == 5
    assert changed["success_rate"] == pytest.approx(0.6)
    assert changed["last_used_at"] == "2026-11-20T12:00:00Z"


def test_helpful_does_not_count_as_use_of_a_procedure() -> None:
    """Feedback "helpful" changes a procedure's importance, not its success rate."""
    assert "usage_count" not in feedback_changes(memory("procedural"), FeedbackOutcome.HELPFUL, NOW)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_the_success_rate_is_the_mean_of_all_uses(successes: list[bool]) -> None:
    """After any series of feedback, a procedure's success rate is the share of uses that
    succeeded.
    """
    current = memory("procedural")
    for succeeded in successes:
        word = FeedbackOutcome.SUCCESS if succeeded else FeedbackOutcome.FAILURE
        current = current.replace(**feedback_changes(current, word, NOW))
    assert current.model_dump()["success_rate"] == pytest.approx(sum(successes) / len(successes))


async def test_feedback_on_an_unknown_id_is_not_found() -> None:
    with pytest.raises(NotFound, match="no memory nope in namespace 'shop'"):
        await Bench().ingestor.editor.rate(SCOPE, "nope", FeedbackOutcome.USED)
