"""Vectors as bytes and back. Pure; byte order is the machine's, as both ends run on one machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memtypes.search.vectors import DenseVector, SparseVector, TokenVectors

TOKEN_DIMENSIONS = 128


def dense_bytes(vector: DenseVector) -> bytes:
    """The vector as raw float32."""
    return np.ascontiguousarray(vector, dtype=np.float32).tobytes()


def dense_of(raw: bytes) -> DenseVector:
    """The vector of `dense_bytes`."""
    return np.frombuffer(raw, dtype=np.float32)


def sparse_bytes(vector: SparseVector) -> tuple[bytes, bytes]:
    """Term ids as raw uint32 and weights as raw float32."""
    terms = np.ascontiguousarray(vector.indices, dtype=np.uint32)
    return terms.tobytes(), np.ascontiguousarray(vector.values, dtype=np.float32).tobytes()


def sparse_of(terms: bytes, weights: bytes) -> SparseVector:
    """The vector of `sparse_bytes`."""
    return SparseVector(np.frombuffer(terms, dtype=np.uint32), np.frombuffer(weights, dtype=np.float32))


def tokens_bytes(tokens: TokenVectors) -> bytes:
    """The token vectors as raw int8."""
    return np.ascontiguousarray(tokens, dtype=np.int8).tobytes()


def tokens_of(raw: bytes) -> TokenVectors:
    """The vectors of `tokens_bytes`, shape (tokens, 128)."""
    return np.frombuffer(raw, dtype=np.int8).reshape(-1, TOKEN_DIMENSIONS)


def unit_tokens(tokens: TokenVectors) -> NDArray[np.float32]:
    """Token vectors of unit length, as a server keeps and compares them. Shape (tokens, 128)."""
    scaled: NDArray[np.float32] = tokens.astype(np.float32) / np.float32(127.0)
    return scaled
