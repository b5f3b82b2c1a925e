"""Due times: the instant at which a text says that its task is due, read with the speaker's clock
and time zone.

A grammar (`mentions`) reads the times that the text mentions. A logistic model chooses the due time
among them, by the words around each: past tense, negation, habits, names and others.
`benchmarks/training/due.py` trains the weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from math import exp
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio.to_thread

from ingest.screening.due.appointments import is_appointment, over_at
from ingest.screening.due.mentions import Mention, MentionReader
from ingest.screening.sentences import sentences_in
from ingest.screening.submission import Rejection, Submission
from memtypes.model.prospective import ProspectiveDraft, TriggerType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.words import Words, read_words

TIMEZONE = "timezone"
"""The metadata key of the caller's time zone, such as Europe/Berlin."""

_MAX_READ = 2_000
_MAX_TEXT = 500

_MONTH_FIRST = frozenset(
    f"America/{city}"
    for city in (
        "New_York",
        "Detroit",
        "Chicago",
        "Denver",
        "Boise",
        "Phoenix",
        "Los_Angeles",
        "Anchorage",
    )
) | {"Pacific/Honolulu"}
"""Time zones where 3/4 is read as 4 March, as it is if the zone is unknown."""

_SENTENCE_ENDS = (".", "!", "?", ";", "…")
_CLAUSE_ENDS = (*_SENTENCE_ENDS, ",", ":", "(", ")", "\u2013", "\u2014", "=")
_QUOTES = tuple('"\u201c\u201d\u201e\u00ab\u00bb\u2018')
_LEADS = ("by", "on", "at", "in", "from", "of", "to")
_CLAUSE_CUES = (
    "past",
    "participle",
    "negation",
    "cancel",
    "habit",
    "task",
    "condition",
    "extent",
    "change",
    "future",
    "opening",
    "moved",
)
_SENTENCE_CUES = ("past", "participle", "negation", "cancel", "habit", "task", "condition", "vague")
_REACH = 40
"""Number of tokens on either side of a mention in which cues count."""
_NAMED_KINDS = ("weekday", "monthday", "holiday", "dom")


@dataclass(frozen=True, slots=True)
class DueTime:
    """When a task is due, in UTC, and the words of its text that say so. to_the_minute: whether
    they name a time of day, or only a day.
    """

    at: datetime
    text: str
    to_the_minute: bool = True


@dataclass(frozen=True, slots=True)
class DueTimes:
    """Screening step that reads the due time of an intention (a task to be done later) from its
    text, and says when an appointment lapses.

    Words such as "tomorrow" count from the draft's created_at, or from now if that is not set. They
    are read in the time zone in the draft's metadata (key TIMEZONE), by default UTC.
    """

    clock: Clock

    async def examine(
        self,
        scope: Scope,  # noqa: ARG002 - of the protocol
        submission: Submission,
    ) -> Submission | Rejection:
        """Add the due time that its text names to a task whose trigger is a time and that has no
        due time yet, and to an appointment the time at which it lapses.
        """
        draft = submission.draft
        if not isinstance(draft, ProspectiveDraft) or draft.trigger_type is not TriggerType.TIME:
            return submission
        now = draft.created_at or self.clock()
        zone = zone_of(draft.metadata.get(TIMEZONE))
        fields = await anyio.to_thread.run_sync(_times_of, draft, now, zone)
        return replace(submission, draft=draft.model_copy(update=fields)) if fields else submission


def _times_of(draft: ProspectiveDraft, now: datetime, zone: ZoneInfo | None) -> dict[str, object]:
    """The fields of a task that follow from its due time, which its text names unless the caller
    has given it; empty without one.
    """
    fields: dict[str, object] = {}
    due = DueTime(draft.due_at, "") if draft.due_at else _due_of(draft, now, zone)
    if due is None:
        return fields
    if draft.due_at is None:
        fields |= {"due_at": due.at, "due_text": due.text[:_MAX_TEXT]}
    if draft.lapses_at is None and is_appointment(_naming(draft.content[:_MAX_READ], due.text)):
        fields["lapses_at"] = over_at(due.at, zone, to_the_minute=due.to_the_minute)
    return fields


def _naming(text: str, due_text: str) -> str:
    """The sentence of `text` that names the due time: whether it is an appointment, the others do
    not tell. The whole text if no sentence does.
    """
    naming = (sentence for sentence in sentences_in(text) if due_text and due_text in sentence)
    return next(naming, text)


def _due_of(draft: ProspectiveDraft, now: datetime, zone: ZoneInfo | None) -> DueTime | None:
    for text in filter(None, (draft.trigger_condition, draft.content, draft.title)):
        if due := due_in(text[:_MAX_READ], now, zone):
            return due
    return None


