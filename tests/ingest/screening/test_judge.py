"""The attention model, which scores a text from the encoder's token states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest.screening.judge import PACKAGE, STATES_FILE, AttentionModel, Judge
from memtypes.encoders.setup.prepare import FINGERPRINT
from memtypes.model.policy import MemoryType
from memtypes.search.vectors import Embedding

MODEL = AttentionModel.load(PACKAGE, STATES_FILE)
STATES = np.random.default_rng(1).normal(size=(7, len(MODEL.read))).astype(np.float16)
EMBEDDING = Embedding(np.ones(4, np.float32), states=STATES)


def test_a_text_without_english_has_the_scores_of_foreign_texts() -> None:
    np.testing.assert_allclose(MODEL.scores(EMBEDDING, 0.0), MODEL.foreign)
    assert not np.allclose(MODEL.scores(EMBEDDING, 1.0), MODEL.foreign)


@pytest.mark.parametrize(
    "embedding",
    [
        None,
        Embedding(np.ones(4, np.float32)),
        replace(EMBEDDING, states=STATES[:0]),
    ],
    ids=["none", "no states", "no tokens"],
)
def test_without_states_all_scores_are_zero(embedding: Embedding | None) -> None:
    """If the encoder gives no token states, or the text has no tokens, all scores of the attention
    model are zero.
    """
    assert not MODEL.scores(embedding, 1.0).any()


def test_states_far_out_of_range_give_finite_scores() -> None:
    assert np.isfinite(
        MODEL.scores(replace(EMBEDDING, states=STATES * np.float16(1_000)), 1.0)
    ).all()


def test_a_saved_model_scores_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose weights already fit int8 gives the same scores after it is saved and loaded."""
    package = tmp_path / "stored_model"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    MODEL.save(package / "again.npz")
    loaded = AttentionModel.load("stored_model", "again.npz")
    assert loaded.encoders == MODEL.encoders
    np.testing.assert_allclose(
        loaded.scores(EMBEDDING, 1.0), MODEL.scores(EMBEDDING, 1.0), rtol=1e-4, atol=1e-4
    )


def test_states_of_another_encoder_are_not_read() -> None:
    """With another encoder texts are judged by their words alone, as if there were no encoder."""
    text = "Let's meet at the station on Friday"
    known = Judge.shipped(FINGERPRINT)
    other = Judge.shipped("bge-small:0123456789abcdef:512")
    by_words = known.judged(known.input_of(text, None))
    assert other.judged(other.input_of(text, EMBEDDING)) == by_words
    assert known.judged(known.input_of(text, EMBEDDING)) != by_words
    assert known.kinds(known.input_of(text, EMBEDDING)) != other.kinds(
        other.input_of(text, EMBEDDING)
    )


def test_what_an_agent_says_is_more_likely_an_event() -> None:
    judge = Judge.shipped()
    text = "The importer writes to the second table, and the test covers it."
    by_role = [
        judge.kinds(judge.input_of(text, None), role)[MemoryType.EPISODIC]
        for role in ("user", "assistant")
    ]
    assert by_role[0] < by_role[1]
