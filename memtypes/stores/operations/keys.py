"""Ids by the hundred, as arrays: the 16 bytes that an id stands for are sent and compared sooner than its text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Keys: TypeAlias = NDArray[Any]
"""What an engine names memories by, which nobody else looks into: ids, or numbers of its own. They can be sorted."""

Ids: TypeAlias = NDArray[np.bytes_]
"""Ids, 16 bytes each."""

BYTES = 16
ID = np.dtype(f"S{BYTES}")

_HYPHENS = (8, 13, 18, 23)
_LENGTH = 36
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_PLACES = np.array([place for place in range(_LENGTH) if place not in _HYPHENS])


def ids_of(texts: Iterable[str]) -> Ids:
    """The ids of these texts, each a UUID in its usual form."""
    return np.frombuffer(bytes.fromhex("".join(texts).replace("-", "")), dtype=ID)


def texts_of(ids: Ids) -> NDArray[np.bytes_]:
    """The texts of ids, as ASCII."""
    halves = ids.view(np.uint8).reshape(-1, BYTES)
    written = np.full((len(halves), _LENGTH), ord("-"), dtype=np.uint8)
    written[:, _PLACES[0::2]] = _DIGITS[halves >> 4]
    written[:, _PLACES[1::2]] = _DIGITS[halves & 15]
    return written.view(f"S{_LENGTH}").ravel()


def strings_of(ids: Ids) -> list[str]:
    """The texts of ids as Python's own."""
    return [one.decode() for one in texts_of(ids).tolist()]
