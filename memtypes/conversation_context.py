"""Conversation context: a turn is embedded together with the few turns just before it in its
session.

"Yes, since last week!" says little by itself. Embedded with the turns before it, it is found by
queries on its topic (Günther et al. 2024, "Late chunking", here with only the preceding turns).
Facts are embedded without context, which gave better recall.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from memtypes.model.filters import All, AnyOf, Compare, Filter, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM, MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, MemoryStore
from memtypes.search.vectors import InContext

TURNS_BEFORE = 2
"""Number of turns before a turn that are its context. With 1, recall is lower; with 3, it is no
higher.
"""

_PAGE = 64  # number of turns that one request looks up in the store

TurnPosition: TypeAlias = tuple[str, int]
"""Position of a conversation turn: the id of its session, and its sequence number in the
session.
"""


def position_of(memory: Memory) -> TurnPosition | None:
    """The position of `memory` in its session; None if it is no event and no message stored at the
    session's end.
    """
    captured = memory.source is not None and memory.source.captured and memory.seq > 0
    if memory.session_id is None or not (memory.type is MemoryType.EPISODIC or captured):
        return None
    return memory.session_id, memory.seq


def positions_before(memory: Memory) -> list[TurnPosition]:
    """Positions of the turns that are the context of `memory`, oldest first; empty if `memory` is
    not a turn.
    """
    return _around(memory, range(-TURNS_BEFORE, 0))


def positions_after(memory: Memory) -> list[TurnPosition]:
    """Positions of the turns whose context includes `memory`, oldest first; empty if `memory` is
    not a turn.
    """
    return _around(memory, range(1, TURNS_BEFORE + 1))


def _around(memory: Memory, steps: Iterable[int]) -> list[TurnPosition]:
    position = position_of(memory)
    return [] if position is None else [(position[0], position[1] + step) for step in steps]


def turns_at(positions: Iterable[TurnPosition]) -> Filter:
    """Filter that matches the turns at `positions`, which must not be empty."""
    numbers: dict[str, set[int]] = {}
    for session, number in positions:
        numbers.setdefault(session, set()).add(number)
    return AnyOf(
        tuple(
            All(
                (Compare("session_id", Op.EQ, session), Compare("seq", Op.ANY, tuple(sorted(seqs))))
            )
            for session, seqs in numbers.items()
        )
    )


def by_position(memories: Iterable[Memory]) -> Iterator[tuple[TurnPosition, Memory]]:
    """Yield the position and the memory of each conversation turn among `memories`; leave out other
    memories.
    """
    return (
        (position, memory) for memory in memories if (position := position_of(memory)) is not None
    )


def turns_before(memory: Memory, turns: Mapping[TurnPosition, Memory]) -> tuple[Memory, ...]:
    """The turns just before `memory`, at most TURNS_BEFORE, oldest first; only public ones if it is
    public itself.
    """
    private = memory.visibility is Visibility.SESSION
    before = [turns[position] for position in positions_before(memory) if position in turns]
    return tuple(turn for turn in before if private or turn.visibility is Visibility.NAMESPACE)


def text_in_context(memory: Memory, before: Iterable[Memory]) -> InContext:
    """The text of `memory`, together with the text of the turns `before` it, as input of the
    embedder.
    """
    return InContext(memory.embedding_text(), " ".join(turn.embedding_text() for turn in before))


@dataclass(frozen=True, slots=True)
class CallTurns:
    """The turns of one write call, by position, as context of its later turns. rejected: positions
    of rejected ones.
    """

    turns: dict[TurnPosition, Memory] = field(default_factory=dict)
    rejected: set[TurnPosition] = field(default_factory=set)

    def add(self, memories: Iterable[Memory]) -> None:
        """Add those of `memories` that are conversation turns, as context for later turns."""
        self.turns.update(by_position(memories))

    def drop(self, memories: Iterable[Memory]) -> None:
        """Stop using `memories`, which were rejected, as context, and remember their positions for
        `lost_context`.
        """
        for position, memory in by_position(memories):
            self.rejected.add(position)
            if position in self.turns and self.turns[position].id == memory.id:
                del self.turns[position]

    def lost_context(self, memory: Memory) -> bool:
        """Whether a turn in the context of `memory` was rejected, so `memory` must be embedded
        again without it.
        """
        return not self.rejected.isdisjoint(positions_before(memory))


@dataclass(frozen=True, slots=True)
class ConversationContext:
    """Looks up, in a memory store, the turns just before and after given turns."""

    store: MemoryStore

    async def in_context(self, scope: Scope, memories: Sequence[Memory]) -> list[InContext]:
        """Return each memory's text, together with the text of the turns just before it, as input
        of the embedder.
        """
        befores = await self.turns_before(scope, memories)
        return [
            text_in_context(memory, before)
            for memory, before in zip(memories, befores, strict=True)
        ]

    async def turns_before(
        self,
        scope: Scope,
        memories: Sequence[Memory],
        turns: Mapping[TurnPosition, Memory] | None = None,
        ignored: Container[str] = (),
    ) -> list[tuple[Memory, ...]]:
        """Return the context of each memory, from `memories`, `turns` or the store, but no stored
        turn in `ignored`.
        """
        turn_by_position = {**dict(by_position(memories)), **(turns or {})}
        needed = dict.fromkeys(
            position for memory in memories for position in positions_before(memory)
        )
        stored = await self._turns_at(
            scope, [position for position in needed if position not in turn_by_position]
        )
        turn_by_position |= dict(by_position(turn for turn in stored if turn.id not in ignored))
        return [turns_before(memory, turn_by_position) for memory in memories]

    async def following(self, scope: Scope, memories: Sequence[Memory]) -> list[Memory]:
        """Return the stored turns whose context includes one of `memories`, except turns that are
        among `memories`.
        """
        ids = {memory.id for memory in memories}
        after = dict.fromkeys(
            position for memory in memories for position in positions_after(memory)
        )
        return [turn for turn in await self._turns_at(scope, list(after)) if turn.id not in ids]

    async def _turns_at(self, scope: Scope, positions: Sequence[TurnPosition]) -> list[Memory]:
        turns: list[Memory] = []
        for start in range(0, len(positions), _PAGE):
            page = positions[start : start + _PAGE]
            # Two processes may have given two turns the same number: read up to two turns for each
            # position.
            listing = Listing(LONG_TERM, turns_at(page), limit=2 * len(page))
            memories = (await self.store.page(scope, listing)).memories
            turns += [memory for memory in memories if position_of(memory) is not None]
        return turns


async def in_context_everywhere(store: MemoryStore, memories: Sequence[Memory]) -> list[InContext]:
    """Return each memory's text with the text of the turns before it. The memories may belong to
    several namespaces.
    """
    scopes: dict[Scope, list[Memory]] = {}
    for memory in memories:
        scopes.setdefault(Scope(memory.tenant, memory.namespace), []).append(memory)
    texts: dict[str, InContext] = {}
    for scope, members in scopes.items():
        in_context = await ConversationContext(store).in_context(scope, members)
        texts.update(zip((memory.id for memory in members), in_context, strict=True))
    return [texts[memory.id] for memory in memories]
