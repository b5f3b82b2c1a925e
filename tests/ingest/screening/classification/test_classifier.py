"""Classification of untyped texts by rules and prototype sentences."""

from __future__ import annotations

import pytest

from ingest.screening.classification.classifier import ClassificationGate, Classifier
from ingest.screening.submission import Submission, UntypedDraft
from memtypes.model.errors import InvalidRequest
from tests.fakes import FakeEmbedder
from tests.ingest.doubles import SCOPE, Bench, CountingEmbedder, draft

pytestmark = pytest.mark.anyio

TEXTS = [
    ("remind me to call the bank tomorrow at 3pm", "prospective"),
    ("Don't forget to renew the certificate before Friday", "prospective"),
    ("set an alarm for 6 am", "prospective"),
    ("We need to send the report by next Monday", "prospective"),
    ("To release: run the tests, tag the commit, then push the tag", "procedural"),
    ("tar: archive files\n- Pack a folder: tar -cf a.tar dir\n- Unpack it: tar -xf a.tar", "procedural"),
    ("How to reset the router\n1. Unplug it\n2. Wait a minute\n3. Plug it in", "procedural"),
    ("Alice likes tea", "semantic"),
    ("I prefer dark mode", "semantic"),
    ("My name is Nora Lind", "semantic"),
    ("The payment service keeps its data in Postgres", "semantic"),
    ("Paris is the capital of France.", "semantic"),
    ("Wow, that's great! How did you do it?", "episodic"),
    ("Yesterday we deployed version two and it failed", "episodic"),
    ("I just got back from the lake with my sister", "episodic"),
]


@pytest.mark.parametrize(("text", "kind"), TEXTS)
async def test_plain_texts_get_their_type(text: str, kind: str) -> None:
    """The type is right, has the highest confidence, and the confidences sum to 1."""
    classified = await Classifier(FakeEmbedder()).classify(text)
    assert classified.type == kind
    assert classified.reason
    confidences = [confidence for _, confidence in classified.alternatives]
    assert classified.confidence >= max(confidences)
    assert classified.confidence + sum(confidences) == pytest.approx(1, abs=1e-3)


async def test_clear_rules_need_no_embedding() -> None:
    """Only unclear texts are embedded, and the prototype sentences are embedded once."""
    embedder = CountingEmbedder()
    classifier = Classifier(embedder)
    await classifier.classify("remind me to call the bank")
    assert embedder.texts == []
    await classifier.classify("Blue green yellow")
    first = len(embedder.texts)
    await classifier.classify("Red green yellow")
    assert len(embedder.texts) == first + 1


async def test_an_untyped_draft_gets_its_type() -> None:
    """Its other fields are unchanged, and a typed draft is unchanged."""
    gate = ClassificationGate(Classifier(FakeEmbedder()))
    screened = await gate.examine(SCOPE, Submission(UntypedDraft(content="remind me to pay Tom", tags=["home"])))
    assert isinstance(screened, Submission)
    assert (screened.draft.type, screened.draft.tags) == ("prospective", ["home"])
    assert screened.classified is not None
    typed = Submission(draft("x"))
    assert await gate.examine(SCOPE, typed) is typed


async def test_without_a_classifier_the_type_is_required() -> None:
    """A draft without a type is refused."""
    with pytest.raises(InvalidRequest, match="no classifier to find the type"):
        await Bench().ingestor.write_one(SCOPE, UntypedDraft(content="x"))


async def test_an_unclear_text_is_embedded_once() -> None:
    """Writing uses the embedding that the classifier made of the same text."""
    embedder = CountingEmbedder()
    bench = Bench(embedder=embedder, gates=(ClassificationGate(Classifier(embedder)),))
    text = "Tom and his sister, a painting"
    outcome = await bench.ingestor.write_one(SCOPE, UntypedDraft(content=text))
    assert outcome.memory is not None
    assert outcome.memory.embedding_text() == text
    assert embedder.texts.count(text) == 1
