"""Classification of untyped texts by a learnt model, and previews of screening, which store
nothing.
"""

from __future__ import annotations

import pytest

from ingest.screening.classifier import ClassificationGate, Classifier, Examiner
from ingest.screening.judge import Judge
from ingest.screening.redaction.redactor import (
    RedactionRules,
    Redactor,
    RuleBook,
    SecretsRefused,
    Treatment,
)
from ingest.screening.review.panel import Panel
from ingest.screening.review.reviewers import ImportanceReviewer, RelevanceReviewer
from ingest.screening.submission import Submission, UntypedDraft
from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from tests.fakes import FakeEmbedder
from tests.ingest.doubles import SCOPE, Bench, CountingEmbedder, draft

pytestmark = pytest.mark.anyio
MAIL = "nora" + "@" + "example.com"

TEXTS = [
    ("remind me to call the bank tomorrow at 3pm", "prospective"),
    ("Don't forget to renew the certificate before Friday", "prospective"),
    ("To release: run the tests, tag the commit, then push the tag", "procedural"),
    ("I prefer dark mode", "semantic"),
    ("The payment service keeps its data in Postgres", "semantic"),
    ("Yesterday we deployed version two and it failed", "episodic"),
    ("Currently at row 40 of 90, two still open", "working"),
    ("Bis Freitag den Vertrag unterschreiben", "prospective"),
    ("Sono allergico alle noci", "semantic"),
]


@pytest.mark.parametrize(("text", "kind"), TEXTS)
async def test_plain_texts_get_their_type(text: str, kind: str) -> None:
    """Plain texts get the right type even without the encoder's token states. The five confidences
    sum to 1.
    """
    classified = await Classifier(FakeEmbedder(), Judge.shipped()).classify(text)
    assert classified.type == kind
    assert classified.reason
    confidences = [
        classified.confidence,
        *(confidence for _, confidence in classified.alternatives),
    ]
    assert (len(confidences), max(confidences)) == (5, classified.confidence)
    assert sum(confidences) == pytest.approx(1, abs=1e-3)


async def test_a_draft_without_a_type_gets_the_type_of_its_text() -> None:
    gate = ClassificationGate(Classifier(FakeEmbedder(), Judge.shipped()), Redactor())
    screened = await gate.examine(
        SCOPE, Submission(UntypedDraft(content="remind me to pay Tom", tags=["home"]))
    )
    assert isinstance(screened, Submission)
    assert (screened.draft.type, screened.draft.tags) == ("prospective", ["home"])
    assert screened.classified is not None
    typed = Submission(draft("x"))
    assert await gate.examine(SCOPE, typed) is typed


async def test_without_a_classifier_the_type_is_required() -> None:
    with pytest.raises(InvalidRequest, match="no classifier to find the type"):
        await Bench().ingestor.write_one(SCOPE, UntypedDraft(content="x"))


async def test_a_classified_text_is_embedded_once() -> None:
    embedder = CountingEmbedder()
    bench = Bench(
        embedder=embedder,
        gates=(ClassificationGate(Classifier(embedder, Judge.shipped()), Redactor()),),
    )
    text = "I prefer dark mode"
    outcome = await bench.ingestor.write_one(SCOPE, UntypedDraft(content=text))
    assert outcome.memory is not None
    assert outcome.memory.embedding_text() == text
    assert embedder.texts.count(text) == 1


def examiner(embedder: CountingEmbedder, rules: RedactionRules | None = None) -> Examiner:
    """An examiner (preview of screening) with two built-in reviewers."""
    redactor = Redactor(RuleBook(default=rules or RedactionRules()))
    panel = Panel((ImportanceReviewer(), RelevanceReviewer()))
    return Examiner(redactor, Classifier(embedder, panel.judge), panel)


async def test_the_context_decides_the_type_only_of_an_unclear_text() -> None:
    embedder = CountingEmbedder()
    context = "Remind me to book a room for the meeting tomorrow"
    clear = await examiner(embedder).classify(
        SCOPE.tenant, "Yesterday Anna deployed the billing service and it failed.", context
    )
    unclear = await examiner(embedder).classify(SCOPE.tenant, "Blue green yellow", context)
    assert (clear.type, unclear.type) == (MemoryType.EPISODIC, MemoryType.PROSPECTIVE)


async def test_parts_are_sentences_of_other_types() -> None:
    text = "I live in Lisbon. Remind me to call Ann tomorrow."
    parts = await examiner(CountingEmbedder()).parts(SCOPE.tenant, text, MemoryType.SEMANTIC)
    assert parts == [(MemoryType.PROSPECTIVE, "Remind me to call Ann tomorrow.")]
    assert (
        await examiner(CountingEmbedder()).parts(
            SCOPE.tenant, "I live in Lisbon.", MemoryType.SEMANTIC
        )
        == []
    )


async def test_a_review_removes_and_counts_secrets() -> None:
    """Secrets are counted and removed from a text before it is reviewed. The text is embedded
    once.
    """
    embedder = CountingEmbedder()
    examined = await examiner(embedder).review(SCOPE, f"Blue green {MAIL}")
    assert examined.counts == {"email": 1}
    assert embedder.texts.count("Blue green [redacted:email]") == 1


async def test_a_refused_secret_is_an_error() -> None:
    """If a tenant's rules refuse secrets, previewing the review of a text with a secret raises
    SecretsRefused.
    """
    with pytest.raises(SecretsRefused, match="email"):
        await examiner(CountingEmbedder(), RedactionRules(policy=Treatment.REFUSE)).review(
            SCOPE, MAIL
        )
