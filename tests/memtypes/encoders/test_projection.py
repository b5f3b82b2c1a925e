"""The projection of token states."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from memtypes.encoders.projection import token_projection


def test_columns_are_orthonormal() -> None:
    """Lengths and angles within the 128 dimensions are kept."""
    matrix = token_projection(384)
    assert matrix.shape == (384, 128)
    assert np.allclose(matrix.T @ matrix, np.eye(128), atol=1e-5)


def test_it_is_the_same_everywhere() -> None:
    """The numbers never change: vectors that were projected with others could not be compared."""
    signs = np.signbit(token_projection(384)).tobytes()
    assert hashlib.sha256(signs).hexdigest()[:16] == "8cdc6997694977a2"


@pytest.mark.parametrize("dimensions", [0, 100, 200])
def test_only_whole_blocks_can_be_mixed(dimensions: int) -> None:
    """Other sizes are refused."""
    with pytest.raises(ValueError, match="multiple of 128"):
        token_projection(dimensions)
