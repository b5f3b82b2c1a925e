"""Linear classifiers: probabilities, storage with int8 weights, and hashed features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.linear_model import LinearModel, from_binary, hashed

MODEL = LinearModel(
    ("no", "maybe", "yes"), np.eye(3, 4, dtype=np.float32), np.zeros(3, dtype=np.float32)
)


def test_probabilities_are_a_softmax_over_the_classes() -> None:
    """The class with the highest score has the highest probability, and each row sums to 1."""
    rows = MODEL.probabilities(np.array([[3, 0, 0, 9], [0, 0, 0, 0]], dtype=np.float32))
    assert rows.shape == (2, 3)
    assert rows[0].argmax() == 0
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(rows[1], 1 / 3, rtol=1e-6)


def test_saved_model_is_read_back_up_to_rounding(tmp_path: Path) -> None:
    """A model is saved with int8 weights, so its weights are read back rounded; classes and biases
    are exact.
    """
    weights = np.random.default_rng(1).normal(size=(2, 50)).astype(np.float32)
    bias = np.array([0.5, -0.5], dtype=np.float32)
    model = LinearModel(("a", "b"), weights, bias, ("0f0f", "1e1e"))
    model.save(tmp_path / "model.npz")
    restored = LinearModel.read((tmp_path / "model.npz").read_bytes())
    assert (restored.classes, restored.encoders) == (("a", "b"), ("0f0f", "1e1e"))
    np.testing.assert_array_equal(restored.bias, model.bias)
    np.testing.assert_allclose(
        restored.weights, weights, atol=float(np.abs(weights).max()) / 127 / 2 + 1e-6
    )


def test_a_model_knows_the_encoders_that_it_names_by_their_weights() -> None:
    model = replace(MODEL, encoders=("0f0f", "1e1e"))
    assert model.knows("mini:1e1e:int8:256")
    assert model.knows("mini:0f0f")
    assert not model.knows("mini:2d2d:int8:256")
    assert not model.knows("0f0f")
    assert not MODEL.knows("mini:0f0f"), "reads no vectors"


def test_binary_model_gives_logistic_probabilities() -> None:
    """A model made from one row of weights gives the second class the logistic function of the
    row's score.
    """
    model = from_binary(("noise", "keep"), np.array([2.0, -1.0], dtype=np.float32), 0.5)
    (row,) = model.probabilities(np.array([[1, 1]], dtype=np.float32))
    assert row[1] == pytest.approx(1 / (1 + np.exp(-1.5)), rel=1e-5)


def test_model_with_a_missing_bias_is_refused() -> None:
    """A model is refused unless each class has a row of weights and a bias."""
    with pytest.raises(ValueError, match="a bias for each"):
        LinearModel(("a", "b"), np.zeros((2, 3), dtype=np.float32), np.zeros(1, dtype=np.float32))


@given(st.lists(st.text(max_size=8), max_size=40))
def test_hashed_terms_give_a_unit_vector_in_any_order(terms: list[str]) -> None:
    features = hashed(terms, 64)
    np.testing.assert_array_equal(features, hashed(reversed(terms), 64))
    assert float(np.linalg.norm(features)) == pytest.approx(1, abs=1e-5) or not features.any()
