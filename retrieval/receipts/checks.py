"""Verifies a receipt without a store, by computing its values again. Each check yields a message
for each fault.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from memtypes.model.errors import InvalidRequest
from memtypes.model.strict_json import MalformedJson, unique_keys
from memtypes.model.times import rfc3339
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.receipts import GENESIS, canonical, digest, receipt_hash
from retrieval.answer import ContextMessage
from retrieval.context.budget import (
    BudgetFill,
    BudgetPlan,
    Offer,
    Overheads,
    fill,
)
from retrieval.context.entries import Entries
from retrieval.context.render import LAYOUTS, Renderer
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import CandidateOutcome
from retrieval.receipts.build import SIGNAL_DIGITS, context_digest
from retrieval.receipts.model import (
    EARLIER_VERSIONS,
    FillTerms,
    Receipt,
    ReceiptCandidate,
    ReceiptCheck,
    ReceiptVerdict,
)

TOLERANCE = 1e-6
"""Maximum difference between a score and the weighted sum of its signals, by the HTTP contract."""

_FAULTS_SHOWN = 3

_CHOSEN = (CandidateOutcome.INCLUDED, CandidateOutcome.REMOVED)
_NO_HIT = (
    CandidateOutcome.BELOW_THRESHOLD,
    CandidateOutcome.DUPLICATE_OF,
    CandidateOutcome.SUPERSEDED,
    CandidateOutcome.EXPIRED,
)

_CAPITAL_ESCAPE = re.compile(rb"\\u[0-9a-f]{0,3}[A-F]")

TokenCounter = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class ReceiptContents:
    """The texts of the memories and the context of a receipt, as far as they are available.

    entries: the candidates' texts as a context shows them, by memory id. context: as it was sent.
    changed: ids of memories that were changed or removed since the receipt was made; their entries
    are not checked. previous: the receipt before this one in the tenant's hash chain, as JSON.
    """

    entries: Mapping[str, str] = field(default_factory=dict)
    context: str | list[ContextMessage] | None = None
    changed: frozenset[str] = frozenset()
    previous: Mapping[str, Any] | None = None


def verify(
    raw: Mapping[str, Any], contents: ReceiptContents, count: TokenCounter | None
) -> ReceiptVerdict:
    """The result of all checks of the receipt `raw` and its texts. count: counts an entry's tokens;
    None skips this.
    """
    seal = _check("sha256", _hash_faults(raw))
    if raw.get("version") in EARLIER_VERSIONS:
        detail = (
            f"made by an earlier version of the service: version {raw['version']} of the format"
        )
        return ReceiptVerdict(
            valid=False, checks=[ReceiptCheck(name="form", ok=False, detail=detail), seal]
        )
    try:
        receipt = Receipt.model_validate(raw, strict=False)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        fault = f"{'.'.join(map(str, details['loc']))}: {details['msg']}"
        return ReceiptVerdict(
            valid=False, checks=[ReceiptCheck(name="form", ok=False, detail=fault), seal]
        )
    unlinked = receipt.previous_id is not None and contents.previous is None
    chain_note = "the previous receipt is not available" if unlinked else None
    checks = [
        ReceiptCheck(name="form", ok=True),
        seal,
        _check("chain", _chain_faults(receipt, contents), chain_note),
        _check("request", _request_faults(receipt)),
        _check("scores", _score_faults(receipt)),
        _check("order", _order_faults(receipt)),
        _check("left out", _left_out_faults(receipt)),
        *_fill_checks(receipt),
        _check(
            "tokens",
            _token_faults(receipt, contents, count),
            _tokens_note(receipt, contents, count),
        ),
        _check(
            "context",
            _context_faults(receipt, contents),
            "not available" if contents.context is None else None,
        ),
    ]
    return ReceiptVerdict(valid=all(check.ok for check in checks), checks=checks)


def _check(name: str, faults: Iterable[str], note: str | None = None) -> ReceiptCheck:
    messages = list(faults)
    if not messages:
        return ReceiptCheck(name=name, ok=True, detail=note)
    omitted = f" and {len(messages) - _FAULTS_SHOWN} more" if len(messages) > _FAULTS_SHOWN else ""
    return ReceiptCheck(name=name, ok=False, detail="; ".join(messages[:_FAULTS_SHOWN]) + omitted)


def _hash_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    if receipt_hash(raw) != raw.get("sha256"):
        yield "the hash does not match the content: the receipt was changed after it was sealed"


def _chain_faults(receipt: Receipt, contents: ReceiptContents) -> Iterator[str]:
    if (receipt.previous_id is None) != (receipt.previous_sha256 == GENESIS):
        yield "only the first receipt of a chain has no previous one"
    if contents.previous is None:
        return
    if (
        contents.previous.get("id") != receipt.previous_id
        or receipt_hash(contents.previous) != receipt.previous_sha256
    ):
        yield "the previous receipt is not the one that this receipt was joined to"


def _request_faults(receipt: Receipt) -> Iterator[str]:
    try:
        request = RetrieveRequest.model_validate_json(canonical(receipt.request))
    except ValidationError as error:
        yield f"the request is invalid: {error.errors(include_url=False)[0]['msg']}"
        return
    budget = request.allowance
    terms = receipt.long_term
    if (terms.total, terms.caps) != (budget.total, budget.per_type or {}):
        yield "the budget differs from the request"
    if receipt.working.total != request.working_budget:
        yield "the working budget differs from the request"
    if request.as_of is not None and request.as_of != receipt.as_of:
        yield "the clock differs from the request"
    if receipt.reader is not None and request.reader == "off":
        yield "hits were read, but the request has the reader off"
    read = [candidate.id for candidate in receipt.candidates if candidate.signals.get("reading")]
    if read and receipt.reader is None:
        yield "hits have readings, but no reader is named"


def _score_faults(receipt: Receipt) -> Iterator[str]:
    tolerance = TOLERANCE + 0.5 * 10.0**-SIGNAL_DIGITS * sum(receipt.weights.values())
    for candidate in receipt.candidates:
        total = sum(
            receipt.weights.get(name, math.nan) * value for name, value in candidate.signals.items()
        )
        # NaN, from a signal without a weight, is a fault too
        if not abs(total - candidate.score) <= tolerance:
            yield (
                f"{candidate.id} has score {candidate.score}, but its weighted signals sum "
                f"to {total}"
            )
        if any(not 0.0 <= value <= 1.0 for value in candidate.signals.values()):
            yield f"{candidate.id} has a signal outside of 0 to 1"


def _order_faults(receipt: Receipt) -> Iterator[str]:
    hits = [candidate for candidate in receipt.candidates if candidate.rank is not None]
    for above, below in pairwise(hits):
        if above.rank is None or below.rank is None or above.rank >= below.rank:
            yield f"{below.id} is listed below its rank"
        if (-above.score, above.id) > (-below.score, below.id):
            yield f"{above.id} ranks above {below.id}, which has a higher score"
    if len({candidate.id for candidate in receipt.candidates}) != len(receipt.candidates):
        yield "a candidate is listed twice"


def _left_out_faults(receipt: Receipt) -> Iterator[str]:
    hits = {
        candidate.id: candidate for candidate in receipt.candidates if candidate.rank is not None
    }
    for candidate in receipt.candidates:
        if candidate.rank is None:
            yield from _exclusion(receipt, candidate, hits)
        elif candidate.outcome in _NO_HIT and candidate.part_of is None:
            yield f"{candidate.id} has a rank and outcome {candidate.outcome}"
        elif candidate.certainty is not None and candidate.certainty < _floor(receipt) - TOLERANCE:
            yield f"{candidate.id} is a hit, but below the floor"


def _floor(receipt: Receipt) -> float:
    return float(receipt.request.get("floor", 0.0))


def _exclusion(
    receipt: Receipt, candidate: ReceiptCandidate, hits: Mapping[str, ReceiptCandidate]
) -> Iterator[str]:
    """Yield a fault if the outcome of a candidate that is no hit does not follow from the receipt.
    hits: by id.
    """
    outcome = candidate.outcome
    has_threshold = any(
        receipt.request.get(name) is not None for name in ("min_similarity", "min_score")
    )
    if outcome not in _NO_HIT:
        yield f"{candidate.id} has no rank and outcome {outcome}"
    elif outcome is CandidateOutcome.BELOW_THRESHOLD and candidate.certainty is not None:
        if candidate.certainty >= _floor(receipt) + TOLERANCE:
            yield f"{candidate.id} was left out, but is above the floor"
    elif outcome is CandidateOutcome.BELOW_THRESHOLD and not has_threshold:
        yield f"{candidate.id} is below a threshold, but the request sets none"
    elif outcome is CandidateOutcome.DUPLICATE_OF:
        hit = hits.get(candidate.of or "")
        is_worse = (
            hit is not None
            and hit.score < candidate.score - TOLERANCE
            and hit.outcome not in _CHOSEN
        )
        if candidate.of is None or is_worse:
            yield f"{candidate.id} duplicates no better hit, and none in the context"
    elif outcome in (CandidateOutcome.SUPERSEDED, CandidateOutcome.EXPIRED) and (
        candidate.since is None or candidate.since > receipt.as_of
    ):
        yield f"{candidate.id} was still valid at {rfc3339(receipt.as_of)}"


def _fill_checks(receipt: Receipt) -> Iterator[ReceiptCheck]:
    long_term = receipt.offered(working=False)
    working = receipt.offered(working=True)
    try:
        refilled = _refilled(receipt.long_term, long_term)
        refilled_working = _refilled(receipt.working, working)
    except (KeyError, ZeroDivisionError, ValueError) as error:
        yield ReceiptCheck(
            name="fill", ok=False, detail=f"cannot be filled again: {type(error).__name__} {error}"
        )
        return
    recorded = receipt.budgets
    comparisons = {
        "shares": {
            "initial": (refilled.initial, recorded.initial),
            "shifted": (refilled.shifted, recorded.shifted),
        },
        "hand-on": {
            "final": (refilled.used, recorded.final),
            "used": (refilled.used, receipt.long_term.used),
        },
    }
    for check, values in comparisons.items():
        differing = [name for name, (derived, stated) in values.items() if derived != stated]
        yield _check(
            check, (f"{name} does not follow from the recorded terms" for name in differing)
        )
    yield _check(
        "outcomes",
        [*_outcome_faults(refilled, long_term), *_outcome_faults(refilled_working, working)],
    )


def _refilled(terms: FillTerms, candidates: Sequence[ReceiptCandidate]) -> BudgetFill:
    """Fill a budget again by the recorded `terms`. candidates: in the order in which they were
    offered to it.
    """
    plan = BudgetPlan(
        terms.total,
        tuple(terms.types),
        terms.caps,
        task_like=terms.task_like,
        how_to=terms.how_to,
        oversize=terms.oversize,
        due_tokens=terms.due_tokens,
        keeps_shares=terms.keeps_shares,
    )
    ranks = {candidate.id: candidate.rank or 0 for candidate in candidates}
    offers = [
        Offer(
            candidate.rank or 0,
            candidate.type,
            _uncut_tokens(candidate),
            candidate.group,
            ranks[candidate.part_of] if candidate.part_of is not None else 0,
            candidate.score,
        )
        for candidate in candidates
    ]
    return fill(plan, offers, Overheads(terms.wrapper, terms.headings, terms.groups))


def _uncut_tokens(candidate: ReceiptCandidate) -> int:
    return candidate.tokens if candidate.whole is None else candidate.whole


def _outcome_faults(refilled: BudgetFill, candidates: Sequence[ReceiptCandidate]) -> Iterator[str]:
    """Yield outcomes that differ from those of the `refilled` budget, and types that show more
    tokens than allowed.
    """
    included = CandidateOutcome.INCLUDED
    chosen = {entry.rank for entry in refilled.chosen}
    for candidate in candidates:
        derived = refilled.refusal(_uncut_tokens(candidate))
        if candidate.rank in chosen:
            derived = included
        elif candidate.rank in refilled.repeats:
            derived = CandidateOutcome.DUPLICATE_OF
        recorded = included if candidate.outcome in _CHOSEN else candidate.outcome
        if derived is not recorded:
            yield f"{candidate.id} has outcome {recorded}, but {derived} follows"
    for kind, allowed in refilled.used.items():
        overhead = allowed - sum(entry.allowed for entry in refilled.chosen if entry.type is kind)
        tokens = sum(
            row.tokens for row in candidates if row.type is kind and row.outcome is included
        )
        if tokens and overhead + tokens > allowed:
            yield f"{kind} shows {overhead + tokens} tokens; {allowed} are allowed"


def _token_faults(
    receipt: Receipt, contents: ReceiptContents, count: TokenCounter | None
) -> Iterator[str]:
    for candidate in receipt.candidates:
        entry = contents.entries.get(candidate.id)
        if entry is None or candidate.id in contents.changed:
            continue
        if candidate.entry_sha256 is not None and digest(entry.encode()) != candidate.entry_sha256:
            yield f"the entry of {candidate.id} is not the text that was shown"
        elif count is not None and candidate.counted and count(entry) != candidate.tokens:
            yield f"the entry of {candidate.id} has {count(entry)} tokens, not {candidate.tokens}"
    if (
        count is not None
        and isinstance(contents.context, str)
        and count(contents.context) > receipt.total_tokens
    ):
        yield "the context has more tokens than recorded"


def _tokens_note(
    receipt: Receipt, contents: ReceiptContents, count: TokenCounter | None
) -> str | None:
    if count is None:
        return "the tokenizer is not available: nothing recounted"
    counted = [candidate.id for candidate in receipt.candidates if candidate.counted]
    recounted = sum(
        memory_id in contents.entries and memory_id not in contents.changed for memory_id in counted
    )
    changed = sum(memory_id in contents.changed for memory_id in counted)
    note = f", {changed} changed or removed since" if changed else ""
    return f"{recounted} of {len(counted)} entries recounted{note}"


def _context_faults(receipt: Receipt, contents: ReceiptContents) -> Iterator[str]:
    if contents.context is not None and context_digest(contents.context) != receipt.context_sha256:
        yield "the context is not the text that was sent"


def verify_file(
    raw: bytes, counter: Callable[[Mapping[str, Any]], TokenCounter | None]
) -> ReceiptVerdict:
    """Verify the receipt in a file, as `read_receipt` reads it. counter: its token counter, None if
    not available.
    """
    receipt, contents = read_receipt(raw)
    return verify(receipt, contents, counter(receipt))


def counter_for(form: str, tokenizer: Tokenizer) -> TokenCounter:
    """A function that counts the tokens of an entry in a context. form: the context's format, such
    as "json".
    """
    return Renderer(LAYOUTS.get(form, LAYOUTS["markdown"]), tokenizer, Entries()).cost


def read_receipt(raw: bytes) -> tuple[dict[str, Any], ReceiptContents]:
    """Read a receipt and its texts from JSON. Raises InvalidRequest for forms that the service
    never writes.
    """
    if _CAPITAL_ESCAPE.search(raw):
        raise InvalidRequest(
            "the file was changed: receipts have no escapes with capital hex digits"
        )
    try:
        value = json.loads(
            raw.decode(), parse_float=_number, parse_constant=_number, object_pairs_hook=unique_keys
        )
        canonical(value)  # raises for half a surrogate pair, which cannot be hashed
    except (MalformedJson, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the file is not the JSON of a receipt: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("the file is not a receipt: its JSON is not an object")
    return value, _contents(value.pop("contents", None) or {})


def sealed_contents(members: Mapping[str, Any]) -> dict[str, Any]:
    """The texts saved with a receipt, with their hash added, because the receipt has hashes of only
    some of them.
    """
    return {**members, "sha256": digest(canonical(members))}


def _number(text: str) -> float:
    value = float(text)
    # Python and msgspec spell small numbers differently
    if text not in (repr(value), canonical(value).decode()):
        raise ValueError(f"the number {text[:40]} is not spelt as in a receipt")
    return value


def _contents(members: Any) -> ReceiptContents:
    if not isinstance(members, dict) or not members.keys() <= {"entries", "context", "sha256"}:
        raise InvalidRequest(
            "`contents` must be an object with `entries`, `context` and `sha256` only"
        )
    unsealed = {name: value for name, value in members.items() if name != "sha256"}
    if "sha256" in members and sealed_contents(unsealed) != members:
        raise InvalidRequest(
            "`contents` does not match its hash: it was changed after it was saved"
        )
    entries = unsealed.get("entries") or {}
    context = unsealed.get("context")
    if not isinstance(entries, dict) or not all(isinstance(text, str) for text in entries.values()):
        raise InvalidRequest("`contents.entries` must be an object with a text for each memory id")
    if isinstance(context, list):
        context = [ContextMessage.model_validate(message) for message in context]
    elif context is not None and not isinstance(context, str):
        raise InvalidRequest("`contents.context` must be a text or a list of messages")
    return ReceiptContents(entries, context)
