"""Which words of a text speak of a time: the span is found by rule, so that the date library reads no more than it.

English only. Knows no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "forty-five": 45, "fifty": 50,
    "sixty": 60, "ninety": 90,
}  # fmt: skip
_COUNT = rf"(?:\d{{1,4}}(?:\.\d)?|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))}|a couple of|a few|a|an|half an?)"
_UNIT = r"(?:minutes?|mins?|hours?|hrs?|days?|weeks?|fortnights?|months?|years?)"
_AMOUNT = rf"{_COUNT}(?: and a half)?[ -]{_UNIT}(?: and (?:a half|{_COUNT} (?:minutes?|mins?)))?"
_WEEKDAY = r"(?:mon|tues?|wednes|thurs?|fri|satur|sun)day"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_NUMBERED = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:,? \d{4})?"

_SPACED = {"amount": _AMOUNT, "count": _COUNT, "year": _YEAR}
_SPACES = {name: rule.replace(" ", r"\ ") for name, rule in _SPACED.items()}
"""The rules that hold blanks, as a verbose pattern takes them."""

_DAY = re.compile(
    rf"""\b(?:
      (?P<end>(?:the[ ])?end[ ]of[ ](?:(?P<end_of>the|this|next)[ ])?(?P<period>day|week|month|quarter|year)
      |eod|eow|eom)
    | (?P<iso>\d{{4}}-\d\d-\d\d)
    | (?P<date>{_MONTH}[ ]{_NUMBERED}\b{_SPACES["year"]}
      |(?:the[ ])?{_NUMBERED}[ ](?:of[ ])?{_MONTH}\b{_SPACES["year"]}
      |\d{{1,2}}/\d{{1,2}}/\d{{4}})
    | (?P<amount>in[ ]{_SPACES["amount"]}(?:[ ]time|'s[ ]time|s'[ ]time)?
      |{_SPACES["amount"]}[ ](?:from[ ](?:now|today)|later|hence))
    | (?P<beyond>{_SPACES["count"]}[ ](?:days?|weeks?)[ ](?:from|after)[ ](?P<anchor>tomorrow|{_WEEKDAY}))
    | (?P<after_next>(?:the[ ])?day[ ]after[ ]tomorrow|overmorrow)
    | (?P<near>today|tomorrow|tonight|this[ ](?:morning|afternoon|evening))
    | (?P<weekend>(?P<which_weekend>this|next|the|coming)[ ]weekend)
    | (?P<weekday>(?:(?P<which>next|this|coming)[ ])?(?P<name>{_WEEKDAY})(?P<next_week>[ ]next[ ]week)?)
    | (?P<next>next[ ](?P<next_period>week|month|quarter|year))
    | the[ ](?P<of_month>\d{{1,2}})(?:st|nd|rd|th)(?P<of_next>[ ]of[ ]next[ ]month)?
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_TIME = re.compile(
    r"""(?:
      \b(?P<half>half|quarter)[ ](?P<side>past|to)[ ]
        (?P<past>\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b
    | \b(?P<hour>\d{1,2})(?:[:.](?P<minute>[0-5]\d))?[ ]?(?P<sign>[ap]\.?m\b\.?|o'?clock\b)
    | \b(?P<clock>\d{1,2}):(?P<clock_minute>[0-5]\d)\b
    | (?:\bat[ ]|@[ ]?)(?P<bare>\d{1,2})\b(?![:/.\-]?\d|[ ]?%|[ ]?[ap]\.?m|[ ]?o'?clock)(?-i:(?![ ][A-Z]))
    | \b(?P<word>noon|midday|lunchtime|midnight|morning|afternoon|evening|night|tonight)\b
    )(?:[ ](?:in[ ]the[ ]|at[ ])(?P<part>morning|afternoon|evening|night)\b|[ ](?P<tonight>tonight)\b)?""",
    re.IGNORECASE | re.VERBOSE,
)
_JOINT = re.compile(r"[ ]?,?[ ]?(?:(?:at|by|around|about|before|until|in the|on|from)[ ])?", re.IGNORECASE)
_BARE_WORDS = frozenset({"morning", "afternoon", "evening", "night"})
"""Parts of a day that say nothing alone: "the evening dress"."""


@dataclass(frozen=True, slots=True)
class Span:
    """The words that name a time: text as written, and what named the day and the time of day in them."""

    text: str
    day: re.Match[str] | None
    time: re.Match[str] | None


def find_span(text: str) -> Span | None:
    """The first words of `text` that name a day, with the time of day beside them; else those that name a time."""
    plain = " ".join(text.replace("\u2019", "'").split())
    day = _DAY.search(plain)
    if day is None:
        time = next((found for found in _TIME.finditer(plain) if _alone(found)), None)
        return Span(time[0].strip(), None, time) if time else None
    after = _time_after(plain, day.end())
    before = None if after else _time_before(plain, day.start())
    start = before.start() if before else day.start()
    return Span(plain[start : after.end() if after else day.end()].strip(), day, after or before)


def _alone(time: re.Match[str]) -> bool:
    return (time["word"] or "").lower() not in _BARE_WORDS or time["part"] is not None


def _time_after(text: str, at: int) -> re.Match[str] | None:
    """The time of day that follows a day; the "at" between them may be part of it."""
    joint = _JOINT.match(text, at)
    ends = [joint.end(), joint.end() - len("at ")] if joint else []
    return next((found for end in ends if end >= at and (found := _TIME.match(text, end))), None)


def _time_before(text: str, end: int) -> re.Match[str] | None:
    for found in _TIME.finditer(text, 0, end):
        between = _JOINT.match(text, found.end())
        if between is not None and between.end() == end:
            return found
    return None


def number(words: str) -> float:
    """The number that a count in words stands for; 1 for "a"."""
    plain = words.lower().strip()
    if plain[0].isdigit():
        return float(plain)
    fixed = {"a couple of": 2, "a few": 3, "a": 1, "an": 1, "half a": 0.5, "half an": 0.5}
    return fixed.get(plain) or _NUMBERS[plain]


_PARTS = re.compile(
    rf"(?P<count>{_COUNT})(?P<half> and a half)?[ -](?P<unit>{_UNIT})"
    rf"(?: and (?:(?P<tail>a half)|(?P<more>{_COUNT}) (?:minutes?|mins?)))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A stretch of time: count units, unit one of minutes, days, months."""

    count: float
    unit: str


def amount_of(words: str) -> Amount:
    """The stretch of time that `words`, an amount found here, stands for."""
    found = _PARTS.search(words)
    assert found is not None  # noqa: S101 - the span's own rule holds it
    count = number(found["count"]) + (0.5 if found["half"] or found["tail"] else 0.0)
    unit = found["unit"].lower()
    if unit.startswith("min"):
        return Amount(count, "minutes")
    if unit.startswith("h"):
        return Amount(count * 60 + (number(found["more"]) if found["more"] else 0.0), "minutes")
    days = {"d": 1, "w": 7, "f": 14}.get(unit[0])
    if days:
        return Amount(count * days, "days")
    return Amount(count * (12 if unit[0] == "y" else 1), "months")
