"""Reads the memories on which changes of state depend, and settles the states of all that are affected."""

from __future__ import annotations

from ingest.identity.states import States
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore


async def settle(store: MemoryStore, scope: Scope, states: States) -> None:
    """Complete `states` with what follows from its changes; nothing is written. Raises what the store raises."""
    states.settle()
    while wanted := states.needed():
        states.know(wanted, await store.get(scope, sorted(wanted)))
        states.settle()
