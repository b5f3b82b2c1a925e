"""`duplicates`: what is found again when texts come back, and what is taken for a repetition that is none.

A sample of every set is written, then written again as it is, in other case and spacing, and with a number or a date
changed. Merges are counted over whole sets, without a store: being merged needs equal words, so pairs of those that are
written differently are all that could be merged wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.apparatus.opened import Opened, open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Report, Table
from benchmarks.sets.data import CorpusEntry, EvaluationSet, find_sets, read_set, to_draft
from benchmarks.texts.near_pairs import DIFFERENT, SAME
from ingest.identity.exact_duplicates import statement
from ingest.identity.wording import wording
from ingest.writing.outcome import Outcome, Status
from ingest.writing.prepare import Arrival
from memtypes.model.ids import normalise
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.model.times import system_clock
from memtypes.model.types import AnyDraft

_DATED = re.compile(r"\d+|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|\b(?:January|March|April|June|July|August)\b")
_OTHER_DAY = {"Monday": "Friday", "January": "October"}
_SCOPE = "duplicates/{}"


@dataclass(frozen=True, slots=True)
class RepeatsRequest:
    """data: the folder of sets. sample: texts a set that are written again; None for all."""

    command: str
    data: Path
    sample: int | None = 100


async def measure_repeats(request: RepeatsRequest) -> Report:
    """The report over all sets. Raises BadSet."""
    found, merges = [], []
    with data_directory() as directory:
        async with open_parts(settings_in(directory)) as opened:
            for folder in find_sets(request.data):
                whole = read_set(folder)
                merges.append(_merges(opened, whole))
                found.append((whole.name, *await _repeat(opened, whole, request.sample)))
    pairs = tuple(
        (name, len(given), sum(wording(one) == wording(other) for one, other in given))
        for name, given in (("say the same", SAME), ("look alike", DIFFERENT))
    )
    tables = (
        Table(
            "Found again", ("set", "texts", "as is", "case and spacing", "dated", "changed date merged"), tuple(found)
        ),
        Table("Merged in whole sets", ("set", "texts", "case and spacing", "other wording", "share"), tuple(merges)),
        Table("Written pairs", ("pairs", "count", "taken for the same"), pairs),
    )
    notes = ("other wording: merged though the words are written differently, so at most so many are merged wrongly.",)
    return Report(request.command, tables, notes, {"found": found, "merges": merges, "pairs": pairs})


async def _repeat(opened: Opened, whole: EvaluationSet, sample: int | None) -> tuple[int, float, float, int, int]:
    scope = Scope("benchmarks", _SCOPE.format(whole.name))
    drafts = [to_draft(entry) for entry in _sampled(whole, sample)]
    first = await opened.ingestor.write(scope, drafts)
    again = await opened.ingestor.write(scope, drafts)
    cased = await opened.ingestor.write(scope, [_with(draft, recased(draft.content)) for draft in drafts])
    dated = [draft for draft in drafts if _DATED.search(draft.content)]
    changed = await opened.ingestor.write(scope, [_with(draft, redated(draft.content)) for draft in dated])
    wrong = sum(outcome.status is not Status.STORED for outcome in changed)
    return len(drafts), _share(first, again), _share(first, cased), len(dated), wrong


def _share(first: Sequence[Outcome], again: Sequence[Outcome]) -> float:
    """How many of `again` were merged into what `first` had become."""
    right = sum(
        two.status is Status.MERGED and two.merged_into == one.id for one, two in zip(first, again, strict=True)
    )
    return right / len(first)


def _sampled(whole: EvaluationSet, sample: int | None) -> list[CorpusEntry]:
    """Texts that differ, spread evenly over the set."""
    entries = {normalise(one.text).casefold(): one for part in whole.conversations for one in part.corpus}
    distinct = list(entries.values())
    if sample is None or len(distinct) <= sample:
        return distinct
    return [distinct[index * len(distinct) // sample] for index in range(sample)]


def _with(draft: AnyDraft, content: str) -> AnyDraft:
    return draft.model_copy(update={"content": content})


def recased(text: str) -> str:
    """`text` in capitals where that is undone by folding, with every blank doubled."""
    capitals = text.upper() if text.upper().casefold() == text.casefold() else text
    return "  ".join(capitals.split(" "))


def redated(text: str) -> str:
    """`text` with its first number, weekday or month another one."""
    return _DATED.sub(lambda found: _another(found.group()), text, count=1)


def _another(value: str) -> str:
    if value.isdigit():
        return str(int(value) + 1)
    days, months = _OTHER_DAY.items()
    if value.endswith("day"):
        return days[1] if value != days[1] else days[0]
    return months[1]


def _merges(opened: Opened, whole: EvaluationSet) -> tuple[str, int, int, int, float]:
    """How many texts of a set would be merged into an earlier one of their conversation that is written differently."""
    cased = reworded = 0
    for part in whole.conversations:
        seen: dict[object, str] = {}
        for memory in _memories(opened, part.name, part.corpus):
            first = seen.setdefault(statement(memory), memory.content)
            if normalise(first) != normalise(memory.content):
                same_letters = normalise(first).casefold() == normalise(memory.content).casefold()
                cased, reworded = cased + same_letters, reworded + (not same_letters)
    return whole.name, whole.memories, cased, reworded, reworded / whole.memories


def _memories(opened: Opened, name: str, corpus: Sequence[CorpusEntry]) -> Iterator[Memory]:
    scope, now = Scope("benchmarks", name), system_clock()
    for place, entry in enumerate(corpus):
        yield opened.preparer.prepare(to_draft(entry), Arrival(scope, now, place)).memory
