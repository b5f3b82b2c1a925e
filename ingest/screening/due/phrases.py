"""The words of an English text that name a due time, found by pattern. Knows no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass

from memtypes.calendar import COUNT_WORD, HOUR_WORD, MONTH, ORDINAL, WEEKDAY, number_of

_PARTS_OF_DAY = "morning|afternoon|evening|night"

# All patterns here are verbose, so a blank in one of them is written "[ ]".
_COUNT = rf"(?:\d{{1,4}}(?:\.\d)?|{COUNT_WORD}|half an?)".replace(" ", "[ ]")
_UNIT = r"(?:minutes?|mins?|hours?|hrs?|days?|weeks?|fortnights?|months?|years?)"
_DURATION = rf"{_COUNT}(?:[ ]and[ ]a[ ]half)?[ -]{_UNIT}(?:[ ]and[ ](?:a[ ]half|{_COUNT}[ ](?:minutes?|mins?)))?"
_DAY_OF_MONTH = rf"\d{{1,2}}{ORDINAL}"
_YEAR = r"(?:,?[ ]\d{4})?"

_DAY = re.compile(
    rf"""\b(?:
      (?P<end>(?:the[ ])?end[ ]of[ ](?:(?P<end_of>the|this|next)[ ])?(?P<period>day|week|month|quarter|year)
      |eod|eow|eom)
    | (?P<iso>\d{{4}}-\d\d-\d\d)
    | (?P<date>{MONTH}\.?[ ]{_DAY_OF_MONTH}\b{_YEAR}
      |(?:the[ ])?{_DAY_OF_MONTH}[ ](?:of[ ])?{MONTH}\.?\b{_YEAR}
      |\d{{1,2}}/\d{{1,2}}/\d{{4}})
    | (?P<duration>in[ ]{_DURATION}(?:[ ]time|'s[ ]time|s'[ ]time)?
      |{_DURATION}[ ](?:from[ ](?:now|today)|later|hence))
    | (?P<from_day>(?P<from_count>{_COUNT})[ ](?P<from_unit>day|week)s?[ ](?:from|after)
      [ ](?P<anchor>tomorrow|{WEEKDAY}))
    | (?P<overmorrow>(?:the[ ])?day[ ]after[ ]tomorrow|overmorrow)
    | (?P<near>today|tomorrow|tonight|this[ ](?:morning|afternoon|evening))
    | (?P<weekend>(?P<which_weekend>this|next|the|coming)[ ]weekend)
    | (?P<weekday>(?:(?:next|this|coming)[ ])?(?P<name>{WEEKDAY})(?P<next_week>[ ]next[ ]week)?)
    | (?P<next>next[ ](?P<next_period>week|month|quarter|year))
    | the[ ](?P<of_month>\d{{1,2}})(?:st|nd|rd|th)(?P<of_next>[ ]of[ ]next[ ]month)?
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_TIME = re.compile(
    rf"""(?:
      \b(?P<half>half|quarter)[ ](?P<side>past|to)[ ](?P<past>\d{{1,2}}|{HOUR_WORD})\b
    | \b(?P<hour>\d{{1,2}})(?:[:.](?P<minute>[0-5]\d))?[ ]?(?P<sign>[ap]\.?m\b\.?|o'?clock\b)
    | \b(?P<clock>\d{{1,2}}):(?P<clock_minute>[0-5]\d)\b
    | (?:\bat[ ]|@[ ]?)(?P<bare>\d{{1,2}})\b(?![:/.\-]?\d|[ ]?%|[ ]?[ap]\.?m|[ ]?o'?clock)(?-i:(?![ ][A-Z]))
    | \b(?P<word>noon|midday|lunchtime|midnight|{_PARTS_OF_DAY}|tonight)\b
    )(?:[ ](?:in[ ]the[ ]|at[ ])(?P<part>{_PARTS_OF_DAY})\b|[ ](?P<tonight>tonight)\b)?""",
    re.IGNORECASE | re.VERBOSE,
)
_PREPOSITION = re.compile(r"[ ]?,?[ ]?(?:(?:at|by|around|about|before|until|in the|on|from)[ ])?", re.IGNORECASE)
"""What may stand between a day and a time of day."""

_DURATION_PARTS = re.compile(
    rf"""(?P<count>{_COUNT})(?P<half>[ ]and[ ]a[ ]half)?[ -](?P<unit>{_UNIT})
    (?:[ ]and[ ](?:(?P<tail>a[ ]half)|(?P<more>{_COUNT})[ ](?:minutes?|mins?)))?""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class TimePhrase:
    """The words of a text that name a time. text: as written. day, time: matches for the day and the time of day."""

    text: str
    day: re.Match[str] | None
    time: re.Match[str] | None


def find_time_phrase(text: str) -> TimePhrase | None:
    """The first day that `text` names, with a time of day next to it; without a day, its first time of day; or None."""
    plain = " ".join(text.replace("\u2019", "'").split())
    day = _DAY.search(plain)
    if day is None:
        time = next((match for match in _TIME.finditer(plain) if _stands_alone(match)), None)
        return TimePhrase(time[0].strip(), None, time) if time else None
    after = _time_after(plain, day.end())
    before = None if after else _time_before(plain, day.start())
    start = before.start() if before else day.start()
    return TimePhrase(plain[start : after.end() if after else day.end()].strip(), day, after or before)


def _stands_alone(time: re.Match[str]) -> bool:
    """Whether the match names a time even without a day; a bare part of the day does not: "the evening dress"."""
    return (time["word"] or "").lower() not in _PARTS_OF_DAY.split("|") or time["part"] is not None


def _time_after(text: str, start: int) -> re.Match[str] | None:
    preposition = _PREPOSITION.match(text, start)
    # The pattern of a bare hour begins with "at", so it is also tried from there.
    starts = [preposition.end(), preposition.end() - len("at ")] if preposition else []
    return next((match for begin in starts if begin >= start and (match := _TIME.match(text, begin))), None)


def _time_before(text: str, end: int) -> re.Match[str] | None:
    for match in _TIME.finditer(text, 0, end):
        preposition = _PREPOSITION.match(text, match.end())
        if preposition is not None and preposition.end() == end:
            return match
    return None


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time. unit: minutes, days or months."""

    count: float
    unit: str


def read_duration(words: str) -> Duration:
    """The length of time in `words`, which the pattern of a day has matched: "in two and a half weeks"."""
    match = _DURATION_PARTS.search(words)
    assert match is not None  # noqa: S101 - the pattern of a day contains this one
    count = number_of(match["count"]) + (0.5 if match["half"] or match["tail"] else 0.0)
    unit = match["unit"].lower()
    if unit.startswith("min"):
        return Duration(count, "minutes")
    if unit.startswith("h"):
        return Duration(count * 60 + (number_of(match["more"]) if match["more"] else 0.0), "minutes")
    days = {"d": 1, "w": 7, "f": 14}.get(unit[0])
    if days:
        return Duration(count * days, "days")
    return Duration(count * (12 if unit[0] == "y" else 1), "months")
