"""Late interaction beside the engine, in whole numbers.

Token vectors are int8, and processors multiply those many times faster than floats; numpy can't, onnxruntime can. Sums
of whole numbers are exact, so the scores do not depend on how the work is divided: equal memories give equal bytes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from memtypes.search.vectors import TOKEN_DIMENSIONS, TokenMaxima, TokenVectors

_MODEL: Final = (
    b'\x08\x08\x12\x00:p\n\x1b\n\x01a\n\x01b\n\x01z\x12\x01c"\rMatMulInteger\x12\x01g*\t\x10\x02*\x02\x80\x01B\x01z'
    b"Z\x15\n\x01a\x12\x10\n\x0e\x08\x02\x12\n\n\x03\x12\x01n\n\x03\x12\x01dZ\x15\n\x01b\x12\x10\n\x0e\x08\x03\x12\n"
    b"\n\x03\x12\x01d\n\x03\x12\x01mb\x15\n\x01c\x12\x10\n\x0e\x08\x06\x12\n\n\x03\x12\x01n\n\x03\x12\x01mB\x04\n\x00\x10\r"
)
"""One node: (a - 128) @ b with a as uint8 and b as int8. Written out, as `onnx` is there at set-up only."""

FLIP: Final = np.uint8(0x80)
"""Turns int8 into uint8 that is 128 more: the pair of types for which processors have an instruction."""

PORTION: Final = 1 << 16
"""Token vectors that are compared in one go: 8 MiB."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenRows:
    """Token vectors of some memories among others. content: of all, 128 more than they are, shape (tokens, 128).

    starts: the row where each memory begins. lengths: in tokens, 0 for none.
    """

    content: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def portion(self, memories: slice) -> NDArray[np.uint8]:
        """The vectors of these memories, one after the other, shape (tokens, 128)."""
        starts, lengths = self.starts[memories], self.lengths[memories]
        before = np.cumsum(lengths) - lengths
        places = np.repeat(starts - before, lengths)
        places += np.arange(len(places))
        return self.content.take(places, axis=0, mode="clip")  # unlike an index it checks no place, which takes longer

    def portions(self) -> list[slice]:
        """The memories in pieces of about PORTION tokens."""
        piece = (np.cumsum(self.lengths) - self.lengths) // PORTION
        edges = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(self.lengths)]
        return [slice(start, end) for start, end in itertools.pairwise(edges)]


class Matcher:
    """Compares a query's tokens with those of memories."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the work takes a millisecond, and the other cores have callers of their own
        self._session = onnxruntime.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"])
        self._exact = self._is_exact()

    def maxima(self, query: TokenVectors, rows: TokenRows) -> TokenMaxima:
        """The best cosine of each query token with any token of each memory; NaN for a memory without tokens."""
        best = np.full((len(rows.lengths), len(query)), np.nan, dtype=np.float32)
        if not len(query):
            return best
        turned = np.ascontiguousarray(query.T)
        some = np.flatnonzero(rows.lengths)
        some = some[np.argsort(rows.starts[some])]  # as they lie, which takes a fifth less time than in any order
        known = TokenRows(rows.content, rows.starts[some], rows.lengths[some])
        for memories in known.portions():
            lengths = known.lengths[memories]
            products = self._products(known.portion(memories), turned)
            best[some[memories]] = np.maximum.reduceat(products, np.cumsum(lengths) - lengths, axis=0)
        best /= np.float32(127.0**2)
        return best

    def _products(self, kept: NDArray[np.uint8], turned: TokenVectors) -> NDArray[Any]:
        if not self._exact:
            return (kept.astype(np.float32) - np.float32(FLIP)) @ turned.astype(np.float32)
        products: NDArray[Any] = self._session.run(None, {"a": kept, "b": turned})[0]
        return products

    def _is_exact(self) -> bool:
        """Whether this processor sums whole numbers without cutting them off, as those without VNNI may do."""
        largest = np.full((1, TOKEN_DIMENSIONS), 255, dtype=np.uint8)
        (products,) = self._session.run(None, {"a": largest, "b": np.full((TOKEN_DIMENSIONS, 1), 127, dtype=np.int8)})
        return int(products[0, 0]) == 127 * 127 * TOKEN_DIMENSIONS
