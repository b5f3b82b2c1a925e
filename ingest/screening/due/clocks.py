"""Reads times of day in words, and their time zones: "half past four", "um halb drei", "14h30", "9
am Eastern".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from memtypes.words import Words, lexicon, plain

_AREAS = ("Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
_SHORT_PLACES = ("eastern", "central", "pacific", "mountain", "et", "pt", "ct")
_OTHER_WORDS = (*_SHORT_PLACES, "reunion", "male", "nome", "center", "easter", "troll")
"""Names of places that are mostly other words in a text, such as "male" and "nome"."""
_ZONE_NAME = re.compile(r"[A-Z]\w+(?:/[A-Z]\w+(?:-\w+)*)+")
_ADJECTIVES = ("", "er", "ter", "se", "s", "n", "ner")
"""Endings that make an adjective of the name of a place, as in "Berliner Zeit" or "Londense
tijd".
"""


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A time of day in a text. end: index of the token after its words. hour: 0 to 24.

    sure: whether the half of the day is known (24-hour clock, a.m., p.m.). digital: whether it is
    written as 9:00 or 9h. bare: whether it is only a number, without "o'clock" or the like.
    """

    end: int
    hour: int
    minute: int = 0
    sure: bool = False
    digital: bool = False
    bare: bool = False

    def hour_of_day(self, part: str | None, *, to_seven: bool, now: int) -> int:
        """The hour on the 24-hour clock, 0 to 24.

        part: the part of the day that the text names. If it is None, 1 to 5 mean the afternoon, so
        "at four" is 16. to_seven: whether 6 and 7 mean the evening, too, unless that hour of today
        has passed. now: the current hour.
        """
        hour = self.hour
        if self.sure:
            return hour
        if part == "night" and (hour == 12 or hour < 5):
            return 24 if hour == 12 else hour
        if part in ("afternoon", "evening", "night", "eod") or (part == "lunch" and hour < 5):
            return hour + 12 if hour < 12 else hour
        if part in ("morning", "dawn"):
            return hour % 12
        if to_seven:
            early = hour in (6, 7) and now >= hour + 12
            return hour + 12 if 1 <= hour < 8 and not early else hour
        return hour + 12 if 1 <= hour < 6 and not self.digital else hour


