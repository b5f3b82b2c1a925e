"""Writes drafts as memories, and changes and removes stored memories.

A draft passes these stages: screen (redact, pre-filter, classify), prepare, look up, add
conversation context, embed, review, write (deduplicate or replace, store, read back).
`ingest.writing.stages` has one method for each.

A batch is cut into pieces, and the stages run concurrently on different pieces: while one piece is
written, the next is reviewed, the one after that is embedded and another is prepared. So the
encoder, the slowest part, never waits.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ingest.screening.counts import ScreeningCounts
from ingest.screening.prefilter import RecentTexts, place_of
from ingest.screening.redaction.redactor import RedactedValue, Redactor
from ingest.screening.review.panel import Panel
from ingest.screening.submission import ScreeningGate, Submission, Submitted, submission_of
from ingest.writing.changes import MemoryEditor
from ingest.writing.consulting import Consultation
from ingest.writing.drafts import CountTokens, PendingWrite, Preparer, check_draft, check_links
from ingest.writing.embedding import MemoryEmbedder
from ingest.writing.outcome import Entry, WriteOutcome, WriteStatus, retried
from ingest.writing.stages import Stages, WriteCall
from ingest.writing.transfer import Restorer
from ingest.writing.writer import MemoryWriter, ScopeLocks
from memtypes.model.errors import InvalidRequest, Overloaded, RemembrancerError, Unavailable
from memtypes.model.ids import memory_id
from memtypes.model.memory import Draft, Memory
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.encoders import Embedder, SparseEncoder
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.reader import Reader
from memtypes.ports.rejections import RejectedText, RejectionStore

PIECE = 32
"""Number of drafts that pass the stages together: enough to fill the encoder's batches without
delaying queries.
"""

_BUFFERED_PIECES = 1
"""Maximum number of finished pieces that wait between two stages."""

_EMBED_ATTEMPTS = 5
"""Maximum number of attempts to embed a piece while the encoder's queue is full."""

_log = logging.getLogger(__name__)

_EntryT = TypeVar("_EntryT", PendingWrite | WriteOutcome, WriteOutcome)
_Source: TypeAlias = MemoryObjectReceiveStream[list[Entry]]
_Sink: TypeAlias = MemoryObjectSendStream[list[Entry]]


