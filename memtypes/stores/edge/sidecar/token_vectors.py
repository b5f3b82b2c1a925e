"""Token vectors of a shard, in files beside it, and late interaction with them in integer arithmetic.

The engine returns vectors as lists of Python floats, and a search needs millions of numbers; here they are rows of a
mapped file. They are int8, which processors multiply many times faster than floats. onnxruntime has such products,
numpy does not. Integer sums are exact: memories with equal vectors get equal scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from memtypes.search.vectors import TOKEN_DIMENSIONS, TokenMaxima, TokenVectors
from memtypes.stores.edge.sidecar.array_files import RaggedFile, row_numbers
from memtypes.stores.edge.sidecar.slots import Slots

_MODEL: Final = (
    b'\x08\x08\x12\x00:p\n\x1b\n\x01a\n\x01b\n\x01z\x12\x01c"\rMatMulInteger\x12\x01g*\t\x10\x02*\x02\x80\x01B\x01z'
    b"Z\x15\n\x01a\x12\x10\n\x0e\x08\x02\x12\n\n\x03\x12\x01n\n\x03\x12\x01dZ\x15\n\x01b\x12\x10\n\x0e\x08\x03\x12\n"
    b"\n\x03\x12\x01d\n\x03\x12\x01mb\x15\n\x01c\x12\x10\n\x0e\x08\x06\x12\n\n\x03\x12\x01n\n\x03\x12\x01mB\x04\n\x00\x10\r"
)
"""ONNX model of one node: (a - 128) @ b, a as uint8, b as int8. As bytes, as `onnx` is installed for set-up only."""

FLIP: Final = np.uint8(0x80)
"""XOR with this turns an int8 into a uint8 that is 128 more, as processors can multiply uint8 by int8."""

PORTION: Final = 1 << 14
"""Number of token vectors in one matrix product: these are 2 MiB, which fit in the processor's cache."""

_NO_ROWS: Final = np.empty((0, TOKEN_DIMENSIONS), dtype=np.uint8)

_UNIT: Final = 127.0
"""The Euclidean length of every int8 token vector."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenRows:
    """The token vectors of some memories, as rows of the array for the whole shard.

    content: all rows of the shard, as uint8: the quantized int8 values plus 128. starts: the first row of each memory.
    lengths: the number of rows of each memory; 0 if it has no token vectors.
    """

    content: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def in_order(self) -> NDArray[np.int64]:
        """Indices of the memories that have token vectors, ordered by first row: reading is fastest in this order."""
        memories = np.flatnonzero(self.lengths)
        return memories[np.argsort(self.starts[memories])]

    def read(self, memories: NDArray[np.int64], target: NDArray[np.uint8]) -> None:
        """Copy the vectors of these memories, one memory after the other, to the first rows of `target`."""
        rows = row_numbers(self.starts[memories], self.lengths[memories])
        # Unlike an index, it checks nothing, which is faster.
        self.content.take(rows, axis=0, out=target[: len(rows)], mode="clip")


class TokenFile(RaggedFile):
    """The files with the token vectors of one shard, by slot (point number)."""

    name = "tokens"
    row: ClassVar[np.dtype[Any]] = np.dtype((np.uint8, TOKEN_DIMENSIONS))

    def put(self, slots: Slots, tokens: Sequence[TokenVectors | None]) -> None:
        """Store the token vectors of each slot (point number), replacing earlier ones. None stores no vectors."""
        self.set(slots, [_NO_ROWS if vectors is None else vectors.view(np.uint8) ^ FLIP for vectors in tokens])

    def rows(self, slots: Slots) -> TokenRows:
        """The token vectors of the memories with these slots (point numbers)."""
        starts, lengths = self.places_of(slots).T
        return TokenRows(self.content, starts, lengths)


class Matcher:
    """Computes cosines of a query's tokens with memories' tokens. integers: compute in int8 if exact on this CPU."""

    def __init__(self, *, integers: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a product takes a millisecond, and other callers use the other cores
        self._session = onnxruntime.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"])
        self._exact = integers and self._is_exact()
        self._vectors = np.empty((PORTION, TOKEN_DIMENSIONS), dtype=np.uint8)  # new pages cost more than what is copied

    def maxima(self, query: TokenVectors, parts: Sequence[TokenRows]) -> TokenMaxima:
        """The highest cosine of each query token (a column) with each memory (a row); NaN without token vectors."""
        owners = np.repeat(np.arange(len(parts)), [len(part.lengths) for part in parts])
        firsts = np.searchsorted(owners, np.arange(len(parts)))
        lengths = np.concatenate([part.lengths for part in parts])
        filled = np.concatenate([first + part.in_order() for first, part in zip(firsts, parts, strict=True)])
        best = np.full((len(lengths), len(query)), np.nan, dtype=np.float32)
        if not len(query) or not len(filled):
            return best
        transposed = np.ascontiguousarray(query.T)
        portions = np.cumsum(lengths[filled]) // PORTION
        for memories in np.split(filled, np.flatnonzero(np.diff(portions)) + 1):
            starts = np.cumsum(lengths[memories]) - lengths[memories]
            count = starts[-1] + lengths[memories[-1]]
            if count > len(self._vectors):
                self._vectors = np.empty((count, TOKEN_DIMENSIONS), dtype=np.uint8)
            vectors = self._vectors[:count]
            for owner in np.unique(owners[memories]):
                own = np.flatnonzero(owners[memories] == owner)
                parts[owner].read(memories[own] - firsts[owner], vectors[starts[own[0]] :])
            best[memories] = np.maximum.reduceat(self._products(vectors, transposed), starts, axis=0)
        best /= np.float32(_UNIT**2)
        return best

    def _products(self, vectors: NDArray[np.uint8], transposed: TokenVectors) -> NDArray[Any]:
        if not self._exact:
            return (vectors.astype(np.float32) - np.float32(FLIP)) @ transposed.astype(np.float32)
        products: NDArray[Any] = self._session.run(None, {"a": vectors, "b": transposed})[0]
        return products

    def _is_exact(self) -> bool:
        """Whether integer products are exact on this processor. Without VNNI, intermediate sums may saturate."""
        largest = np.full((1, TOKEN_DIMENSIONS), 255, dtype=np.uint8)
        (products,) = self._session.run(None, {"a": largest, "b": np.full((TOKEN_DIMENSIONS, 1), 127, dtype=np.int8)})
        return int(products[0, 0]) == 127 * 127 * TOKEN_DIMENSIONS
