"""Reads, verifies and replays stored receipts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from memtypes.model.errors import NotFound, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Prospective
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.receipts import ChainHead, UnsealedReceipt, canonical, digest, issued_at, seal
from memtypes.search.candidates import Candidates
from retrieval.columns import COLUMNS
from retrieval.context.entries import Entries, EntryFields
from retrieval.context.render import (
    BLOCK,
    LAYOUTS,
    WORKING_BLOCK,
    Renderer,
    ShownMemory,
    context_of,
)
from retrieval.dependencies import RetrieverParts
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import CandidateOutcome
from retrieval.ranking.signals import by_urgency
from retrieval.receipts.build import plain_context, receipt_body
from retrieval.receipts.checks import (
    TOLERANCE,
    ReceiptContents,
    counter_for,
    sealed_contents,
    verify,
)
from retrieval.receipts.model import (
    EARLIER_VERSIONS,
    SHORT_ID,
    Receipt,
    ReceiptCandidate,
    ReceiptChange,
    ReceiptVerdict,
    ReplayAnswer,
)
from retrieval.receipts.recorder import ReceiptQueue
from retrieval.retriever import Retriever

GRACE_S = 0.5
"""Seconds after a receipt's id was issued in which another process may still be writing the
receipt.
"""

_POLL_S = 0.02

REPLAY_READER_MS = 10_000
"""Deadline of the reader in a replay: what was read in time the first time is read again."""

_WORKING_AND_TASKS = (MemoryType.WORKING, MemoryType.PROSPECTIVE)


@dataclass(frozen=True, slots=True)
class Receipts:
    """Reads, verifies and replays the receipts of all tenants."""

    queue: ReceiptQueue
    parts: RetrieverParts

    async def text(self, tenant: str, receipt_id: str) -> bytes:
        """The JSON text of a receipt as it was sealed. Raises NotFound if the tenant has no such
        receipt.
        """
        text = await self.queue.get(tenant, receipt_id)
        polls = round(GRACE_S / _POLL_S)
        issued = issued_at(receipt_id)
        # Another process may still be writing a receipt whose id was issued just now.
        while (
            text is None
            and polls
            and issued is not None
            and abs(self.parts.clock().timestamp() - issued) < GRACE_S
        ):
            await asyncio.sleep(_POLL_S)
            text = await self.queue.get(tenant, receipt_id)
            polls = polls - 1
        if text is None:
            raise NotFound(f"this tenant has no receipt {receipt_id!r}")
        return text

    async def verify(self, tenant: str, receipt_id: str) -> ReceiptVerdict:
        """Verify a stored receipt, the texts of its memories (rendered again), and its link to the
        previous receipt.
        """
        raw = json.loads(await self.text(tenant, receipt_id))
        if raw.get("version") in EARLIER_VERSIONS:
            return verify(raw, ReceiptContents(), None)
        receipt = Receipt.model_validate(raw)
        tokenizer = self._tokenizer(receipt)
        contents = await self._contents(tenant, receipt, tokenizer)
        return verify(raw, contents, counter_for(str(receipt.request["format"]), tokenizer))

    async def replay(self, tenant: str, receipt_id: str, *, bound: bool = False) -> ReplayAnswer:
        """Repeat a receipt's request as of its time, with its recorded access counts, and compare
        the two receipts.

        bound: whether the caller may act only as certain agents; then only this agent's working
        items are read.
        """
        before = Receipt.read(await self.text(tenant, receipt_id))
        request = RetrieveRequest.model_validate(before.request)
        agents = (request.agent_id,) if bound and request.agent_id else ()
        scope = Scope(tenant, request.namespace, request.session_id, request.agent_id, agents)
        retriever = Retriever(replace(self.parts, adjust=with_recorded_access(before)))
        reader = "off" if before.reader is None else "always"
        request = request.model_copy(
            update={"as_of": before.as_of, "reader": reader, "reader_ms": REPLAY_READER_MS}
        )
        first = None
        if before.first is not None:
            budgets = dict(before.first)
            first = request.model_copy(update=budgets)
        retrieval = await retriever.repeat(scope, request, first)
        body = receipt_body(retrieval, before.id, rfc3339(before.created_at))
        after = Receipt.model_validate_json(
            seal(UnsealedReceipt.from_body(request.namespace, body), ChainHead()).text
        )
        memories = await self._memories(tenant, before) | await self._memories(tenant, after)
        return compare(before, after, memories)

    async def with_contents(self, tenant: str, text: bytes) -> bytes:
        """A receipt's JSON text with its memories' entries and, if the memories are unchanged, its
        context added.
        """
        receipt = Receipt.read(text)
        contents = await self._contents(tenant, receipt, self._tokenizer(receipt))
        members: dict[str, Any] = {"entries": dict(contents.entries)}
        if contents.context is not None:
            members["context"] = plain_context(contents.context)
        return canonical({**json.loads(text), "contents": sealed_contents(members)})

    async def _contents(
        self, tenant: str, receipt: Receipt, tokenizer: Tokenizer
    ) -> ReceiptContents:
        contents = contents_of(
            receipt, await self._memories(tenant, receipt), tokenizer, self.parts.entries
        )
        text = await self.queue.get(tenant, receipt.previous_id) if receipt.previous_id else None
        return contents if text is None else replace(contents, previous=json.loads(text))

    def _tokenizer(self, receipt: Receipt) -> Tokenizer:
        tokenizer = self.parts.tokenizers.get(receipt.tokenizer.name)
        if tokenizer is None or tokenizer.sha256 != receipt.tokenizer.sha256:
            raise Unavailable(
                f"the tokenizer {receipt.tokenizer.name} of this receipt is not available"
            )
        return tokenizer

    async def memories(self, scope: Scope, receipt: Receipt) -> dict[str, Memory]:
        """The candidates of a receipt that still exist, by id: memories, and live working items."""
        types = {candidate.id: candidate.type for candidate in receipt.candidates}
        memories = await self.parts.store.get(scope, types)
        session_id = receipt.request.get("session_id")
        has_working = MemoryType.WORKING in types.values()
        if not has_working or session_id is None or self.parts.live is None:
            return memories
        items = await self.parts.live.items(replace(scope, session_id=session_id))
        return memories | {item.memory.id: item.memory for item in items if item.memory.id in types}

    async def _memories(self, tenant: str, receipt: Receipt) -> dict[str, Memory]:
        return await self.memories(Scope(tenant, str(receipt.request["namespace"])), receipt)


def contents_of(
    receipt: Receipt, memories: Mapping[str, Memory], tokenizer: Tokenizer, entries: Entries
) -> ReceiptContents:
    """The entries and the context of `receipt`, rendered again from the memories as they are now,
    and tasks with the status that they had.

    An entry is left out if its hash is not the recorded one. A candidate that was not shown has no
    hash: its entry is left out if its memory was written since. The context is rendered only if all
    entries in it are unchanged.
    """
    request = RetrieveRequest.model_validate(receipt.request)
    retrieved_at = min(receipt.as_of, receipt.created_at)
    renderer = Renderer(LAYOUTS[request.format], tokenizer, entries)
    memories = {
        memory_id: memory.as_of(receipt.as_of) if isinstance(memory, Prospective) else memory
        for memory_id, memory in memories.items()
    }
    shown: dict[str, ShownMemory] = {}
    for candidate in receipt.candidates:
        memory = memories.get(candidate.id)
        if memory is None or (candidate.entry_sha256 is None and memory.updated_at > retrieved_at):
            continue
        if (entry := _rendered_again(renderer, candidate, memory, request)) is not None:
            shown[candidate.id] = entry
    included = [
        candidate
        for candidate in (*receipt.offered(working=True), *receipt.offered(working=False))
        if candidate.outcome is CandidateOutcome.INCLUDED
    ]
    unchanged = {hit.id for hit in included} <= shown.keys()
    context = None
    if unchanged:
        working = [shown[hit.id] for hit in included if hit.type is MemoryType.WORKING]
        tasks = [hit for hit in included if hit.type is MemoryType.PROSPECTIVE]
        others = [hit for hit in included if hit.type not in _WORKING_AND_TASKS]
        if receipt.long_term.task_like:
            fields = Candidates.from_memories([memories[hit.id] for hit in tasks], COLUMNS)
            order = by_urgency(fields, receipt.as_of, finished_first=receipt.long_term.finished)
            tasks = [tasks[place] for place in order.tolist()]
        block = renderer.block(
            BLOCK,
            [shown[hit.id] for hit in (*tasks, *others)],
            tasks_first=receipt.long_term.task_like,
            newest_first=receipt.long_term.newest_first,
            counted=_counted(receipt),
        )
        context = context_of(
            renderer.layout, (renderer.block(WORKING_BLOCK, working), block), request.format
        )
    changed = frozenset(candidate.id for candidate in receipt.candidates) - shown.keys()
    return ReceiptContents(
        {memory_id: entry.entry for memory_id, entry in shown.items()}, context, changed
    )


def _counted(receipt: Receipt) -> int:
    """Number of tasks that the context counts in one line."""
    listed = sum(hit.outcome is CandidateOutcome.COUNTED for hit in receipt.candidates)
    return listed + receipt.unlisted.outcomes.get(CandidateOutcome.COUNTED, 0)


def _rendered_again(
    renderer: Renderer, candidate: ReceiptCandidate, memory: Memory, request: RetrieveRequest
) -> ShownMemory | None:
    """A candidate's entry, rendered again and cut as recorded; None if its hash differs from the
    recorded one.
    """
    rank = candidate.rank or 0
    fields = EntryFields.from_memory(memory)
    if candidate.allowed is None:
        shown: ShownMemory | None = renderer.whole(fields, rank)
    elif request.oversize_of(candidate.type) == "excerpt":
        shown = renderer.excerpt(fields, rank, candidate.allowed, request.query)
    else:
        shown = renderer.cut(fields, rank, candidate.allowed)
    if shown is None or (
        candidate.entry_sha256 is not None
        and digest(shown.entry.encode()) != candidate.entry_sha256
    ):
        return None
    return shown


def compare(before: Receipt, after: Receipt, memories: Mapping[str, Memory]) -> ReplayAnswer:
    """The differences between a receipt and that of its replay.

    memories: the memories of both receipts that still exist, by id.
    """
    listed, relisted = (
        {candidate.id: candidate for candidate in receipt.candidates} for receipt in (before, after)
    )
    changes = [
        ReceiptChange(
            id=name,
            what=what,
            before=old,
            after=new,
            why=_reason(before, after, memories.get(name)),
        )
        for name in dict.fromkeys([*listed, *relisted])
        for what, old, new in _differences(
            listed.get(name), relisted.get(name), removed=name not in memories
        )
    ]
    recorded = before.context_sha256
    replayed = after.context_sha256
    if recorded == replayed:
        return ReplayAnswer(identical=True, behind=changes or None)
    if not changes:
        why = _environment_reason(before, after)
        changes = [ReceiptChange(id="", what="context", before=recorded, after=replayed, why=why)]
    return ReplayAnswer(identical=False, changes=changes)


def _differences(
    recorded: ReceiptCandidate | None, replayed: ReceiptCandidate | None, *, removed: bool
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (field, recorded value, replayed value) of each difference.

    A candidate that only one of the receipts lists is one only if it was shown, or its memory was
    `removed`.
    """
    included = CandidateOutcome.INCLUDED
    if recorded is None or replayed is None:
        if removed or included in (recorded and recorded.outcome, replayed and replayed.outcome):
            yield "outcome", recorded and recorded.outcome, replayed and replayed.outcome
        return
    if recorded.outcome is not replayed.outcome:
        yield "outcome", recorded.outcome, replayed.outcome
    if abs(recorded.score - replayed.score) > TOLERANCE:
        yield "score", recorded.score, replayed.score
    if recorded.tokens != replayed.tokens:
        yield "tokens", recorded.tokens, replayed.tokens
    if (
        included is recorded.outcome is replayed.outcome
        and recorded.entry_sha256 != replayed.entry_sha256
    ):
        yield "text", recorded.entry_sha256, replayed.entry_sha256