@dataclass(eq=False)
class Ingestor:
    """Writes memories. Its `restorer` stores exported memories, and its `editor` changes and
    removes stored ones.

    count_tokens: counts the tokens of a memory, and of its entry in a context. gates: screening
    steps (such as redaction) that drafts pass first, in order. redactor: removes
    secrets from edited and restored memories, which do not pass the gates. panel: reviews drafts.
    rejections: keeps rejected texts for 30 days; None to keep none. reader: reads a new statement
    together with stored ones; None if its weights are not installed. locks: one per namespace,
    shared by everything that writes to this store. counts: what screening decided so far. recent:
    the messages captured last, which the gates compare new ones with.
    """

    store: MemoryStore
    embedder: Embedder
    sparse: SparseEncoder
    count_tokens: CountTokens
    clock: Clock
    gates: tuple[ScreeningGate, ...]
    redactor: Redactor
    panel: Panel
    rejections: RejectionStore | None
    reader: Reader | None = None
    locks: ScopeLocks = field(default_factory=ScopeLocks)
    counts: ScreeningCounts = field(default_factory=ScreeningCounts)
    recent: RecentTexts = field(default_factory=RecentTexts)

    def __post_init__(self) -> None:
        preparer = Preparer(self.sparse, self.count_tokens)
        embedder = MemoryEmbedder(self.store, self.embedder, preparer)
        writer = MemoryWriter(self.store, embedder, preparer, self.clock, self.locks)
        consultation = Consultation(self.store, self.reader)
        self._stages = Stages(
            self.gates,
            preparer,
            self.store,
            embedder,
            writer,
            self.panel,
            consultation,
            self.counts,
        )
        self.editor = MemoryEditor(
            self.store,
            embedder,
            preparer,
            self.clock,
            self.locks,
            self.redactor,
            self.rejections,
        )
        self.restorer = Restorer(self.store, embedder, preparer, self.locks, self.redactor)

    async def write_one(self, scope: Scope, draft: Submitted) -> WriteOutcome:
        """Write a single draft; return its outcome: stored, merged into an existing memory, or
        rejected.

        Raises InvalidRequest if the draft is invalid, and Overloaded or Unavailable if it could not
        be stored.
        """
        submission = submission_of(draft)
        call = WriteCall(scope, self.clock())
        check_draft(submission.draft, call.received_at)
        screened = await self._stages.screen(call, submission)
        entries = await self._stages.prepare(call, [screened])
        entries = await self._stages.look_up(call, entries)
        entries = await self._stages.add_context(call, entries)
        entries = await self._stages.embed(entries)
        entries = await self._stages.review(call, entries)
        (outcome,) = await self._stages.write(call, entries)
        await self._keep_rejected(call, [outcome])
        if outcome.status is WriteStatus.FAILED:
            raise Unavailable(f"the memory was not stored: {outcome.reason}")
        return outcome

    async def make(self, scope: Scope, draft: Submitted) -> RedactedValue[Memory]:
        """The memory that `write_one` would make of a draft, neither stored nor embedded, with the
        numbers of secrets removed from it.

        Raises InvalidRequest if the draft is invalid or is rejected.
        """
        submission = submission_of(draft)
        call = WriteCall(scope, self.clock())
        check_draft(submission.draft, call.received_at)
        screened = await self._stages.screen(call, submission)
        (entry,) = await self._stages.prepare(call, [screened])
        if isinstance(entry, WriteOutcome):
            await self._keep_rejected(call, [entry])
            raise InvalidRequest(f"not stored: {entry.reason}")
        redactions = entry.submission.redactions if entry.submission is not None else {}
        return RedactedValue(entry.memory, redactions)

    async def write(self, scope: Scope, drafts: Sequence[Submitted]) -> list[WriteOutcome]:
        """Write a batch of drafts; return their outcomes in the same order.

        If the store or an encoder fails for a draft, its outcome is failed, with the reason. If a
        draft is invalid, nothing is stored: raises InvalidRequest, whose path has the draft's
        index, such as `items[2].created_at`.
        """
        submissions = [submission_of(draft) for draft in drafts]
        call = WriteCall(scope, self.clock())
        for index, submission in enumerate(submissions):
            try:
                check_draft(submission.draft, call.received_at)
            except InvalidRequest as error:
                raise InvalidRequest(
                    str(error), path=f"items[{index}].{error.path}", got=error.got
                ) from error
        pieces = [submissions[start : start + PIECE] for start in range(0, len(submissions), PIECE)]
        prepared_in, prepared = _stream()
        embedded_in, embedded = _stream()
        reviewed_in, reviewed = _stream()
        outcomes: list[WriteOutcome] = []
        async with anyio.create_task_group() as tasks, reviewed:
            tasks.start_soon(self._prepare_pieces, call, pieces, prepared_in)
            tasks.start_soon(
                _pump, prepared, lambda piece: _or_failed(self._embedded(piece), piece), embedded_in
            )
            tasks.start_soon(_pump, embedded, partial(self._review_piece, call), reviewed_in)
            async for piece in reviewed:
                outcomes += await _or_failed(self._stages.write(call, piece), piece)
        for submission, outcome in zip(submissions, outcomes, strict=True):
            self._forget_unstored(call, submission, outcome)
        await self._keep_rejected(call, outcomes)
        return outcomes

    async def check_links(self, scope: Scope, drafts: Mapping[str, Draft]) -> None:
        """Raise InvalidRequest if a draft has a link to an id that the namespace lacks. drafts: by
        their path.
        """
        ends = {link.to for draft in drafts.values() for link in draft.links}
        memories = await self.store.get(scope, sorted(ends)) if ends else {}
        for path, draft in drafts.items():
            check_links(draft.links, memories, path)

    def _forget_unstored(
        self, call: WriteCall, submission: Submission, outcome: WriteOutcome
    ) -> None:
        """Forget a captured message that was not stored, so that no later one repeats it."""
        said = submission.said
        is_stored = outcome.status in (WriteStatus.STORED, WriteStatus.MERGED)
        if said is None or said.part or is_stored:
            return
        draft = submission.draft
        day = (draft.created_at or call.received_at).date()
        self.recent.forget(call.scope, draft.content, day, place_of(draft))

    async def _keep_rejected(self, call: WriteCall, outcomes: Sequence[WriteOutcome]) -> None:
        rejected: list[RejectedText] = []
        for outcome in outcomes:
            if (draft := outcome.rejected) is not None:
                fields = draft.model_dump(mode="json", exclude_none=True)
                # The id is the same each time that the text is rejected.
                identity = memory_id(call.scope, "rejected", (str(fields), call.scope.session_id))
                fields.setdefault("session_id", call.scope.session_id)
                rejected.append(
                    RejectedText(identity, call.received_at, outcome.reason or "", fields)
                )
        if self.rejections is None or not rejected:
            return
        try:
            await self.rejections.add(call.scope, rejected)
        except Unavailable as error:
            _log.warning("%d rejected texts are not listed: %s", len(rejected), error)

    async def _prepare_pieces(
        self, call: WriteCall, pieces: Sequence[Sequence[Submission]], sink: _Sink
    ) -> None:
        async with sink:
            for piece in pieces:
                screened = [await self._screen(call, submission) for submission in piece]
                entries = await self._stages.prepare(call, screened)
                entries = await _or_failed(self._stages.look_up(call, entries), entries)
                await sink.send(await _or_failed(self._stages.add_context(call, entries), entries))

    async def _screen(self, call: WriteCall, submission: Submission) -> Submission | WriteOutcome:
        try:
            return await self._stages.screen(call, submission)
        except RemembrancerError as error:
            return _failed(error)

    async def _review_piece(self, call: WriteCall, piece: list[Entry]) -> list[Entry]:
        reviewed = await _or_failed(self._stages.review(call, piece), piece)
        return await _or_failed(self._embedded(reviewed), reviewed)

    async def _embedded(self, entries: list[Entry]) -> list[Entry]:
        return await retried(
            lambda: self._stages.embed(entries), Overloaded, attempts=_EMBED_ATTEMPTS
        )


def _stream() -> tuple[_Sink, _Source]:
    return anyio.create_memory_object_stream[list[Entry]](_BUFFERED_PIECES)


async def _pump(
    source: _Source, stage: Callable[[list[Entry]], Awaitable[list[Entry]]], sink: _Sink
) -> None:
    async with source, sink:
        async for piece in source:
            await sink.send(await stage(piece))


async def _or_failed(stage: Awaitable[list[_EntryT]], entries: list[Entry]) -> list[_EntryT]:
    try:
        return await stage
    except RemembrancerError as error:
        return [entry if isinstance(entry, WriteOutcome) else _failed(error) for entry in entries]


def _failed(error: RemembrancerError) -> WriteOutcome:
    return WriteOutcome(WriteStatus.FAILED, reason=str(error))
