"""Reading ahead: what searches will need of the memories, in steps so short that a question hardly waits for one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import qdrant_edge as edge

from memtypes.policy import MemoryType
from memtypes.stores import steps
from memtypes.stores.edge.shards import scroll
from memtypes.stores.keys import Key, key_of

STEP = 100
"""Memories of a step at first: some milliseconds, unless they are long."""

LONG_S = 0.01
"""Seconds of processor time; after a step that took longer the next ones are half as large."""


class Learner(Protocol):
    """Remembers something of payloads."""

    def learn(self, payloads: Iterable[tuple[Key, Mapping[str, Any]]]) -> bool:
        """Whether there is room for more, once these are remembered."""
        ...


def read_ahead(
    shards: Mapping[MemoryType, edge.EdgeShard], learners: Mapping[MemoryType, Learner], fields: tuple[str, ...] | None
) -> Iterator[None]:
    """A step at a time, tell each learner these fields of its memories, until it has no room; fields: None for all."""
    for kind, learner in learners.items():
        start: str | None = None
        step = STEP
        while True:
            began = time.thread_time()
            found = scroll(shards[kind], steps.Scroll({}, step, fields, start))
            room = learner.learn((key_of(one), payload) for one, payload in found)
            more = room and len(found) == step
            step = max(1, step // 2) if time.thread_time() - began > LONG_S else step
            yield
            if not more:
                break
            start = found[-1][0]