def _reason(before: Receipt, after: Receipt, memory: Memory | None) -> str:
    if memory is None:
        return "the memory was removed"
    if memory.updated_at > before.created_at:
        recorded_at = rfc3339(before.created_at)
        return (
            f"the memory was written or changed after {recorded_at}, at "
            f"{rfc3339(memory.updated_at)}"
        )
    return _environment_reason(before, after)


def _environment_reason(before: Receipt, after: Receipt) -> str:
    for part in ("embedder", "reader", "tokenizer"):
        recorded = getattr(before, part)
        replayed = getattr(after, part)
        if recorded != replayed:
            is_gone = recorded is not None and replayed is None
            return f"the service has {'no' if is_gone else 'another'} {part} now"
    if before.degraded != after.degraded:
        missing = [name for name in before.degraded if name not in after.degraded]
        if missing:
            return f"the first retrieval was degraded: {', '.join(missing)}"
        return f"the replay is degraded: {', '.join(after.degraded)}"
    if before.weights != after.weights:
        return "the profile has other weights now"
    return (
        "other memories were added, removed or changed, and with them term statistics or "
        "the free budget;"
        " or another version of the service ranks now"
    )


def with_recorded_access(receipt: Receipt) -> Callable[[Candidates], Candidates]:
    """A function that sets candidates' access counts to those recorded in `receipt`; later reads
    have raised them.
    """
    counts = {candidate.id[:SHORT_ID]: candidate.access_count for candidate in receipt.candidates}
    counts |= receipt.unlisted.access_counts.by_short_id()

    def adjust(candidates: Candidates) -> Candidates:
        ids = candidates.ids.astype(f"S{SHORT_ID}").tolist()
        access_counts = np.array([counts.get(short.decode(), 0) for short in ids], dtype=np.int64)
        return replace(
            candidates, columns=candidates.columns.changed("access_count", access_counts)
        )

    return adjust
