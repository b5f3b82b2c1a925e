"""The shape of a collection, the same for every engine: its vectors' names and its payload indexes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from memtypes.policy import MemoryType

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
    FLAG = "flag"


INDEXES: Mapping[str, Index] = MappingProxyType(
    {
        "tenant": Index.TENANT,
        **dict.fromkeys(
            ("namespace", "session_id", "agent_id", "tags", "status", "visibility", "content_hash", "todo_id"),
            Index.KEYWORD,
        ),
        **dict.fromkeys(("created_at", "valid_from", "valid_to", "expires_at", "due_at"), Index.TIME),
        **dict.fromkeys(("importance", "access_count", "seq", "tokens.count"), Index.INTEGER),
        "pinned": Index.FLAG,
    }
)
"""Every indexed field."""


def mismatch(where: str, kept: tuple[str, int], given: tuple[str, int]) -> str:
    """What EmbedderMismatch says. kept, given: fingerprint and dimensions."""
    return (
        f"{where} was built with the embedder {kept[0]} ({kept[1]} dimensions), and {given[0]} ({given[1]} dimensions) "
        "was given. Nothing was changed. Use the embedder that it was built with, or another --data-dir or collection "
        "prefix for the new one; `remembrancer reembed`, which moves memories to another embedder, is planned."
    )


def collection_name(prefix: str, kind: MemoryType) -> str:
    """The alias under which a server knows a type's collection."""
    return f"{prefix}_{kind}"
