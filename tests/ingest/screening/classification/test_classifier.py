"""The type of a text: by rule where the words are plain, by likeness where they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.classification.classifier import ClassificationGate, Classifier
from ingest.screening.classification.rules import leaning
from ingest.screening.recent_embeddings import RecentDocuments
from ingest.writing.drafts import Submission, UntypedDraft
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
async def test_plain_texts_are_of_their_type(text: str, kind: str) -> None:
    """The first type is right, its confidence is the highest, and all sum to one."""
    found = await Classifier(FakeEmbedder()).classify(text)
    assert found.type == kind
    assert found.reason
    confidences = [confidence for _, confidence in found.alternatives]
    assert found.confidence >= max(confidences)
    assert found.confidence + sum(confidences) == pytest.approx(1, abs=1e-3)


async def test_sure_rules_need_no_embedding() -> None:
    """The encoder is not asked; for an unsure text it is, the prototypes once."""
    embedder = CountingEmbedder()
    classifier = Classifier(embedder)
    await classifier.classify("remind me to call the bank")
    assert embedder.texts == []
    await classifier.classify("Blue green yellow")
    first = len(embedder.texts)
    await classifier.classify("Red green yellow")
    assert len(embedder.texts) == first + 1


@given(st.text(min_size=1, max_size=300))
def test_the_rules_read_any_text(text: str) -> None:
    """No text makes them fail or give a negative score."""
    assert all(score >= 0 for score in leaning(text).scores.values())


async def test_an_untyped_draft_gets_its_type() -> None:
    """What was said about it stays; a typed one passes as it is."""
    gate = ClassificationGate(Classifier(FakeEmbedder()))
    found = await gate.examine(SCOPE, Submission(UntypedDraft(content="remind me to pay Tom", tags=["home"])))
    assert isinstance(found, Submission)
    assert (found.draft.type, found.draft.tags) == ("prospective", ["home"])
    assert found.classified is not None
    typed = Submission(draft("x"))
    assert await gate.examine(SCOPE, typed) is typed


async def test_without_a_classifier_a_type_is_needed() -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidRequest, match="no classifier to find the type"):
        await Bench().ingestor.write_one(SCOPE, UntypedDraft(content="x"))


async def test_the_embedding_of_an_unsure_text_is_made_once() -> None:
    """Classification and writing share it."""
    inner = CountingEmbedder()
    shared = RecentDocuments(inner)
    bench = Bench(embedder=shared, gates=(ClassificationGate(Classifier(shared)),))  # type: ignore[arg-type]
    text = "Tom and his sister, a painting"
    outcome = await bench.ingestor.write_one(SCOPE, UntypedDraft(content=text))
    assert outcome.memory is not None
    if outcome.memory.embedding_text() == text:
        assert inner.texts.count(text) == 1


async def test_recent_documents_forget_the_oldest() -> None:
    """Repetitions cost nothing while they are remembered; the vectors are the inner one's."""
    inner = CountingEmbedder()
    shared = RecentDocuments(inner)
    await shared.embed_documents(["a", "b", "a"])
    await shared.embed_documents([f"t{index}" for index in range(300)])
    await shared.embed_documents(["a", "t299"])
    assert (inner.texts.count("a"), inner.texts.count("t299")) == (2, 1)
    assert (shared.fingerprint, shared.dimensions) == ("counting", 4)
    assert (await shared.embed_query("q")).dense.shape == (4,)
    await shared.ping()
    await shared.aclose()
