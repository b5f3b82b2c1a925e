"""Inspector pages that list, show and check receipts (records of retrievals), and repeat their retrievals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import Response
from pydantic import Field

from api.http.inspector.charts import WIDTH, Part, Segment, SignalRow, signal_bar, signal_rows, stacked
from api.http.inspector.page import HtmlPage, LivePage
from api.http.inspector.view import MemoryAddress, View, read_address, read_form
from api.http.request import ApiRequest, InNamespace, MaybeNamespace
from api.http.use_cases import receipts_with
from api.wiring.container import AppServices, Services
from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM, MemoryType
from retrieval.ranking.ranked import CandidateOutcome
from retrieval.receipts.listing import list_receipts
from retrieval.receipts.model import Receipt, ReceiptCandidate

PAGE = 30

OUTCOMES: Mapping[CandidateOutcome, str] = {
    CandidateOutcome.INCLUDED: "in the context",
    CandidateOutcome.OVER_TYPE_BUDGET: "the budget of its type was used up",
    CandidateOutcome.OVER_TOTAL: "the whole budget was used up",
    CandidateOutcome.BELOW_THRESHOLD: "too unlikely to help",
    CandidateOutcome.DUPLICATE_OF: "says the same as another",
    CandidateOutcome.SUPERSEDED: "replaced by a newer statement",
    CandidateOutcome.EXPIRED: "had expired",
    CandidateOutcome.NOT_DUE: "was not due yet",
    CandidateOutcome.REMOVED: "was deleted meanwhile",
}
"""Text for the user about what became of a candidate, by its outcome."""


class ReceiptAddress(MaybeNamespace):
    """Parameters of an inspector page or form about one receipt. id: id of the receipt."""

    id: Annotated[str, Field(max_length=64)]


class ReceiptsAddress(InNamespace):
    """Which receipts to list. before: only receipts older than the receipt with this id; by default the newest."""

    before: Annotated[str, Field(max_length=64)] | None = None


class MemoryReceiptsAddress(MemoryAddress, ReceiptsAddress):
    """Which receipts to list: receipts that have the memory `id` among their candidates."""


@dataclass(frozen=True, slots=True)
class TypeBudget:
    """The token budget of one memory type in a retrieval, and how it was used.

    used: tokens of the type in the context. initial, final: the budget before and after tokens were moved between
    types. room, mark: `final` as a length on the bar, `initial` as a position on it. included: number of memories in
    the context. left_out, left_out_count: tokens and number of candidates for which the budget had no room.
    """

    type: MemoryType
    used: int
    initial: int
    final: int
    room: float
    mark: float
    bar: list[Segment]
    included: int
    left_out: int
    left_out_count: int


@dataclass(frozen=True, slots=True)
class ShownCandidate:
    """A candidate of a retrieval. why: text that says why it is in the context or not. memory: None if deleted."""

    candidate: ReceiptCandidate
    why: str
    bar: list[Segment]
    signals: list[SignalRow]
    memory: Memory | None


@View("GET /receipts")
async def list_of_receipts(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page that lists receipts (records of retrievals) of a namespace, newest first."""
    asked = read_address(request, ReceiptsAddress)
    listed = await list_receipts(services.receipts.queue, request.scope_in(asked.namespace), PAGE, asked.before)
    return await page.show("receipts.html", asked, page=listed)


