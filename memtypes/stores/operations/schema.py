"""The shape of a collection, the same for every engine: its vectors' names and its payload indexes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from memtypes.model.policy import MemoryType

DENSE = "dense"
SPARSE = "sparse"
TOKENS = "tokens"

VERSION = "v1"
"""The version of a collection that is made new; another embedder makes the next one."""


class Index(StrEnum):
    """The kinds of payload index."""

    TENANT = "tenant"
    KEYWORD = "keyword"
    TIME = "time"
    INTEGER = "integer"


_COMMON: Mapping[str, Index] = MappingProxyType(
    {
        "tenant": Index.TENANT,
        **dict.fromkeys(("namespace", "session_id", "agent_id", "tags", "visibility"), Index.KEYWORD),
        **dict.fromkeys(("created_at", "valid_from", "valid_to", "expires_at"), Index.TIME),
        **dict.fromkeys(("importance", "tokens.count"), Index.INTEGER),
    }
)
_OWN: Mapping[MemoryType, Mapping[str, Index]] = MappingProxyType(
    {
        MemoryType.EPISODIC: MappingProxyType({"seq": Index.INTEGER}),
        MemoryType.PROSPECTIVE: MappingProxyType({"status": Index.KEYWORD, "due_at": Index.TIME}),
        MemoryType.WORKING: MappingProxyType({"cleared_at": Index.TIME}),
    }
)


def indexes_of(kind: MemoryType) -> Mapping[str, Index]:
    """The indexed fields of a type: what ranking, listing and counting filter by in every call, and the usual filters.

    Each costs the embedded engine about 10 ms a start and a type; any other field is compared by reading the payloads
    of one namespace, which is a few milliseconds a thousand.
    """
    return {**_COMMON, **_OWN.get(kind, {})}


def mismatch(where: str, kept: tuple[str, int], given: tuple[str, int]) -> str:
    """What EmbedderMismatch says. kept, given: fingerprint and dimensions."""
    return (
        f"{where} was built with the embedder {kept[0]} ({kept[1]} dimensions), and {given[0]} ({given[1]} dimensions) "
        "was given. Nothing was changed. Use the embedder that it was built with, or another --data-dir or collection "
        "prefix for the new one. `remembrancer reembed` moves an embedded store to the new embedder."
    )


def collection_name(prefix: str, kind: MemoryType) -> str:
    """The alias under which a server knows a type's collection."""
    return f"{prefix}_{kind}"
