"""How long each stage of a retrieval took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

OnTimings: TypeAlias = Callable[[Mapping[str, float]], None]
"""Takes the milliseconds of each stage of one retrieval."""


@dataclass(slots=True)
class Trace:
    """Milliseconds by stage; a stage that was entered twice has the sum."""

    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what runs inside towards `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + (time.perf_counter() - began) * 1e3
