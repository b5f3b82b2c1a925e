"""Pages, newest first, ties by id: the plan, and the cursor that goes from page to page.

An engine orders by time but not by id within one instant, and where it cuts a group of equal times is its own affair.
So the group at the cut is read again by id, and no memory is lost or repeated however many share an instant.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.stores.operations import messages
from memtypes.stores.operations.conditions import Where, at, before, within
from memtypes.stores.operations.steps import ById, Count, Fetch, Plan, Scroll

CREATED = "created_at"


class Key(NamedTuple):
    """Where a memory stands in the order."""

    created: str
    id: str
    type: MemoryType


def cursor_of(payload: dict[str, Any]) -> str:
    """The opaque cursor that goes on after the memory of `payload`."""
    return base64.urlsafe_b64encode(json.dumps([payload[CREATED], payload["id"]]).encode()).decode()


def parse_cursor(cursor: str) -> tuple[str, str]:
    """created_at and id of the last memory that was given. Raises InvalidRequest for anything but a cursor."""
    try:
        created, last = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        sound = datetime.fromisoformat(created).tzinfo is not None and str(uuid.UUID(last)) == last
    except (ValueError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise InvalidRequest("is not a cursor that this store gave", path="cursor", got=cursor)
    return created, last


def list_page(ask: messages.List) -> Plan[messages.Listed]:
    """One page over the types of `ask`."""
    where, take = within(ask, ask.where), ask.limit + 1  # one more tells whether a page follows
    counts = yield [(kind, Count(where)) for kind in ask.types]
    tied = (yield from _ties(ask, dict.fromkeys(ask.types, (ask.after[0], take)))) if ask.after else []
    older = within(ask, ask.where, before(CREATED, ask.after[0])) if ask.after else where
    newest = Scroll(older, take, (CREATED,), newest_first=True)
    found = yield [(kind, newest) for kind in ask.types]
    whole: list[Key] = []
    cut: dict[MemoryType, tuple[str, int]] = {}
    for kind, pairs in zip(ask.types, found, strict=True):
        keys = keys_of(kind, pairs)
        certain, rest = split_at_cut(keys, take)
        whole += certain
        if rest is not None:
            cut[kind] = (rest, take - len(certain))
    boundary = yield from _ties(ask, cut, fresh=True)
    chosen = in_order([*tied, *whole, *boundary])
    payloads = yield from _payloads(chosen[: ask.limit])
    return messages.Listed(payloads, len(chosen) > ask.limit, sum(counts))


def keys_of(kind: MemoryType, pairs: Iterable[tuple[str, dict[str, Any]]]) -> list[Key]:
    """The keys of (id, payload) pairs."""
    return [Key(payload[CREATED], one, kind) for one, payload in pairs]


def in_order(keys: Iterable[Key]) -> list[Key]:
    """`keys` newest first, ties by id."""
    by_id = sorted(keys, key=lambda key: key.id)
    return sorted(by_id, key=lambda key: datetime.fromisoformat(key.created), reverse=True)


def split_at_cut(keys: list[Key], take: int) -> tuple[list[Key], str | None]:
    """The keys that certainly come first, and the instant at which the engine may have cut a group of equals.

    With fewer than `take` keys nothing was cut.
    """
    if len(keys) < take:
        return keys, None
    last = min((key.created for key in keys), key=datetime.fromisoformat)
    cut = datetime.fromisoformat(last)
    return [key for key in keys if datetime.fromisoformat(key.created) > cut], last


def _ties(ask: messages.List, groups: dict[MemoryType, tuple[str, int]], *, fresh: bool = False) -> Plan[list[Key]]:
    """The first of each group of equal times by id; unless `fresh`, only those after the cursor's id."""
    last = None if fresh or ask.after is None else ask.after[1]
    more = 0 if last is None else 1  # the engine begins with the cursor's own id
    rounds = [
        (kind, ById(_instant(ask, created), limit + more, (CREATED,), start=last))
        for kind, (created, limit) in groups.items()
    ]
    found = yield list(rounds)
    keys = [key for kind, pairs in zip(groups, found, strict=True) for key in keys_of(kind, pairs)]
    return [key for key in keys if last is None or key.id > last]


def _instant(ask: messages.List, created: str) -> Where:
    return within(ask, ask.where, at(CREATED, created))


def _payloads(keys: list[Key]) -> Plan[list[dict[str, Any]]]:
    """The payloads of `keys`, in their order; without those that were removed meanwhile."""
    kinds = list(dict.fromkeys(key.type for key in keys))
    found = yield [(kind, Fetch(tuple(key.id for key in keys if key.type is kind))) for kind in kinds]
    by_type = dict(zip(kinds, found, strict=True))
    payloads = (by_type[key.type].get(key.id) for key in keys)
    return [payload for payload in payloads if payload is not None]
