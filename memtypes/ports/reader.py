"""Port of the reader: a model that reads two texts together, and so sees what their vectors can't
show. It says what a new statement does to a stored one, and whether a memory answers a question. It
also reads a text alone, to say what it states.

The reader is optional. Where there is none, callers get None instead and work without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from memtypes.model.policy import MemoryType


class Act(StrEnum):
    """What a new statement does to a stored one."""

    NOTHING = "nothing"
    """It is about another thing, or leaves the stored statement alone."""

    RESTATES = "restates"
    """It says the same again."""

    ADDS = "adds"
    """It is about the very same thing and leaves it as it is: an attempt, a half, a question, a
    wish, a detail.
    """

    REPLACES = "replaces"
    """The stored statement was true until now."""

    WRONG = "wrong"
    """It says that the stored statement never was true."""

    DONE = "done"
    """It ends the stored task: the task is done."""

    CANCELLED = "cancelled"
    """It ends the stored task: nobody will do it any more."""

    MOVES = "moves"
    """The stored task gets another date or another owner, and goes on."""

    REOPENS = "reopens"
    """The stored task counted as ended, and is open again."""


Acts: TypeAlias = Mapping[Act, float]
"""A probability for each act; together they are 1."""


Kinds: TypeAlias = Mapping[MemoryType, float]
"""For each lasting type, the probability that a text states such a thing. A text may state several
things, or none, so they need not be 1 together.
"""


@dataclass(frozen=True, slots=True)
class ReadStatement:
    """A text to read. day: when it was said. speaker: "user", "agent" or a name.

    kind: the statement's type; WORKING stands for a message that states nothing that lasts.
    before: the message before it, where the text leans on that; only a new statement's is read.
    """

    text: str
    day: date
    speaker: str
    kind: MemoryType
    before: str = ""


@dataclass(frozen=True, slots=True)
class StatementPair:
    """A new statement and a stored one that it may be about."""

    newer: ReadStatement
    older: ReadStatement


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the day on which it is asked."""

    text: str
    day: date


class Reader(ABC):
    """Reads two texts together. Probabilities are calibrated: of the pairs that get .9, nine in ten
    are so.
    """

    fingerprint: str
    """Text that identifies the model; readings with equal fingerprints can be compared."""

    @abstractmethod
    async def acts(self, pairs: Sequence[StatementPair]) -> list[Acts]:
        """For each pair, the probability of each thing that the newer statement may do to the older
        one. Raises Unavailable, or Overloaded if too many pairs wait.
        """

    @abstractmethod
    async def kinds(self, statements: Sequence[ReadStatement]) -> list[Kinds]:
        """For each statement, whose own kind is not read, what it states. Raises Unavailable, or
        Overloaded if too many texts wait.
        """

    @abstractmethod
    async def answers(
        self,
        question: Question,
        memories: Sequence[ReadStatement],
        within_ms: float | None = None,
    ) -> list[float | None]:
        """For each memory, the probability that it answers the question on the question's day; None
        if it could not be read in `within_ms` milliseconds. Without them, all are read.

        Raises Unavailable, or Overloaded if too many pairs wait.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Finish what is being read, then stop the reader."""
