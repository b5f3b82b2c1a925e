"""`ingest`: memories a second through the whole pipeline, over what the bare encoder embeds of the same texts.

Each round gives the same texts to both, one after the other; which goes first changes from round to round, so that a
machine that slows down is no one's gain.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from api.wiring.resources import open_embedder
from api.wiring.screening import local_panel, screening_of
from benchmarks.apparatus.opened import Opened, open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Report, Table
from benchmarks.apparatus.synthetic import turns
from benchmarks.sets.data import find_sets, read_set, to_draft
from ingest.screening.redaction.redactor import RuleBook
from ingest.writing.drafts import ReviewMode, Submission
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import PIECE, Ingestor, IngestorParts
from memtypes.model.scope import Scope
from memtypes.model.times import system_clock
from memtypes.model.types import DRAFT, AnyDraft
from memtypes.ports.encoders import Embedder

_SCOPE = Scope("benchmarks", "ingestion")
_WARM_UP = 100


class NotStored(Exception):
    """A memory of the benchmark was not stored, so that its time means nothing."""


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What is measured.

    count: memories in all. rounds: in how many portions. data: sets to take texts from; made up without.
    screened: every draft passes the gates and is reviewed.
    """

    command: str
    count: int = 2_000
    rounds: int = 4
    data: Path | None = None
    screened: bool = False


@dataclass(frozen=True, slots=True)
class Portion:
    """Drafts, and the texts that are embedded for them."""

    drafts: list[AnyDraft]
    texts: list[str]


@dataclass(slots=True)
class Rates:
    """Per second and round: texts through the encoder, memories through the pipeline."""

    encoder: list[float] = field(default_factory=list)
    pipeline: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """Pipeline over encoder, a round each."""
        return [ours / bare for ours, bare in zip(self.pipeline, self.encoder, strict=True)]


async def measure_ingestion(request: IngestRequest) -> Report:
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
    """An ingestor with everything on: redaction, pre-filter and local reviewers."""
    screened = screening_of(RuleBook(), local_panel(opened.store), opened.embedder)
    return Ingestor(
        IngestorParts(
            opened.store,
            screened.embedder,
            opened.sparse,
            opened.tokenizer,
            system_clock,
            gates=screened.gates,
            redactor=screened.redactor,
            panel=screened.panel,
            recent=screened.recent,
        )
    )


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
    if any(outcome.status is not WriteStatus.STORED for outcome in outcomes):
        raise NotStored(str(next(outcome for outcome in outcomes if outcome.status is not WriteStatus.STORED)))
    return len(drafts) / seconds


async def _encoder_rate(bare: Embedder, texts: list[str]) -> float:
    """Texts a second, given in the pieces in which the pipeline gives them."""
    began = time.perf_counter()
    for start in range(0, len(texts), PIECE):
        await bare.embed_documents(texts[start : start + PIECE])
    return len(texts) / (time.perf_counter() - began)


def _portions(request: IngestRequest, opened: Opened) -> list[Portion]:
    """A small one to warm up with, then one a round."""
    drafts = _drafts(request)
    preparer = opened.preparer
    texts = [preparer.prepare(draft, _SCOPE, system_clock(), 0).memory.embedding_text() for draft in drafts]
    size = max(1, (len(drafts) - _WARM_UP) // request.rounds)
    bounds = [(0, _WARM_UP), *((_WARM_UP + n * size, _WARM_UP + (n + 1) * size) for n in range(request.rounds))]
    return [Portion(drafts[low:high], texts[low:high]) for low, high in bounds]


def _drafts(request: IngestRequest) -> list[AnyDraft]:
    """As many drafts as asked for and to warm up, or as the sets have; no two with the same content."""
    wanted = request.count + _WARM_UP
    if request.data is None:
        made = ({"type": "episodic", "content": one.text, "speaker": one.speaker} for one in turns(wanted, seed=17))
        return [DRAFT.validate_python({**fields, "created_at": "2026-01-01T00:00:00Z"}) for fields in made]
    sets = (read_set(folder) for folder in find_sets(request.data))
    entries = (entry for one in sets for part in one.conversations for entry in part.corpus)
    return list(_distinct(to_draft(entry) for entry in entries))[:wanted]


def _distinct(drafts: Iterable[AnyDraft]) -> Iterator[AnyDraft]:
    seen: set[str] = set()
    for draft in drafts:
        key = " ".join(draft.content.split())
        if key not in seen:
            seen.add(key)
            yield draft


def _report(request: IngestRequest, rates: Rates, counted: int) -> Report:
    ratios = rates.ratios()
    rows = (
        _row("bare encoder, texts/s", rates.encoder),
        _row("pipeline, memories/s", rates.pipeline),
        _row("ratio", ratios),
    )
    source = "of the sets" if request.data else "made up, 8 to 60 words each"
    notes = (
        f"{counted} texts {source}, in {len(ratios)} rounds; each round gives the same texts to both.",
        "The encoder embeds exactly the texts that the pipeline embeds, in the same pieces.",
        "The pipeline also counts tokens and words, looks for duplicates, writes, reads back and checks.",
    )
    figures = {"encoder": rates.encoder, "pipeline": rates.pipeline, "ratios": ratios, "counted": counted}
    return Report(request.command, (Table("Ingestion", ("", "median", "least", "most"), rows),), notes, figures)


def _row(name: str, values: list[float]) -> tuple[str, float, float, float]:
    return (name, statistics.median(values), min(values), max(values))
