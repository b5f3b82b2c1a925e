"""Vectors as bytes and back. Pure; byte order is the machine's, as both ends run on one machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memtypes.vectors import DenseVector, SparseVector, TokenVectors

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


def shifted_tokens(raw: bytes) -> NDArray[np.uint8]:
    """Token vectors as Qdrant keeps them, -128..127 moved to 0..255. Shape (tokens, 128)."""
    signed = np.frombuffer(raw, dtype=np.int8).reshape(-1, TOKEN_DIMENSIONS)
    return (signed.astype(np.int16) + 128).astype(np.uint8)
