"""Inspector pages that list the latest sessions and show a session's timeline: its memories and
built contexts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Annotated

from pydantic import Field

from api.http.endpoint import Params
from api.http.inspector.page import Html, Page
from api.http.inspector.view import PageScope, View
from api.http.request import InNamespace
from api.wiring.container import AppServices
from memtypes.model.filters import Compare, Op
from memtypes.model.scope import Name
from memtypes.ports.memory_store import Listing
from retrieval.receipts.listing import ListedReceipt, list_receipts

NEWEST = 500
"""How many of the newest memories the list of sessions reads."""

TIMELINE = 100
"""Maximum number of memories, and of receipts, on one page of a timeline."""

MAX_INJECTED = 1_000
"""Maximum number of injected memories whose texts a page reads."""


class SessionAddress(InNamespace):
    """Parameters of a session's page. cursor: start of its memories. before: show receipts older
    than this one.
    """

    id: Name
    cursor: Annotated[str, Field(max_length=2_048)] | None = None
    before: Annotated[str, Field(max_length=64)] | None = None


@View("GET /sessions")
async def list_sessions(
    services: AppServices, page: Page, params: Params[InNamespace], namespace: PageScope
) -> Html:
    """The page that lists the sessions to which the newest memories and receipts belong, the latest
    first.
    """
    memories = (await services.store.page(namespace, Listing(limit=NEWEST))).memories
    receipts = await list_receipts(services.receipts.queue, namespace, TIMELINE)
    times = defaultdict[str, tuple[list[datetime], list[datetime]]](lambda: ([], []))
    for memory in memories:
        if memory.session_id is not None:
            times[memory.session_id][0].append(memory.created_at)
    for receipt in receipts.receipts:
        if (session_id := receipt.request.get("session_id")) is not None:
            times[session_id][1].append(receipt.created_at)
    rows = [
        {
            "id": session,
            "first": min(memory_times + context_times),
            "last": max(memory_times + context_times),
            "memories": memory_times,
            "contexts": context_times,
        }
        for session, (memory_times, context_times) in times.items()
    ]
    rows.sort(key=itemgetter("last"), reverse=True)
    return await page.show(
        "sessions.html", params, rows=rows, memories=len(memories), receipts=receipts
    )


@View("GET /session")
async def show_session(
    services: AppServices, page: Page, params: Params[SessionAddress], namespace: PageScope
) -> Html:
    """The page of a session: the memories that it stored and the contexts injected into it, in
    order of time.
    """
    where = Compare("session_id", Op.EQ, params.id)
    stored = await services.store.page(
        namespace, Listing(filter=where, limit=TIMELINE, cursor=params.cursor)
    )

    def in_session(receipt: ListedReceipt) -> bool:
        return receipt.request.get("session_id") == params.id

    receipts = await list_receipts(
        services.receipts.queue, namespace, TIMELINE, params.before, in_session
    )
    ids = {
        candidate.id: candidate.type
        for receipt in receipts.receipts
        for candidate in receipt.included
    }
    injected = await services.store.get(namespace, dict(islice(ids.items(), MAX_INJECTED)))
    items = await services.working.list_items(
        replace(namespace, session_id=params.id), None, include_cleared=True
    )
    memories = [(memory.created_at, memory.seq, memory, None) for memory in stored.memories]
    contexts = [(receipt.created_at, 0, None, receipt) for receipt in receipts.receipts]
    return await page.show(
        "session.html",
        params,
        moments=sorted([*memories, *contexts], key=itemgetter(0, 1)),
        injected=injected | {item.id: item for item in items},
        total=stored.total,
        next_cursor=stored.next_cursor,
        receipts=receipts,
        items=items,
    )
