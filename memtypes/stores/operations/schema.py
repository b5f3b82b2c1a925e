"""Names of the vectors and payload indexes of a collection, the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from memtypes.model.policy import MemoryType

DENSE = "dense"
SPARSE = "sparse"
TOKENS = "tokens"


class ItemCollection(StrEnum):
    """The collection of keyed items (JSON values under a path and a key). Each memory type has its
    own collection.
    """

    ITEMS = "items"


ITEMS = ItemCollection.ITEMS

Collection: TypeAlias = MemoryType | ItemCollection

COLLECTIONS: tuple[Collection, ...] = (*MemoryType, ITEMS)

Kind = TypeVar("Kind", bound=Collection)
"""Type of the collections that a request names, such as only memory types. Its answer has the same
collections.
"""

VERSION = "v1"
"""The version of a new store's collections or shards; re-embedding creates the next version."""


class Index(StrEnum):
    """The kinds of index on a payload field."""

    TENANT = "tenant"
    KEYWORD = "keyword"
    TIME = "time"
    INTEGER = "integer"


_COMMON: Mapping[str, Index] = MappingProxyType(
    {
        "tenant": Index.TENANT,
        **dict.fromkeys(
            ("namespace", "session_id", "agent_id", "tags", "visibility"), Index.KEYWORD
        ),
        **dict.fromkeys(("links[].to", "rewordings[].id", "upkeep.job"), Index.KEYWORD),
        **dict.fromkeys(
            ("created_at", "valid_from", "valid_to", "state_until", "expires_at"), Index.TIME
        ),
        **dict.fromkeys(("importance", "tokens.count"), Index.INTEGER),
    }
)
_OF_ITEMS: Mapping[str, Index] = MappingProxyType(
    {
        "tenant": Index.TENANT,
        **dict.fromkeys(("namespace", "agent", "path", "prefixes", "facts"), Index.KEYWORD),
        **dict.fromkeys(("created_at", "expires_at"), Index.TIME),
    }
)
_BY_TYPE: Mapping[MemoryType, Mapping[str, Index]] = MappingProxyType(
    {
        MemoryType.EPISODIC: MappingProxyType({"seq": Index.INTEGER}),
        MemoryType.PROSPECTIVE: MappingProxyType(
            {
                "status": Index.KEYWORD,
                **dict.fromkeys(("due_at", "lapses_at"), Index.TIME),
                "content_hash": Index.KEYWORD,
            }
        ),
        MemoryType.WORKING: MappingProxyType({"cleared_at": Index.TIME}),
    }
)


def indexes_of(kind: Collection) -> Mapping[str, Index]:
    """The payload fields of a collection that have an index, and the kind of each index.

    These are the fields by which every call filters, and those of common filters. Each index costs
    the embedded engine about 10 ms at its start. A filter on another field reads the payloads of
    one namespace.
    """
    return _OF_ITEMS if isinstance(kind, ItemCollection) else {**_COMMON, **_BY_TYPE.get(kind, {})}


def mismatch(where: str, built: tuple[str, int], configured: tuple[str, int]) -> str:
    """The message of EmbedderMismatch for the store `where`. built, configured: each a fingerprint
    and dimensions.
    """
    return (
        f"{where} was built with the embedder {built[0]} ({built[1]} dimensions), but "
        f"{configured[0]} ({configured[1]} "
        "dimensions) is configured. Nothing was changed. Use the embedder that it was "
        "built with, or another "
        "--data-dir or collection prefix for the new one. `remembrancer reembed` moves an "
        "embedded store to the new "
        "embedder."
    )
