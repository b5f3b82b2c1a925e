"""One writer at a time in a namespace, within this process.

Reading a memory, deciding and writing it back is not one step for the store. Writers in two processes are not kept
apart: at worst the evidence of one of two simultaneous repetitions is not counted; no memory is lost or doubled.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

import anyio

from memtypes.model.scope import Scope


class ScopeLocks:
    """A lock for each tenant and namespace in use; one that nobody holds or waits for is forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    def of(self, scope: Scope) -> anyio.Lock:
        """The lock of the namespace of `scope`."""
        return self._locks.setdefault((scope.tenant, scope.namespace), anyio.Lock())
