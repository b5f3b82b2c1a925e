"""Pages in order, newest first and ties by id, and the cursor between them.

An engine orders by time but not by id within one instant, and may cut a group of equal times anywhere. So the group at
the cut is read again by id, and no memory is lost or repeated however many share an instant.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.stores.operations.conditions import Condition, in_range
from memtypes.stores.operations.engine import EngineOperations, Payload, Scroll, ScrollOrder

CREATED = "created_at"


class Position(NamedTuple):
    """A memory's position in the order."""

    created: str
    id: str
    type: MemoryType


def cursor_of(payload: Payload) -> str:
    """The opaque cursor that continues after the memory of `payload`."""
    return base64.urlsafe_b64encode(json.dumps([payload[CREATED], payload["id"]]).encode()).decode()


def parse_cursor(cursor: str) -> tuple[str, str]:
    """created_at and id of the last memory of a page. Raises InvalidRequest for anything but a cursor."""
    try:
        created, last = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        valid = datetime.fromisoformat(created).tzinfo is not None and str(uuid.UUID(last)) == last
    except (ValueError, TypeError, AttributeError, RecursionError):
        valid = False
    if not valid:
        raise InvalidRequest("is not a cursor of this store", path="cursor", got=cursor)
    return created, last


async def list_page(
    engine: EngineOperations,
    where: Condition,
    types: Sequence[MemoryType],
    limit: int,
    after: tuple[str, str] | None,
) -> list[Position]:
    """The first `limit` positions of the memories that meet `where`. after: created_at and id to continue after."""
    tied: list[Position] = []
    older = where
    if after is not None:
        created, last = after
        # One more than the limit, as the engine begins with the cursor's own id.
        ties = dict.fromkeys(types, _ties(where, created, limit + 1, last))
        tied = [position for position in await _positions(engine, ties) if position.id > last]
        older = _and(where, in_range(CREATED, lt=created))
    newest = Scroll(older, limit, (CREATED,), ScrollOrder.NEWEST_FIRST)
    positions = await _positions(engine, dict.fromkeys(types, newest))
    certain: list[Position] = []
    cut: dict[MemoryType, Scroll] = {}
    for kind in types:
        whole, instant = split_at_cut([position for position in positions if position.type is kind], limit)
        certain += whole
        if instant is not None:
            cut[kind] = _ties(where, instant, limit - len(whole))
    return in_order([*tied, *certain, *await _positions(engine, cut)])[:limit]


def _ties(where: Condition, instant: str, limit: int, start_id: str | None = None) -> Scroll:
    """The first memories of one instant, by id."""
    return Scroll(
        _and(where, in_range(CREATED, gte=instant, lte=instant)), limit, (CREATED,), ScrollOrder.BY_ID, start_id
    )


def _and(where: Condition, condition: Condition) -> Condition:
    return {"must": [*where["must"], condition]}


async def _positions(engine: EngineOperations, scrolls: Mapping[MemoryType, Scroll]) -> list[Position]:
    answers = await engine.scroll(scrolls)
    return [
        Position(payload[CREATED], memory_id, kind)
        for kind, payloads in answers.items()
        for memory_id, payload in payloads.items()
    ]


def in_order(positions: Iterable[Position]) -> list[Position]:
    """`positions` newest first, ties by id."""
    by_id = sorted(positions, key=lambda position: position.id)
    return sorted(by_id, key=lambda position: datetime.fromisoformat(position.created), reverse=True)


def split_at_cut(positions: list[Position], limit: int) -> tuple[list[Position], str | None]:
    """The positions that certainly come first, and the instant at which the engine may have cut a group of equals.

    With fewer than `limit` positions nothing was cut.
    """
    if len(positions) < limit:
        return positions, None
    last = min((position.created for position in positions), key=datetime.fromisoformat)
    cut = datetime.fromisoformat(last)
    return [position for position in positions if datetime.fromisoformat(position.created) > cut], last
