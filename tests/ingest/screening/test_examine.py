"""Previews of classification, review and extraction, which store nothing."""

from __future__ import annotations

import pytest

from ingest.screening.classifier import Classifier
from ingest.screening.examine import Examiner
from ingest.screening.redaction.redactor import RedactionRules, Redactor, RuleBook, SecretsRefused, Treatment
from ingest.screening.review.panel import Panel
from ingest.screening.review.reviewers import ImportanceReviewer, RelevanceReviewer
from memtypes.model.policy import MemoryType
from tests.ingest.doubles import SCOPE, CountingEmbedder

pytestmark = pytest.mark.anyio
MAIL = "nora" + "@" + "example.com"


def examiner(embedder: CountingEmbedder, rules: RedactionRules | None = None) -> Examiner:
    """An examiner with two built-in reviewers."""
    redactor = Redactor(RuleBook(default=rules or RedactionRules()))
    panel = Panel((ImportanceReviewer(), RelevanceReviewer()))
    return Examiner(redactor, Classifier(embedder, panel.judge), panel, embedder)


async def test_the_context_decides_the_type_only_of_an_unclear_text() -> None:
    """A clear content keeps its type; an unclear one gets the type that its context suggests."""
    embedder = CountingEmbedder()
    context = "Remind me to book a room for the meeting tomorrow"
    clear = await examiner(embedder).classify(
        SCOPE.tenant, "Yesterday Anna deployed the billing service and it failed.", context
    )
    unclear = await examiner(embedder).classify(SCOPE.tenant, "Blue green yellow", context)
    assert (clear.type, unclear.type) == (MemoryType.EPISODIC, MemoryType.PROSPECTIVE)


async def test_parts_are_sentences_of_other_types() -> None:
    """A request within a statement is listed with its type; a text of one sentence has no parts."""
    text = "I live in Lisbon. Remind me to call Ann tomorrow."
    parts = await examiner(CountingEmbedder()).parts(SCOPE.tenant, text, MemoryType.SEMANTIC)
    assert parts == [(MemoryType.PROSPECTIVE, "Remind me to call Ann tomorrow.")]
    assert await examiner(CountingEmbedder()).parts(SCOPE.tenant, "I live in Lisbon.", MemoryType.SEMANTIC) == []


async def test_a_review_removes_and_counts_secrets() -> None:
    """The text is reviewed without its secrets, and embedded once even if it has to be classified."""
    embedder = CountingEmbedder()
    examined = await examiner(embedder).review(SCOPE, f"Blue green {MAIL}")
    assert examined.counts == {"email": 1}
    assert embedder.texts.count("Blue green [redacted:email]") == 1


async def test_a_refused_secret_is_an_error() -> None:
    """A preview of a text that the tenant's rules refuse raises the error."""
    with pytest.raises(SecretsRefused, match="email"):
        await examiner(CountingEmbedder(), RedactionRules(policy=Treatment.REFUSE)).review(SCOPE, MAIL)
