"""The turns around others, out of a store: what each is embedded with, and which must be embedded anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.prepare import Prepared
from memtypes.memory import Memory
from memtypes.policy import MemoryType
from memtypes.ports import Listing, MemoryStore
from memtypes.preceding import Place, by_place, places_after, places_before, text_before, turns_at
from memtypes.scope import Scope

_AT_ONCE = 64
"""Places that are asked for in one question."""


@dataclass(frozen=True, slots=True)
class Preceding:
    """Looks up the turns around others."""

    store: MemoryStore

    async def heard(
        self, scope: Scope, prepared: Sequence[Prepared], said: Mapping[Place, Memory] | None = None
    ) -> list[Prepared]:
        """Each of `prepared` with the text that it is embedded after.

        said: turns that stand before these and are not stored yet.
        """
        known = {**(said or {}), **dict(by_place(one.memory for one in prepared))}
        new = [one for one in prepared if not one.known]
        missing = {place: None for one in new for place in places_before(one.memory) if place not in known}
        known |= dict(by_place(await self._at(scope, missing)))
        return [one if one.known else replace(one, before=text_before(one.memory, known)) for one in prepared]

    async def following(self, scope: Scope, gone: Sequence[Memory]) -> list[Memory]:
        """The stored turns that were embedded with any of `gone`, which may be removed by now or changed."""
        ids = {one.id for one in gone}
        after = {place: None for one in gone for place in places_after(one)}
        return [one for one in await self._at(scope, after) if one.id not in ids]

    async def _at(self, scope: Scope, places: Iterable[Place]) -> list[Memory]:
        wanted = list(places)
        found: list[Memory] = []
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            # Two namesakes may have one place; whatever does not fit on the page was too far off to matter.
            listing = Listing((MemoryType.EPISODIC,), turns_at(some), limit=2 * len(some))
            found += (await self.store.page(scope, listing)).memories
        return found
