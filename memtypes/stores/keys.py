"""A memory's id as the number that it stands for, which is found sooner and sent in fewer bytes than its text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Key: TypeAlias = int

BYTES = 16
_HYPHENS = (8, 13, 18, 23)
_LENGTH = 36
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_PLACES = np.array([place for place in range(_LENGTH) if place not in _HYPHENS])


def key_of(one: str) -> Key:
    """The number of an id, which is a UUID in its usual form."""
    return int(one.replace("-", ""), 16)


def text_of(key: Key) -> str:
    """The id of a number."""
    digits = f"{key:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def packed(keys: Iterable[Key]) -> bytes:
    """The numbers as they travel: 16 bytes each."""
    return b"".join([key.to_bytes(BYTES, "big") for key in keys])


def texts_of(raw: bytes) -> NDArray[np.bytes_]:
    """The ids of packed numbers, as ASCII."""
    halves = np.frombuffer(raw, dtype=np.uint8).reshape(-1, BYTES)
    written = np.full((len(halves), _LENGTH), ord("-"), dtype=np.uint8)
    written[:, _PLACES[0::2]] = _DIGITS[halves >> 4]
    written[:, _PLACES[1::2]] = _DIGITS[halves & 15]
    return written.view(f"S{_LENGTH}").ravel()
