"""Assembles screening: redaction, pre-filter, classification and reviewers."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from api.settings import Settings
from ingest.screening.classification.classifier import ClassificationGate, Classifier
from ingest.screening.completions import CompletionClient, CompletionEndpoint
from ingest.screening.examine import Examiner
from ingest.screening.gates import ScreeningGate
from ingest.screening.prefilter import Prefilter, RecentTexts
from ingest.screening.redaction.redactor import RedactionGate, Redactor, RuleBook, read_rules
from ingest.screening.review.panel import IMPORTANCE, RELEVANCE, TIME_LIMIT_S, Panel, Reviewer
from ingest.screening.review.reviewers import EndpointReviewer, ImportanceReviewer, NoveltyReviewer, RelevanceReviewer
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore


@dataclass(frozen=True, slots=True)
class Screening:
    """Parts of screening. gates: in the order in which they run."""

    redactor: Redactor
    gates: tuple[ScreeningGate, ...]
    panel: Panel
    examiner: Examiner
    recent: RecentTexts


def screening_of(book: RuleBook, panel: Panel, embedder: Embedder) -> Screening:
    """Screening by the redaction rules of `book` and the reviewers of `panel`."""
    redactor, recent, classifier = Redactor(book), RecentTexts(), Classifier(embedder)
    gates = (RedactionGate(redactor), Prefilter(recent), ClassificationGate(classifier))
    return Screening(redactor, gates, panel, Examiner(redactor, classifier, panel, embedder), recent)


def configured_screening(
    settings: Settings, store: MemoryStore, embedder: Embedder, http: httpx.AsyncClient
) -> Screening:
    """Screening by the settings. Raises InvalidConfigFile."""
    book = read_rules(settings.redaction_rules, settings.redaction)
    return screening_of(book, panel_of(store, settings, http), embedder)


def local_panel(store: MemoryStore) -> Panel:
    """The built-in reviewers."""
    return Panel((ImportanceReviewer(), RelevanceReviewer(), NoveltyReviewer(store)))


def panel_of(store: MemoryStore, settings: Settings, http: httpx.AsyncClient) -> Panel:
    """The configured reviewers. Novelty is always measured against the store."""
    if settings.reviewer_url is None:
        return local_panel(store)
    key = settings.reviewer_key.get_secret_value() if settings.reviewer_key else None
    endpoint = CompletionEndpoint(settings.reviewer_url, settings.reviewer_model, key)
    client = CompletionClient(http, endpoint, TIME_LIMIT_S)
    local: tuple[Reviewer, ...] = (ImportanceReviewer(), RelevanceReviewer())
    remote = (IMPORTANCE, RELEVANCE) if settings.reviewer_seats == "both" else (settings.reviewer_seats,)
    scoring = (EndpointReviewer(client, reviewer) if reviewer.name in remote else reviewer for reviewer in local)
    return Panel((*scoring, NoveltyReviewer(store)))