def zone_of(name: object) -> ZoneInfo | None:
    """The time zone called `name`; None if there is no such zone."""
    if not isinstance(name, str):
        return None
    try:
        return ZoneInfo(name)
    # Not a key of the zone database, or a path
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def due_in(text: str, now: datetime, zone: ZoneInfo | None = None) -> DueTime | None:
    """The due time that `text` names; None if it names none.

    now, zone: when the text was said, and the speaker's time zone (default: UTC). A wall-clock time
    that is skipped when summer time begins is read as one hour later. One that occurs twice means
    the first that is still to come.
    """
    reader = reader_of(text, now, zone)
    try:
        likely = [(probability(present), mention) for mention, present in candidates(reader)]
        best = max(likely, key=lambda pair: pair[0], default=None)
        if best is None or best[0] <= 0.5:
            return None
        mention = best[1]
        words = reader.words.span(mention.first, mention.last)
        timed = mention.clock is not None or mention.instant is not None
        return DueTime(reader.instant_of(mention), words, timed)
    except (ValueError, OverflowError):  # no such time: the year 10,000
        return None


def reader_of(text: str, now: datetime, zone: ZoneInfo | None) -> MentionReader:
    """A reader of the times that `text` mentions. now, zone: when and in which zone (default: UTC)
    it was said.
    """
    return MentionReader.at(
        read_words(text), now, zone or UTC, month_first=zone is None or zone.key in _MONTH_FIRST
    )


def candidates(reader: MentionReader) -> Iterator[tuple[Mention, Mapping[str, float]]]:
    """Yield each mention of today or later, with its features."""
    today = reader.now.date()
    upcoming = [
        m for m in reader.mentions() if m.day is None or not (m.day.past or m.day.date < today)
    ]
    for mention in upcoming:
        present = {**features(reader.words, upcoming, mention)}
        if reader.instant_of(mention) < reader.now:
            present["elapsed"] = 1.0
        if (
            mention.kind == "monthday"
            and mention.day
            and mention.day.date - today > timedelta(days=183)
        ):
            present |= {
                "nearer last year": 1.0,
                "of last year": float("monthday of a noun" in present),
            }
        yield mention, present


def probability(present: Mapping[str, float]) -> float:
    """The probability that a mention is the due time of its text. present: its features, see
    `features`.
    """
    weights = _weights()
    score = weights["bias"] + sum(weights.get(name, 0.0) * value for name, value in present.items())
    return 1 / (1 + exp(-score))


@cache
def _weights() -> Mapping[str, float]:
    weights: dict[str, float] = json.loads(
        files(__package__).joinpath("weights.json").read_text(encoding="utf-8")
    )
    return weights


def features(words: Words, mentions: Sequence[Mention], mention: Mention) -> Mapping[str, float]:
    """Features of a mention of a time, from which a model tells whether it is the due time of the
    text's task.

    mentions: all mentions in the text, except past ones. Returns the features that are present,
    each with the value 1.
    """
    clause = _around(words, mention, _CLAUSE_ENDS, conjunctions=True)
    sentence = _around(words, mention, _SENTENCE_ENDS, conjunctions=False)
    first = mention.first
    clock = mention.clock
    lead = _lead(words, mention)
    others = [m for m in mentions if m is not mention]
    names = {f"kind {mention.kind}", f"lead {lead}"}
    names |= {f"clause {cue}" for cue in _CLAUSE_CUES if _has(words, cue, *clause, mention)}
    names |= {f"sentence {cue}" for cue in _SENTENCE_CUES if _has(words, cue, *sentence, mention)}
    article_habit = words.language.flag("article_is_habit") and words.is_a("det", first - 1)
    if (mention.day and mention.day.is_range) or (article_habit and mention.kind == "weekday"):
        names |= {"clause habit", "sentence habit"}
    if "sentence cancel" in names:
        names -= {"clause task", "sentence task"}
    opens = all(words.is_a("det", i) or words.is_a("on", i) for i in range(sentence[0], first))
    signs: Mapping[str, object] = {
        "habit before": _has(words, "habit", clause[0], first, mention),
        "negated task": names >= {"clause negation", "clause task"},
        "another negated": others
        and "sentence negation" in names
        and "clause negation" not in names,
        "as a subject": opens and words.is_a("copula", mention.last),
        "infinitive": _infinitive(words, mention, *sentence),
        "opening hours": mention.hours and "clause opening" in names,
        "nothing else": mention.last - first >= len(words.tokens) - 1,
        "another follows": others and all(m.first > first for m in others),
        "alone with a clock": clock and others and not any(m.clock for m in others),
        "with clock": clock,
        "lone clock": clock and not mention.day and not others,
        "sure clock": clock and clock.sure,
        # "Psalm 23:4" has a loose clock.
        "loose clock": clock and not mention.day and not clock.sure and lead != "at",
        "moved to": words.has("moved") and (mention.moved or lead == "to"),
        "quoted": words.plain(first - 1) in _QUOTES or words.plain(mention.last) in _QUOTES,
    }
    if not clock and mention.kind in _NAMED_KINDS:
        signs = {**signs, **_as_name(words, mention, lead)}
    return dict.fromkeys(sorted(names | {name for name, holds in signs.items() if holds}), 1.0)


