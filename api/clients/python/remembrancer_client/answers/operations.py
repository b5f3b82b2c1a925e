"""Answers about items and for operators: health, keys, upkeep and erasure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from remembrancer_client.answers.memories import Answer


class HealthAnswer(Answer, frozen=True):
    """Whether the service is alive or ready. checks: one for each resource, if the call was about readiness."""

    status: str
    checks: dict[str, HealthCheck] = {}


class HealthCheck(Answer, frozen=True):
    """Whether a check passed, and how many milliseconds it took."""

    ok: bool
    ms: float
    detail: str | None = None


class KeysAnswer(Answer, frozen=True):
    """All keys, without their secrets."""

    keys: list[KnownKey]


class KnownKey(Answer, frozen=True):
    """A key as it is listed, without its secret. created_at: None for a key of the keys file."""

    id: str
    tenant: str
    role: str
    agents: list[str] = []
    namespace: str | None = None
    created_at: datetime | None = None


class NewKey(Answer, frozen=True):
    """A new key. Only this answer shows the key itself."""

    id: str
    key: str
    tenant: str
    role: str
    agents: list[str]
    namespace: str | None = None


class JobReport(Answer, frozen=True):
    """What an upkeep job did, or would do in a dry run.

    ids: the memories that it removed, changed or promoted. reasons: why, by the memory's id.
    """

    job: str
    dry_run: bool
    ids: list[str]
    counts: dict[str, int]
    reasons: dict[str, str]


class ReembedAnswer(Answer, frozen=True):
    """How many entries of all tenants were embedded again: memories by type, keyed items, and both in total."""

    types: dict[str, int]
    items: int
    total: int


class Erased(Answer, frozen=True):
    """How many entries were erased from each store, and how many a count afterwards still found."""

    erased: dict[str, int]
    remaining: dict[str, int]
    checked_at: datetime


class ItemStored(Answer, frozen=True):
    """When an item was first put under its path and key, when it was last put, and when it expires."""

    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None


class ItemAnswer(Answer, frozen=True):
    """A JSON value stored under a path and a key.

    score: cosine similarity of the query and the nearest of the value's texts; None without a query or texts.
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
    """Items, in the order of the search."""

    items: list[ItemAnswer]


class PathsAnswer(Answer, frozen=True):
    """Paths that have items, sorted."""

    paths: list[list[str]]
