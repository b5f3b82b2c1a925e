"""Reads the times named in a text, such as dates, months, weekdays or "two weeks ago", as windows
of time in UTC.

The words come from the lexicon. A question may look ahead ("what is due on Friday?"), look back
("what broke on Friday?"), or do neither. A weekday, or a month without a year, is then the next
one, the latest one, or both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeAlias

from memtypes.calendar import DAY, Window, holiday, length_at, unit_at
from memtypes.words import Words, read_words

_LEADS = (
    "in_month",
    "in",
    "of",
    "on",
    "by",
    "before",
    "after",
    "from",
    "this",
    "next",
    "previous",
    "early",
    "late",
)
"""Kinds of words before a month, season or year. Without one of them, "may", "march" and "fall" are
verbs.
"""
# Around a count, as in "the last ten days"
_COUNTED_KINDS = ("previous", "next", "previous_some", "next_some")
_RANGE_REACH = 8
"""Maximum number of tokens from "from" to the last time in "from the first of March to the tenth of
April".
"""
_MAX_COUNT = 999
"""Highest count of a distance such as "12 days ago"."""


Windows: TypeAlias = tuple[Window, ...]
Reading: TypeAlias = tuple[Windows, int]
"""The windows of a named time, and the position of the token after its words. Ambiguous words give
several windows.
"""


@dataclass(frozen=True, slots=True)
class TimeReader:
    """Reads the times that `words` name. now: in UTC. ahead: whether the words look ahead (True) or
    back; else None.
    """

    words: Words
    now: datetime
    ahead: bool | None

    @classmethod
    def from_text(cls, text: str, now: datetime) -> TimeReader:
        """A reader of `text`, as of `now` (in UTC), in the language of most of its words."""
        words = read_words(text)
        position = 0
        cues = set[bool]()
        while position < len(words.tokens):
            if words.is_a("ahead", position):
                cues.add(True)
            elif words.is_a("past", position) or words.is_participle(position):
                cues.add(False)
            position = max(words.after("ahead", position), position + 1)
        return cls(words, now, cues.pop() if len(cues) == 1 else None)

    def times(self) -> Iterator[tuple[int, Windows]]:
        """Yield each named time: the offset of its first character in the text of `words`, and its
        windows.
        """
        position = 0
        while position < len(self.words.tokens):
            reading = self._time_at(position)
            reading = reading and (self._range(position, reading) or reading)
            if reading and reading[0]:
                yield self.words.tokens[position].start, reading[0]
            position = reading[1] if reading else position + 1

    def _time_at(self, i: int) -> Reading | None:
        """The time whose words begin at token `i`; None if none does. Of several readings, the
        longest is returned.
        """
        readers = (
            (
                self._date_in_digits,
                self._day_and_month,
                self._month_and_day,
                self._part_of_span,
                self._span,
                self._distance,
                self._weekday,
                self._relative_day,
                self._holiday,
            )
            if self.words.kind(i) != "word" or self.words.kinds_at(i)
            else (self._span,)
        )
        best: Reading | None = None
        for reader in readers:
            try:
                reading = reader(i)
            except (ValueError, OverflowError):  # not in the calendar
                continue
            if reading and (best is None or reading[1] > best[1]):
                best = reading
        return best

    # What stands around a time

    def _has_lead(self, i: int, *extra_kinds: str) -> bool:
        """Whether a word of _LEADS or `extra_kinds`, such as "in", stands before token `i`, or
        before its article.
        """
        words = self.words
        start = self.words.start_of("det", i)
        ends_range = any(words.is_a("range", at) for at in range(max(0, i - _RANGE_REACH), i))
        kinds = (*_LEADS, *extra_kinds, *("to",) * ends_range)
        return any(words.start_of(kind, at) < at for kind in kinds for at in (i, start))

    def _begins_range(self, i: int) -> bool:
        """Whether "from" or "between" stands before token `i`; True in languages that mark a range
        after its times.
        """
        words = self.words
        start = self.words.start_of("det", i)
        return any(words.start_of("range", at) < at for at in (i, start)) or words.language.flag(
            "hour_signs"
        )

    def _range(self, i: int, first: Reading) -> Reading | None:
        """The range from the time `first`, at token `i`, to the time after "to" or "and"; None if
        there is no range.
        """
        words = self.words
        (begins, end) = first
        end_at = words.after_any(("to", "range_to"), end)
        last = (
            self._time_at(words.after("det", end_at))
            if end_at > end and self._begins_range(i)
            else None
        )
        if not (last and last[0] and begins):
            return None
        turn = (
            7 if words.is_a("weekday", i) else 365 if self._month(i) or self._day_number(i) else 0
        ) * DAY
        spans = list[Window]()
        for until in last[0]:
            early = [window.start for window in begins if window.start <= until.start]
            if not early and not turn:
                return None
            start = (
                early[-1] if early else begins[0].start if self.ahead else begins[-1].start - turn
            )
            spans.append(Window(start, until.end if early or not self.ahead else until.end + turn))
        return tuple(dict.fromkeys(spans)), last[1]

    def _direction(self, i: int, end: int) -> tuple[str | None, int]:
        """Direction of the time from token `i` to `end`: "previous" ("mardi dernier"), "next" or
        None; and its end.
        """
        for kind in ("previous", "next"):
            if self.words.start_of(kind, i) < i:
                return kind, end
            if not self.words.language.flag("minutes_first") and self.words.is_a(kind, end):
                return kind, self.words.after(kind, end)
        return None, end

    def _past_or_coming(self, past: Window | None, coming: Window | None) -> Windows:
        """The window that the question asks about: `past`, `coming`, or both if it neither looks
        ahead nor back.
        """
        windows = {True: (coming,), False: (past,), None: (past, coming)}[self.ahead]
        return tuple(dict.fromkeys(window for window in windows if window))

    def _latest_or_next(self, of_year: Callable[[int], Window], i: int, end: int) -> Reading:
        """The latest or next window of a yearly time at tokens `i` to `end`. of_year: returns the
        window in a year.
        """
        direction, end = self._direction(i, end)
        windows: list[Window] = []
        for year in range(self.now.year - 8, self.now.year + 9):
            try:
                windows.append(of_year(year))
            except (ValueError, OverflowError):  # 29 February, or beyond the calendar
                continue
        begun = [
            window
            for window in windows
            if (window.end if direction == "previous" else window.start) <= self.now
        ]
        coming = [
            window
            for window in windows
            if (window.start if direction == "next" else window.end) > self.now
        ]
        if direction:
            return tuple(begun[-1:] if direction == "previous" else coming[:1]), end
        return self._past_or_coming(
            begun[-1] if begun else None, coming[0] if coming else None
        ), end

    def _year_at(self, i: int) -> tuple[int, int] | None:
        """The year from 1900 to 2099 at token `i`, or after ", of" there, and the position after
        it; None if none.
        """
        j = self.words.after("of", i + (self.words.plain(i) == ","))
        text = self.words.plain(j)
        return (
            (int(text), j + 1)
            if len(text) == 4 and text.isdecimal() and text[:2] in ("19", "20")
            else None
        )

    def _in_years(
        self, of_year: Callable[[int], Window], i: int, end: int, *, has_lead: bool
    ) -> Reading | None:
        """The window of a yearly time, such as a month, in the year at token `end`. of_year:
        returns it for a year.

        Without a year, the latest or next window, if the time `has_lead` or a direction; otherwise
        None.
        """
        if year := self._year_at(end):
            return (of_year(year[0]),), year[1]
        return (
            self._latest_or_next(of_year, i, end)
            if has_lead or self._direction(i, end)[0]
            else None
        )

    # Dates

    def _date_in_digits(self, i: int) -> Reading | None:
        """The day at token `i` in digits: 2026-11-03, 3.11.2026, 3/11. A date with slashes may have
        either order.
        """
        words = self.words
        text = self.words.plain(i)
        kind = self.words.kind(i)
        if kind == "iso":
            return (_day(*(int(number) for number in text[:10].split("-"))),), i + 1
        slashed = kind == words.kind(i + 2) == "number" and words.plain(i + 1) == "/"
        if kind not in ("date", "day") and not slashed:
            return None
        date = words.span(i, i + 3) if slashed else text
        numbers = [
            int(number) for number in date.replace("/", ".").replace("-", ".").strip(".").split(".")
        ]
        if numbers[0] > 31:  # a year or, in two numbers such as the blood pressure 118/76, no date
            return ((_day(*numbers),), i + 1) if len(numbers) == 3 else None
        orders = [(numbers[1], numbers[0])] if numbers[1] <= 12 else []  # month, day
        if numbers[0] <= 12 and ("/" in date or not orders):
            orders.append((numbers[0], numbers[1]))
        if kind == "date":
            year = numbers[2] + 2000 * (numbers[2] < 100)
            return tuple(_day(year, month, day) for month, day in sorted(orders)), i + 1
        days = [
            self._latest_or_next(partial(_day, month=month, day=day), i, i + 1)[0]
            for month, day in sorted(orders)
        ]
        return (sum(days, ()), i + 1 + 2 * slashed) if self._has_lead(i) else None

    def _day_number(self, i: int) -> tuple[int, int] | None:
        """The day of the month at token `i` ("3", "3rd", "3.", "third"), and the position after it;
        None if none.
        """
        words = self.words
        ordinal = self.words.get("ordinal", i)
        if ordinal:
            return (int(ordinal[0]), ordinal[1]) if 0 < int(ordinal[0]) <= 31 else None
        text = words.plain(i)
        if words.kind(i) != "number" or not text.isdecimal() or not 0 < int(text) <= 31:
            return None
        marked = words.glued(i + 1) and words.plain(i + 1) in (
            "st",
            "nd",
            "rd",
            "th",
            ".",
            "er",
            "º",
        )
        return int(text), i + 1 + marked

    def _day_and_month(self, i: int) -> Reading | None:
        """The day at token `i` ("3 May"), or the days of a range ("3 to 8 May", "from the 3rd to
        the 8th"); or None.
        """
        words = self.words
        number = self._day_number(i)
        if number is None:
            return None
        end_day_at = number[1] + (words.plain(number[1]) in ("-", "\u2013"))
        end_day_at = max(end_day_at, words.after("det", words.after_any(("to", "and"), number[1])))
        last = (self._day_number(end_day_at) if end_day_at > number[1] else None) or number
        month = words.get("month", words.after("of", last[1]))

        def days(year: int, month: int) -> Window:
            first = Window.months(year, month, 1).start
            return Window(first.replace(day=number[0]), first.replace(day=last[0]) + DAY)

        if month:
            return self._in_years(lambda year: days(year, month[0] + 1), i, month[1], has_lead=True)
        ordinal = number[1] > i + 1 or words.is_a("ordinal", i) or words.start_of("det", i) < i
        if last is number or not ordinal or not self._begins_range(i):
            return None
        spans = [days(self.now.year, self.now.month + step) for step in (-1, 0, 1)]
        begun = [span for span in spans if span.start <= self.now]
        return self._past_or_coming(
            begun[-1], next(span for span in spans if span.end > self.now)
        ), last[1]

    def _month_and_day(self, i: int) -> Reading | None:
        words = self.words
        month = self._month(i)
        number = (
            self._day_number(words.after("det", month[1] + (words.plain(month[1]) == ".")))
            if month
            else None
        )
        if month is None or number is None:
            return None
        end = words.after("day_word", number[1])
        if end == number[1] and any(words.is_a(kind, end) for kind in ("am", "pm", "unit")):
            return None
        return self._in_years(
            lambda year: _day(year, month[0] + 1, number[0]), i, end, has_lead=True
        )

    def _month(self, i: int) -> tuple[int, int] | None:
        """The month at token `i`, 0 for January ("March", "3月"), and the position after it;
        None if there is none.
        """
        words = self.words
        number = self.words.number(i)
        if number is None or not words.is_a("month_word", number[1]):
            return None if number else words.get("month", i)
        return (
            (int(number[0]) - 1, words.after("month_word", number[1]))
            if number[0] in range(1, 13)
            else None
        )

    def _holiday(self, i: int) -> Reading | None:
        day = self.words.get("holiday", i)
        has_lead = day is not None and (
            self._has_lead(i, "at", "link") or self.words.is_a("this", i - 1)
        )
        return day and self._in_years(
            lambda year: _day(*holiday(day[0], year).timetuple()[:3]), i, day[1], has_lead=has_lead
        )

    # Months, weeks and years

    def _span(self, i: int) -> Reading | None:
        """The month, season, quarter, numbered week, year or period ("last week") at token `i`;
        None if none.
        """
        return self._named_span(i) or self._period(i, bare=False) or self._whole_year(i)

    def _named_span(self, i: int, *, has_lead: bool = False) -> Reading | None:
        """The month, season, quarter ("Q3") or week ("week 46") at token `i`. has_lead: whether it
        needs no year.
        """
        words = self.words
        month = self._month(i)
        if named := (month and (month[0] + 1, month[1])) or words.get("season", i):
            first = int(named[0])
            end = named[1]
            end += (
                words.plain(end) == "." and words.glued(end) and self._year_at(end + 1) is not None
            )
            has_lead = has_lead or self._has_lead(i, "link") or words.language.flag("hour_signs")
            return self._in_years(
                lambda year: Window.months(year, first, 1 if month else 3),
                i,
                end,
                has_lead=has_lead,
            )
        ordinal = words.get("ordinal", i)
        unit = words.get("unit", ordinal[1] if ordinal else i)
        nth = int(ordinal[0]) if ordinal else 0
        if (
            words.plain(i) == "q"
            and words.glued(i + 1)
            and words.plain(i + 1) in ("1", "2", "3", "4")
        ):
            nth = int(words.plain(i + 1))
            unit = ("mo3", i + 2)
        if unit and unit[0] == "mo3" and 1 <= nth <= 4:
            return self._in_years(
                lambda year: Window.months(year, 3 * nth - 2, 3), i, unit[1], has_lead=True
            )
        week = i + 1 if words.plain(i) == "kw" or (unit and unit[0] == "d7") else 0
        if ordinal or not week or words.kind(week) != "number" or not words.plain(week).isdecimal():
            return None
        number = int(words.plain(week))
        of_week = datetime.fromisocalendar
        return self._in_years(
            lambda year: Window.period(of_week(year, number, 1), "d7", 0),
            i,
            week + 1,
            has_lead=True,
        )

    def _whole_year(self, i: int, *, has_lead: bool = False) -> Reading | None:
        """The year at token `i`, such as 2025. has_lead: whether it needs no word such as "in" or
        "year" before it.
        """
        if self.words.kind(i) != "number" or not (year := self._year_at(i)):
            return None
        has_lead = has_lead or self.words.get("unit", i - 1) == ("mo12", i) or self._has_lead(i)
        return ((Window.months(year[0], 1, 12),), year[1]) if has_lead else None

    def _period(self, i: int, *, bare: bool) -> Reading | None:
        """The week, weekend, month, quarter or year in words such as "last week". bare: whether
        "week" alone is one.
        """
        words = self.words
        direction = next(
            (kind for kind in ("previous", "next2", "next", "this") if words.is_a(kind, i)), None
        )
        j = words.after(direction, i) if direction else i
        weekend = words.get("weekend", j)
        kinds = (("previous_unit", -1), ("this_unit", 0), ("next_unit", 1))
        units = ((ahead, words.get(kind, i)) for kind, ahead in kinds)
        offset, named_unit = next(((ahead, unit) for ahead, unit in units if unit), (0, None))
        unit = named_unit or (("weekend", weekend[1]) if weekend else words.get("unit", j))
        if (
            unit is None
            or unit[0] not in ("d7", "mo1", "mo3", "mo12", "weekend")
            or words.plain(i) == "past"
        ):
            return None
        end = unit[1]
        if direction is None and not named_unit:
            direction, end = self._direction(i, end)
        ahead = {"previous": -1, "next": 1, "next2": 2}.get(direction or "", offset)
        if direction is None and not named_unit and not bare:
            if not weekend or not self._has_lead(i):
                return None
            this = Window.period(self.now, "weekend", 0)
            return self._past_or_coming(
                this if this.start <= self.now else Window.period(self.now, "weekend", -1), this
            ), end
        window = Window.period(self.now, unit[0], ahead)
        weekday = (
            words.get("weekday", words.after_any(("on", "link"), end)) if unit[0] == "d7" else None
        )
        if weekday:  # "next week on Tuesday"
            return (Window.day_of(window.start + weekday[0] * DAY),), weekday[1]
        return (window,), end

    def _part_of_span(self, i: int) -> Reading | None:
        """The third or half of a longer time, as in "the end of June", "mid-April" or "the first
        half of 2026".
        """
        words = self.words
        shares = {
            "start": (0, 1 / 3),
            "early": (0, 1 / 3),
            "mid": (1 / 3, 2 / 3),
            "late": (2 / 3, 1),
            "end": (2 / 3, 1),
        }
        kind = next((kind for kind in shares if words.is_a(kind, i)), None)
        ordinal = words.get("ordinal", i)
        short = words.get("abbreviated_end", i)
        if short:
            return (Window.period(self.now, short[0], 0).part(2 / 3, 1),), short[1]
        share, j = (shares[kind], words.after(kind, i)) if kind else ((0, 0), i)
        if ordinal and words.is_a("half", ordinal[1]) and int(ordinal[0]) in (1, 2, -1):
            share = (0, 1 / 2) if int(ordinal[0]) == 1 else (1 / 2, 1)
            j = words.after("half", ordinal[1])
        if j == i:
            return None
        k = words.after("of", j + (words.plain(j) == "-"))
        at = words.after("det", k)
        inner = (
            self._named_span(at, has_lead=True)
            or self._period(at, bare=k > j)
            or self._whole_year(at, has_lead=True)
        )
        return inner and (tuple(window.part(*share) for window in inner[0]), inner[1])

    # Days and distances

    def _distance(self, i: int) -> Reading | None:
        """The time in "two weeks ago", "vor zwei Tagen", "in three days" or "the last ten days";
        None for other words.

        "Two weeks ago" is widened by half a unit to each side, at least by a day.
        """
        words = self.words
        direction = next((kind for kind in _COUNTED_KINDS if words.is_a(kind, i)), None)
        lead = direction or next(
            (kind for kind in ("ago_before", "in") if words.is_a(kind, i)), None
        )
        j = words.after(lead, i) if lead else i
        if lead == "in" and words.is_a("next", words.after("det", j)):
            return self._distance(words.after("det", j))
        count = words.number(j)
        length = length_at(words, j)
        if count and not lead:  # "les trois prochains jours"
            direction = next((kind for kind in _COUNTED_KINDS if words.is_a(kind, count[1])), None)
            unit_of = unit_at(words, words.after(direction, count[1])) if direction else None
            length = (unit_of[0].times(count[0]), unit_of[1]) if unit_of else length
        if (
            length is None
            or length[0].minutes
            or (count and count[0] > _MAX_COUNT)
            or (direction and not count)
        ):
            return None
        end = length[1]
        unit = words.get("unit", length[1] - 1)
        years, months = divmod(length[0].months, 12)
        span = timedelta(days=length[0].days + 30 * months + 365 * years)
        if direction:
            coming = Window(self.now, Window.day_of(self.now + span).end)
            return (
                coming if direction.startswith("next") else Window(self.now - span, self.now),
            ), end
        if lead == "in" and (self.ahead is False or words.is_a("of", end)):
            return None
        if lead is None and not words.is_a("ago", end):
            return None
        middle = self.now + span if lead == "in" else self.now - span
        units = {"d1": 1.0, "mo1": 15.0, "mo3": 45.0, "mo12": 182.5}
        half = timedelta(days=units.get(unit[0] if unit else "d1", 3.5))
        return (Window(middle - half, middle + half),), words.after("ago", end)

    def _weekday(self, i: int) -> Reading | None:
        """The weekday at token `i`, if a word such as "on" is before it, or it ends a clause
        ("appelle-moi lundi").
        """
        words = self.words
        weekday = self.words.get("weekday", i)
        if (
            weekday is None
            or (weekday[1] == i + 1 and len(words.plain(i)) < 4)
            or words.start_of("habit", i) < i
        ):
            return None
        direction, end = self._direction(i, weekday[1])
        ends_clause = words.kind(end) in ("", "mark") and not words.is_a("ordinal", i)
        ends_clause |= (
            words.language.flag("hour_signs") and words.plain(end) in words.language.stops
        )
        if not (direction or ends_clause or self._has_lead(i, "link") or words.is_a("part", end)):
            return None
        past = Window.day_of(self.now - ((self.now.weekday() - weekday[0]) % 7 or 7) * DAY)
        coming = Window.day_of(self.now + ((weekday[0] - self.now.weekday()) % 7 or 7) * DAY)
        windows = {"previous": (past,), "next": (coming,)}.get(
            direction or ""
        ) or self._past_or_coming(past, coming)
        week = self._period(words.after("of", end), bare=False)
        if week and week[0][0].end - week[0][0].start == 7 * DAY:  # "Friday of last week"
            windows = (Window.day_of(week[0][0].start + weekday[0] * DAY),)
            end = week[1]
        return self._in_part(windows, end)

    def _relative_day(self, i: int) -> Reading | None:
        """The day or part of a day at token `i`: "yesterday", "hier soir", "this morning", "last
        night".
        """
        words = self.words
        today = Window.day_of(self.now)
        if tonight := words.get("tonight", i):
            return (today.hours(tonight[0]),), tonight[1]
        night = words.get("part", words.after("previous", i)) if words.is_a("previous", i) else None
        if night:
            return (Window.day_of(self.now - DAY).hours(night[0]),), night[1]
        day = words.get("day", i)
        # "por la mañana"
        if day is None or any(words.start_of(kind, day[1]) < i for kind in ("part", "greeting")):
            return None
        return self._in_part((Window.day_of(self.now + int(day[0]) * DAY),), day[1])

    def _in_part(self, days: Windows, end: int) -> Reading:
        """The part of each of `days` that is named at token `end`, such as "morning"; `days` if
        none is named.
        """
        part = self.words.get("part", end)
        return (tuple(day.hours(part[0]) for day in days), part[1]) if part else (days, end)


def _day(year: int, month: int, day: int) -> Window:
    return Window.day_of(datetime(year, month, day, tzinfo=UTC))
