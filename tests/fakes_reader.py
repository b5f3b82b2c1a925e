"""A reader whose answers a test scripts, in place of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import (
    Act,
    Acts,
    Kinds,
    Question,
    Reader,
    ReadStatement,
    StatementPair,
)

LASTING = tuple(kind for kind in MemoryType if kind is not MemoryType.WORKING)


def surely(act: Act, probability: float = 0.97) -> Acts:
    """Probabilities with that of `act`; the other acts share the rest."""
    rest = (1 - probability) / (len(Act) - 1)
    return dict.fromkeys(Act, rest) | {act: probability}


class FakeReader(Reader):
    """A reader that answers with functions. acts: for a pair, what it does, or the probabilities of
    all acts. answers: for a question and a memory, the probability that it answers. kinds: for a
    text, what it states.

    available: whether it answers; if not, its methods raise Unavailable. read: the pairs that it
    was asked about, in order. in_time: number of memories that a call with a deadline reads.
    """

    fingerprint = "fake-reader"

    def __init__(
        self,
        acts: Callable[[StatementPair], Act | Acts] = lambda _: Act.NOTHING,
        answers: Callable[[Question, ReadStatement], float] = lambda _, __: 0.5,
        kinds: Callable[[ReadStatement], Kinds] = lambda _: dict.fromkeys(LASTING, 0.25),
    ) -> None:
        self._acts = acts
        self._answers = answers
        self._kinds = kinds
        self.available = True
        self.read: list[StatementPair] = []
        self.in_time = 1_000

    async def acts(self, pairs: Sequence[StatementPair]) -> list[Acts]:
        """For each pair, the scripted probabilities."""
        self._check()
        self.read += pairs
        return [_probabilities(self._acts(pair)) for pair in pairs]

    async def kinds(self, statements: Sequence[ReadStatement]) -> list[Kinds]:
        """For each statement, the scripted probabilities."""
        self._check()
        return [self._kinds(statement) for statement in statements]

    async def answers(
        self,
        question: Question,
        memories: Sequence[ReadStatement],
        within_ms: float | None = None,
    ) -> list[float | None]:
        """For each memory, the scripted probability; None after the first `in_time` if there is a
        deadline.
        """
        self._check()
        in_time = len(memories) if within_ms is None else self.in_time
        return [
            self._answers(question, memory) if place < in_time else None
            for place, memory in enumerate(memories)
        ]

    async def aclose(self) -> None:
        """Answer no more: its methods then raise Unavailable."""
        self.available = False

    def _check(self) -> None:
        if not self.available:
            raise Unavailable("the reader is closed")


def _probabilities(scripted: Act | Acts) -> Acts:
    return surely(scripted) if isinstance(scripted, Act) else scripted
