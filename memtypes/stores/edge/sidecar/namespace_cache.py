"""Which memories a scope has, as slots, for scopes that are small and were asked for before.

The engine process is the only writer of its shards, so what it was told holds until something is put or removed there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.operations.conditions import Condition, scope_in
from memtypes.stores.operations.engine import Change, PutPoints, RemovePoints

MOST = 2_000
"""Memories of a scope that is small: a look at the terms of all takes less than the engine's queries."""

REMEMBERED = 2_000
"""Scopes; some 32 MB at most."""

Matching: TypeAlias = Callable[[Condition, int], Slots]
"""The slots of the points that meet a condition, so many at most, ascending."""


class Scopes:
    """The small scopes of one shard. matching: how they are read."""

    def __init__(self, matching: Matching, most: int = MOST, remembered: int = REMEMBERED) -> None:
        self._matching = matching
        self._most = most
        self._remembered = remembered
        self._slots: OrderedDict[tuple[str, str], Slots | None] = OrderedDict()

    def members(self, where: Condition) -> Slots | None:
        """The slots of all that `where` holds for, ascending; None unless it is a small scope and nothing else."""
        scope, rest = scope_in(where)
        if scope is None or rest:
            return None
        if scope not in self._slots:
            found = self._matching(where, self._most + 1)
            self._slots[scope] = np.sort(found) if len(found) <= self._most else None
            if len(self._slots) > self._remembered:
                self._slots.popitem(last=False)
        self._slots.move_to_end(scope)
        return self._slots[scope]

    def forget(self, change: Change) -> None:
        """Have what `change` may have brought or taken away read again."""
        if isinstance(change, PutPoints | RemovePoints):
            scope, _ = scope_in(change.where)
            if scope is None:
                self._slots.clear()
            else:
                self._slots.pop(scope, None)
