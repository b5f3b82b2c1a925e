"""Answers to calls on items (JSON values under keys), and to operators' calls: health, API keys,
upkeep, erasure.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from remembrancer_client.answers.memories import Answer


class HealthAnswer(Answer, frozen=True):
    """Whether the service is alive or ready. checks: for readiness only, a result for each part,
    such as the store.
    """

    status: str
    checks: dict[str, HealthCheck] = {}


class HealthCheck(Answer, frozen=True):
    """The check of a part of the service, such as the store. ms: duration in milliseconds. detail:
    why it failed.
    """

    ok: bool
    ms: float
    detail: str | None = None


class KeysAnswer(Answer, frozen=True):
    """All API keys, without their secrets."""

    keys: list[KnownKey]


class KnownKey(Answer, frozen=True):
    """An API key without its secret. agents: the agents that the key may act as; empty for all.

    created_at: None if the key is from the keys file.
    """

    id: str
    tenant: str
    role: str
    agents: list[str] = []
    namespace: str | None = None
    created_at: datetime | None = None


class NewKey(Answer, frozen=True):
    """A new API key. Only this answer has its secret, in `key`."""

    id: str
    key: str
    tenant: str
    role: str
    agents: list[str]
    namespace: str | None = None


class JobReport(Answer, frozen=True):
    """The changes that an upkeep job made, or would make if it is a dry run.

    ids: memories removed, changed or promoted. counts: memories removed, changed and made. reasons:
    why, by memory id.
    """

    job: str
    dry_run: bool
    ids: list[str]
    counts: dict[str, int]
    reasons: dict[str, str]


class ReembedAnswer(Answer, frozen=True):
    """Number of entries of all tenants that were embedded again: memories by type, JSON values, and
    the total.
    """

    types: dict[str, int]
    items: int
    total: int


class Erased(Answer, frozen=True):
    """Entries erased and remaining, by name of the store, cache or log file. checked_at: time of
    the latter count.
    """

    erased: dict[str, int]
    remaining: dict[str, int]
    checked_at: datetime


class ItemStored(Answer, frozen=True):
    """When an item's first and newest values were stored under its key, and when it expires; None
    if it does not.
    """

    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None


class ItemAnswer(Answer, frozen=True):
    """A JSON value stored under a path and a key.

    score: cosine similarity of the query and the nearest of the value's texts; None without a query
    or texts.
    """

    path: list[str]
    key: str
    value: Any
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    agent_id: str | None = None
    score: float | None = None


class ItemsFound(Answer, frozen=True):
    """The items that a search found: best match first if the search had a query, else the newest
    first.
    """

    items: list[ItemAnswer]


class PathsAnswer(Answer, frozen=True):
    """The paths under which items (JSON values) are stored, sorted. A path is a list of labels."""

    paths: list[list[str]]
