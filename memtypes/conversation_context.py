"""What was said just before a turn of a conversation: its vectors are made with that in view.

"Yes, since last week!" says little by itself. Read together with the turns before it its vectors find what it is about
(Günther et al. 2024, "Late chunking", here with the turns before alone). Facts stand by themselves and are read alone:
measured, both are better so.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from memtypes.model.filters import All, AnyOf, Compare, Filter, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, MemoryStore
from memtypes.search.vectors import InContext

REACH = 2
"""Turns before one that it is read with. One finds less; three no more, and cost time."""

Place: TypeAlias = tuple[str, int]
"""A session, and a number in the order of arrival."""


def place_of(memory: Memory) -> Place | None:
    """Where a turn stands; None for what is no turn: another type, or of no session."""
    if memory.type is not MemoryType.EPISODIC or memory.session_id is None:
        return None
    return memory.session_id, memory.seq


def places_before(memory: Memory) -> list[Place]:
    """The places before that of `memory`, first things first; none for what is no turn."""
    return _around(memory, range(-REACH, 0))


def places_after(memory: Memory) -> list[Place]:
    """The places whose turns are read with `memory`."""
    return _around(memory, range(1, REACH + 1))


def _around(memory: Memory, steps: Iterable[int]) -> list[Place]:
    place = place_of(memory)
    return [] if place is None else [(place[0], place[1] + step) for step in steps]


def turns_at(places: Iterable[Place]) -> Filter:
    """What the turns at these places meet, among episodic memories; at least one place."""
    numbers: dict[str, list[int]] = {}
    for session, number in places:
        numbers.setdefault(session, []).append(number)
    return AnyOf(
        tuple(
            All((Compare("session_id", Op.EQ, session), Compare("seq", Op.ANY, tuple(sorted(set(own))))))
            for session, own in numbers.items()
        )
    )


def by_place(memories: Iterable[Memory]) -> Iterator[tuple[Place, Memory]]:
    """The turns among `memories`, each with its place."""
    for memory in memories:
        place = place_of(memory)
        if place is not None:
            yield place, memory


def text_before(memory: Memory, known: Mapping[Place, Memory]) -> str:
    """What was said just before `memory`, as far as it is `known`; empty for what is read alone.

    What a session keeps to itself is not read into what the whole namespace finds.
    """
    private = memory.visibility is Visibility.SESSION
    before = [known[place] for place in places_before(memory) if place in known]
    heard = [one for one in before if private or one.visibility is Visibility.NAMESPACE]
    return " ".join(one.embedding_text() for one in heard)


NOTHING: Mapping[Place, Memory] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Call:
    """The turns of one call, as they come in. said: by place; unsaid: the places of those that were rejected."""

    said: dict[Place, Memory] = field(default_factory=dict)
    unsaid: set[Place] = field(default_factory=set)

    def add(self, memories: Iterable[Memory]) -> None:
        """Hear `memories`."""
        self.said.update(by_place(memories))

    def drop(self, memories: Iterable[Memory]) -> None:
        """Take back `memories`."""
        for place, memory in by_place(memories):
            self.unsaid.add(place)
            if place in self.said and self.said[place].id == memory.id:
                del self.said[place]

    def misheard(self, memory: Memory) -> bool:
        """Whether something that was said before `memory` was taken back."""
        return not self.unsaid.isdisjoint(places_before(memory))


_AT_ONCE = 64
"""Places that are asked for in one question."""


@dataclass(frozen=True, slots=True)
class Preceding:
    """Looks up the turns around others."""

    store: MemoryStore

    async def in_context(
        self,
        scope: Scope,
        memories: Sequence[Memory],
        said: Mapping[Place, Memory] = NOTHING,
        unheard: Container[str] = (),
    ) -> list[InContext]:
        """Each of `memories` as it is embedded.

        said: turns that count whatever is stored. unheard: ids of stored ones that don't count.
        """
        known = {**dict(by_place(memories)), **said}
        missing = dict.fromkeys(place for one in memories for place in places_before(one) if place not in known)
        known |= dict(by_place(one for one in await self._at(scope, missing) if one.id not in unheard))
        return [InContext(one.embedding_text(), text_before(one, known)) for one in memories]

    async def following(self, scope: Scope, memories: Sequence[Memory]) -> list[Memory]:
        """The other stored turns that were embedded with any of `memories`."""
        own = {one.id for one in memories}
        after = dict.fromkeys(place for one in memories for place in places_after(one))
        return [one for one in await self._at(scope, after) if one.id not in own]

    async def _at(self, scope: Scope, places: Iterable[Place]) -> list[Memory]:
        wanted = list(places)
        found: list[Memory] = []
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            # Two processes may have given one number twice; what does not fit on the page is left out.
            listing = Listing((MemoryType.EPISODIC,), turns_at(some), limit=2 * len(some))
            found += (await self.store.page(scope, listing)).memories
        return found


async def in_context_everywhere(store: MemoryStore, memories: Sequence[Memory]) -> list[InContext]:
    """Each of `memories`, of whatever namespaces, as it is embedded."""
    scopes: dict[Scope, list[Memory]] = {}
    for one in memories:
        scopes.setdefault(Scope(one.tenant, one.namespace), []).append(one)
    given: dict[str, InContext] = {}
    for scope, own in scopes.items():
        found = await Preceding(store).in_context(scope, own)
        given.update(zip((one.id for one in own), found, strict=True))
    return [given[one.id] for one in memories]
