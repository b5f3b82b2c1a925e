"""Whether a receipt holds: everything it says, derived again from what it recorded. Needs no store and no network.

Each check is a function from a receipt to what is wrong with it, in words; nothing wrong is a check that held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from memtypes.model.times import rfc3339
from memtypes.ports.receipts import GENESIS, canonical, digest, receipt_hash
from retrieval.answer import Message
from retrieval.context.outcome import Outcome
from retrieval.query.intent import is_how_to, is_task_like
from retrieval.query.request import RetrieveRequest
from retrieval.receipts.build import context_digest
from retrieval.receipts.model import Receipt, ReceiptCandidate, ReceiptCheck, ReceiptVerdict
from retrieval.receipts.refill import misfits, refilled

TOLERANCE = 1e-6
"""Of a score against the sum of its parts, as the contract states it."""

_SHOWN = 3
"""Faults that a check spells out; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a receipt speaks of. entries: the text of each candidate's entry in the context, by id; fewer will do.

    context: as it was sent, where it is at hand. changed: ids whose memory was changed or removed since, which say
    nothing about the receipt. previous: the receipt before it.
    """

    entries: Mapping[str, str] = field(default_factory=dict)
    context: str | list[Message] | None = None
    changed: frozenset[str] = frozenset()
    previous: Mapping[str, Any] | None = None


def verify(raw: Mapping[str, Any], contents: Contents, count: Callable[[str], int] | None) -> ReceiptVerdict:
    """The verdict on a receipt as it was read. count: tokens of an entry; None when the tokenizer is not at hand."""
    try:
        receipt = Receipt.model_validate(raw, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return _verdict(
            [ReceiptCheck(name="form", ok=False, detail=f"{where}: {first['msg']}"), _check("sha256", _seal(raw))]
        )
    held = [
        ReceiptCheck(name="form", ok=True),
        _check("sha256", _seal(raw)),
        _check("chain", _chain(receipt, contents), _chain_note(receipt, contents)),
        _check("request", _request(receipt)),
        _check("scores", _scores(receipt)),
        _check("order", _order(receipt)),
        _check("left out", _left_out(receipt)),
        *_fill_checks(receipt),
        _check("tokens", _tokens(receipt, contents, count), _tokens_note(receipt, contents, count)),
        _check("context", _context(receipt, contents), None if contents.context is not None else "not at hand"),
    ]
    return _verdict(held)


def _verdict(checks: list[ReceiptCheck]) -> ReceiptVerdict:
    return ReceiptVerdict(valid=all(one.ok for one in checks), checks=checks)


def _check(name: str, faults: Iterator[str], note: str | None = None) -> ReceiptCheck:
    found = list(faults)
    if not found:
        return ReceiptCheck(name=name, ok=True, detail=note)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ReceiptCheck(name=name, ok=False, detail="; ".join(found[:_SHOWN]) + more)


def _seal(raw: Mapping[str, Any]) -> Iterator[str]:
    if receipt_hash(raw) != raw.get("sha256"):
        yield "the receipt's hash is not that of its content: it was changed after it was sealed"


def _chain(receipt: Receipt, contents: Contents) -> Iterator[str]:
    if (receipt.previous_id is None) != (receipt.previous_sha256 == GENESIS):
        yield "only the first receipt of a chain has none before it"
    if contents.previous is None:
        return
    if contents.previous.get("id") != receipt.previous_id or receipt_hash(contents.previous) != receipt.previous_sha256:
        yield "the receipt before it is not the one that it was joined to"


def _chain_note(receipt: Receipt, contents: Contents) -> str | None:
    return "the receipt before it is not at hand" if receipt.previous_id and contents.previous is None else None


def _request(receipt: Receipt) -> Iterator[str]:
    try:
        request = RetrieveRequest.model_validate_json(canonical(receipt.request))
    except ValidationError as error:
        yield f"the request is none: {error.errors(include_url=False)[0]['msg']}"
        return
    budget = request.allowance
    terms = receipt.long_term
    if (terms.total, terms.caps) != (budget.total, budget.per_type or {}):
        yield "the budget is not the one that was asked for"
    if receipt.working.total != request.working_budget:
        yield "the working budget is not the one that was asked for"
    if (terms.task_like, terms.how_to) != (is_task_like(request.query), is_how_to(request.query)):
        yield "the shift does not follow from the query"
    if request.as_of is not None and request.as_of != receipt.as_of:
        yield "the clock is not the one that was asked for"


def _scores(receipt: Receipt) -> Iterator[str]:
    for one in receipt.candidates:
        total = sum(receipt.weights.get(name, math.nan) * value for name, value in one.signals.items())
        if not abs(total - one.score) <= TOLERANCE:  # a signal without a weight makes it NaN, which is no match
            yield f"{one.id} scores {one.score}, and its signals weigh {total}"
        if any(not 0.0 <= value <= 1.0 for value in one.signals.values()):
            yield f"{one.id} has a signal outside 0 to 1"


def _order(receipt: Receipt) -> Iterator[str]:
    hits = [one for one in receipt.candidates if one.rank is not None]
    for above, below in pairwise(hits):
        if above.rank is None or below.rank is None or above.rank >= below.rank:
            yield f"{below.id} stands below its rank"
        if (-above.score, above.id) > (-below.score, below.id):
            yield f"{above.id} is ranked over {below.id}, which scores higher"
    if len({one.id for one in receipt.candidates}) != len(receipt.candidates):
        yield "a candidate is listed twice"


def _left_out(receipt: Receipt) -> Iterator[str]:
    hits = {one.id: one for one in receipt.candidates if one.rank is not None}
    for one in receipt.candidates:
        if one.rank is None:
            yield from _reason(receipt, one, hits)
        elif one.outcome in _NO_HIT:
            yield f"{one.id} has a rank, and is told as {one.outcome}"


_NO_HIT = (Outcome.BELOW_THRESHOLD, Outcome.DUPLICATE_OF, Outcome.SUPERSEDED, Outcome.EXPIRED, Outcome.NOT_DUE)


def _reason(receipt: Receipt, one: ReceiptCandidate, hits: Mapping[str, ReceiptCandidate]) -> Iterator[str]:
    if one.outcome not in _NO_HIT:
        yield f"{one.id} has no rank, and is told as {one.outcome}"
    elif one.outcome is Outcome.BELOW_THRESHOLD and not _gated(receipt):
        yield f"{one.id} is told to be below a threshold, and none was asked for"
    elif one.outcome is Outcome.DUPLICATE_OF:
        better = hits.get(one.of or "")
        if one.of is None or (better is not None and better.score < one.score - TOLERANCE):
            yield f"{one.id} is told to repeat a better hit, and there is none"
    elif one.outcome in (Outcome.SUPERSEDED, Outcome.EXPIRED) and (one.since is None or one.since > receipt.as_of):
        yield f"{one.id} was still current at {rfc3339(receipt.as_of)}"


def _gated(receipt: Receipt) -> bool:
    return any(receipt.request.get(name) is not None for name in ("min_similarity", "min_score"))


def _fill_checks(receipt: Receipt) -> Iterator[ReceiptCheck]:
    """Shares, shift, hand-on and the outcome of every hit, by filling again."""
    try:
        long_term, working = refilled(receipt)
    except (KeyError, ZeroDivisionError, ValueError) as error:
        yield ReceiptCheck(name="fill", ok=False, detail=f"can't be filled again: {type(error).__name__} {error}")
        return
    again, told = long_term.fill, receipt.budgets
    yield _check(
        "shares", _unlike({"initial": (again.initial, told.initial), "shifted": (again.shifted, told.shifted)})
    )
    yield _check("hand-on", _unlike({"final": (again.final, told.final), "used": (again.used, receipt.long_term.used)}))
    yield _check("outcomes", iter([*misfits(long_term), *misfits(working)]))


def _unlike(pairs: Mapping[str, tuple[object, object]]) -> Iterator[str]:
    for name, (again, told) in pairs.items():
        if again != told:
            yield f"{name} comes out otherwise than told"


def _tokens(receipt: Receipt, contents: Contents, count: Callable[[str], int] | None) -> Iterator[str]:
    for one in receipt.candidates:
        entry = contents.entries.get(one.id)
        if entry is None or one.id in contents.changed:
            continue
        if one.entry_sha256 is not None and digest(entry.encode()) != one.entry_sha256:
            yield f"the entry of {one.id} is not the text that was shown"
        elif count is not None and one.counted and count(entry) != one.tokens:
            yield f"the entry of {one.id} has {count(entry)} tokens, told are {one.tokens}"
    if count is not None and isinstance(contents.context, str) and count(contents.context) > receipt.total_tokens:
        yield "the context has more tokens than told"


def _tokens_note(receipt: Receipt, contents: Contents, count: Callable[[str], int] | None) -> str | None:
    if count is None:
        return "the tokenizer is not at hand: nothing recounted"
    told = [one.id for one in receipt.candidates if one.counted]
    done = sum(one in contents.entries and one not in contents.changed for one in told)
    gone = sum(one in contents.changed for one in told)
    return f"{done} of {len(told)} entries recounted" + (f", {gone} changed or removed since" if gone else "")


def _context(receipt: Receipt, contents: Contents) -> Iterator[str]:
    if contents.context is not None and context_digest(contents.context) != receipt.context_sha256:
        yield "the context is not the text that was sent"
