"""`replay`: whether receipts of an unchanged store, run again, give the same contexts to the byte.

Everything is retrieved first and replayed afterwards, so that the uses which retrieval notes lie between the two.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from api.auth.keys import KeyRing
from api.wiring import open_services
from api.wiring.container import Services
from benchmarks.apparatus.bulk import TENANT, filled, namespace_of
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Report, Table
from benchmarks.apparatus.synthetic import questions
from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """receipts: how many. size: memories. store: where the filled store is kept."""

    command: str
    receipts: int = 1_000
    size: int = 10_000
    namespaces: int = 20
    store: Path | None = None


async def measure_replay(request: ReplayRequest) -> Report:
    """The report over all receipts. Raises Unavailable when one could not be kept."""
    with data_directory(request.store and request.store / str(request.size)) as directory:
        settings = settings_in(directory)
        await filled(settings, request.size, request.namespaces)
        async with open_services(settings, KeyRing()) as services:
            kept = [
                await _receipt(services, namespace_of(index % request.namespaces), question)
                for index, question in enumerate(questions(request.receipts, seed=31))
            ]
            return await _replayed(request, services, kept)


async def _receipt(services: Services, namespace: str, question: str) -> str:
    asked = RetrieveRequest(query=question, namespace=namespace)
    receipt_id = (await services.retriever.retrieve(Scope(TENANT, namespace), asked)).receipt_id
    if receipt_id is None:
        raise Unavailable("a receipt could not be kept")
    return receipt_id


async def _replayed(request: ReplayRequest, services: Services, kept: list[str]) -> Report:
    if services.receipts is None:
        raise Unavailable("this service keeps no receipts")
    answers = [await services.receipts.replay(TENANT, one) for one in kept]
    identical = sum(answer.identical for answer in answers)
    changes = [[*answer.changes, *(answer.behind or ())] for answer in answers]
    unchanged = sum(not of_one for of_one in changes)
    reasons = Counter(change.why for of_one in changes for change in of_one)
    rows = ((len(kept), identical, unchanged),)
    notes = tuple(f"{count} x {why}" for why, count in reasons.most_common(_SHOWN))
    figures = {"receipts": len(kept), "identical": identical, "unchanged": unchanged, "reasons": dict(reasons)}
    columns = ("receipts", "same context to the byte", "no candidate fared otherwise")
    return Report(request.command, (Table("Replays", columns, rows),), notes, figures)
