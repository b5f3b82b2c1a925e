"""The contents that a receipt speaks of, as the store has them now: entries, and the context written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.ports.receipts import digest
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.passage import passage_of
from retrieval.answer import Message
from retrieval.context.outcome import Outcome
from retrieval.context.render import BLOCK, LAYOUTS, WORKING_BLOCK, Renderer, Shown, context_of
from retrieval.query.request import RetrieveRequest
from retrieval.receipts.checks import Contents
from retrieval.receipts.model import Receipt, ReceiptCandidate


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store has of a receipt's candidates, by id, and the receipt before it."""

    memories: Mapping[str, Memory]
    previous: Mapping[str, object] | None = None


def counter_for(form: str, tokenizer: Tokenizer) -> Callable[[str], int]:
    """What counts an entry as a context of this format does."""
    return Renderer(LAYOUTS.get(form, LAYOUTS["markdown"]), tokenizer).cost


def contents_of(receipt: Receipt, stored: Stored, tokenizer: Tokenizer) -> Contents:
    """The contents for a check. Memories that were changed or removed since are told, not held against the receipt."""
    request = RetrieveRequest.model_validate(receipt.request)
    form = request.format
    renderer = Renderer(LAYOUTS[form], tokenizer)
    shown: dict[str, Shown] = {}
    changed: set[str] = set()
    for one in receipt.candidates:
        entry = _shown(renderer, one, stored.memories.get(one.id), request)
        if entry is None:
            changed.add(one.id)
        else:
            shown[one.id] = entry
    included = [one.id for one in sorted(receipt.candidates, key=_fill_order) if one.outcome is Outcome.INCLUDED]
    context = None if changed.intersection(included) else _context(renderer, form, [shown[one] for one in included])
    return Contents({one: entry.entry for one, entry in shown.items()}, context, frozenset(changed), stored.previous)


def _fill_order(candidate: ReceiptCandidate) -> tuple[int, int]:
    """Working items by their place in the fill, then everything else by rank."""
    return (0, candidate.place) if candidate.place is not None else (1, candidate.rank or 0)


def _shown(renderer: Renderer, one: ReceiptCandidate, memory: Memory | None, request: RetrieveRequest) -> Shown | None:
    """The entry as the receipt saw it; None when the memory is another one now."""
    if memory is None:
        return None
    rank, passage = one.rank or 0, passage_of(memory)
    if one.allowed is None:
        shown: Shown | None = renderer.shown(passage, rank)
    elif request.oversize == "excerpt":
        shown = renderer.shown_excerpt(passage, rank, one.allowed, request.query)
    else:
        shown = renderer.shown_cut(passage, rank, one.allowed)
    if shown is None or (one.entry_sha256 is not None and digest(shown.entry.encode()) != one.entry_sha256):
        return None
    return shown


def _context(renderer: Renderer, form: str, shown: list[Shown]) -> str | list[Message]:
    working = [one for one in shown if one.passage.type is MemoryType.WORKING]
    long_term = [one for one in shown if one.passage.type is not MemoryType.WORKING]
    blocks = (renderer.block(WORKING_BLOCK, working), renderer.block(BLOCK, long_term))
    return context_of(renderer.layout, blocks, form)
