"""Keyed items: JSON values that a program stores under a path and a key. Searches for memories do
not find them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints

from memtypes.items.filters import ItemFilter
from memtypes.model.errors import InvalidRequest
from memtypes.model.ids import memory_id
from memtypes.model.memory import StrictModel
from memtypes.model.scope import Scope
from memtypes.search.vectors import DenseVector

MAX_VALUE_BYTES = 1024 * 1024
"""Maximum number of bytes of a value, as compact JSON in UTF-8."""

MAX_LABELS = 32
MAX_LABEL = 256
MAX_KEY = 1024
MAX_TTL_S = 10 * 365 * 86_400


def _label(text: str) -> str:
    if "." in text:
        raise ValueError(
            "a label must not contain a dot, which separates labels in `path=a.b`; encode "
            "it, as %2E"
        )
    return _key(text)


def _key(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain U+0000")
    return text


Label = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_LABEL), AfterValidator(_label)
]
"""One label of an item's path: any characters except a dot and U+0000."""

Path: TypeAlias = Annotated[tuple[Label, ...], Field(max_length=MAX_LABELS)]
"""An item's path: a sequence of labels; the empty path is the root."""

Key = Annotated[str, StringConstraints(min_length=1, max_length=MAX_KEY), AfterValidator(_key)]
"""The key of an item, unique among the items at its path: any characters except U+0000."""


class ItemAddress(StrictModel):
    """The path and key of an item, unique among the items of one agent (or of no agent) in a
    namespace.
    """

    path: Path = ()
    key: Key

    def id_in(self, scope: Scope, agent_id: str | None) -> str:
        """The id (a UUID) of the item at this address. agent_id: the agent that owns the item; None
        for no agent.
        """
        return memory_id(scope, "item", (agent_id, *self.path, self.key))


@dataclass(frozen=True, slots=True)
class Item:
    """A keyed item: a JSON value stored under an address (path and key). agent_id: its owner; None
    for no agent.

    index: paths of the texts that are embedded for vector search; None for the whole value, () for
    no texts. ttl: time to live after the last put or refreshing read; None if the item does not
    expire. score: cosine of the item with the query if a vector search found it, else None.
    """

    address: ItemAddress
    value: Any
    created_at: datetime
    updated_at: datetime
    agent_id: str | None = None
    index: tuple[str, ...] | None = None
    ttl: timedelta | None = None
    expires_at: datetime | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ItemSearch:
    """A search for keyed items. prefix: the labels with which the paths of the items must begin;
    empty for all paths.

    vector: of the query; without it, the items updated last come first. refresh: whether to restart
    the hits' TTL.
    """

    prefix: tuple[str, ...] = ()
    filter: ItemFilter | None = None
    vector: DenseVector | None = None
    limit: int = 10
    offset: int = 0
    refresh: bool = False


class MatchType(StrEnum):
    """Whether a condition on a path checks its first labels (prefix) or its last labels
    (suffix).
    """

    PREFIX = "prefix"
    SUFFIX = "suffix"


class PathMatch(StrictModel):
    """A condition on the first or last labels (parts) of an item's path. The label `*` matches any
    single label.
    """

    type: MatchType
    path: Path

    def holds(self, path: Sequence[str]) -> bool:
        """Whether an item's `path`, a sequence of labels, meets this condition."""
        if len(path) < len(self.path):
            return False
        labels = (
            path[: len(self.path)]
            if self.type is MatchType.PREFIX
            else path[len(path) - len(self.path) :]
        )
        return all(
            pattern in ("*", label) for pattern, label in zip(self.path, labels, strict=True)
        )


@dataclass(frozen=True, slots=True)
class PathListing:
    """Request for a page of paths that meet all conditions of `match`. max_depth: labels to which
    paths are cut.
    """

    match: tuple[PathMatch, ...] = ()
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0

    def select(self, paths: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """Return the requested page of the distinct matching `paths`, cut to `max_depth` labels and
        sorted.
        """
        matching = (
            path for path in paths if all(condition.holds(path) for condition in self.match)
        )
        return sorted({path[: self.max_depth] for path in matching})[
            self.offset : self.offset + self.limit
        ]


def value_text(value: Any) -> str:
    """An item's value as compact JSON. Raises InvalidRequest if that has more than MAX_VALUE_BYTES
    bytes.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    size = len(text.encode())
    if size > MAX_VALUE_BYTES:
        raise InvalidRequest(
            f"has {size} bytes as JSON; at most {MAX_VALUE_BYTES} can be stored", path="value"
        )
    return text