@dataclass(frozen=True, slots=True)
class Clocks:
    """Reads the times of day and the time zones in `words`. home: the speaker's zone."""

    words: Words
    home: tzinfo

    def at(self, i: int, *, led: bool) -> TimeOfDay | None:
        """The time of day at token `i`, or None. led: whether a preposition such as "at" is before
        it.
        """
        clock = self._named(i) or self._minutes_first(i) or self._japanese(i)
        clock = clock or self._digits(i, led=led) or self._hour_first(i, led=led)
        if clock is None:
            return None
        words = self.words
        j = clock.end
        am = words.after("am", j)
        pm = words.after("pm", j)
        if max(am, pm) > j:
            if not 1 <= clock.hour <= 12:
                return None
            clock = replace(
                clock, end=max(am, pm), hour=clock.hour % 12 + 12 * (pm > am), sure=True, bare=False
            )
        if clock.minute >= 60 or (clock.hour, clock.minute) > (24, 0):
            return None
        return replace(clock, end=words.after("about", clock.end))

    def _time_of_day(self, minutes: int, end: int, **flags: bool) -> TimeOfDay:
        return TimeOfDay(end, minutes // 60, minutes % 60, **flags)

    def _oclock(self, i: int) -> int:
        return i if self.zone(i) else self.words.after("oclock", i)

    def _hour(self, i: int) -> tuple[int, int] | None:
        number = self.words.number(i)
        return (
            (int(number[0]), number[1])
            if number and number[0].is_integer() and 0 <= number[0] <= 24
            else None
        )

    def _named(self, i: int) -> TimeOfDay | None:
        """Noon or midnight at token `i`, with minutes that may follow ("midi et demi"); or None."""
        named = self.words.get("clock", i)
        if named is None:
            return None
        minutes, end = self._tail(named[1]) or (0, named[1])
        return self._time_of_day(int(named[0]) * 60 + minutes, end, sure=True)

    def _japanese(self, i: int) -> TimeOfDay | None:
        words = self.words
        if not words.language.flag("hour_signs"):
            return None
        late = words.is_a("pm_before", i)
        number = words.number(words.after_any(("am_before", "pm_before"), i))
        if (
            number is None
            or not words.is_a("oclock", number[1])
            or words.plain(number[1] + 1) == "間"
        ):
            return None
        hour = int(number[0]) + 12 * (late and number[0] < 12)
        j = number[1] + 1
        minute = words.number(j)
        if minute and words.plain(minute[1]) == "分":
            return TimeOfDay(minute[1] + 1, hour, int(minute[0]), sure=True)
        half = words.is_a("half", j)
        return TimeOfDay(j + half, hour, 30 * half, sure=late or half or hour > 12, digital=True)

    def _minutes_first(self, i: int) -> TimeOfDay | None:
        """A time of day at token `i` that begins with minutes: "half past four"; "halb drei" is
        2:30; or None.
        """
        words = self.words
        half_to = self.words.language.flag("half_to")
        if not words.language.flag("minutes_first"):
            number = words.number(i)
            if number is None or not words.is_a("minutes_to", number[1]):
                return None
            hour = self._hour(words.after("minutes_to", number[1]))
            return hour and self._time_of_day(hour[0] * 60 - int(number[0]), self._oclock(hour[1]))
        ready = words.get("three_quarters", i)
        if ready and (hour := self._hour(ready[1])):
            return self._time_of_day(hour[0] * 60 - 15, self._oclock(hour[1]))
        noun = words.after("article", i)
        minutes, j = self._fraction(noun if words.is_a("quarter", noun) else i)
        sign = words.is_a("plus", j) - (words.is_a("minus", j) and not words.is_a("plus", j))
        if not minutes or (sign == 0 and minutes != 30):
            return None
        k = words.after("plus" if sign > 0 else "minus", j) if sign else j
        to_half = half_to and sign != 0 and words.is_a("half", k)
        hour = self._hour(words.after("half", k) if to_half else k)
        if hour is None or hour[0] == 0:
            return None
        offset = sign * minutes - 30 * to_half if sign else -30 if half_to else 30
        return self._time_of_day(
            hour[0] * 60 + offset, self._oclock(hour[1]), bare=not sign and not half_to
        )

    def _fraction(self, i: int) -> tuple[int, int]:
        """The minutes that "half" or "five" at token `i` means (0: none, or a range), and the
        position after it.
        """
        words = self.words
        for kind, minutes in (("half", 30), ("quarter", 15)):
            if words.is_a(kind, i):
                return minutes, words.after(kind, i)
        number = words.number(i)
        if number is None or not 0 < number[0] < 60 or words.is_a("from", i - 1):
            return 0, i
        unit = words.get("unit", number[1])
        if unit and unit[0] == "m1":
            return int(number[0]), unit[1]
        return (int(number[0]), number[1]) if number[0] in (5, 10, 20, 25) else (0, i)

    def _tail(self, i: int) -> tuple[int, int] | None:
        """Minutes after an hour, as in "et demie" (30) or "meno dieci" (-10), and the position
        after them; or None.
        """
        words = self.words
        sign = words.is_a("plus", i) - (words.is_a("minus", i) and not words.is_a("plus", i))
        if not sign or words.language.flag("minutes_first"):
            return None
        j = words.after("plus" if sign > 0 else "minus", i)
        for kind, minutes in (("three_quarters", 45), ("quarter", 15), ("half", 30)):
            if words.is_a(kind, j):
                return sign * minutes, words.after(kind, j)
        number = words.number(j)
        if number is None or words.is_a("oclock", number[1]) or not 1 <= number[0] < 60:
            return None
        return sign * int(number[0]), number[1]

    def _digits(self, i: int, *, led: bool) -> TimeOfDay | None:
        """A time of day in digits at token `i`: 9:00, "0800 hours", "9.30 am", or 9.30 after "at"
        (`led`); or None.
        """
        words = self.words
        text = self.words.plain(i).rstrip(".")
        unit = self.words.get("unit", i + 1)
        # "alle 9.50."
        ends_sentence = words.kind(i) == "day" and not words.language.flag("dotted_days")
        dotted = (words.number(i) is not None or ends_sentence) and text[-3:-2] == "."
        signed = any(words.is_a(kind, i + 1) for kind in ("am", "pm", "oclock"))
        if words.kind(i) == "clock" or (dotted and (signed or led)):
            hour, minute = (int(part) for part in text.replace(".", ":").split(":")[:2])
            return TimeOfDay(
                self._oclock(i + 1), hour, minute, text[0] == "0" or hour > 12, digital=True
            )
        hours = unit is not None and unit[0] == "m60"
        is_time = hours or (led and words.language.flag("minutes_first"))
        if is_time and len(text) == 4 and text.isdecimal() and words.number(i):
            return TimeOfDay(
                unit[1] if unit and hours else i + 1, int(text[:2]), int(text[2:]), True, True
            )
        return None

    def _hour_first(self, i: int, *, led: bool) -> TimeOfDay | None:
        """A time of day at token `i` that begins with the hour: "9 am", or "nine" after "at"
        (`led`); else None.
        """
        words = self.words
        hour = self._hour(i)
        if hour is None and words.is_a("article", i) and (led or words.is_a("oclock", i + 1)):
            hour = (1, words.after("article", i))
        if hour is None or words.after("unit", hour[1]) > words.after("oclock", hour[1]):
            return None
        value, j = hour
        end = self._oclock(j)
        digital = end > j and (words.plain(j) == "h" or words.language.flag("exact_hours"))
        clock = TimeOfDay(
            end, value, 0, value > 12 or words.plain(i)[0] == "0", digital, bare=end == j
        )
        if tail := None if words.is_a("from", i - 1) else self._tail(end):
            total = value * 60 + tail[0]
            return replace(
                clock,
                end=self._oclock(tail[1]),
                hour=total // 60 % 24,
                minute=total % 60,
                bare=False,
            )
        minutes_at = end + (words.plain(end) == "-" and words.glued(end))
        minute = words.number(minutes_at)
        adjacent = words.language.flag("adjacent_ones")
        spoken = adjacent and words.kind(i) == words.kind(minutes_at) == "word"
        counts = minute and (
            words.is_a("month", words.after("of", minute[1])) or words.is_a("unit", minute[1])
        )
        if minute and not counts and minute[0] < 60 and (end > j or (spoken and minute[0] >= 10)):
            return replace(
                clock, end=minute[1], minute=int(minute[0]), digital=True, bare=spoken and not led
            )
        return clock if end > j or led or words.is_a("am", j) or words.is_a("pm", j) else None

    # Zones

    def zone(self, i: int) -> tuple[tzinfo, int] | None:
        """The time zone at token `i` (CET, +05:30, Asia/Tokyo, "Lisbon time") and the position
        after it; or None.
        """
        words = self.words
        written = self._written(i)
        if written:
            return written
        label = words.get("zone_time", i)
        theirs = words.get("their", i)
        ours = words.get("ours", i)
        if label and (place := _place(words, words.after("of", label[1]))):
            return place
        if ours:
            return self.home, ours[1]
        if theirs:  # the zone of the text's first place outside of the speaker's zone
            places = (
                _place(words, at)
                for at, token in enumerate(words.tokens)
                if token.plain not in _OTHER_WORDS
            )
            return next(
                (place[0] for place in places if place and place[0] != self.home), self.home
            ), theirs[1]
        place = _place(words, i) or _place(words, words.after("of", i))
        label_at = place[1] + (words.plain(place[1]) == "-") if place else i
        if place and words.is_a("zone_time", label_at):
            return place[0], words.after("zone_time", label_at)
        after_of = (
            words.language.flag("clock_of_place")
            and words.is_a("of", i - 1)
            and words.is_capital(i)
        )
        return place if place and (words.plain(i) in _SHORT_PLACES or after_of) else None

    def _written(self, i: int) -> tuple[tzinfo, int] | None:
        """The zone written at token `i` (as an offset, name or abbreviation), and the position
        after it; or None.
        """
        words = self.words
        if self._is_offset(i):
            return self._offset(i), i + 2
        if i >= 0 and words.plain(i + 1) == "/":
            full = _ZONE_NAME.match(words.text, words.tokens[i].start)
            if full and full[0] in _zone_names():
                return ZoneInfo(full[0]), sum(token.start < full.end() for token in words.tokens)
        name = words.tokens[i].text if 0 <= i < len(words.tokens) else ""
        minutes = lexicon()["zones"].get(name.lower())
        if minutes is None or not (name.isupper() or name in ("utc", "gmt")):
            return None
        if name == "IST" and str(self.home) in ("Europe/Dublin", "Asia/Jerusalem"):
            return self.home, i + 1
        signed = words.plain(i + 1) in ("+", "-") and words.kind(i + 2) in ("number", "clock")
        if signed and name.lower() in ("utc", "gmt"):
            return self._offset(i + 1), i + 3
        return timezone(timedelta(minutes=minutes)), i + 1

    def _is_offset(self, i: int) -> bool:
        """Whether token `i` is the sign of a UTC offset such as +05:30. A minus may also be a dash
        between times.
        """
        words = self.words
        hours = self.words.plain(i + 1)
        if words.kind(i + 1) != "clock" or not words.glued(i + 1) or len(hours) != len("05:30"):
            return False
        return words.plain(i) == "+" or (
            words.plain(i) == "-" and hours[0] == "0" and not words.glued(i)
        )

    def _offset(self, i: int) -> timezone:
        hours, _, minutes = self.words.plain(i + 1).replace(":", ".").partition(".")
        offset = timedelta(hours=min(int(hours), 14), minutes=int(minutes[:2] or 0) % 60)
        return timezone(offset if self.words.plain(i) == "+" else -offset)


def _place(words: Words, i: int) -> tuple[ZoneInfo, int] | None:
    """The time zone of the place named at token `i`, and the position after its name; None if no
    place is named.
    """
    for end in range(min(i + 3, len(words.tokens)), i, -1):
        name = " ".join(words.plain(position) for position in range(i, end))
        for ending in _ADJECTIVES if end == i + 1 else ("",):
            zone = _places().get(name.removesuffix(ending)) if name.endswith(ending) else None
            if zone and (not ending or len(name) > len(ending) + 4):
                return ZoneInfo(zone), end
    return None


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


@cache
def _places() -> Mapping[str, str]:
    zones = sorted(zone for zone in _zone_names() if zone.split("/")[0] in _AREAS)
    cities = {plain(zone.split("/")[-1].replace("_", " ")): zone for zone in zones}
    listed = {
        plain(name.strip()): zone
        for zone, names in lexicon()["places"].items()
        for name in names.split(",")
    }
    return cities | listed
