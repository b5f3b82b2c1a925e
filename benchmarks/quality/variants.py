"""Ranks the questions of a set with variants of the retriever, and compares rankings with paired tests.

`--against` compares two ranking profiles. `--ablate` leaves out one part each time: a ranking signal, keyword search or
late interaction. `--pooled` compares one common store with one per conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

import numpy as np

from benchmarks.harness.metrics import PairedTest, paired_test
from benchmarks.harness.report import Cell, Table
from benchmarks.harness.stores import Opened, WrappedEmbedder, data_directory, open_parts, settings_in
from benchmarks.quality.evaluation import evidence_of, rank, ranking_metrics
from benchmarks.quality.tables import by_category
from benchmarks.sets.data import EvaluationSet
from benchmarks.sets.loading import Loaded, load
from memtypes.ports.encoders import SparseEncoder
from memtypes.search.vectors import Embedding, SparseVector
from retrieval.query.profiles import DEFAULT_PROFILE, PROFILES
from retrieval.retriever import Retriever, RetrieverParts

Rankings: TypeAlias = list[Mapping[str, float]]
"""For each question, in the order of the set, its ranking metrics by name."""

PAIRED_NOTES = (
    "Paired: the same questions both ways, the set's types searched; pooled: before is a store for each conversation.",
    "p: two-sided, by sign flips.",
)


@dataclass(frozen=True, slots=True)
class Comparisons:
    """The comparisons to make with the ranking by `profile`.

    against: another profile. ablate: this profile without one part at a time. pooled: one store per conversation.
    """

    profile: str | None = None
    against: str | None = None
    ablate: bool = False
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired tests of a change, by question category. kind, what: name of the change ("without", "token vectors")."""

    set_name: str
    kind: str
    what: str
    by_category: Mapping[str, PairedTest]


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of the retriever. weights: weights of ranking signals to use; None for the weights of the profile."""

    name: str
    parts: RetrieverParts
    profile: str | None = None
    weights: Mapping[str, float] | None = None


async def compare_variants(
    wanted: Comparisons, opened: Opened, whole: EvaluationSet, loaded: Loaded
) -> list[Comparison]:
    """Make the comparisons in `wanted` on the set `whole`. Returns one Comparison for each change that is tested."""
    profile = wanted.profile
    usual = Variant("usual", opened.parts, profile)
    compared = []
    if wanted.against:
        before = await rank_questions(usual, whole, loaded)
        after = await rank_questions(Variant(wanted.against, opened.parts, wanted.against), whole, loaded)
        compared.append(_comparison(whole, "profile", wanted.against, before, after))
    if wanted.ablate:
        base = Variant("all parts", opened.parts, profile, weights_of(profile))
        before = await rank_questions(base, whole, loaded)
        for variant in ablations(opened.parts, profile):
            after = await rank_questions(variant, whole, loaded)
            compared.append(_comparison(whole, "without", variant.name, before, after))
    if wanted.pooled:
        before = await _rank_separately(whole, profile)
        after = await rank_questions(usual, whole, loaded)
        compared.append(_comparison(whole, "pooled", "one store for all", before, after))
    return compared


async def rank_questions(variant: Variant, whole: EvaluationSet, loaded: Loaded) -> Rankings:
    """Ask each question with `variant`. Returns the ranking metrics of each question, in the set's order."""
    retriever = Retriever(variant.parts)
    rankings: Rankings = []
    for question in whole.questions:
        ranking = await rank(retriever, whole, question, {"profile": variant.profile, "weights": variant.weights})
        rankings.append(ranking_metrics(ranking, evidence_of(question, loaded)))
    return rankings


async def _rank_separately(whole: EvaluationSet, profile: str | None) -> Rankings:
    """Ranking metrics of each question, with the memories of its conversation alone in a temporary store."""
    rankings: Rankings = []
    for name, questions in groupby(whole.questions, key=lambda question: question.conversation):
        part = replace(whole, corpus={name: whole.corpus[name]}, questions=tuple(questions))
        with data_directory() as directory:
            async with open_parts(settings_in(directory)) as opened:
                loaded = await load(opened.ingestor, opened.store, part)
                rankings += await rank_questions(Variant("alone", opened.parts, profile), part, loaded)
    return rankings


def weights_of(profile: str | None) -> dict[str, float]:
    """The weight of each ranking signal in `profile`, or in the default profile if it is None."""
    return dict(PROFILES[profile or DEFAULT_PROFILE])


def ablations(parts: RetrieverParts, profile: str | None) -> list[Variant]:
    """Variants of `profile`, each without one part: a weighted ranking signal, keyword search, or late interaction."""
    weights = weights_of(profile)
    weighted = [name for name, weight in weights.items() if weight]
    signals = [Variant(name, parts, profile, {**weights, name: 0.0}) for name in weighted if len(weighted) > 1]
    return [
        *signals,
        Variant("words", replace(parts, sparse=Wordless(parts.sparse)), profile, weights),
        Variant("token vectors", replace(parts, embedder=Tokenless(parts.embedder)), profile, weights),
    ]


def paired_table(compared: Sequence[Comparison]) -> Table:
    """A table of comparisons by set and category: recall at 10 before and after, gain with interval, and p-value."""
    rows: list[tuple[Cell, ...]] = []
    for each in compared:
        for category, test in each.by_category.items():
            gain = f"{test.difference.mean:+.3f} [{test.difference.low:+.3f} to {test.difference.high:+.3f}]"
            cells = (test.n, test.before, test.after, gain, test.p)
            rows.append((each.set_name, each.kind, each.what, category, *cells))
    columns = ("set", "compared", "what", "category", "n", "before", "after", "R@10 gained", "p")
    return Table("Paired comparisons [95 % interval]", columns, tuple(rows))


def _comparison(whole: EvaluationSet, kind: str, what: str, before: Rankings, after: Rankings) -> Comparison:
    labels = [question.label for question in whole.questions]
    pairs = by_category(list(zip(before, after, strict=True)), labels)
    return Comparison(whole.name, kind, what, {name: paired_test(both) for name, both in pairs})


class Wordless(SparseEncoder):
    """A sparse encoder that encodes every query as an empty vector, so that keyword search finds nothing."""

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
    """Embeds queries without token vectors, so that the retriever does no late interaction (token-level matching)."""

    async def embed_query(self, text: str) -> Embedding:
        """The dense vector of the query, without token vectors."""
        return Embedding((await self.inner.embed_query(text)).dense)
