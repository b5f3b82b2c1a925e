"""Histories: all versions of a memory's text and of related memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ingest.identity.states import contradicted
from memtypes.model.memory import PAST, Memory, State
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore

MAX_VERSIONS = 1_000
"""Number of memories at which a history stops looking for further related memories."""

EDITED = "edited"
"""The reason that a history gives for the end of an earlier text of a memory."""

ENDED = "ended by a caller"
EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Version:
    """A text in the history of a memory, and the time during which it was true.

    memory: the memory with this text as its content. since, until: the time; `until` is None if the
    text is still true. replaced_by: id of the memory whose text replaced this one; the memory's own
    id if it was edited, or if the text is a rewording that was merged into it. reason: why the text
    was replaced or ended, or is contested.
    """

    memory: Memory
    since: datetime
    until: datetime | None = None
    replaced_by: str | None = None
    reason: str | None = None


async def history_of(
    store: MemoryStore, scope: Scope, memory: Memory, now: datetime
) -> list[Version]:
    """All versions of the text of `memory` and of its related memories, in the order in which they
    became true.

    Related are the memories that replaced `memory` or that it replaced, directly or through other
    memories, and the memories that contest one of these. now: a text whose memory has expired by
    this time counts as ended.
    """
    chain = {memory.id: memory.at(now)}
    newest = dict(chain)
    while newest and len(chain) < MAX_VERSIONS:
        linked = [
            {*contradicted(member), member.superseded_by or member.id} for member in newest.values()
        ]
        missing = set().union(*linked) - chain.keys()
        loaded = [member.at(now) for member in (await store.get(scope, sorted(missing))).values()]
        newest = {member.id: member for member in loaded if _belongs(member, chain)}
        chain |= newest
    versions = [version for member in chain.values() for version in versions_of(member, now)]
    return sorted(
        versions, key=lambda version: (version.since, version.until is None, version.memory.id)
    )


def _belongs(memory: Memory, chain: Mapping[str, Memory]) -> bool:
    """Whether a memory of the history `chain` replaced `memory`, was replaced by it, or is
    contested by it.
    """
    if memory.superseded_by in chain or any(
        other.superseded_by == memory.id for other in chain.values()
    ):
        return True
    return memory.state is State.CONTESTED and not contradicted(memory).isdisjoint(chain)


def versions_of(memory: Memory, now: datetime) -> list[Version]:
    """The earlier texts of `memory`, then the rewordings that were merged into it, and last its
    present text.
    """
    versions: list[Version] = []
    for text in memory.earlier:
        fields = {
            "content": text.content,
            "state": State.REPLACED,
            "valid_to": text.until,
            "superseded_by": memory.id,
        }
        versions.append(
            Version(memory.model_copy(update=fields), text.since, text.until, memory.id, EDITED)
        )
    for other in memory.rewordings:
        fields = {"content": other.content, "state": State.REPLACED, "superseded_by": memory.id}
        versions.append(
            Version(memory.model_copy(update=fields), other.at, other.at, memory.id, other.reason)
        )
    since = memory.earlier[-1].until if memory.earlier else memory.valid_from
    replaced_by = memory.superseded_by or (
        memory.upkeep.into if memory.upkeep is not None else None
    )
    until = memory.valid_to
    reason = memory.state_reason
    if memory.state in PAST and replaced_by is None:
        reason = reason or ENDED
    if memory.expires_at is not None and memory.expires_at <= min(now, until or now):
        until = memory.expires_at
        reason = EXPIRED
    return [*versions, Version(memory, since, until, replaced_by, reason)]
