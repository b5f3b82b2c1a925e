"""Turns are embedded with what was said before them, however they come, change and go."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.screening.review.panel import Panel, Seat
from ingest.screening.review.reviewers import ImportanceReviewer, RelevanceReviewer
from ingest.writing.drafts import ReviewMode, Submission
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import PIECE
from ingest.writing.transfer import exported, read_exported
from memtypes.model.errors import Unavailable
from memtypes.model.memory import Memory
from tests.ingest.doubles import SCOPE, Bench, CountingEmbedder, draft

pytestmark = pytest.mark.anyio


async def said(bench: Bench, *contents: str) -> list[Memory]:
    """One turn after the other, each in a call of its own."""
    outcomes = [await bench.ingestor.write_one(SCOPE, draft(one, "episodic", session_id="s1")) for one in contents]
    return [one.memory for one in outcomes if one.memory is not None]


def together(*memories: Memory) -> str:
    """What `memories` are read as before another."""
    return " ".join(one.embedding_text() for one in memories)


async def test_a_turn_is_embedded_with_the_two_before_it() -> None:
    """Whether they came in one call each, or in one of several pieces."""
    bench = Bench()
    first, second, third, _ = await said(bench, "one", "two", "three", "four")
    assert bench.embedder.before == ["", together(first), together(first, second), together(second, third)]
    whole = Bench()
    drafts = [draft(f"turn {number}", "episodic", session_id="s1") for number in range(2 * PIECE)]
    kept = [one.memory for one in await whole.ingestor.write(SCOPE, drafts)]
    turns = [one for one in kept if one is not None]
    assert whole.embedder.before == [together(*turns[max(0, place - 2) : place]) for place in range(2 * PIECE)]


async def test_what_is_written_again_is_heard_too() -> None:
    """An import that is run again goes on with the conversation where it had stopped, though it knows the beginning."""
    bench = Bench()
    contents = [f"turn {number}" for number in range(4)]
    first, second = (draft(one, "episodic", session_id="s1") for one in contents[:2])
    kept = [one.memory for one in await bench.ingestor.write(SCOPE, [first, second])]
    bench.embedder.before.clear()
    bench.clock.move(timedelta(hours=1))
    whole = [draft(one, "episodic", session_id="s1", created_at=bench.clock.now) for one in contents[2:]]
    await bench.ingestor.write(SCOPE, [first, second, *whole])
    assert [before.count("turn") for before in bench.embedder.before] == [2, 2]
    assert all(one is not None and one.content in bench.embedder.before[0] for one in kept)


async def test_what_a_review_rejects_is_heard_by_nobody() -> None:
    """Turns after it, in its piece of the call or the next one, end with vectors of what is stored alone."""
    bench = Bench(panel=Panel((Seat(ImportanceReviewer()), Seat(RelevanceReviewer()))))
    contents = [f"Nora moved to Graz in {1900 + number}." for number in range(PIECE + 3)]
    contents[0] = contents[3] = contents[PIECE - 1] = "ok"
    drafts = [draft(one, "episodic", session_id="s1") for one in contents]
    outcomes = await bench.ingestor.write(SCOPE, [Submission(one, ReviewMode.AUTO) for one in drafts])
    assert [place for place, one in enumerate(outcomes) if one.status is WriteStatus.REJECTED] == [0, 3, PIECE - 1]
    heard = dict(zip(bench.embedder.texts, bench.embedder.before, strict=True))  # the last of each text is what is kept
    turns = [one.memory for one in outcomes]
    for place, memory in enumerate(turns):
        if memory is not None:
            before = [one for one in turns[max(0, place - 2) : place] if one is not None]
            assert heard[memory.embedding_text()] == together(*before)


async def test_facts_and_other_sessions_are_embedded_alone() -> None:
    """Nothing that stands by itself is coloured by what came before it."""
    bench = Bench()
    await bench.ingestor.write(SCOPE, [draft(f"fact {number}", session_id="s1") for number in range(3)])
    await bench.ingestor.write(SCOPE, [draft("hm", "episodic", session_id=name) for name in ("s1", "s2")])
    await bench.ingestor.write(SCOPE, [draft(f"event {number}", "episodic") for number in range(3)])
    assert set(bench.embedder.before) == {""}


async def test_a_changed_turn_is_heard_by_the_turns_after_it() -> None:
    """It is read with those before it, and the two after it with its new words; others stay as they are."""
    bench = Bench()
    first, second, third, _, _ = await said(bench, "one", "two", "three", "four", "five")
    bench.embedder.texts.clear()
    bench.embedder.before.clear()
    changed = await bench.ingestor.revise(SCOPE, second.id, {"content": "another"})
    assert bench.embedder.before[0] == together(first)
    assert sorted(bench.embedder.before[1:]) == sorted([together(first, changed), together(changed, third)])


async def test_nothing_of_a_removed_turn_stays_in_the_vectors_of_others() -> None:
    """The two turns after it are embedded as if it had never been said."""
    bench = Bench()
    first, second, third, *_ = await said(bench, "one", "two", "three", "four", "five")
    bench.embedder.before.clear()
    assert await bench.ingestor.remove(SCOPE, [second.id, second.id, "0" * 36]) == 1
    assert sorted(bench.embedder.before) == sorted([together(first), together(third)])
    assert second.id not in bench.store.memories()


async def test_nothing_is_removed_while_the_encoder_is_away() -> None:
    """The call fails, everything is as it was, and it can be made again."""
    away: list[bool] = []

    def trouble(_call: str, _nth: int) -> None:
        if away:
            raise Unavailable("the encoder is away")

    bench = Bench(embedder=CountingEmbedder(trouble))
    first, *_ = await said(bench, "one", "two")
    away.append(True)
    with pytest.raises(Unavailable):
        await bench.ingestor.remove(SCOPE, [first.id])
    assert first.id in bench.store.memories()
    away.clear()
    assert await bench.ingestor.remove(SCOPE, [first.id]) == 1


async def test_a_namespace_that_moves_keeps_its_conversations() -> None:
    """What comes newest first is embedded in the order in which it was said."""
    bench, other = Bench(), Bench()
    turns = await said(bench, "one", "two", "three", "four")
    lines = [line async for line in exported(bench.store, SCOPE)]
    assert all(one.id is not None for one in await other.ingestor.restore(SCOPE, read_exported(SCOPE, lines)))
    assert other.embedder.before == ["", *(together(*turns[max(0, place - 2) : place]) for place in (1, 2, 3))]
