"""What left a thread as memories: each departure one event, or several where it is long, each turn in one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from ingest.writing.pipeline import Ingestor
from memtypes.live.evicted_turns import Departure, ThreadKeeper
from memtypes.live.turns import MAX_TURN, Turn
from memtypes.model.episodic import EpisodicDraft, EventType
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Source
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, to_utc

MAX_CHARACTERS = 2 * MAX_TURN
"""Of the turns of one memory."""

MAX_TURNS = 1_000
"""A memory's source names no more."""


class DepartureKeeper(ThreadKeeper):
    """Writes what left with the ingestor; its ids follow from the turns, so the same departure is kept once."""

    def __init__(self, ingestor: Ingestor, clock: Clock) -> None:
        self._ingestor = ingestor
        self._clock = clock

    async def keep(self, scope: Scope, departure: Departure) -> list[str]:
        """The memories' ids; see the port."""
        kept: list[str] = []
        for turns in _pieces(sorted(departure.turns, key=lambda turn: turn.index)):  # they left in another order
            outcome = await self._ingestor.write_one(scope, self._draft(departure.thread_id, turns))
            if outcome.id is None and outcome.merged_into is None:
                raise InvalidRequest(f"a memory of turns that left a thread was {outcome.status}: {outcome.reason}")
            kept.append(outcome.merged_into or outcome.id or "")
        return kept

    def _draft(self, thread_id: str, turns: tuple[Turn, ...]) -> EpisodicDraft:
        """The event of the turns, never later than now: the clock may have been put back since they were said.

        Raises InvalidRequest for turns that no memory can hold.
        """
        try:
            made = draft(thread_id, turns)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidRequest(f"turns that left a thread make no memory: {first['msg']}") from error
        return made.model_copy(update={"created_at": min(turns[-1].at, to_utc(self._clock()))})


def draft(thread_id: str, turns: tuple[Turn, ...]) -> EpisodicDraft:
    """The event that turns of a thread make. The first line names them, so no two departures are the same statement."""
    numbers = ", ".join(str(turn.index) for turn in turns[:20]) + (" ..." if len(turns) > 20 else "")
    first, last = turns[0].index, turns[-1].index
    lines = [f"{turn.role}: {turn.content}" for turn in turns]
    return EpisodicDraft(
        type=MemoryType.EPISODIC,
        content="\n".join([*lines, f"(thread {thread_id}, turns {first} to {last}: {numbers})"]),
        event_type=EventType.OBSERVATION,
        tags=["thread"],
        source=Source(thread_id=thread_id, turns=[turn.index for turn in turns], caller="thread"),
        created_at=turns[-1].at,
    )


def _pieces(turns: Sequence[Turn]) -> Iterator[tuple[Turn, ...]]:
    piece: list[Turn] = []
    size = 0
    for turn in turns:
        if piece and (size + len(turn.content) > MAX_CHARACTERS or len(piece) == MAX_TURNS):
            yield tuple(piece)
            piece, size = [], 0
        piece.append(turn)
        size += len(turn.content) + len(turn.role) + 3
    if piece:
        yield tuple(piece)