def _as_name(words: Words, mention: Mention, lead: str) -> Mapping[str, object]:
    """Features that tell a day from a part of a name ("Ruby Tuesday"). lead: the words before it,
    see `_lead`.
    """
    before = mention.first - 1
    after = mention.last
    starts = lead in ("start", "none")
    start = words.start_of("det", mention.first)
    link = words.start_of("adnominal", start)  # "the letter of 3 May"
    # "by the close of Friday"
    timed = any(words.is_a(kind, link - 1) for kind in ("end", "part", "weekday"))
    noun = _is_noun(words, after) and not _infinitive(words, mention, after, after + 1)
    capitals = not words.language.flag("capital_nouns")  # where only names have them
    # Dutch and German: a verb follows, and nouns are joined
    verb_second = "past_prefix" in words.language.rules
    return {
        "after a name": capitals
        and lead == "none"
        and words.is_capital(before)
        and words.is_capital(mention.first),
        "before a name": capitals and words.is_capital(after),
        "before a noun": starts and noun and not verb_second,
        f"{mention.kind} of a noun": link < start and _is_noun(words, link - 1) and not timed,
    }


def _is_noun(words: Words, i: int) -> bool:
    return words.kind(i) == "word" and words.plain(i) not in words.language.stops


def _lead(words: Words, mention: Mention) -> str:
    """The kind of the words before a mention: a preposition such as "by", "start" (of a clause), or
    "none".
    """
    i = mention.first
    for _ in range(4):
        kind = next((kind for kind in _LEADS if words.start_of(kind, i) < i), None)
        if kind:
            return kind
        if not any(words.start_of(filler, i) < i for filler in ("det", "about", "link")):
            break
        i -= 1
    if i == 0 or words.plain(i - 1) in _CLAUSE_ENDS:
        return "start"
    return "in" if mention.kind == "offset" else "none"


def _around(
    words: Words, mention: Mention, ends: Sequence[str], *, conjunctions: bool
) -> tuple[int, int]:
    """The tokens around a mention, as (start, end): up to a mark in `ends` or, if `conjunctions`, a
    conjunction.
    """

    def is_end(i: int) -> bool:
        inner = words.glued(i) and words.glued(i + 1)  # as in Monday.com
        return (words.plain(i) in ends and not inner) or (conjunctions and words.is_a("conj", i))

    start = mention.first
    end = mention.last
    while mention.first - start < _REACH and start > 0 and not is_end(start - 1):
        start -= 1
    while end - mention.last < _REACH and end < len(words.tokens) and not is_end(end):
        end += 1
    return start, end


def _has(words: Words, cue: str, start: int, end: int, mention: Mention) -> bool:
    """Whether the tokens from `start` to `end` have a word of the kind `cue`, such as "habit",
    outside of the mention.

    In "don't forget", words of negation do not count.
    """
    outside = (i for i in range(start, end) if not mention.first <= i < mention.last)
    if cue == "participle":
        return any(words.is_participle(i) for i in outside)
    if cue in ("negation", "cancel"):
        heeded = {
            i for first in range(start, end) for i in range(first, words.after("heed", first))
        }
        return any(words.is_a(cue, i) and i not in heeded for i in outside)
    return any(words.is_a(cue, i) for i in outside)


def _infinitive(words: Words, mention: Mention, start: int, end: int) -> bool:
    """Whether a clause in the range, or the text after `mention`, begins with an infinitive
    (German, Dutch: ends).
    """
    language = words.language
    endings = language.listed("infinitive")
    beside = 1 if "past_prefix" in language.rules else -1
    edges = [
        i
        for i in range(start, end)
        if i == mention.last or words.plain(i + beside) in ("", *_CLAUSE_ENDS)
    ]
    if "after_verb" in language.rules:
        return any(
            _is_noun(words, i) and words.plain(i + 1) in language.listed("after_verb")
            for i in edges
        )
    return any(
        words.kind(i) == "word" and words.tokens[i].text.casefold().endswith(endings) for i in edges
    )
