"""UUIDs as arrays of 16 bytes each, which take less time to send and to compare than texts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.bytes_]
"""An array of memory ids, 16 bytes each."""

BYTES = 16
ID = np.dtype(f"S{BYTES}")

_LENGTH = 36
_GROUPS = tuple(
    (slice(start + hyphens, end + hyphens), slice(start, end))
    for hyphens, (start, end) in enumerate(itertools.pairwise((0, 8, 12, 16, 20, 32)))
)
"""Position of each group of a UUID's digits: in a text with hyphens, and in a text without
hyphens.
"""

_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def valid_ids(ids: Iterable[str]) -> list[str]:
    """The `ids` that are UUIDs in lower case with hyphens, without repetitions. No memory has any
    other id.
    """
    return list(dict.fromkeys(memory_id for memory_id in ids if _TEXT.fullmatch(memory_id)))


def ids_of(texts: Iterable[str]) -> Ids:
    """Convert UUIDs, as texts in lower case with hyphens, to an array of 16 bytes each."""
    return np.frombuffer(bytes.fromhex("".join(texts).replace("-", "")), dtype=ID)


def texts_of(ids: Ids) -> NDArray[np.bytes_]:
    """Convert ids of 16 bytes to an array of ASCII texts of 36 bytes, in lower case with
    hyphens.
    """
    digits = np.frombuffer(ids.tobytes().hex().encode(), dtype=np.uint8).reshape(-1, 2 * BYTES)
    texts = np.full((len(ids), _LENGTH), ord("-"), dtype=np.uint8)
    for text, digit in _GROUPS:
        texts[:, text] = digits[:, digit]
    return texts.view(f"S{_LENGTH}").ravel()


def strings_of(ids: Ids) -> list[str]:
    """Convert ids of 16 bytes to Python strings, in lower case with hyphens."""
    return [text.decode() for text in texts_of(ids).tolist()]
