"""Inspector pages that list, show and check receipts (records of retrievals), and repeat their
retrievals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from pydantic import Field

from api.http.endpoint import Params
from api.http.inspector.charts import WIDTH, Part, Segment, stacked
from api.http.inspector.page import Html, HtmlPage, Page
from api.http.inspector.view import MemoryAddress, PageScope, View
from api.http.request import InNamespace, MaybeNamespace
from api.http.use_cases import readable_receipts
from api.wiring.container import AppServices, Services
from memtypes.model.policy import LONG_TERM
from retrieval.ranking.ranked import CandidateOutcome
from retrieval.receipts.listing import list_receipts
from retrieval.receipts.model import Receipt, ReceiptCandidate

PAGE = 30

OUTCOMES: Mapping[CandidateOutcome, str] = {
    CandidateOutcome.INCLUDED: "in the context",
    CandidateOutcome.OVER_TYPE_BUDGET: "the budget of its type was used up",
    CandidateOutcome.OVER_TOTAL: "the whole budget was used up",
    CandidateOutcome.COUNTED: "overdue for weeks: only counted",
    CandidateOutcome.BELOW_THRESHOLD: "too unlikely to help",
    CandidateOutcome.DUPLICATE_OF: "says the same as another",
    CandidateOutcome.SUPERSEDED: "replaced by a newer statement",
    CandidateOutcome.EXPIRED: "had expired",
    CandidateOutcome.NOT_DUE: "was not due yet",
    CandidateOutcome.REMOVED: "was deleted meanwhile",
}
"""Text for the user about what became of a candidate, by its outcome."""

_NO_ROOM = (CandidateOutcome.OVER_TYPE_BUDGET, CandidateOutcome.OVER_TOTAL)


class ReceiptAddress(MaybeNamespace):
    """Parameters of an inspector page or form about one receipt. id: id of the receipt."""

    id: Annotated[str, Field(max_length=64)]


class ReceiptsAddress(InNamespace):
    """Which receipts to list. before: only receipts older than the receipt with this id; by default
    the newest.
    """

    before: Annotated[str, Field(max_length=64)] | None = None


class MemoryReceiptsAddress(MemoryAddress, ReceiptsAddress):
    """Which receipts to list: receipts that have the memory `id` among their candidates."""


@View("GET /receipts")
async def list_of_receipts(
    services: AppServices, page: Page, params: Params[ReceiptsAddress], namespace: PageScope
) -> Html:
    """The page that lists receipts (records of retrievals) of a namespace, newest first."""
    listed = await list_receipts(services.receipts.queue, namespace, PAGE, params.before)
    return await page.show("receipts.html", params, page=listed)


@View("GET /memory/receipts")
async def receipts_of_memory(
    services: AppServices, page: Page, params: Params[MemoryReceiptsAddress], namespace: PageScope
) -> Html:
    """Show recent receipts with the URL's memory among their candidates: an HTML fragment for htmx,
    else a page.
    """
    queue = services.receipts.queue
    memory_id = params.id
    listed = await list_receipts(
        queue, namespace, PAGE, params.before, lambda receipt: bool(receipt.candidate(memory_id))
    )
    return await page.show(
        "memory_receipts_page.html", params, "memory_receipts.html", page=listed, why=OUTCOMES
    )


@View("GET /receipt")
async def show_receipt(services: AppServices, page: Page, params: Params[ReceiptAddress]) -> Html:
    """The page of a receipt: the token budgets of a retrieval, and why each candidate is in the
    context or left out.
    """
    return await _receipt_page(services, page, params.id)


@View("POST /receipt/verify")
async def verify_receipt(services: AppServices, page: Page, params: Params[ReceiptAddress]) -> Html:
    """Check a receipt and show the results: as an HTML fragment for htmx, else on the receipt's
    page.
    """
    receipts = await readable_receipts(services, page.caller, params.id)
    verdict = await receipts.verify(page.caller.tenant, params.id)
    return await _receipt_page(services, page, params.id, verdict=verdict)


@View("POST /receipt/replay")
async def replay_receipt(services: AppServices, page: Page, params: Params[ReceiptAddress]) -> Html:
    """Repeat a receipt's retrieval and show what differs: as an HTML fragment for htmx, else on the
    receipt's page.
    """
    receipts = await readable_receipts(services, page.caller, params.id)
    replay = await receipts.replay(page.caller.tenant, params.id, bound=bool(page.caller.agents))
    return await _receipt_page(services, page, params.id, replay=replay)


@View("POST /receipt/context")
async def show_context(services: AppServices, page: Page, params: Params[ReceiptAddress]) -> Html:
    """Show a receipt's context, rendered again: as an HTML fragment for htmx, else on the receipt's
    page.
    """
    receipts = await readable_receipts(services, page.caller, params.id)
    tenant = page.caller.tenant
    text = await receipts.with_contents(tenant, await receipts.text(tenant, params.id))
    context = msgspec.json.decode(text)["contents"].get("context")
    if isinstance(context, list):
        context = "\n\n".join(message["content"] for message in context)
    return await _receipt_page(services, page, params.id, context=context)


async def _receipt_page(services: Services, page: HtmlPage, receipt_id: str, **fields: Any) -> Html:
    """The page of a receipt with `fields`, such as the verdict about it; for htmx, the fragment
    with `fields` alone.
    """
    if page.is_fragment and fields:
        return page.render("receipt_result.html", **fields)
    receipts = await readable_receipts(services, page.caller, receipt_id)
    receipt = Receipt.read(await receipts.text(page.caller.tenant, receipt_id))
    params = InNamespace(namespace=str(receipt.request["namespace"]))
    budget = receipt.request["budget"]
    long_term = receipt.long_term
    total = int(budget["total"] if isinstance(budget, dict) else budget)
    candidates = sorted(receipt.candidates, key=_by_rank)
    scope = page.caller.scope(params.namespace, None, page.caller.agent(None))
    return await page.show(
        "receipt.html",
        params,
        receipt=receipt,
        memories=await receipts.memories(scope, receipt),
        total=total,
        used=sum(long_term.used.values()) + (long_term.wrapper if long_term.used else 0),
        total_bar=total_bar(receipt, total),
        budgets=type_budgets(receipt),
        best=max((candidate.score for candidate in candidates), default=0.0),
        included=[
            candidate for candidate in candidates if candidate.outcome is CandidateOutcome.INCLUDED
        ],
        left_out=[
            candidate
            for candidate in candidates
            if candidate.outcome is not CandidateOutcome.INCLUDED
        ],
        unlisted=receipt.unlisted.outcomes,
        why=OUTCOMES,
        **fields,
    )


def _by_rank(candidate: ReceiptCandidate) -> tuple[bool, int, float]:
    rank = candidate.place if candidate.rank is None else candidate.rank
    return (rank is None, rank or 0, -candidate.score)


def total_bar(receipt: Receipt, total: int) -> list[Segment]:
    """A bar of the token budget `total`: a segment for each memory type, and one for the text
    around memories.
    """
    used = receipt.long_term.used
    parts = [
        Part(f"type-{kind}", used.get(kind, 0), f"{kind}: {used.get(kind, 0):,} tokens")
        for kind in LONG_TERM
    ]
    return stacked([*parts, Part("around", receipt.long_term.wrapper, "around them")], total)


def type_budgets(receipt: Receipt) -> list[dict[str, Any]]:
    """The token budget of each long-term memory type, and its use by memories. All bars have the
    same scale.

    used: tokens of the type in the context. initial, final: the budget before and after tokens were
    moved between types. room, mark: `final` as a length on the bar, `initial` as a position on it.
    included: number of memories in the context. left_out, left_out_count: tokens and number of
    candidates for which the budget had no room.
    """
    first = receipt.budgets.initial
    last = receipt.budgets.final
    usage = receipt.long_term.used
    scale = max(1, *(sizes.get(kind, 0) for sizes in (first, last, usage) for kind in LONG_TERM))
    rows = []
    for kind in LONG_TERM:
        initial = first.get(kind, 0)
        final = last.get(kind, 0)
        used = usage.get(kind, 0)
        if kind not in last and not used:
            continue
        candidates = [candidate for candidate in receipt.candidates if candidate.type is kind]
        included = [
            candidate for candidate in candidates if candidate.outcome is CandidateOutcome.INCLUDED
        ]
        left_out = [candidate.tokens for candidate in candidates if candidate.outcome in _NO_ROOM]
        headings = max(0, used - sum(candidate.tokens for candidate in included))
        # A part of size 0 is not drawn
        parts = [Part("around", headings, f"headings: {headings} tokens")]
        parts += [
            Part(f"type-{kind} cut", hit.tokens, f"rank {hit.rank}: {hit.tokens} tokens")
            for hit in included
        ]
        rows.append(
            {
                "type": kind,
                "used": used,
                "initial": initial,
                "final": final,
                "room": round(final / scale * WIDTH, 2),
                "mark": round(initial / scale * WIDTH, 2),
                "bar": stacked(parts, scale),
                "included": len(included),
                "left_out": sum(left_out),
                "left_out_count": len(left_out),
            }
        )
    return rows
