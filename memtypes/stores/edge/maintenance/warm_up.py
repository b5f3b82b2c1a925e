"""Reading ahead: what searches will need of the memories, in steps so short that a question hardly waits for one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from memtypes.stores.edge.engine.reader import Reader

STEP = 100
"""Memories of a step at first: some milliseconds, unless they are long."""

LONG_S = 0.01
"""Seconds of processor time; after a step that took longer the next ones are half as large."""


class Learner(Protocol):
    """Remembers something of payloads."""

    def learn(self, payloads: Iterable[tuple[int, Mapping[str, Any]]]) -> bool:
        """Whether there is room for more, once these are remembered, each by its slot."""
        ...


def read_ahead(reader: Reader, learner: Learner, fields: tuple[str, ...] | None) -> Iterator[None]:
    """A step at a time, tell the learner these fields of the memories, until it has no room; fields: None for all."""
    last, step = -1, STEP
    while True:
        began = time.thread_time()
        found = reader.after(last, step, fields)
        more = learner.learn(found) and len(found) == step
        step = max(1, step // 2) if time.thread_time() - began > LONG_S else step
        yield
        if not more:
            break
        last = found[-1][0]
