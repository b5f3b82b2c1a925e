"""What left threads, and whoever keeps it. The contract is the docstrings here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope


@dataclass(frozen=True, slots=True)
class Departure:
    """Turns that left a thread together, and wait to be kept. token: names it in the store.

    tries: how often it was refused since it waits. rounds: how often it was set aside; why: it is, which is empty
    before; again_at: when it is tried again.
    """

    thread_id: str
    turns: tuple[Turn, ...]
    token: str
    tries: int = 0
    rounds: int = 0
    why: str = ""
    again_at: datetime | None = None

    def due(self, at: datetime | None) -> bool:
        """Whether what is set aside is to be tried at `at`; None is whenever it may."""
        return at is None or self.again_at is None or self.again_at <= at


@dataclass(frozen=True, slots=True)
class OutboxLoad:
    """How many departures wait in a namespace, and what of a thread is set aside, oldest first."""

    waiting: int
    aside: tuple[Departure, ...] = ()

    @property
    def again_at(self) -> datetime | None:
        """When the first of what is set aside is tried again."""
        return min((one.again_at for one in self.aside if one.again_at is not None), default=None)


class DepartureStore(ABC):
    """Where what left waits until it is settled, whatever happens to its thread."""

    @abstractmethod
    async def departures(self, scope: Scope, limit: int) -> list[Departure]:
        """What waits to be kept, oldest first."""

    @abstractmethod
    async def settle(self, scope: Scope, departure: Departure) -> None:
        """Forget a departure that was kept."""

    @abstractmethod
    async def postpone(self, scope: Scope, departure: Departure, tries: int) -> None:
        """Let it wait behind the others, with so many tries."""

    @abstractmethod
    async def set_aside(self, scope: Scope, departure: Departure, why: str, again_at: datetime) -> None:
        """Take it out of what waits for one round more, and keep it until it is recalled."""

    @abstractmethod
    async def recall(self, at: datetime | None) -> int:
        """How many departures were set aside in any scope and are due at `at`, or at all; they wait again, untried."""

    @abstractmethod
    async def load(self, scope: Scope, thread_id: str | None = None) -> OutboxLoad:
        """How many departures wait in a namespace, and what of this thread is set aside."""

    @abstractmethod
    def waiting(self) -> AsyncIterator[Scope]:
        """Every scope in which something waits to be kept."""


class ThreadKeeper(ABC):
    """Keeps what left a thread."""

    @abstractmethod
    async def keep(self, scope: Scope, departure: Departure) -> list[str]:
        """The ids of the memories that hold its turns, each turn in one; the same departure gives the same ones.

        Raises Unavailable or Overloaded when it can't be kept now, InvalidRequest when it is refused for what it is.
        """
