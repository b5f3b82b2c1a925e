"""Token vectors of a shard, in files beside it, and late interaction with them in integer
arithmetic.

The engine returns vectors as lists of Python floats, and a search needs millions of numbers. Here
they are rows of a memory-mapped file. They are int8, which processors multiply many times faster
than floats; onnxruntime has such a matrix product, numpy has none. Integer sums are exact, so
memories with equal vectors get equal scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from memtypes.search.vectors import TOKEN_DIMENSIONS, TokenMaxima, TokenVectors
from memtypes.stores.edge.sidecar.array_files import RaggedFile, row_numbers
from memtypes.stores.edge.sidecar.slots import Slots

_MODEL: Final = (
    b'\x08\x08\x12\x00:p\n\x1b\n\x01a\n\x01b\n\x01z\x12\x01c"\rMatMulInteger\x12\x01g*\t\x10'
    b"\x02*\x02\x80\x01B\x01z"
    b"Z\x15\n\x01a\x12\x10\n\x0e\x08\x02\x12\n\n\x03\x12\x01n\n\x03\x12\x01dZ\x15\n\x01b\x12"
    b"\x10\n\x0e\x08\x03\x12\n"
    b"\n\x03\x12\x01d\n\x03\x12\x01mb\x15\n\x01c\x12\x10\n\x0e\x08\x06\x12\n\n\x03\x12\x01n\n"
    b"\x03\x12\x01mB\x04\n\x00\x10\r"
)
"""An ONNX model of one node, (a - 128) @ b, with a as uint8 and b as int8. At run time, `onnx` is
not installed.
"""

FLIP: Final = np.uint8(0x80)
"""XOR with this adds 128 to an int8 and makes it a uint8. x86 processors multiply uint8 by int8."""

PORTION: Final = 1 << 14
"""About how many token vectors are in one matrix product: these are 2 MiB, which fit in the
processor's cache.
"""

_NO_ROWS: Final = np.empty((0, TOKEN_DIMENSIONS), dtype=np.uint8)

_UNIT: Final = 127.0
"""The Euclidean length of every int8 token vector."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenRows:
    """The token vectors of some memories of a shard.

    content: the vectors of the whole shard, one per row, as uint8 (the quantized int8 values plus
    128). starts: the first row of each memory. lengths: the number of rows of each memory; 0 if it
    has no token vectors.
    """

    content: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def portions(self) -> Iterator[NDArray[np.int64]]:
        """Yield the indices of memories with vectors, by position in the file, about PORTION
        vectors at a time.
        """
        memories = np.flatnonzero(self.lengths)
        memories = memories[np.argsort(self.starts[memories])]
        ends = np.cumsum(self.lengths[memories])
        cuts = np.searchsorted(ends, np.arange(PORTION, self.lengths.sum(), PORTION)).tolist()
        return (
            memories[start:end] for start, end in pairwise([0, *cuts, len(memories)]) if start < end
        )


class TokenFile(RaggedFile):
    """The files with the token vectors of one shard, by slot (point number)."""

    name = "tokens"
    row: ClassVar[np.dtype[Any]] = np.dtype((np.uint8, TOKEN_DIMENSIONS))

    def put(self, slots: Slots, tokens: Sequence[TokenVectors | None]) -> None:
        """Store the token vectors of each slot (point number), replacing earlier ones. None stores
        no vectors.
        """
        self.set(
            slots,
            [_NO_ROWS if vectors is None else vectors.view(np.uint8) ^ FLIP for vectors in tokens],
        )

    def rows(self, slots: Slots) -> TokenRows:
        """The token vectors of the memories with these slots (point numbers)."""
        starts, lengths = self.spans(slots).T
        return TokenRows(self.content, starts, lengths)


class Matcher:
    """Computes cosines of a query's tokens with memories' tokens. integers: use int8 if that is
    exact on this CPU.
    """

    def __init__(self, *, integers: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        # A product takes a millisecond, and other callers use the other cores
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            _MODEL, options, providers=["CPUExecutionProvider"]
        )
        self._exact = integers and self._is_exact()
        # A new array would cost more than a copy
        self._buffer = np.empty((PORTION, TOKEN_DIMENSIONS), dtype=np.uint8)

    def maxima(self, query: TokenVectors, shards: Sequence[TokenRows]) -> TokenMaxima:
        """The highest cosine of each query token (a column) with each memory (a row); NaN without
        token vectors.

        The rows are the memories of the first shard, then those of the second, and so on.
        """
        transposed = np.ascontiguousarray(query.T)
        best = np.concatenate([self._shard_maxima(transposed, tokens) for tokens in shards])
        best /= np.float32(_UNIT**2)
        return best

    def _shard_maxima(self, transposed: TokenVectors, tokens: TokenRows) -> NDArray[np.float32]:
        """The highest product of each query token (a column) with each memory (a row) of one
        shard.
        """
        best = np.full((len(tokens.lengths), transposed.shape[1]), np.nan, dtype=np.float32)
        for memories in tokens.portions() if best.size else ():
            lengths = tokens.lengths[memories]
            rows = row_numbers(tokens.starts[memories], lengths)
            if len(rows) > len(self._buffer):
                self._buffer = np.empty((len(rows), TOKEN_DIMENSIONS), dtype=np.uint8)
            # Faster than mode="raise", which checks the row numbers and buffers the output.
            vectors = tokens.content.take(rows, axis=0, out=self._buffer[: len(rows)], mode="clip")
            products = self._products(vectors, transposed)
            best[memories] = np.maximum.reduceat(products, np.cumsum(lengths) - lengths, axis=0)
        return best

    def _products(self, vectors: NDArray[np.uint8], transposed: TokenVectors) -> NDArray[Any]:
        """The product of each stored vector (a row) with each column of `transposed` (a query
        token).
        """
        if not self._exact:
            return (vectors.astype(np.float32) - np.float32(FLIP)) @ transposed.astype(np.float32)
        products: NDArray[Any] = self._session.run(None, {"a": vectors, "b": transposed})[0]
        return products

    def _is_exact(self) -> bool:
        """Whether integer products are exact on this processor. Without VNNI instructions, sums may
        saturate.
        """
        largest = np.full((1, TOKEN_DIMENSIONS), 255, dtype=np.uint8)
        (products,) = self._session.run(
            None, {"a": largest, "b": np.full((TOKEN_DIMENSIONS, 1), 127, dtype=np.int8)}
        )
        return int(products[0, 0]) == 127 * 127 * TOKEN_DIMENSIONS
