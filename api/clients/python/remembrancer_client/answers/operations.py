"""Answers about items and for operators: health, keys, upkeep and erasure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from remembrancer_client.answers.memories import Answer


class HealthAnswer(Answer, frozen=True):
    """Whether the service is alive or ready. checks: of each resource, for readiness."""

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
    created_at: datetime | None = None


class NewKey(Answer, frozen=True):
    """A new key. Only this answer shows the key itself."""

    id: str
    key: str
    tenant: str
    role: str
    agents: list[str]


class JobReport(Answer, frozen=True):
    """What a job did, or would do in a dry run.

    ids: the memories that it removed, changed or promoted. reasons: why, by id.
    """

    job: str
    dry_run: bool
    ids: list[str]
    counts: dict[str, int]
    reasons: dict[str, str]


class ReembedAnswer(Answer, frozen=True):
    """How many memories of each type were embedded again, over all tenants, and in total."""

    types: dict[str, int]
    total: int


class Erased(Answer, frozen=True):
    """How many entries were erased from each store, and how many a count afterwards still found."""

    erased: dict[str, int]
    remaining: dict[str, int]
    checked_at: datetime


class PutAnswer(Answer, frozen=True):
    """When an item was first stored, and when it was last put."""

    created_at: datetime
    updated_at: datetime


class Item(Answer, frozen=True):
    """A JSON value under a path and a key. score: in the results of a search with a query."""

    path: list[str]
    key: str
    value: Any
    created_at: datetime
    updated_at: datetime
    score: float | None = None


class ItemsFound(Answer, frozen=True):
    """The items of a search."""

    items: list[Item]


class PathsAnswer(Answer, frozen=True):
    """Paths that have items."""

    paths: list[list[str]]
