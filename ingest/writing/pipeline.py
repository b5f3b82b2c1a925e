"""Drafts in, stored memories out: gates, preparation, embedding, duplicates, writing, reading back.

The stages run side by side on pieces of a batch: while one piece is written, the next is reviewed, the one after that
is embedded and another is prepared, so the encoder, which is the slow part, never waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ingest.files.transfer import Restorer
from ingest.screening.gates import Gate
from ingest.screening.prefilter import Recent
from ingest.screening.redaction.gate import Redactor
from ingest.screening.review.panel import Panel
from ingest.screening.review.stage import ReviewStage
from ingest.writing.feedback import FeedbackOutcome, Rater
from ingest.writing.locks import ScopeLocks
from ingest.writing.order import ArrivalOrder
from ingest.writing.outcome import Outcome, Status
from ingest.writing.prepare import Arrival, Prepared, Preparer, check_draft
from ingest.writing.re_embedding import Echoes
from ingest.writing.revise import Reviser
from ingest.writing.stages import Arriving, Stages
from ingest.writing.submission import Submitted, submission_of
from ingest.writing.writer import Encoded, Keeper
from memtypes.conversation_context import Call
from memtypes.model.errors import InvalidRequest, Overloaded, RemembrancerError, Unavailable
from memtypes.model.filters import Filter
from memtypes.model.memory import Draft, Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder, SparseEncoder
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.tokenizer import Tokenizer

PIECE = 32
"""Drafts that travel together: enough to fill the encoder's batches, few enough that a query gets in between."""

_AHEAD = 1
"""Finished pieces that may wait between two stages."""

_EMBED_ATTEMPTS = 5
"""How often a batch asks an encoder whose queue is full; it is in no hurry."""

EntryT = TypeVar("EntryT")
NextT = TypeVar("NextT")


@dataclass(frozen=True, slots=True)
class IngestorParts:
    """What ingestion works with. gates: see `ingest.screening.gates`; none lets everything through.

    locks: those of everything that writes here. redactor: looks changes through as the gate does new texts.
    panel: reviews what asks for it. recent: what captured streams said, for the pre-filter.
    """

    store: MemoryStore
    embedder: Embedder
    sparse: SparseEncoder
    tokenizer: Tokenizer
    clock: Clock
    gates: tuple[Gate, ...] = ()
    locks: ScopeLocks = field(default_factory=ScopeLocks)
    redactor: Redactor | None = None
    panel: Panel | None = None
    recent: Recent | None = None


