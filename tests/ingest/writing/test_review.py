"""Review as a stage of the pipeline."""

from __future__ import annotations

import pytest

from ingest.screening.review.panel import Panel
from ingest.screening.review.reviewers import ImportanceReviewer, NoveltyReviewer, RelevanceReviewer
from ingest.screening.submission import ReviewMode, Submission
from ingest.writing.review import ReviewStage
from memtypes.model.errors import Unavailable
from memtypes.stores.memory import InMemoryStore
from tests.ingest.doubles import SCOPE, Bench, Hook, ObservedStore, draft, failing, no_trouble

pytestmark = pytest.mark.anyio
FACT = "The team decided to move the ledger to Postgres because the Redis counters drifted in March."


async def test_a_decision_is_stored_with_its_memory() -> None:
    """With every vote and the mean importance; an explicit importance stays, and a rejection has its reason."""
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
    assert [outcome.status for outcome in outcomes] == ["stored", "stored", "rejected", "stored", "stored"]
    stored = [outcome.memory for outcome in outcomes if outcome.memory]
    assert stored[0].reviewed == outcomes[0].reviewed
    assert stored[0].reviewed is not None
    assert len(stored[0].reviewed.votes) == 2
    assert stored[0].importance == round(stored[0].reviewed.importance or 0)
    assert stored[1].importance == 2
    assert stored[2].reviewed is None
    assert outcomes[2].reason is not None
    assert outcomes[2].reason.startswith("review: 2 reviewers find it trivial")


@pytest.mark.parametrize(
    ("trouble", "novelty"), [(None, 10.0), (failing(Unavailable("away"), "candidates", 1, 2, 3), None)]
)
async def test_novelty_of_a_batch_is_one_search(trouble: Hook | None, novelty: float | None) -> None:
    """If the store can't answer, only the votes of novelty are lost."""
    store = ObservedStore(trouble or no_trouble)
    bench = Bench(store=store, panel=Panel((ImportanceReviewer(), NoveltyReviewer(store))))
    texts = ("Nora lives in Graz.", "Ann works at Acme since May.")
    outcomes = await bench.ingestor.write(SCOPE, [Submission(draft(text), ReviewMode.AUTO) for text in texts])
    assert [outcome.status for outcome in outcomes] == ["stored", "stored"]
    assert [outcome.reviewed.novelty for outcome in outcomes if outcome.reviewed] == [novelty, novelty]
    assert store.calls["candidates"] == (2 if novelty else 4)


async def test_copies_of_a_rejected_text_are_rejected() -> None:
    """A copy in the same call that asks for review is rejected as well; one that asks for none is stored."""
    bench = Bench(panel=Panel((ImportanceReviewer(), RelevanceReviewer())))
    modes = (ReviewMode.AUTO, ReviewMode.AUTO, ReviewMode.SKIP, ReviewMode.AUTO)
    outcomes = await bench.ingestor.write(SCOPE, [Submission(draft("ok"), mode) for mode in modes])
    assert [outcome.status for outcome in outcomes] == ["rejected", "rejected", "stored", "rejected"]
    assert outcomes[1].reason == outcomes[0].reason


async def test_an_empty_batch_needs_no_review() -> None:
    """The stage returns an empty list and searches nothing."""
    assert await ReviewStage(Panel(()), InMemoryStore()).review(SCOPE, []) == []
