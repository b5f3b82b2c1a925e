"""Computes the fields of a stored memory after the same statement is written again. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from memtypes.model.ids import memory_id
from memtypes.model.memory import (
    MAX_CONTENT,
    MAX_EARLIER,
    MAX_LINKS,
    MAX_METADATA_BYTES,
    MAX_SOURCES,
    MAX_TAGS,
    Link,
    Memory,
    Rewording,
    Source,
    check_json,
    first_line,
)
from memtypes.model.scope import Scope

MAX_SESSIONS = 1_000
"""Maximum number of source sessions that a memory lists."""

_RATINGS = ("importance", "priority")


def joined(memory: Memory, repetition: Memory) -> dict[str, Any]:
    """The fields to change in the stored `memory` because `repetition` states the same again.

    The merged memory is pinned if either memory is. It has the later expiry (none if either never
    expires), the higher importance and priority, and all tags, links, sources and metadata up to
    their limits. Of two values of a metadata key, that of `repetition` is kept. Type-specific
    fields in which `memory` has no value, or the default of an enum, come from `repetition`.
    Evidence count, sessions and wordings are added by `with_evidence` and `with_wording`.
    """
    sources: list[Source] = []
    for source in (*sources_of(memory), *sources_of(repetition)):
        sources += [source] if source not in sources else []
    return {
        "pinned": memory.pinned or repetition.pinned,
        **{
            name: max(getattr(memory, name), getattr(repetition, name))
            for name in _RATINGS
            if hasattr(memory, name)
        },
        "expires_at": None
        if None in (ends := (memory.expires_at, repetition.expires_at))
        else max(filter(None, ends)),
        "tags": list(dict.fromkeys([*memory.tags, *repetition.tags]))[:MAX_TAGS],
        "links": [
            link for link in joined_links(memory.links, repetition.links) if link.to != memory.id
        ],
        "metadata": joined_metadata(memory.metadata, repetition.metadata),
        "source": next(iter(sources), None),
        "sources": sources[1 : MAX_SOURCES + 1],
        **_missing_fields(memory, repetition),
    }


def with_evidence(memory: Memory, other: Memory) -> dict[str, Any]:
    """Fields to set in a merged memory: the sum of both `evidence_count`, and the `source_sessions`
    of both.
    """
    sessions = list(dict.fromkeys([*memory.source_sessions, *other.source_sessions]))
    return {
        "evidence_count": memory.evidence_count + other.evidence_count,
        "source_sessions": sessions[:MAX_SESSIONS],
    }


def with_wording(memory: Memory, repetition: Memory, reason: str, now: datetime) -> dict[str, Any]:
    """The field `rewordings` of `memory` with the text of `repetition` added, as {"rewordings":
    list}.

    {} if `memory` has this text already, as its content or among its rewordings. The list keeps the
    newest wordings, at most MAX_EARLIER with at most MAX_CONTENT characters in all. reason: of the
    merge, stored with the wording.
    """
    identity = (*repetition.identity(), "merged")
    wording = Rewording(
        id=memory_id(Scope(memory.tenant, memory.namespace), repetition.type, identity),
        content=repetition.content,
        at=now,
        reason=reason,
        session_id=repetition.session_id,
    )
    if repetition.content_hash == memory.content_hash or any(
        wording.id == other.id for other in memory.rewordings
    ):
        return {}
    wordings = [*memory.rewordings, wording][-MAX_EARLIER:]
    while sum(len(other.content) for other in wordings) > MAX_CONTENT:
        del wordings[0]
    return {"rewordings": wordings}


def changed_fields(before: Memory, after: Memory) -> tuple[str, ...]:
    """Names of the fields in which `after` differs from `before`, in the order in which the model
    declares them.
    """
    return tuple(
        name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)
    )


def joined_links(first: list[Link], second: list[Link]) -> list[Link]:
    """All links of both lists, at most MAX_LINKS. Of two links of one type to the same memory, the
    stronger is kept.
    """
    links = {(link.to, link.type): link for link in first}
    for link in second:
        other = links.setdefault((link.to, link.type), link)
        links[link.to, link.type] = max(link, other, key=lambda either: either.strength)
    return list(links.values())[:MAX_LINKS]


def sources_of(memory: Memory) -> list[Source]:
    """The sources of a memory: the source of its first write, then those of its repetitions."""
    return [*([memory.source] if memory.source else []), *memory.sources]


def joined_metadata(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """All keys of both metadata, with the values of `later` for keys that both have.

    A key of `earlier` is left out if the result would exceed MAX_METADATA_BYTES with it.
    """
    metadata = dict(later)
    for key, value in earlier.items():
        candidate = {key: value, **metadata}
        try:
            check_json(candidate, MAX_METADATA_BYTES)
        except ValueError:
            continue
        metadata = candidate
    return metadata


def _missing_fields(memory: Memory, repetition: Memory) -> dict[str, Any]:
    """Type-specific fields that `repetition` sets and `memory` lacks.

    A title derived from the content, and the default value of an enum, count as missing.
    """
    fields: dict[str, Any] = {}
    for name in sorted(memory.own_fields - {"evidence_count", "source_sessions"}):
        value = getattr(memory, name)
        other = getattr(repetition, name)
        default = type(memory).model_fields[name].default if isinstance(value, StrEnum) else None
        derived = name == memory.title_field and value == first_line(memory.content)
        if (value in (None, [], default) or derived) and other not in (None, []):
            fields[name] = other
    title = memory.title_field
    if title in fields and fields[title] == first_line(repetition.content):
        del fields[title]
    return fields
