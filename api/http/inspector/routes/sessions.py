"""Inspector pages that list the latest sessions and show a session's timeline: its memories and built contexts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from litestar import Response
from pydantic import Field

from api.http.inspector.page import LivePage
from api.http.inspector.view import View, read_address
from api.http.request import ApiRequest, InNamespace
from api.wiring.container import AppServices, Services
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Memory
from memtypes.model.scope import Name, Scope
from memtypes.ports.memory_store import Listing
from retrieval.receipts.listing import ListedReceipt, ReceiptPage, list_receipts

NEWEST = 500
"""How many of the newest memories the list of sessions reads."""

TIMELINE = 100
"""Maximum number of memories, and of receipts, on one page of a timeline."""

MAX_INJECTED = 1_000
"""Maximum number of injected memories whose texts a page reads."""


class SessionAddress(InNamespace):
    """Parameters of a session's page. cursor: start of its memories. before: show receipts older than this one."""

    id: Name
    cursor: Annotated[str, Field(max_length=2_048)] | None = None
    before: Annotated[str, Field(max_length=64)] | None = None


@dataclass(slots=True)
class SessionRow:
    """A session in the list of sessions, which is made from the newest memories and receipts of the namespace.

    memories, contexts: how many of these belong to the session. first, last: time of the earliest and of the latest.
    """

    id: str
    first: datetime
    last: datetime
    memories: int = 0
    contexts: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """An event in a session: `memory` was stored, or a context was built. injected: memories in this context."""

    at: datetime
    memory: Memory | None = None
    receipt: ListedReceipt | None = None
    injected: tuple[Memory, ...] = ()


@View("GET /sessions")
async def list_sessions(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page that lists the sessions to which the newest memories and receipts belong."""
    asked = read_address(request, InNamespace)
    scope = request.scope_in(asked.namespace)
    memories = (await services.store.page(scope, Listing(limit=NEWEST))).memories
    receipts = await list_receipts(services.receipts.queue, scope, TIMELINE)
    rows = session_rows(memories, receipts.receipts)
    return await page.show("sessions.html", asked, rows=rows, memories=len(memories), receipts=receipts)


def session_rows(memories: Iterable[Memory], receipts: Iterable[ListedReceipt]) -> list[SessionRow]:
    """The sessions to which these memories and receipts belong, the latest first."""
    rows: dict[str, SessionRow] = {}
    seen = [(memory.session_id, memory.created_at, 1, 0) for memory in memories]
    seen += [(receipt.request.get("session_id"), receipt.created_at, 0, 1) for receipt in receipts]
    for session_id, at, stored, built in seen:
        if session_id is not None:
            row = rows.setdefault(session_id, SessionRow(session_id, at, at))
            row.first, row.last = min(row.first, at), max(row.last, at)
            row.memories, row.contexts = row.memories + stored, row.contexts + built
    return sorted(rows.values(), key=lambda row: row.last, reverse=True)


@View("GET /session")
async def show_session(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page of a session: the memories that it stored and the contexts injected into it, in order of time."""
    asked = read_address(request, SessionAddress)
    scope = request.scope_in(asked.namespace)
    where = Compare("session_id", Op.EQ, asked.id)
    stored = await services.store.page(scope, Listing(filter=where, limit=TIMELINE, cursor=asked.cursor))

    def wanted(receipt: ListedReceipt) -> bool:
        return receipt.request.get("session_id") == asked.id

    receipts = await list_receipts(services.receipts.queue, scope, TIMELINE, asked.before, wanted)
    moments = [Moment(memory.created_at, memory=memory) for memory in stored.memories]
    moments += await _injections(services, scope, receipts)
    session = request.scope_in(asked.namespace, asked.id)
    return await page.show(
        "session.html",
        asked,
        moments=sorted(moments, key=lambda moment: (moment.at, moment.memory.seq if moment.memory else 0)),
        total=stored.total,
        next_cursor=stored.next_cursor,
        receipts=receipts,
        items=await services.working.list_items(session, None, include_cleared=True),
    )


async def _injections(services: Services, scope: Scope, page: ReceiptPage) -> list[Moment]:
    """For each receipt of `page`, the event of building its context, with the context's memories that still exist."""
    ids = {each.id: each.type for receipt in page.receipts for each in receipt.included}
    known: Mapping[str, Memory] = await services.store.get(scope, dict(list(ids.items())[:MAX_INJECTED]))
    return [
        Moment(
            receipt.created_at,
            receipt=receipt,
            injected=tuple(known[each.id] for each in receipt.included if each.id in known),
        )
        for receipt in page.receipts
    ]
