"""`ingest`: memories a second through the whole pipeline, over what the bare encoder embeds of the same texts.

Each round gives the same texts to both, in alternating order, so that a machine that slows down favours neither.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from api.wiring.resources import open_embedder
from api.wiring.services import local_panel, screening_of
from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, Table, spread_row
from benchmarks.harness.stores import Opened, data_directory, open_parts, settings_in
from benchmarks.harness.synthetic import turns
from benchmarks.sets.data import find_sets, read_set, to_draft
from ingest.screening.redaction.redactor import RuleBook
from ingest.screening.submission import ReviewMode, Submission
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import PIECE, Ingestor, IngestorParts
from memtypes.model.scope import Scope
from memtypes.model.times import system_clock
from memtypes.model.types import DRAFT, AnyDraft
from memtypes.ports.encoders import Embedder

_SCOPE = Scope("benchmarks", "ingestion")
_WARM_UP = 100


class NotStored(Exception):
    """A memory of the benchmark was not stored, so the measured time is void."""


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """Options of `ingest`."""

    count: int = field(default=2_000, metadata=flag("memories in all rounds", least=1))
    rounds: int = field(default=4, metadata=flag("rounds", least=1))
    data: Path | None = field(
        default=None, metadata=flag("take texts from the sets in this folder instead of synthetic ones", Path)
    )
    screened: bool = field(default=False, metadata=flag("with redaction, pre-filter and review"))


@dataclass(frozen=True, slots=True)
class Portion:
    """The drafts of a round and their embedding texts."""

    drafts: list[AnyDraft]
    texts: list[str]


@dataclass(slots=True)
class Rates:
    """Per second, a value each round: texts of the encoder, memories of the pipeline."""

    encoder: list[float] = field(default_factory=list)
    pipeline: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """Pipeline over encoder, round by round."""
        return [ours / bare for ours, bare in zip(self.pipeline, self.encoder, strict=True)]


async def measure_ingest(request: IngestRequest) -> Report:
    """The report over all rounds. Raises NotStored."""
    rates = Rates()
    with data_directory() as directory:
        settings = settings_in(directory)
        async with open_parts(settings) as opened:
            ingestor = _screened(opened) if request.screened else opened.ingestor
            warm_up, *portions = _portions(request, opened)
            bare = await open_embedder(settings)
            try:
                await _round(ingestor, bare, warm_up, Rates(), pipeline_first=True)
                for index, portion in enumerate(portions):
                    await _round(ingestor, bare, portion, rates, pipeline_first=bool(index % 2))
            finally:
                await bare.aclose()
    return _report(request, rates, sum(len(portion.drafts) for portion in portions))


def _screened(opened: Opened) -> Ingestor:
    """An ingestor with redaction, pre-filter and the local reviewers."""
    screening = screening_of(RuleBook(), local_panel(opened.store), opened.embedder)
    parts = IngestorParts(
        opened.store,
        opened.embedder,
        opened.sparse,
        opened.tokenizer,
        system_clock,
        gates=screening.gates,
        redactor=screening.redactor,
        panel=screening.panel,
        recent=screening.recent,
    )
    return Ingestor(parts)


async def _round(ingestor: Ingestor, bare: Embedder, portion: Portion, rates: Rates, *, pipeline_first: bool) -> None:
    if pipeline_first:
        rates.pipeline.append(await _pipeline_rate(ingestor, portion.drafts))
    rates.encoder.append(await _encoder_rate(bare, portion.texts))
    if not pipeline_first:
        rates.pipeline.append(await _pipeline_rate(ingestor, portion.drafts))


async def _pipeline_rate(ingestor: Ingestor, drafts: list[AnyDraft]) -> float:
    began = time.perf_counter()
    outcomes = await ingestor.write(_SCOPE, [Submission(draft, ReviewMode.AUTO) for draft in drafts])
    seconds = time.perf_counter() - began
    for outcome in outcomes:
        if outcome.status is not WriteStatus.STORED:
            raise NotStored(str(outcome))
    return len(drafts) / seconds


async def _encoder_rate(bare: Embedder, texts: list[str]) -> float:
    """Texts a second, embedded in the batches of the pipeline."""
    began = time.perf_counter()
    for start in range(0, len(texts), PIECE):
        await bare.embed_documents(texts[start : start + PIECE])
    return len(texts) / (time.perf_counter() - began)


def _portions(request: IngestRequest, opened: Opened) -> list[Portion]:
    """A portion to warm up with, then one for each round."""
    drafts, preparer = _drafts(request), opened.preparer
    texts = [preparer.prepare(draft, _SCOPE, system_clock(), 0).memory.embedding_text() for draft in drafts]
    size = max(1, (len(drafts) - _WARM_UP) // request.rounds)
    bounds = [(0, _WARM_UP), *((_WARM_UP + n * size, _WARM_UP + (n + 1) * size) for n in range(request.rounds))]
    return [Portion(drafts[low:high], texts[low:high]) for low, high in bounds]


def _drafts(request: IngestRequest) -> list[AnyDraft]:
    """Drafts with distinct contents: the requested number and those to warm up with, or all that the sets have."""
    wanted = request.count + _WARM_UP
    if request.data is None:
        rows = ({"type": "episodic", "content": turn.text, "speaker": turn.speaker} for turn in turns(wanted, seed=17))
        return [DRAFT.validate_python({**row, "created_at": "2026-01-01T00:00:00Z"}) for row in rows]
    sets = (read_set(folder) for folder in find_sets(request.data))
    drafts = (to_draft(entry) for each in sets for entry in each.entries())
    return list({" ".join(draft.content.split()): draft for draft in drafts}.values())[:wanted]


def _report(request: IngestRequest, rates: Rates, count: int) -> Report:
    ratios = rates.ratios()
    rows = (
        spread_row("bare encoder, texts/s", rates.encoder),
        spread_row("pipeline, memories/s", rates.pipeline),
        spread_row("pipeline over encoder", ratios),
    )
    source = "of the sets" if request.data else "synthetic, 8 to 60 words each"
    notes = (
        f"{count} texts, {source}, in {len(ratios)} rounds; both get the same texts in the same batches.",
        "The pipeline also counts tokens and words, looks for duplicates, writes, reads back and checks.",
    )
    figures = {"encoder": rates.encoder, "pipeline": rates.pipeline, "ratios": ratios, "count": count}
    return Report((Table("Ingestion", ("", "median", "least", "most"), rows),), notes, figures)
