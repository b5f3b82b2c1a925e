"""What was timed, by name, and the stages of the retrieval that came last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Samples:
    """Milliseconds by what was timed; recording can be off, while things warm up."""

    recording: bool = False
    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, milliseconds: float) -> None:
        """Keep one more."""
        if self.recording:
            self.ms[name].append(milliseconds)


@dataclass(slots=True)
class Stages:
    """The stages of the retrieval that came last."""

    last: Mapping[str, float] = field(default_factory=dict)

    def note(self, timings: Mapping[str, float]) -> None:
        """Told by the retriever."""
        self.last = dict(timings)
