"""A lane: one thread that runs a function over texts for many callers, with a bounded queue.

Knows nothing of models. Callers that wait together share runs, and a long call is worked off a turn at a time, so a
short one that came later does not wait for all of it. The queue refuses rather than grows.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from anyio import to_thread

from memtypes.model.errors import Overloaded, Unavailable

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """name: of its thread. turn: how many inputs one run takes at most. waiting: how many inputs may wait.

    One call larger than `waiting` is taken when nothing else waits: it would never be taken otherwise.
    """

    name: str
    turn: int
    waiting: int


@dataclass(slots=True, eq=False)
class _Job(Generic[In, Out]):
    inputs: Sequence[In]
    future: Future[list[Out]]
    taken: int = 0
    outputs: list[Out] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.inputs) - self.taken

    def take(self, most: int) -> Sequence[In]:
        part = self.inputs[self.taken : self.taken + most]
        self.taken += len(part)
        return part

    def give(self, outputs: Sequence[Out]) -> None:
        self.outputs.extend(outputs)
        if len(self.outputs) == len(self.inputs) and self.future.set_running_or_notify_cancel():
            self.future.set_result(self.outputs)

    def fail(self, error: BaseException) -> None:
        """End with `error`; only once, and not when the caller has gone."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Lane(Generic[In, Out]):
    """One worker thread; `start` gives a running one."""

    def __init__(self, settings: LaneSettings, work: Callable[[Sequence[In]], Sequence[Out]]) -> None:
        self._settings = settings
        self._work = work
        self._jobs: deque[_Job[In, Out]] = deque()
        self._changed = threading.Condition()
        self._waiting = 0
        self._closed = False
        # A daemon, so that a caller who forgot to close can still leave the program.
        self._thread = threading.Thread(target=self._serve, name=settings.name, daemon=True)

    @classmethod
    def start(cls, settings: LaneSettings, work: Callable[[Sequence[In]], Sequence[Out]]) -> Lane[In, Out]:
        """A running lane; `work` gives one output an input, in order, and is called by the lane's thread alone."""
        lane = cls(settings, work)
        lane._thread.start()
        return lane

    async def run(self, inputs: Sequence[In]) -> list[Out]:
        """One output an input, in order.

        Raises Overloaded when too many inputs wait, Unavailable when the lane is closed, and what `work` raises.
        A caller that is cancelled leaves the queue.
        """
        if not inputs:
            return []
        job: _Job[In, Out] = _Job(inputs, Future())
        self._admit(job)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            self._leave(job)
            raise

    async def aclose(self) -> None:
        """Finish the run under way, refuse what waits, stop the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        await to_thread.run_sync(self._thread.join)

    def _admit(self, job: _Job[In, Out]) -> None:
        with self._changed:
            if self._closed:
                raise Unavailable(f"{self._settings.name} is closed")
            if self._waiting and self._waiting + job.left > self._settings.waiting:
                raise Overloaded(f"{self._settings.name} has {self._waiting} texts waiting; try again soon")
            self._waiting += job.left
            self._jobs.append(job)
            self._changed.notify_all()

    def _serve(self) -> None:
        while parts := self._next_turn():
            try:
                outputs = self._work([text for _, part in parts for text in part])
            except Exception as error:  # noqa: BLE001 - handed on, to the callers of this very run
                for job, _ in parts:
                    self._drop(job, error)
            else:
                _hand_out(parts, outputs)
        with self._changed:
            left, self._jobs = self._jobs, deque()
        for job in left:
            job.fail(Unavailable(f"{self._settings.name} is closed"))

    def _next_turn(self) -> list[tuple[_Job[In, Out], Sequence[In]]]:
        """The inputs of the next run, oldest callers first; empty once the lane is closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return []
                if parts := self._take():
                    return parts

    def _take(self) -> list[tuple[_Job[In, Out], Sequence[In]]]:
        parts: list[tuple[_Job[In, Out], Sequence[In]]] = []
        unfinished: list[_Job[In, Out]] = []
        room = self._settings.turn
        while self._jobs and room:
            job = self._jobs.popleft()
            if job.future.cancelled():
                self._waiting -= job.left
                continue
            part = job.take(room)
            room -= len(part)
            self._waiting -= len(part)
            parts.append((job, part))
            if job.left:
                unfinished.append(job)
        self._jobs.extend(unfinished)
        return parts

    def _drop(self, job: _Job[In, Out], error: BaseException) -> None:
        self._leave(job)
        job.fail(error)

    def _leave(self, job: _Job[In, Out]) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._waiting -= job.left


def _hand_out(parts: Sequence[tuple[_Job[In, Out], Sequence[In]]], outputs: Sequence[Out]) -> None:
    start = 0
    for job, part in parts:
        job.give(outputs[start : start + len(part)])
        start += len(part)
