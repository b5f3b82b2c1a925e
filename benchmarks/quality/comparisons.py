"""What `quality` measures on demand: a paired test between two profiles, ablations, and scoped against pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.apparatus.opened import Opened, open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Cell, Table
from benchmarks.quality.paired import Paired, compare
from benchmarks.quality.summaries import ALL
from benchmarks.quality.variants import Variant, ablations, rank_questions, whole
from benchmarks.sets.data import EvaluationSet
from benchmarks.sets.loading import Loaded, load

PAIRED_NOTES = (
    "Paired: the same questions both ways, rankings of the right types; of pooled, before is a store a conversation.",
    "chance: that equals differ so much, by sign changes for R@10, by McNemar's exact test for hit@10.",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is compared. against: another profile. ablate: without each part. pooled: with a store a conversation."""

    against: str | None = None
    ablate: bool = False
    pooled: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is."""
        return bool(self.against or self.ablate or self.pooled)


@dataclass(frozen=True, slots=True)
class Compared:
    """kind: what was compared; what: the second way; by category, ALL first."""

    set_name: str
    kind: str
    what: str
    by_category: Mapping[str, Paired]


async def measure_comparisons(
    wanted: Wanted, opened: Opened, asked: EvaluationSet, loaded: Loaded, profile: str | None
) -> list[Compared]:
    """Everything that is wanted of one set."""
    usual = Variant("usual", opened.parts, profile)
    found = []
    if wanted.against:
        second = Variant(wanted.against, opened.parts, wanted.against)
        found.append(_compared(asked, "profile", second.name, *await _both(usual, second, asked, loaded)))
    if wanted.ablate:
        base = await rank_questions(whole(opened.parts, profile), asked, loaded)
        for variant in ablations(opened.parts, profile):
            without = await rank_questions(variant, asked, loaded)
            found.append(_compared(asked, "without", variant.name, base, without))
    if wanted.pooled:
        alone = await _alone(asked, profile)
        pooled = await rank_questions(usual, asked, loaded)
        found.append(_compared(asked, "pooled", "one store for all", alone, pooled))
    return found


def paired_table(found: Sequence[Compared]) -> Table:
    """R@10 both ways, the difference with its interval, and the chances."""
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        for category, pair in one.by_category.items():
            gain = f"{pair.difference.mean:+.3f} [{pair.difference.low:+.3f} to {pair.difference.high:+.3f}]"
            chances = (pair.recall_chance, pair.hit_chance)
            rows.append((one.set_name, one.kind, one.what, category, pair.n, pair.first, pair.second, gain, *chances))
    columns = ("set", "compared", "what", "category", "n", "before", "after", "R@10 gained", "chance", "chance, hits")
    return Table("Paired comparisons [95 % interval]", columns, tuple(rows))


def paired_figures(found: Sequence[Compared]) -> list[dict[str, Any]]:
    """Everything that was compared, as plain JSON."""
    return [asdict(one) for one in found]


async def _both(
    first: Variant, second: Variant, asked: EvaluationSet, loaded: Loaded
) -> tuple[list[Mapping[str, float]], list[Mapping[str, float]]]:
    return await rank_questions(first, asked, loaded), await rank_questions(second, asked, loaded)


async def _alone(asked: EvaluationSet, profile: str | None) -> list[Mapping[str, float]]:
    """Each conversation's rankings in a store that holds nothing else."""
    figures: list[Mapping[str, float]] = []
    for conversation in (each for each in asked.conversations if each.questions):
        one = replace(asked, conversations=(conversation,))
        with data_directory(None) as directory:
            async with open_parts(settings_in(directory)) as opened:
                loaded = await load(opened.ingestor, opened.store, one)
                figures += await rank_questions(Variant("alone", opened.parts, profile), one, loaded)
    return figures


def _compared(
    asked: EvaluationSet,
    kind: str,
    what: str,
    first: Sequence[Mapping[str, float]],
    second: Sequence[Mapping[str, float]],
) -> Compared:
    pairs = {
        name: compare([first[place] for place in places], [second[place] for place in places])
        for name, places in _places(asked)
    }
    return Compared(asked.name, kind, what, pairs)


def _places(asked: EvaluationSet) -> Iterator[tuple[str, list[int]]]:
    """The places of all questions, then of those of each category where there is more than one."""
    categories = [question.category for conversation in asked.conversations for question in conversation.questions]
    yield ALL, list(range(len(categories)))
    names = sorted(set(categories))
    if len(names) > 1:
        for name in names:
            yield name, [place for place, category in enumerate(categories) if category == name]
