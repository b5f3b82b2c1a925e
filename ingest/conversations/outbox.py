"""Keeps what left the threads of a namespace, in the order in which it left.

What can't be kept for a reason of its own waits behind the others, and is set aside after a few tries: it must neither
block them nor be lost. It is tried again after a pause that doubles each time, and by a service that starts, since its
rules may have changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakValueDictionary

import anyio

from memtypes.live.evicted_turns import Departure, DepartureStore, OutboxLoad, ThreadKeeper
from memtypes.model.errors import Overloaded, RemembrancerError, Unavailable
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339, to_utc

TRIES = 3
"""How often what is refused is tried, once a drain, before it is set aside."""

FIRST_PAUSE = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(days=1)
"""How long what was set aside rests before it is tried once more: first, and at most."""

_PIECE = 32

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What became of departures in this process."""

    kept: int = 0
    postponed: int = 0
    set_aside: int = 0
    recalled: int = 0


class Outbox:
    """One drain at a time of each namespace in this process; another process's does no harm, ids follow from turns."""

    def __init__(self, store: DepartureStore, keeper: ThreadKeeper, clock: Clock) -> None:
        self.tally = Tally()
        self._clock = clock
        self._store = store
        self._keeper = keeper
        self._draining: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()
        self._begun = False

    async def drain(self, scope: Scope) -> dict[str, list[str]]:
        """Memories' ids by thread. What can't be kept now waits; each departure is tried once."""
        kept: dict[str, list[str]] = {}
        lock = self._draining.setdefault((scope.tenant, scope.namespace), anyio.Lock())
        async with lock:
            try:
                left = (await self._store.load(scope)).waiting
                while left > 0 and (waiting := await self._store.departures(scope, min(left, _PIECE))):
                    left -= len(waiting)
                    for departure in waiting:
                        kept.setdefault(departure.thread_id, []).extend(await self._keep(scope, departure))
            except RemembrancerError as error:
                _log.warning("what left a thread waits to be kept: %s", type(error).__name__)
        return kept

    async def drain_all(self) -> int:
        """How many memories were made of what had been left waiting, and of what was set aside and is due.

        The first time all that was set aside is due.
        """
        self.tally.recalled += await self._store.recall(to_utc(self._clock()) if self._begun else None)
        self._begun = True
        scopes = [scope async for scope in self._store.waiting()]
        return sum([len(ids) for scope in scopes for ids in (await self.drain(scope)).values()])

    async def load(self, scope: Scope, thread_id: str) -> OutboxLoad:
        """How much waits in the namespace, and what is set aside of the thread."""
        return await self._store.load(scope, thread_id)

    def lines(self) -> Iterator[str]:
        """The tally in Prometheus' text format."""
        yield "# HELP remembrancer_thread_departures_total What left threads, by what became of it in this process."
        yield "# TYPE remembrancer_thread_departures_total counter"
        for name in Tally.__dataclass_fields__:
            yield f'remembrancer_thread_departures_total{{became="{name}"}} {getattr(self.tally, name)}'

    async def _keep(self, scope: Scope, departure: Departure) -> list[str]:
        """The memories' ids; none of a departure that is refused. Raises Unavailable and Overloaded."""
        try:
            ids = await self._keeper.keep(scope, departure)
        except (Unavailable, Overloaded):
            await self._store.postpone(scope, departure, departure.tries)
            self.tally.postponed += 1
            raise
        except RemembrancerError as error:
            await self._refused(scope, departure, str(error))
            return []
        except Exception as error:  # noqa: BLE001 - one fault must not block all later departures; counted and logged
            _log.exception("what left thread %s could not be kept by a fault", departure.thread_id)
            await self._refused(scope, departure, type(error).__name__)
            return []
        await self._store.settle(scope, departure)
        self.tally.kept += 1
        return ids

    async def _refused(self, scope: Scope, departure: Departure, why: str) -> None:
        tries = departure.tries + 1
        if tries < TRIES and not departure.rounds:
            await self._store.postpone(scope, departure, tries)
            self.tally.postponed += 1
            return
        again_at = to_utc(self._clock()) + pause(departure.rounds)
        await self._store.set_aside(scope, departure, why, again_at)
        self.tally.set_aside += 1
        _log.error(
            "%d turns that left thread %s are set aside until %s after %d tries: %s",
            len(departure.turns),
            departure.thread_id,
            rfc3339(again_at),
            tries,
            why,
        )


def pause(rounds: int) -> timedelta:
    """How long what has been set aside so often before rests."""
    doubled: int = 2 ** min(rounds, 20)
    return min(FIRST_PAUSE * doubled, LONGEST_PAUSE)