@View("GET /memory/receipts")
async def receipts_of_memory(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """Show recent receipts with the URL's memory among their candidates: an HTML fragment for htmx, else a page."""
    asked = read_address(request, MemoryReceiptsAddress)
    scope = request.scope_in(asked.namespace)
    listed = await list_receipts(
        services.receipts.queue, scope, PAGE, asked.before, lambda receipt: receipt.candidate(asked.id) is not None
    )
    template = "memory_receipts.html" if page.is_part else "memory_receipts_page.html"
    if page.is_part:
        return page.part(template, namespace=asked.namespace, asked=asked, page=listed, why=OUTCOMES)
    return await page.show(template, asked, page=listed, why=OUTCOMES)


@View("GET /receipt")
async def show_receipt(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page of a receipt: the token budgets of a retrieval, and why each candidate is in the context or left out."""
    return await _receipt_page(request, services, page, read_address(request, ReceiptAddress).id)


@View("POST /receipt/verify")
async def verify_receipt(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """Check a receipt and show the results: as an HTML fragment for htmx, else on the receipt's page."""
    receipt_id = (await read_form(request, ReceiptAddress)).id
    receipts = await receipts_with(services, request.auth, receipt_id)
    verdict = await receipts.verify(request.auth.tenant, receipt_id)
    return await _result(request, services, page, receipt_id, verdict=verdict)


@View("POST /receipt/replay")
async def replay_receipt(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """Repeat a receipt's retrieval and show what differs: as an HTML fragment for htmx, else on the receipt's page."""
    receipt_id = (await read_form(request, ReceiptAddress)).id
    receipts = await receipts_with(services, request.auth, receipt_id)
    replay = await receipts.replay(request.auth.tenant, receipt_id, bound=bool(request.auth.agents))
    return await _result(request, services, page, receipt_id, replay=replay)


@View("POST /receipt/context")
async def show_context(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """Show a receipt's context, rendered again: as an HTML fragment for htmx, else on the receipt's page."""
    receipt_id = (await read_form(request, ReceiptAddress)).id
    receipts = await receipts_with(services, request.auth, receipt_id)
    tenant = request.auth.tenant
    text = await receipts.with_contents(tenant, await receipts.text(tenant, receipt_id))
    context = msgspec.json.decode(text)["contents"].get("context")
    if isinstance(context, list):
        context = "\n\n".join(message["content"] for message in context)
    return await _result(request, services, page, receipt_id, context=context, changed=context is None)


async def _result(
    request: ApiRequest, services: Services, page: HtmlPage, receipt_id: str, **result: Any
) -> Response[str]:
    if page.is_part:
        return page.part("receipt_result.html", **_NO_RESULT | result)
    return await _receipt_page(request, services, page, receipt_id, **result)


_NO_RESULT: dict[str, Any] = {"verdict": None, "replay": None, "context": None, "changed": False, "names": {}}


async def _receipt_page(
    request: ApiRequest, services: Services, page: HtmlPage, receipt_id: str, **result: Any
) -> Response[str]:
    receipts = await receipts_with(services, request.auth, receipt_id)
    receipt = Receipt.model_validate_json(await receipts.text(request.auth.tenant, receipt_id))
    asked = InNamespace(namespace=str(receipt.request["namespace"]))
    ids = {candidate.id: candidate.type for candidate in receipt.candidates}
    memories = await services.store.get(request.scope_in(asked.namespace), ids)
    shown = shown_candidates(receipt, memories)
    budget = receipt.request["budget"]
    total = int(budget["total"] if isinstance(budget, dict) else budget)
    return await page.show(
        "receipt.html",
        asked,
        receipt=receipt,
        total=total,
        used=sum(receipt.long_term.used.values()) + (receipt.long_term.wrapper if receipt.long_term.used else 0),
        total_bar=total_bar(receipt, total),
        budgets=type_budgets(receipt),
        included=[each for each in shown if each.candidate.outcome is CandidateOutcome.INCLUDED],
        left_out=[each for each in shown if each.candidate.outcome is not CandidateOutcome.INCLUDED],
        unlisted={OUTCOMES[outcome]: count for outcome, count in receipt.unlisted.outcomes.items()},
        **_NO_RESULT | result,
    )


def total_bar(receipt: Receipt, total: int) -> list[Segment]:
    """A bar of the token budget `total`: a segment for each memory type, and one for the text around memories."""
    used = receipt.long_term.used
    parts = [Part(f"type-{kind}", used.get(kind, 0), f"{kind}: {used.get(kind, 0):,} tokens") for kind in LONG_TERM]
    return stacked([*parts, Part("around", receipt.long_term.wrapper, "around them")], total)


def type_budgets(receipt: Receipt) -> list[TypeBudget]:
    """The token budget of each long-term memory type, and its use by memories. All bars have the same scale."""
    budgets, used = receipt.budgets, receipt.long_term.used
    sizes = [max(budgets.final.get(kind, 0), budgets.initial.get(kind, 0), used.get(kind, 0)) for kind in LONG_TERM]
    scale = max([*sizes, 1])
    return [_type_budget(receipt, kind, scale) for kind in LONG_TERM if kind in budgets.final or used.get(kind)]


def _type_budget(receipt: Receipt, kind: MemoryType, scale: int) -> TypeBudget:
    mine = [candidate for candidate in receipt.candidates if candidate.type is kind]
    included = [candidate for candidate in mine if candidate.outcome is CandidateOutcome.INCLUDED]
    over = {CandidateOutcome.OVER_TYPE_BUDGET, CandidateOutcome.OVER_TOTAL}
    left_out = [candidate for candidate in mine if candidate.outcome in over]
    used = receipt.long_term.used.get(kind, 0)
    headings = max(0, used - sum(candidate.tokens for candidate in included))
    parts = [Part("around", headings, f"headings: {headings} tokens")] if headings else []
    parts += [Part(f"type-{kind} cut", each.tokens, f"rank {each.rank}: {each.tokens} tokens") for each in included]
    initial, final = receipt.budgets.initial.get(kind, 0), receipt.budgets.final.get(kind, 0)
    return TypeBudget(
        type=kind,
        used=used,
        initial=initial,
        final=final,
        room=round(final / scale * WIDTH, 2),
        mark=round(initial / scale * WIDTH, 2),
        bar=stacked(parts, scale),
        included=len(included),
        left_out=sum(candidate.tokens for candidate in left_out),
        left_out_count=len(left_out),
    )


def shown_candidates(receipt: Receipt, memories: Mapping[str, Memory]) -> list[ShownCandidate]:
    """The receipt's candidates for the page, by rank; then those without a rank. memories: still stored ones, by id."""
    ordered = sorted(receipt.candidates, key=_by_rank)
    best = max((candidate.score for candidate in ordered), default=0.0)
    return [_shown(candidate, receipt, memories, best) for candidate in ordered]


def _by_rank(candidate: ReceiptCandidate) -> tuple[bool, int, float]:
    rank = candidate.place if candidate.rank is None else candidate.rank
    return (rank is None, rank or 0, -candidate.score)


def _shown(
    candidate: ReceiptCandidate, receipt: Receipt, memories: Mapping[str, Memory], best: float
) -> ShownCandidate:
    rows = signal_rows(candidate.signals, receipt.weights) if candidate.signals else []
    why = OUTCOMES[candidate.outcome]
    if candidate.outcome is CandidateOutcome.INCLUDED and candidate.due:
        why = "in the context, and due"
    return ShownCandidate(candidate, why, signal_bar(rows, best), rows, memories.get(candidate.id))