class Ingestor:
    """Writes, revises, rates and removes memories."""

    def __init__(self, parts: IngestorParts) -> None:
        preparer = Preparer(parts.sparse, parts.tokenizer)
        self._clock = parts.clock
        self._store = parts.store
        self._echoes = Echoes(parts.store, parts.embedder, preparer)
        self._locks = parts.locks
        self._order = ArrivalOrder()
        keeper = Keeper(parts.store, parts.embedder, parts.clock, self._locks)
        reviews = None if parts.panel is None else ReviewStage(parts.panel, parts.store)
        self._redactor = parts.redactor
        self._stages = Stages(parts.gates, preparer, parts.store, parts.embedder, keeper, reviews, parts.recent)
        self._reviser = Reviser(parts.store, parts.embedder, preparer, parts.clock)
        self._rater = Rater(parts.store, parts.clock)
        self._restorer = Restorer(parts.store, parts.embedder, preparer, self._locks, parts.redactor)

    async def write_one(self, scope: Scope, draft: Submitted) -> Outcome:
        """What became of `draft`: stored, merged or rejected.

        Raises InvalidRequest for a draft that can't be, Overloaded or Unavailable for one that could not be stored.
        """
        check_draft(submission_of(draft).draft, self._clock())
        gated = await self._stages.gate(scope, self._arrivals(scope, [draft]))
        looked_up = await self._stages.look_up(scope, await self._stages.prepare(gated))
        heard = await self._stages.hear(scope, looked_up, Call())
        encoded = await self._stages.review(scope, await self._stages.embed(heard))
        outcome = (await self._stages.keep(scope, encoded))[0]
        if outcome.status is Status.FAILED:
            raise Unavailable(f"the memory was not stored: {outcome.reason}")
        return outcome

    async def write(self, scope: Scope, drafts: Sequence[Submitted]) -> list[Outcome]:
        """What became of each of `drafts`, in order; what a store or an engine could not do is failed, with the reason.

        Raises InvalidRequest, with the index in its path, before anything is stored.
        """
        now = self._clock()
        for index, draft in enumerate(drafts):
            _check_at(index, submission_of(draft).draft, now)
        arriving = self._arrivals(scope, drafts)
        return await self._run(scope, [arriving[start : start + PIECE] for start in range(0, len(arriving), PIECE)])

    async def revise(self, scope: Scope, memory_id: str, changes: dict[str, Any]) -> Memory:
        """The memory after `changes`; see `ingest.writing.revise`. Raises NotFound and InvalidRequest."""
        redactor, asked = self._redactor, changes
        if redactor is not None:
            cleaned = await offload([str(asked)], lambda: redactor.clean(scope.tenant, asked))
            changes = cleaned.value
        async with self._locks.of(scope):
            return await self._reviser.revise(scope, memory_id, changes)

    async def remove(self, scope: Scope, ids: Sequence[str]) -> int:
        """How many of `ids` there were; turns that were read together with them are embedded anew first."""
        async with self._locks.of(scope):
            found = await self._store.get(scope, ids)
            await self._echoes.renew(scope, list(found.values()))
            return await self._store.delete(scope, list(found))

    async def remove_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> int:
        """How many memories of `types` (empty: all) matched; of whole conversations, as no turn is embedded anew.

        None of them comes back with a change that was under way.
        """
        async with self._locks.of(scope):
            return await self._store.delete_where(scope, types, where)

    async def feedback(self, scope: Scope, memory_id: str, outcome: FeedbackOutcome) -> Memory:
        """The memory after `outcome`; see `ingest.writing.feedback`. Raises NotFound."""
        async with self._locks.of(scope):
            return await self._rater.rate(scope, memory_id, outcome)

    async def restore(self, scope: Scope, memories: Sequence[Memory]) -> list[Outcome]:
        """What became of memories that come from elsewhere as they are; see `ingest.files.transfer`."""
        return await self._restorer.restore(scope, memories)

    def _arrivals(self, scope: Scope, drafts: Sequence[Submitted]) -> list[Arriving]:
        now = self._clock()
        submitted = [submission_of(draft) for draft in drafts]
        return [(one, Arrival(scope, now, self._order.take(now, _session(scope, one.draft)))) for one in submitted]

    async def _run(self, scope: Scope, pieces: list[list[Arriving]]) -> list[Outcome]:
        ready_in, ready = anyio.create_memory_object_stream[list[Prepared | Outcome]](_AHEAD)
        encoded_in, encoded = anyio.create_memory_object_stream[list[Encoded | Outcome]](_AHEAD)
        reviewed_in, reviewed = anyio.create_memory_object_stream[list[Encoded | Outcome]](_AHEAD)
        outcomes: list[Outcome] = []
        call = Call()
        async with anyio.create_task_group() as tasks, reviewed:
            tasks.start_soon(self._prepare_all, scope, pieces, ready_in, call)
            tasks.start_soon(_flow, partial(_or_failed, self._embed_patiently), ready, encoded_in)
            tasks.start_soon(_flow, partial(_or_failed, partial(self._review, scope, call)), encoded, reviewed_in)
            async for piece in reviewed:
                outcomes += await _or_failed(partial(self._stages.keep, scope), piece)
        return outcomes

    async def _prepare_all(
        self,
        scope: Scope,
        pieces: list[list[Arriving]],
        sink: MemoryObjectSendStream[list[Prepared | Outcome]],
        call: Call,
    ) -> None:
        """Everything that comes before the encoder, ahead of it: the look-up too, which may wait for a write."""
        async with sink:
            for piece in pieces:
                gated: list[Arriving | Outcome] = []
                for entry in piece:
                    gated += await _or_failed(partial(self._stages.gate, scope), [entry])
                prepared = await self._stages.prepare(gated)
                looked_up = await _or_failed(partial(self._stages.look_up, scope), prepared)
                await sink.send(await _or_failed(partial(self._stages.hear, scope, call=call), looked_up))

    async def _review(self, scope: Scope, call: Call, entries: list[Encoded | Outcome]) -> list[Encoded | Outcome]:
        """What a review leaves; turns that were embedded with what it rejects in view are embedded anew."""
        reviewed = await self._stages.review(scope, entries)
        return await self._embed_patiently(await self._stages.hear_again(scope, entries, reviewed, call))

    async def _embed_patiently(self, entries: Sequence[Prepared | Encoded | Outcome]) -> list[Encoded | Outcome]:
        for _ in range(_EMBED_ATTEMPTS - 1):
            try:
                return await self._stages.embed(entries)
            except Overloaded as error:
                await anyio.sleep(error.retry_after_s)
        return await self._stages.embed(entries)


def _check_at(index: int, draft: Draft, now: datetime) -> None:
    try:
        check_draft(draft, now)
    except InvalidRequest as error:
        raise InvalidRequest(str(error), path=f"items[{index}].{error.path}", got=error.got) from error


async def _flow(
    step: Callable[[list[EntryT]], Awaitable[list[NextT]]],
    source: MemoryObjectReceiveStream[list[EntryT]],
    sink: MemoryObjectSendStream[list[NextT]],
) -> None:
    """Send on what `step` makes of each piece, until there are no more."""
    async with source, sink:
        async for piece in source:
            await sink.send(await step(piece))


async def _or_failed(
    step: Callable[[list[EntryT]], Awaitable[Sequence[NextT | Outcome]]], entries: list[EntryT]
) -> list[NextT | Outcome]:
    """What `step` makes of `entries`; all that had not ended yet failed, with the reason, when it can't."""
    try:
        return [*await step(entries)]
    except RemembrancerError as error:
        failed = Outcome(Status.FAILED, reason=str(error))
        return [entry if isinstance(entry, Outcome) else failed for entry in entries]


def _session(scope: Scope, draft: Draft) -> tuple[str | None, ...]:
    """What is numbered together: the memories of one type in one session."""
    return (scope.tenant, scope.namespace, getattr(draft, "type", None), draft.session_id or scope.session_id)
