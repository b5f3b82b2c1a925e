"""Ranks the questions of a set with variants of the retriever, and compares rankings with paired
tests.

`--against` compares two ranking profiles. `--ablate` leaves out one part each time: a ranking
signal, keyword search or late interaction. `--pooled` compares one common store with one per
conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

import numpy as np

from benchmarks.harness.metrics import PairedTest, paired_test
from benchmarks.harness.report import Cell, Table
from benchmarks.harness.stores import (
    Opened,
    WrappedEmbedder,
    data_directory,
    open_parts,
    settings_in,
)
from benchmarks.quality.evaluation import evidence_of, rank, ranking_metrics
from benchmarks.quality.tables import by_category
from benchmarks.sets.data import EvaluationSet
from benchmarks.sets.loading import Loaded, load
from memtypes.ports.encoders import SparseEncoder
from memtypes.search.vectors import Embedding, SparseVector
from retrieval.dependencies import RetrieverParts
from retrieval.query.profiles import DEFAULT_PROFILE, PROFILES
from retrieval.retriever import Retriever

Rankings: TypeAlias = list[Mapping[str, float]]
"""For each question, in the order of the set, its ranking metrics by name."""

PAIRED_NOTES = (
    (
        "Paired: the same questions in both rankings, of the set's types; pooled: before is a "
        "store for each conversation."
    ),
    "p: two-sided, by sign flips.",
)


@dataclass(frozen=True, slots=True)
class Comparisons:
    """The comparisons to make with the ranking by `profile`.

    against: another profile. ablate: this profile without one part at a time. pooled: one store per
    conversation.
    """

    profile: str | None = None
    against: str | None = None
    ablate: bool = False
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired tests of a change, by question category. kind, what: name the change, as "without",
    "token vectors" do.
    """

    set_name: str
    kind: str
    what: str
    by_category: Mapping[str, PairedTest]


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of the retriever. weights: weights of ranking signals to use; None for the weights
    of the profile.
    """

    name: str
    parts: RetrieverParts
    profile: str | None = None
    weights: Mapping[str, float] | None = None


async def compare_variants(
    comparisons: Comparisons, opened: Opened, dataset: EvaluationSet, loaded: Loaded
) -> list[Comparison]:
    """A Comparison for each change that `comparisons` asks to test on the set."""
    profile = comparisons.profile
    usual = Variant("usual", opened.parts, profile)
    results = []
    if comparisons.against:
        baseline = await rank_questions(usual, dataset, loaded)
        changed = await rank_questions(
            Variant(comparisons.against, opened.parts, comparisons.against), dataset, loaded
        )
        results.append(_comparison(dataset, "profile", comparisons.against, baseline, changed))
    if comparisons.ablate:
        base = Variant("all parts", opened.parts, profile, weights_of(profile))
        baseline = await rank_questions(base, dataset, loaded)
        for variant in ablations(opened.parts, profile):
            changed = await rank_questions(variant, dataset, loaded)
            results.append(_comparison(dataset, "without", variant.name, baseline, changed))
    if comparisons.pooled:
        baseline = await _rank_separately(dataset, profile)
        changed = await rank_questions(usual, dataset, loaded)
        results.append(_comparison(dataset, "pooled", "one store for all", baseline, changed))
    return results


async def rank_questions(variant: Variant, dataset: EvaluationSet, loaded: Loaded) -> Rankings:
    """The ranking metrics of each question, asked with `variant`, in the set's order."""
    retriever = Retriever(variant.parts)
    rankings: Rankings = []
    for question in dataset.questions:
        ranking = await rank(
            retriever, dataset, question, {"profile": variant.profile, "weights": variant.weights}
        )
        rankings.append(ranking_metrics(ranking, evidence_of(question, loaded)))
    return rankings


async def _rank_separately(dataset: EvaluationSet, profile: str | None) -> Rankings:
    """Ranking metrics of each question, with the memories of its conversation alone in a temporary
    store.
    """
    rankings: Rankings = []
    for name, questions in groupby(dataset.questions, key=lambda question: question.conversation):
        single = replace(dataset, corpus={name: dataset.corpus[name]}, questions=tuple(questions))
        with data_directory() as directory:
            async with open_parts(settings_in(directory)) as opened:
                loaded = await load(opened.ingestor, opened.store, single)
                rankings += await rank_questions(
                    Variant("alone", opened.parts, profile), single, loaded
                )
    return rankings


def weights_of(profile: str | None) -> dict[str, float]:
    """The weight of each ranking signal in `profile`, or in the default profile if it is None."""
    return dict(PROFILES[profile or DEFAULT_PROFILE])


def ablations(parts: RetrieverParts, profile: str | None) -> list[Variant]:
    """Variants of `profile`, each without one part: a weighted ranking signal, keyword search, or
    late interaction.
    """
    weights = weights_of(profile)
    weighted = [name for name, weight in weights.items() if weight]
    signals = [
        Variant(name, parts, profile, {**weights, name: 0.0})
        for name in weighted
        if len(weighted) > 1
    ]
    return [
        *signals,
        Variant("words", replace(parts, sparse=Wordless(parts.sparse)), profile, weights),
        Variant(
            "token vectors", replace(parts, embedder=Tokenless(parts.embedder)), profile, weights
        ),
    ]


def paired_table(comparisons: Sequence[Comparison]) -> Table:
    """A table of comparisons by set and category: recall at 10 before and after, gain with
    interval, and p-value.
    """
    rows: list[tuple[Cell, ...]] = []
    for comparison in comparisons:
        for category, test in comparison.by_category.items():
            gain = (
                f"{test.difference.mean:+.3f} [{test.difference.low:+.3f} to "
                f"{test.difference.high:+.3f}]"
            )
            cells = (test.n, test.before, test.after, gain, test.p)
            rows.append((comparison.set_name, comparison.kind, comparison.what, category, *cells))
    columns = ("set", "compared", "what", "category", "n", "before", "after", "R@10 gained", "p")
    return Table("Paired comparisons [95 % interval]", columns, tuple(rows))


def _comparison(
    dataset: EvaluationSet, kind: str, change: str, baseline: Rankings, changed: Rankings
) -> Comparison:
    labels = [question.label for question in dataset.questions]
    pairs = by_category(list(zip(baseline, changed, strict=True)), labels)
    return Comparison(dataset.name, kind, change, {name: paired_test(pair) for name, pair in pairs})


class Wordless(SparseEncoder):
    """A sparse encoder that encodes every query as an empty vector, so that keyword search finds
    nothing.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        self._encoder = encoder

    def encode_query(self, text: str) -> SparseVector:
        """An empty sparse vector, so that keyword search finds nothing."""
        del text
        return SparseVector(np.array([], dtype=np.uint32), np.array([], dtype=np.float32))

    def encode_document(self, text: str) -> SparseVector:
        """The sparse vector of `text` for keyword search, from the wrapped encoder."""
        return self._encoder.encode_document(text)


class Tokenless(WrappedEmbedder):
    """Embeds queries without token vectors, so that the retriever does no late interaction
    (token-level matching).
    """

    async def embed_query(self, text: str) -> Embedding:
        """The dense vector of the query, without token vectors."""
        return Embedding((await self.inner.embed_query(text)).dense)
