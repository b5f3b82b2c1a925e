"""Keyword arguments of the calls on workflows, items and upkeep. The service has a default for each
of them.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

from remembrancer_client.options.memories import MemoryType, Scoped

EventKind: TypeAlias = Literal[
    "started",
    "step_started",
    "step_completed",
    "step_failed",
    "resource_changed",
    "data_set",
    "note",
    "completed",
    "failed",
    "cancelled",
]


class WorkflowOptions(Scoped, total=False):
    """Options for a new workflow. on_end: what to do with its threads and working items when the
    workflow ends.
    """

    workflow_id: str | None
    parent_id: str | None
    agent: str | None
    data: dict[str, Any]
    on_end: Literal["keep", "flush", "delete"]


class EventOptions(Scoped, total=False):
    """Options for a workflow's event. expected_version: refuse the event if the workflow now has
    another version.
    """

    step_id: str | None
    agent: str | None
    input: Any
    output: Any
    error: Any
    resources: dict[str, Any] | None
    data: dict[str, Any] | None
    reason: str | None
    expected_version: int | None


class WorkflowListOptions(Scoped, total=False):
    """Options for listing workflows: conditions that all have to match, and the page."""

    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    parent_id: str
    limit: int
    cursor: str


class StateOptions(Scoped, total=False):
    """Options for reading a workflow. at_version: return the state after the event with this
    number.
    """

    at_version: int


class EventListOptions(Scoped, total=False):
    """Options for listing events. after: return only events whose version is higher than this."""

    after: int
    limit: int


class HistoryOptions(Scoped, total=False):
    """Options for a workflow's history. versions: show the newest value of each resource (named
    value), or all.
    """

    budget: int
    model: str
    versions: Literal["newest", "all"]


class ResumeOptions(Scoped, total=False):
    """Options for `resume`. idempotency_key: by default, each call gets a new random key."""

    agent: str | None
    budget: int | None
    model: str | None
    versions: Literal["newest", "all"]
    idempotency_key: str


class ItemScope(Scoped, total=False):
    """Options for a call on items (JSON values). agent_id: the agent that owns them; by default,
    items of no agent.
    """

    agent_id: str


class GetOptions(ItemScope, total=False):
    """Options for reading an item. refresh_ttl: restart the item's time to live."""

    refresh_ttl: bool


class PutOptions(ItemScope, total=False):
    """Options for storing an item.

    index: paths of the texts by which a search finds the item, such as `title` or `parts[*].text`.
    By default, all texts of the value; False for no search by text. ttl_s: seconds until the item
    expires, counted from the last time that it was stored, or read with refresh_ttl.
    """

    index: Literal[False] | list[str] | None
    ttl_s: float | None


class ItemSearchOptions(ItemScope, total=False):
    """Options for searching items. filter: conditions on members of the values, such as {"size":
    {"$gt": 3}}.
    """

    query: str | None
    filter: dict[str, Any] | None
    limit: int
    offset: int
    refresh_ttl: bool


class PathMatch(TypedDict):
    """A condition on an item's path (a list of labels): that it begins or ends with `path`; `*`
    matches any label.
    """

    type: Literal["prefix", "suffix"]
    path: list[str]


class PathOptions(ItemScope, total=False):
    """Options for listing the paths of items. max_depth: paths with more labels are cut to this
    number of labels.
    """

    match: list[PathMatch]
    max_depth: int | None
    limit: int
    offset: int


class JobOptions(TypedDict, total=False):
    """Options for an upkeep job. dry_run: change nothing; True by default. types: memory types, by
    default all.

    namespace: by default the client's; None means all namespaces.
    """

    namespace: str | None
    dry_run: bool
    types: list[MemoryType] | None
    min_sessions: int
    min_uses: int
    max_age_days: int | None
    inactive_days: int | None
    keep_top: int | None
    expired_days: int | None
    similarity: float
