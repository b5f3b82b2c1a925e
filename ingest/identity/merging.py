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


def joined(known: Memory, again: Memory) -> dict[str, Any]:
    """The fields to change in the stored memory `known` because the memory `again` repeats it.

    The merged memory is pinned if either memory is. It has the later expiry (none if either never expires), the higher
    importance and priority, and all tags, links, sources and metadata up to their limits. Where a metadata key differs,
    `again` wins. Type-specific fields that `known` lacks, or in which it has the default kind, come from `again`.
    Evidence count, sessions and wordings are not included: the caller adds them by `with_evidence` and `with_wording`.
    """
    both = [*sources_of(known), *sources_of(again)]
    source, *sources = [*(each for place, each in enumerate(both) if each not in both[:place]), None]
    return {
        "pinned": known.pinned or again.pinned,
        **{name: max(getattr(known, name), getattr(again, name)) for name in _RATINGS if hasattr(known, name)},
        "expires_at": None if None in (ends := (known.expires_at, again.expires_at)) else max(filter(None, ends)),
        "tags": list(dict.fromkeys([*known.tags, *again.tags]))[:MAX_TAGS],
        "links": [link for link in joined_links(known.links, again.links) if link.to != known.id],
        "metadata": joined_metadata(known.metadata, again.metadata),
        "source": source,
        "sources": [other for other in sources if other is not None][:MAX_SOURCES],
        **_lacking(known, again),
    }


def with_evidence(memory: Memory, other: Memory) -> dict[str, Any]:
    """Fields to set in a merged memory: the sum of both `evidence_count`, and the `source_sessions` of both."""
    sessions = list(dict.fromkeys([*memory.source_sessions, *other.source_sessions]))
    return {"evidence_count": memory.evidence_count + other.evidence_count, "source_sessions": sessions[:MAX_SESSIONS]}


def with_wording(known: Memory, again: Memory, reason: str, now: datetime) -> dict[str, Any]:
    """The change that adds the text of `again` to the other wordings of `known`: {"rewordings": the extended list}.

    {} if `known` has this text already, as its content or among its rewordings. The list keeps the newest wordings, at
    most MAX_EARLIER with at most MAX_CONTENT characters in all. reason: of the merge, stored with the wording.
    """
    identity = (*again.identity(), "merged")
    wording = Rewording(
        id=memory_id(Scope(known.tenant, known.namespace), again.type, identity),
        content=again.content,
        at=now,
        reason=reason,
        session_id=again.session_id,
    )
    if again.content_hash == known.content_hash or any(wording.id == other.id for other in known.rewordings):
        return {}
    wordings = [*known.rewordings, wording][-MAX_EARLIER:]
    while sum(len(other.content) for other in wordings) > MAX_CONTENT:
        del wordings[0]
    return {"rewordings": wordings}


def changed_fields(before: Memory, after: Memory) -> tuple[str, ...]:
    """Names of the fields in which `after` differs from `before`, in the order in which the model declares them."""
    return tuple(name for name in type(after).model_fields if getattr(before, name) != getattr(after, name))


def joined_links(known: list[Link], again: list[Link]) -> list[Link]:
    """All links of both lists, at most MAX_LINKS. Of two links of one type to the same memory, the stronger is kept."""
    links = {(link.to, link.type): link for link in known}
    for link in again:
        other = links.setdefault((link.to, link.type), link)
        links[link.to, link.type] = max(link, other, key=lambda either: either.strength)
    return list(links.values())[:MAX_LINKS]


def sources_of(memory: Memory) -> list[Source]:
    """The sources of a memory: the source of its first write, then those of its repetitions."""
    return [*([memory.source] if memory.source else []), *memory.sources]


def joined_metadata(known: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """The metadata of both memories; `again` wins where both have a key.

    Keys of `known` are left out if the result would exceed MAX_METADATA_BYTES with them.
    """
    metadata = dict(again)
    for key, value in known.items():
        candidate = {key: value, **metadata}
        try:
            check_json(candidate, MAX_METADATA_BYTES)
        except ValueError:
            continue
        metadata = candidate
    return metadata


def _lacking(known: Memory, again: Memory) -> dict[str, Any]:
    """Type-specific fields that `again` sets and `known` lacks.

    A title derived from the content, and the default of a field with named values, count as missing.
    """
    fields: dict[str, Any] = {}
    for name in sorted(known.own_fields - {"evidence_count", "source_sessions"}):
        value, other = getattr(known, name), getattr(again, name)
        default = type(known).model_fields[name].default if isinstance(value, StrEnum) else None
        derived = name == known.title_field and value == first_line(known.content)
        if (value in (None, [], default) or derived) and other not in (None, []):
            fields[name] = other
    title = known.title_field
    if title in fields and fields[title] == first_line(again.content):
        del fields[title]
    return fields
