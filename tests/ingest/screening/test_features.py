"""Features of texts and messages."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.features import Conversation, text_features
from memtypes.search.vectors import Embedding

SIZE = len(text_features("x", None))


@given(st.text(max_size=300))
def test_any_text_has_finite_features_of_one_size(text: str) -> None:
    """Empty texts, signs and other scripts included."""
    features = text_features(text, None)
    assert features.shape == (SIZE,)
    assert np.isfinite(features).all()


def test_states_of_another_encoder_are_not_read() -> None:
    """The models were trained with the default encoder; other dimensions count as no embedding."""
    other = Embedding(np.ones(16, dtype=np.float32), np.ones((3, 128), dtype=np.int8))
    np.testing.assert_array_equal(text_features("a text", other), text_features("a text", None))


def test_a_message_is_compared_with_what_was_said_before() -> None:
    """The same text has other features once it was said, and others again for a machine."""
    fresh, later = Conversation(), Conversation()
    later.add("user", "we ship on Friday", None)
    first, repeated = (talk.features("user", "we ship on Friday", None) for talk in (fresh, later))
    assert not np.array_equal(first, repeated)
    assert not np.array_equal(first, fresh.features("assistant", "we ship on Friday", None))
    assert not fresh.asks
    later.add("user", "do we?", None)
    assert later.asks
