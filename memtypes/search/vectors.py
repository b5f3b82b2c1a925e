"""Vectors of texts, as encoders return them and stores keep them, and the heaviest terms of a
memory in 64 bytes.

Ranking compares the words of a thousand candidates by their heaviest terms: those with the highest
weights in the sparse vector. Such a term is stored as a number from 1 to 65,535, derived from its
id in the sparse vector. Different terms may get the same number, but within one search this is
rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

DenseVector: TypeAlias = NDArray[np.float32]
"""The dense vector of one text: shape (dimensions,), unit length."""

DenseVectors: TypeAlias = NDArray[np.float32]
"""Shape (texts, dimensions): a dense vector for each of several texts."""

TokenVectors: TypeAlias = NDArray[np.int8]
"""Token vectors of one text, for late interaction (MaxSim): shape (tokens, 128), one int8 vector
for each token.
"""

TOKEN_DIMENSIONS = 128

TokenStates: TypeAlias = NDArray[np.float16]
"""Hidden states of the first tokens of a text, from a middle layer of the encoder: shape (tokens,
dimensions).
"""

TokenMaxima: TypeAlias = NDArray[np.float32]
"""Best cosine of each query token with any token of a memory, shape (memories, query tokens); NaN
without vectors.
"""


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """Term weights: `indices` are term ids (uint32, ascending, unique), `values` their weights
    (float32).
    """

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class InContext:
    """A text to embed. before: text of the turns before it, which influences its vectors but gets
    no vectors itself.
    """

    text: str
    before: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The result of one forward pass: the dense vector of a text and, from some models, its token
    vectors and states.

    states: of the tokens in a middle layer, which distinguishes a request from a statement better
    than the last.
    """

    dense: DenseVector
    tokens: TokenVectors | None = None
    states: TokenStates | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """The vectors that are stored with a memory."""

    dense: DenseVector
    sparse: SparseVector
    tokens: TokenVectors | None = None


MAX_TERMS = 32
"""Maximum number of terms stored with a memory. With 64, recall does not rise; with 16, it falls a
little.
"""

NUMBERS = 1 << 16
"""Number of different term numbers, 0 (no term) included."""
_DIGITS = 4

Numbers: TypeAlias = NDArray[np.uint16]


def numbered(ids: NDArray[np.uint32]) -> Numbers:
    """Map term ids to term numbers, 1 to 65,535, which take two bytes. Different ids may get the
    same number.
    """
    return (ids % (NUMBERS - 1) + 1).astype(np.uint16)


def heaviest(vector: SparseVector) -> str:
    """The numbers of the terms with the highest weights, at most MAX_TERMS, as text: four
    hexadecimal digits for each.

    Terms are in descending order of weight; of equal weight, in order of their ids. See `numbered`.
    """
    order = np.lexsort((vector.indices, -vector.values))[:MAX_TERMS]
    return numbered(vector.indices[order]).astype(">u2").tobytes().hex()


def term_column(texts: Sequence[str | None]) -> Numbers:
    """Decode texts that `heaviest` returned: a row of MAX_TERMS term numbers for each text, padded
    with 0.
    """
    padded = "".join((text or "").ljust(MAX_TERMS * _DIGITS, "0") for text in texts)
    return (
        np.frombuffer(bytes.fromhex(padded), dtype=">u2").astype(np.uint16).reshape(-1, MAX_TERMS)
    )
