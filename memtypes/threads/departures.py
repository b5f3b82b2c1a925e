"""What left threads, and whoever keeps it. The contract is the docstrings here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass

from memtypes.scope import Scope
from memtypes.threads.turns import Turn


@dataclass(frozen=True, slots=True)
class Departure:
    """Turns that left a thread together, and wait to be kept. token: names it in the store.

    tries: how often it was refused. why: it was set aside, which is empty before.
    """

    thread_id: str
    turns: tuple[Turn, ...]
    token: str
    tries: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class OutboxLoad:
    """How many departures wait in a namespace, and how many of a thread were set aside."""

    waiting: int
    set_aside: int = 0


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
    async def set_aside(self, scope: Scope, departure: Departure, why: str) -> None:
        """Take it out of what waits, and keep it until it is recalled."""

    @abstractmethod
    async def aside(self, scope: Scope, thread_id: str) -> list[Departure]:
        """What of a thread was set aside, oldest first."""

    @abstractmethod
    async def recall(self) -> int:
        """How many departures were set aside in any scope; they wait again, as if never tried."""

    @abstractmethod
    async def load(self, scope: Scope, thread_id: str | None = None) -> OutboxLoad:
        """How many departures wait in a namespace, and were set aside of this thread."""

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
