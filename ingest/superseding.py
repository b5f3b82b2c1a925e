"""Facts that a newer one replaces: found among the nearest in the namespace, marked as over, never removed.

The vectors propose, `ingest.change` decides. Only facts that the whole namespace sees take part. What is replaced keeps
its text; `as_of` a time before the newer one still finds it. A pinned fact is replaced by its caller alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingest.change import replaces
from ingest.duplicates import is_over
from memtypes.memory import MAX_LINKS, Link, LinkType, Memory, first_line
from memtypes.policy import MemoryType, Visibility
from memtypes.ports import CandidateSearch, MemoryStore
from memtypes.scope import Scope
from memtypes.semantic import Semantic
from memtypes.times import rfc3339
from memtypes.vectors import DenseVector

DEPTH = 8
"""Nearest facts that are compared: what differs by one value stands among the first."""


@dataclass(slots=True)
class Replacements:
    """by: for each newer fact, the ids that it replaces; patches: what to write for that."""

    by: dict[str, list[str]] = field(default_factory=dict)
    patches: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Superseder:
    """Marks what new facts replace; its caller holds the namespace's lock."""

    store: MemoryStore

    async def supersede(
        self, scope: Scope, written: Sequence[tuple[Memory, DenseVector]], now: datetime
    ) -> Mapping[str, list[str]]:
        """The ids that each of `written`, stored with its vector, has replaced. Raises what the store raises."""
        facts = [(memory, dense) for memory, dense in written if _takes_part(memory)]
        if not facts:
            return {}
        searches = [CandidateSearch(MemoryType.SEMANTIC, dense, None, DEPTH) for _, dense in facts]
        near = {
            candidate.id: candidate.type
            for found in await self.store.candidates(scope, searches)
            for candidate in found
        }
        known = await self.store.get(scope, near)
        planned = plan_replacements([memory for memory, _ in facts], list(known.values()), now)
        if planned.patches:
            await self.store.patch(scope, planned.patches)
        return planned.by


def plan_replacements(newer: Sequence[Memory], known: Sequence[Memory], now: datetime) -> Replacements:
    """What each of `newer` replaces among `known`. Each is replaced once, by the first that follows it in time."""
    planned = Replacements()
    over: set[str] = set()
    for memory in sorted(newer, key=lambda one: (one.valid_from, one.id)):
        gone = [old.id for old in known if old.id not in over and is_replaced(old, memory, now)]
        room = MAX_LINKS - len(memory.links)
        if not gone or len(gone) > room:
            continue
        links = [*memory.links, *(Link(type=LinkType.CONTRADICTS, id=old) for old in gone)]
        over.update(gone)
        planned.by[memory.id] = gone
        planned.patches.setdefault(memory.id, {})["links"] = [link.model_dump(mode="json") for link in links]
        end = {"valid_to": rfc3339(memory.valid_from), "superseded_by": memory.id, "updated_at": rfc3339(now)}
        planned.patches |= {old: {**planned.patches.get(old, {}), **end} for old in gone}
    return planned


def is_replaced(old: Memory, newer: Memory, now: datetime) -> bool:
    """Whether `newer` says what `old` says, later and with another value."""
    if (
        old.id == newer.id
        or old.pinned
        or not _takes_part(old)
        or is_over(old, now)
        or old.valid_from >= newer.valid_from
    ):
        return False
    return _concept(old) == _concept(newer) and replaces(newer.content, old.content)


def _takes_part(memory: Memory) -> bool:
    return memory.type is MemoryType.SEMANTIC and memory.visibility is Visibility.NAMESPACE


def _concept(memory: Memory) -> str | None:
    """The concept that a caller gave; None where it is the content's first line."""
    if not isinstance(memory, Semantic) or memory.concept == first_line(memory.content):
        return None
    return memory.concept
