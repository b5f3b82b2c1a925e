"""Token vectors of one shard, in files beside it, read without going through the engine.

The engine gives vectors as lists of Python floats, and a search needs millions of them; here they are rows of a mapped
file, in the form in which they are multiplied (see `matching`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from memtypes.search.vectors import TOKEN_DIMENSIONS, TokenVectors
from memtypes.stores.edge.sidecar.ragged_file import Ragged
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.edge.sidecar.token_matching import FLIP, TokenRows


class TokenFile(Ragged):
    """The token vectors of one shard."""

    row: ClassVar[np.dtype[Any]] = np.dtype((np.uint8, TOKEN_DIMENSIONS))

    @classmethod
    def beside(cls, shard: Path) -> TokenFile:
        """The files of the shard in a directory."""
        return cls(shard / "tokens")

    def put(self, slots: Slots, tokens: Sequence[TokenVectors]) -> None:
        """Keep token vectors by slot, in place of those that the slots had."""
        self.keep(slots, [one.view(np.uint8) ^ FLIP for one in tokens])

    def rows(self, slots: Slots) -> TokenRows:
        """Where the token vectors of each memory are; of length 0 where there are none."""
        starts, lengths = self.places_of(slots).T
        return TokenRows(self.content, starts, lengths)
