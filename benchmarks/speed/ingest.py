"""`ingest`: compares memories per second of the ingestion pipeline with texts per second of the
encoder alone.

Each round gives the same texts to the pipeline and to the encoder. The two take turns in coming
first, so that a machine that slows down favours neither.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from api.wiring.resources import open_embedder
from api.wiring.services import local_panel, screening_of
from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, spread_table
from benchmarks.harness.stores import Opened, data_directory, draft_of, open_parts, settings_in
from benchmarks.harness.synthetic import turns
from ingest.screening.judge import Judge
from ingest.screening.recall_guard import RecallGuard
from ingest.screening.redaction.redactor import RuleBook
from ingest.screening.submission import ReviewMode, Submission
from ingest.writing.drafts import Preparer
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import PIECE, Ingestor
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import system_clock
from memtypes.ports.encoders import Embedder
from retrieval.context.entries import Entries

_SCOPE = Scope("benchmarks", "ingestion")
_WARM_UP = 100

Portion: TypeAlias = Sequence[tuple[Submission, str]]
"""The drafts of one round, each with the text to embed."""


class NotStored(Exception):
    """The pipeline merged a text of the benchmark or failed to store it, so the measured rate would
    be wrong.
    """


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """Command-line options of the `ingest` benchmark."""

    count: int = field(default=2_000, metadata=flag("memories in all rounds", least=1))
    rounds: int = field(default=4, metadata=flag("rounds", least=1))
    screened: bool = field(default=False, metadata=flag("with redaction, pre-filter and review"))


@dataclass(slots=True)
class Rates:
    """Speed in each round. encoder: texts/s, the encoder alone. pipeline: memories/s, the whole
    ingestion pipeline.
    """

    encoder: list[float] = field(default_factory=list)
    pipeline: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """For each round, the pipeline's memories per second divided by the encoder's texts per
        second.
        """
        return [
            pipeline / encoder
            for pipeline, encoder in zip(self.pipeline, self.encoder, strict=True)
        ]


async def measure_ingest(request: IngestRequest) -> Report:
    """Time the ingestion pipeline, and the encoder alone, on the same texts in several rounds.
    Raises NotStored.
    """
    rates = Rates()
    with data_directory() as directory:
        settings = settings_in(directory)
        async with open_parts(settings) as opened:
            ingestor = _screened(opened) if request.screened else opened.ingestor
            warm_up, *portions = _portions(request, opened.preparer)
            bare = await open_embedder(settings)
            try:
                await _round(ingestor, bare, warm_up, Rates(), pipeline_first=True)
                for index, portion in enumerate(portions):
                    await _round(ingestor, bare, portion, rates, pipeline_first=bool(index % 2))
            finally:
                await bare.aclose()
    return _report(rates, sum(map(len, portions)))


def _screened(opened: Opened) -> Ingestor:
    guard = RecallGuard(opened.store, opened.ingestor.sparse, _no_uses, Entries().text_of)
    screening = screening_of(
        RuleBook(),
        local_panel(opened.store, Judge.shipped(opened.embedder.fingerprint)),
        opened.embedder,
        guard,
    )
    return replace(opened.ingestor, gates=screening.gates)


async def _no_uses() -> None:
    """Do nothing: no context shows a memory here, so no uses wait to be written."""


async def _round(
    ingestor: Ingestor, bare: Embedder, portion: Portion, rates: Rates, *, pipeline_first: bool
) -> None:
    for pipeline in (pipeline_first, not pipeline_first):
        if pipeline:
            rates.pipeline.append(await _pipeline_rate(ingestor, portion))
        else:
            rates.encoder.append(await _encoder_rate(bare, portion))


async def _pipeline_rate(ingestor: Ingestor, portion: Portion) -> float:
    """Memories stored per second. Texts that the review before storing rejects do not count. Raises
    NotStored.
    """
    began = time.perf_counter()
    outcomes = await ingestor.write(_SCOPE, [submission for submission, _ in portion])
    seconds = time.perf_counter() - began
    for outcome in outcomes:
        if outcome.status not in (WriteStatus.STORED, WriteStatus.REJECTED):
            raise NotStored(str(outcome))
    return sum(outcome.status is WriteStatus.STORED for outcome in outcomes) / seconds


async def _encoder_rate(bare: Embedder, portion: Portion) -> float:
    began = time.perf_counter()
    for start in range(0, len(portion), PIECE):
        await bare.embed_documents([text for _, text in portion[start : start + PIECE]])
    return len(portion) / (time.perf_counter() - began)


def _portions(request: IngestRequest, preparer: Preparer) -> list[Portion]:
    drafts = [
        draft_of(turn, MemoryType.EPISODIC) for turn in turns(request.count + _WARM_UP, seed=17)
    ]
    memories = (preparer.prepare(draft, _SCOPE, system_clock(), 0).memory for draft in drafts)
    review = ReviewMode.AUTO if request.screened else ReviewMode.GIVEN
    texts = (memory.embedding_text() for memory in memories)
    portion_texts = [
        (Submission(draft, review), text) for draft, text in zip(drafts, texts, strict=True)
    ]
    size = max(1, request.count // request.rounds)
    starts = (_WARM_UP + number * size for number in range(request.rounds))
    return [portion_texts[:_WARM_UP], *(portion_texts[start : start + size] for start in starts)]


def _report(rates: Rates, count: int) -> Report:
    ratios = rates.ratios()
    rows = {
        "bare encoder, texts/s": rates.encoder,
        "pipeline, memories/s": rates.pipeline,
        "pipeline over encoder": ratios,
    }
    notes = (
        (
            f"{count} synthetic texts of 8 to 60 words in {len(ratios)} rounds; both get them "
            "in the same batches."
        ),
        (
            "The pipeline also counts tokens and words, looks for duplicates, writes, reads "
            "back and checks."
        ),
    )
    figures = {
        "encoder": rates.encoder,
        "pipeline": rates.pipeline,
        "ratios": ratios,
        "count": count,
    }
    return Report((spread_table("Ingestion", rows),), notes, figures)
