"""A memory's heaviest terms in 64 bytes, so that ranking can compare the words of a thousand candidates.

A term is told by a number from 1 to 65,535 that its id in the sparse vector gives: two of the few thousand terms of a
pool may share one, which ranking bears. Knows sparse vectors, not words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.search.vectors import SparseVector

KEPT = 32
"""Terms of one memory. Twice as many find no more evidence, half as many a little less (decisions/expansion.md)."""

NUMBERS = 1 << 16
_DIGITS = 4

Numbers: TypeAlias = NDArray[np.uint16]


def numbered(ids: NDArray[np.uint32]) -> Numbers:
    """The number of each term, 1 and up."""
    return (ids % (NUMBERS - 1) + 1).astype(np.uint16)


def heaviest(vector: SparseVector) -> str:
    """The numbers of the terms that weigh most, in hexadecimal; of equal ones always the same, whatever the text."""
    order = np.lexsort((vector.indices, -vector.values))[:KEPT]
    return numbered(vector.indices[order]).astype(">u2").tobytes().hex()


def column(told: Sequence[str | None]) -> Numbers:
    """What `heaviest` told of each memory, shape (memories, KEPT); 0 where there are no more."""
    padded = "".join((one or "").ljust(KEPT * _DIGITS, "0") for one in told)
    return np.frombuffer(bytes.fromhex(padded), dtype=">u2").astype(np.uint16).reshape(-1, KEPT)


def told(row: NDArray[Any]) -> str | None:
    """One row of a column as `heaviest` told it; None for no terms."""
    return row[row > 0].astype(">u2").tobytes().hex() or None
