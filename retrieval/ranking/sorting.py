"""Stable sorting of numpy columns, with numpy's faster unstable sort where no two values are
equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PREFIX = 8


def ascending(values: NDArray[Any]) -> NDArray[np.intp]:
    """Positions of `values` in ascending order; equal values stay in the order of their
    positions.
    """
    order = np.argsort(values)
    ordered = values[order]
    return np.argsort(values, kind="stable") if (ordered[1:] == ordered[:-1]).any() else order


def top_positions(scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Positions of the `count` highest scores, highest first; equal scores in the order of their
    positions.
    """
    positions = np.arange(len(scores))
    if len(scores) > count:
        positions = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return positions[np.argsort(-scores[positions], kind="stable")[:count]]


def text_order(texts: NDArray[np.bytes_]) -> NDArray[np.intp]:
    """Positions of `texts` in ascending order; equal texts stay in the order of their positions.

    Texts that differ in their first eight bytes are sorted by these bytes as numbers, which is five
    times as fast.
    """
    prefixes = text_prefixes(texts)
    ordered = np.sort(prefixes)
    return (
        np.argsort(texts, kind="stable")
        if (ordered[1:] == ordered[:-1]).any()
        else np.argsort(prefixes)
    )


def text_prefixes(texts: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The first eight bytes of each text as a big-endian number, which sorts like the bytes."""
    wide = texts if texts.itemsize >= _PREFIX else texts.astype(f"S{_PREFIX}")
    prefix = np.dtype(
        {"names": ["prefix"], "formats": [">u8"], "offsets": [0], "itemsize": wide.itemsize}
    )
    return wide.view(prefix)["prefix"].astype(np.uint64)


def duplicate_positions(values: NDArray[Any]) -> NDArray[np.intp]:
    """Positions of all values that occur more than once, ascending."""
    ordered = np.sort(values)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.empty(0, dtype=np.intp)
    order = np.argsort(values)
    equals_next = values[order[1:]] == values[order[:-1]]
    return np.sort(order[np.append(equals_next, [False]) | np.append([False], equals_next)])
