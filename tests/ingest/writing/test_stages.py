"""The stages of a write: conversation context and review."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.screening.review.panel import Panel
from ingest.screening.review.reviewers import ImportanceReviewer, NoveltyReviewer, RelevanceReviewer
from ingest.screening.submission import ReviewMode, Submission
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import PIECE
from memtypes.model.errors import Unavailable
from tests.ingest.doubles import (
    SCOPE,
    Bench,
    Hook,
    ObservedStore,
    context_of,
    draft,
    failing,
    no_trouble,
    write_turns,
)

pytestmark = pytest.mark.anyio


async def test_a_turn_is_embedded_with_the_two_turns_before_it() -> None:
    bench = Bench()
    first, second, third, _ = await write_turns(bench, "one", "two", "three", "four")
    assert bench.embedder.before == [
        "",
        context_of(first),
        context_of(first, second),
        context_of(second, third),
    ]
    batch = Bench()
    drafts = [draft(f"turn {number}", "episodic", session_id="s1") for number in range(2 * PIECE)]
    memories = [outcome.memory for outcome in await batch.ingestor.write(SCOPE, drafts)]
    turns = [turn for turn in memories if turn is not None]
    assert batch.embedder.before == [
        context_of(*turns[max(0, index - 2) : index]) for index in range(2 * PIECE)
    ]


async def test_turns_sent_again_are_context_of_the_new_turns_of_a_call() -> None:
    bench = Bench()
    contents = [f"turn {number}" for number in range(4)]
    first, second = (draft(content, "episodic", session_id="s1") for content in contents[:2])
    turns = [outcome.memory for outcome in await bench.ingestor.write(SCOPE, [first, second])]
    bench.embedder.before.clear()
    bench.clock.move(timedelta(hours=1))
    new = [
        draft(content, "episodic", session_id="s1", created_at=bench.clock.now)
        for content in contents[2:]
    ]
    await bench.ingestor.write(SCOPE, [first, second, *new])
    assert [before.count("turn") for before in bench.embedder.before] == [2, 2]
    assert all(turn is not None and turn.content in bench.embedder.before[0] for turn in turns)


async def test_rejected_turns_are_no_context() -> None:
    """If review rejects a turn, later turns that had it as context are embedded again without it.

    This holds even if they are in the next piece of the batch.
    """
    bench = Bench(panel=Panel((ImportanceReviewer(), RelevanceReviewer())))
    contents = [f"Nora moved to Graz in {1900 + number}." for number in range(PIECE + 3)]
    contents[0] = contents[3] = contents[PIECE - 1] = "ok"
    drafts = [draft(content, "episodic", session_id="s1") for content in contents]
    outcomes = await bench.ingestor.write(
        SCOPE, [Submission(submitted, ReviewMode.AUTO) for submitted in drafts]
    )
    rejected = [
        index for index, outcome in enumerate(outcomes) if outcome.status is WriteStatus.REJECTED
    ]
    assert rejected == [0, 3, PIECE - 1]
    # Of a text that was embedded twice, the last embedding is stored.
    contexts = dict(zip(bench.embedder.texts, bench.embedder.before, strict=True))
    turns = [outcome.memory for outcome in outcomes]
    for index, memory in enumerate(turns):
        if memory is not None:
            before = [turn for turn in turns[max(0, index - 2) : index] if turn is not None]
            assert contexts[memory.embedding_text()] == context_of(*before)


async def test_facts_and_other_sessions_are_embedded_alone() -> None:
    """Facts, turns of different sessions and events without a session are embedded without
    context.
    """
    bench = Bench()
    await bench.ingestor.write(
        SCOPE, [draft(f"fact {number}", session_id="s1") for number in range(3)]
    )
    await bench.ingestor.write(
        SCOPE, [draft("hm", "episodic", session_id=name) for name in ("s1", "s2")]
    )
    await bench.ingestor.write(SCOPE, [draft(f"event {number}", "episodic") for number in range(3)])
    assert set(bench.embedder.before) == {""}


FACT = (
    "The team decided to move the ledger to Postgres because the Redis counters drifted in March."
)


async def test_a_decision_is_stored_with_its_memory() -> None:
    """Review votes are stored with the memory. Its importance is their mean, unless the draft sets
    an importance.
    """
    bench = Bench(panel=Panel((ImportanceReviewer(), RelevanceReviewer())))
    auto = ReviewMode.AUTO
    outcomes = await bench.ingestor.write(
        SCOPE,
        [
            Submission(draft(FACT), auto),
            Submission(draft("Nora lives in Graz.", importance=2), auto),
            Submission(draft("ok"), auto),
            Submission(draft("okay"), ReviewMode.SKIP),
            draft("thanks"),
        ],
    )
    assert [outcome.status for outcome in outcomes] == [
        "stored",
        "stored",
        "rejected",
        "stored",
        "stored",
    ]
    stored = [outcome.memory for outcome in outcomes if outcome.memory]
    assert stored[0].reviewed == outcomes[0].reviewed
    assert stored[0].reviewed is not None
    assert len(stored[0].reviewed.votes) == 2
    assert stored[0].importance == round(stored[0].reviewed.importance or 0)
    assert stored[1].importance == 2
    assert stored[2].reviewed is None
    assert outcomes[2].reason is not None
    assert outcomes[2].reason.startswith("review: ")


@pytest.mark.parametrize(
    ("trouble", "novelty"),
    [(None, 10.0), (failing(Unavailable("away"), "candidates", 1, 2, 3), None)],
)
async def test_novelty_of_a_batch_is_one_search(
    trouble: Hook | None, novelty: float | None
) -> None:
    """One search serves the novelty reviewer for a whole batch. If it fails, only the novelty votes
    are lost.
    """
    store = ObservedStore(trouble or no_trouble)
    bench = Bench(store=store, panel=Panel((ImportanceReviewer(), NoveltyReviewer(store))))
    texts = ("Nora lives in Graz.", "Ann works at Acme since May.")
    outcomes = await bench.ingestor.write(
        SCOPE, [Submission(draft(text), ReviewMode.AUTO) for text in texts]
    )
    assert [outcome.status for outcome in outcomes] == ["stored", "stored"]
    assert [outcome.reviewed.novelty for outcome in outcomes if outcome.reviewed] == [
        novelty,
        novelty,
    ]
    assert store.calls["candidates"] == (1 if novelty else 3)


async def test_review_rejects_a_text_and_its_copies_in_the_same_call() -> None:
    """All copies of a rejected text in a call get the same reason. A copy sent with
    `ReviewMode.SKIP` is stored.
    """
    bench = Bench(panel=Panel((ImportanceReviewer(), RelevanceReviewer())))
    modes = (ReviewMode.AUTO, ReviewMode.AUTO, ReviewMode.SKIP, ReviewMode.AUTO)
    outcomes = await bench.ingestor.write(SCOPE, [Submission(draft("ok"), mode) for mode in modes])
    assert [outcome.status for outcome in outcomes] == [
        "rejected",
        "rejected",
        "stored",
        "rejected",
    ]
    assert outcomes[1].reason == outcomes[0].reason
