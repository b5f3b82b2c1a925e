"""The vectors of a text, as values: what an encoder gives and a store keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

DenseVector: TypeAlias = NDArray[np.float32]
"""Shape (dimensions,), unit length."""

TokenVectors: TypeAlias = NDArray[np.int8]
"""Shape (tokens, 128): one compact vector a token, for late interaction."""

TOKEN_DIMENSIONS = 128

TokenMaxima: TypeAlias = NDArray[np.float32]
"""The best cosine, -1..1, of each query token with any token of a memory (MaxSim); shape (memories, query tokens).

NaN in the row of a memory without token vectors.
"""


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """Term weights: `indices` are term ids (uint32, ascending, unique), `values` their weights (float32)."""

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class InContext:
    """A text to embed. before: what was said just before it, which colours its vectors and is no part of them."""

    text: str
    before: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What one forward pass gives for one text."""

    dense: DenseVector
    tokens: TokenVectors | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Everything that is kept for one memory."""

    dense: DenseVector
    sparse: SparseVector
    tokens: TokenVectors | None = None
