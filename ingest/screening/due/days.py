"""Reads days in words as dates: "2 May", "next Friday", "in two weeks", "the last Monday of March",
"fin de mes".

A date without a year, or a weekday, means the next such day to come; "next Friday" is the first
Friday after today. The end of a week is its Friday. "Next week" and "next month" mean today's day
in that week or month. Holidays are known if a rule gives their date. A month or season alone means
its first day, and while it runs its last day.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from memtypes.calendar import (
    Length,
    holiday,
    length_at,
    length_of,
    months_later,
    unit_at,
    weekdays_of,
)
from memtypes.words import Words

_MONDAY = 0
_WEDNESDAY = 2
_FRIDAY = 4

DASHES = ("-", "\u2013", "\u2014")
_ORDINAL_MARKS = ("st", "nd", "rd", "th", "er", "re", "e", "de", "ste", "a", "o", "º", "°", "ª")


@dataclass(frozen=True, slots=True)
class Day:
    """A day in a text. end: index of the token after its words. kind: the form of the words: date,
    weekday, offset ...

    instant: the exact moment, if the words name one ("in 90 minutes"). part: the part of the day,
    as in "tonight". past: whether the words place it in the past. is_range: whether they name
    several weekdays ("Monday to Friday").
    """

    end: int
    kind: str
    date: date
    instant: datetime | None = None
    part: str | None = None
    past: bool = False
    is_range: bool = False


class _DayNumber(NamedTuple):
    """A day of the month in a text. is_ordinal: whether it is written as one, as 1st or 1."""

    number: int
    end: int
    is_ordinal: bool


class _Period(NamedTuple):
    """A period such as "next week". unit: as in the lexicon, d7 for a week. ahead: -1 is last
    week.
    """

    unit: str
    ahead: int
    end: int


class _Month(NamedTuple):
    """A month, season or period of several months. first: its first day. months: its length."""

    first: date
    months: int
    end: int


@dataclass(frozen=True, slots=True)
class Days:
    """Reads the days that `words` name. now: when they were said, in the speaker's time zone.

    month_first: whether 3/4 is in March, not April.
    """

    words: Words
    now: datetime
    month_first: bool

    @property
    def today(self) -> date:
        """The date of `now`, in the speaker's zone."""
        return self.now.date()

    def at(self, i: int) -> Day | None:
        """The day whose words begin at token `i`, by the longest possible reading; None if no day
        is named there.
        """
        if not self.words.has_meaning(i):
            return None
        readers = (
            self._offset,
            self._digits,
            self._day_and_month,
            self._month_and_day,
            self._day_of_month,
            self._holiday,
            self._nth_weekday,
            self._in_month,
            self._edge,
            self._next_period,
            self._weekend,
            self._weekday,
            self._near,
        )
        best: Day | None = None
        for reader in readers:
            try:
                day = reader(i)
            except (ValueError, OverflowError):  # no such day: 31 February, the year 10,000
                continue
            if day and (best is None or day.end > best.end):
                best = day
        return best

    def _offset(self, i: int) -> Day | None:
        """The day at a distance from now: "in two weeks", "vor zwei Tagen" (two days ago); None for
        other words.
        """
        words = self.words
        near = self.words.get("day", i)
        weekday = words.get("weekday", i)
        # "vor zwei Tagen"
        ago_at = words.after("ago_before", i)
        if ago_at > i and (measured := length_at(words, ago_at)):
            length, end = measured
            return self._ahead(length.times(-1), end)
        # "in two weeks"; "za tydzień", without a number
        ahead_at = words.after("in", i)
        unit = unit_at(words, ahead_at) if words.language.flag("bare_unit") else None
        if ahead_at > i and (measured := length_at(words, ahead_at) or unit):
            length, end = measured
            end = words.after("later", words.after("time_of", end))
            is_bound = words.is_a("before", end) or words.is_a("after", end)
            is_share = words.plain(end) in ("of", "or")
            return None if is_bound or is_share else self._ahead(length, end)
        # "Monday in two weeks", "tomorrow in a week"
        named = weekday or near
        in_at = words.after("in", named[1]) if named else i
        measured = length_at(words, in_at) if named and in_at > named[1] > i else None
        if measured and weekday:
            length, end = measured
            return Day(end, "weekday", length.later(self._following(weekday[0])))
        if measured and near:
            length, end = measured
            return self._ahead(length.plus(Length(days=float(near[0]))), end)
        return self._measured(i)

    def _measured(self, i: int) -> Day | None:
        """The day in "two weeks ago" or "two weeks later"; None for other words."""
        words = self.words
        measured = length_at(words, i)
        if measured is None:
            return None
        length, end = measured
        for kind, sign in (("ago", -1), ("later", 1)):
            after_kind = words.after(kind, end)
            if after_kind > end and after_kind >= words.after("after", end):
                return self._ahead(length.times(sign), after_kind)
        return None

    def _ahead(self, length: Length, end: int) -> Day:
        at = (
            self.now.astimezone(UTC) + timedelta(minutes=length.minutes) if length.minutes else None
        )
        past = min(length.minutes, length.days, length.months) < 0
        return Day(end, "offset", length.later(self.today), at, past=past)

    # Dates

    def _digits(self, i: int) -> Day | None:
        """The date in digits at `i`: 01.12.2026, or without a year (24.12., 24/12) after words such
        as "on".
        """
        words = self.words
        kind = words.kind(i)
        text = words.plain(i)
        if kind in ("iso", "basic", "date"):
            return self._full_date(i)
        leads = ("on", "by", "weekday", "before", "det")
        after_lead = words.plain(i - 1) == ":" or any(words.is_a(lead, i - 1) for lead in leads)
        # "am 24.12": where a point is no decimal point, such a number may be a day
        with_point = kind == "number" and "." in text
        may_be_day = with_point and not words.language.flag("decimal_point")
        if (kind == "day" and after_lead) or (may_be_day and words.is_a("on", i - 1)):
            day, month = text.strip(".").split(".")
            return Day(i + 1, "monthday", self._next_date(int(month), int(day)))
        slashed = words.plain(i + 1) == "/" and {kind, words.kind(i + 2)} == {"number"}
        before_time = words.kind(i + 3) == "clock"
        if slashed and (after_lead or before_time):
            month_and_day = self._order(int(text), int(words.plain(i + 2)), slashes=True)
            return Day(i + 3, "monthday", self._next_date(*month_and_day))
        return None

    def _full_date(self, i: int) -> Day:
        """The day of a date with its year at token `i`, as 1.12.2026; the instant, too, if an ISO
        date has a time.
        """
        text = self.words.plain(i)
        iso = self.words.kind(i) != "date"
        if iso and len(text) > len("2026-12-01"):
            at = datetime.fromisoformat(text.upper().replace(" ", ""))
            at = at if at.tzinfo else at.replace(tzinfo=self.now.tzinfo)
            return Day(i + 1, "date", at.astimezone(self.now.tzinfo).date(), at.astimezone(UTC))
        first, second, third = (
            int(part) for part in text.replace("/", ".").replace("-", ".").split(".")
        )
        if first > 31:
            return Day(i + 1, "date", date(first, second, third))
        month, day = self._order(first, second, slashes="/" in text)
        return Day(i + 1, "date", date(third + 2000 * (third < 100), month, day))

    def _order(self, first: int, second: int, *, slashes: bool) -> tuple[int, int]:
        """The month, then the day, of a date such as 3/4 or 3.4. slashes: whether slashes separate
        its numbers.
        """
        month_first = first <= 12 and (second > 12 or (slashes and self.month_first))
        return (first, second) if month_first else (second, first)

    def _next_date(self, month: int, day: int) -> date:
        for year in range(self.today.year, self.today.year + 9):
            if 1 <= day <= monthrange(year, month)[1] and date(year, month, day) >= self.today:
                return date(year, month, day)
        raise ValueError("no such date")

    def _day_number(self, i: int) -> _DayNumber | None:
        """The day of the month at token `i`: 1, 1st, 2., first."""
        words = self.words
        # A word: "the first", "first of"
        if ordinal := words.get("ordinal", i):
            number = int(ordinal[0])
            end = ordinal[1]
            leads = ("det", "on", "by") if words.language.flag("ordinal_after_on") else ("det",)
            after_lead = any(words.is_a(lead, i - 1) for lead in leads)
            if 1 <= number <= 31 and (after_lead or words.is_a("of", end)):
                return _DayNumber(number, end, is_ordinal=True)
        # A number, perhaps with a mark: 3, 3rd, 3.
        counted = words.number(i)
        if counted is None or "." in words.plain(i):
            return None
        value, end = counted
        if not value.is_integer() or not 1 <= value <= 31:
            return None
        in_digits = words.kind(i) == "number"
        has_dot = in_digits and words.language.flag("dotted_days") and words.plain(end) == "."
        has_mark = words.plain(end) in _ORDINAL_MARKS
        is_ordinal = (has_mark or has_dot) and words.glued(end)
        return _DayNumber(int(value), end + is_ordinal, is_ordinal)

    def _day_and_month(self, i: int) -> Day | None:
        """The day at token `i`, such as "8 May" or "the 3rd of May 2027"; of a range ("14-16
        September") the first.
        """
        words = self.words
        number = self._day_number(i)
        if number is None:
            return None
        if (words.plain(i + 1), words.plain(i + 3)) == ("月", "日"):
            return Day(i + 4, "monthday", self._next_date(number.number, int(words.plain(i + 2))))
        end = number.end
        # "14-16 September"
        last_at = end + 1 if words.plain(end) in DASHES else words.after("to", end)
        if last_at > end and (last := self._day_number(last_at)):
            end = last.end
        month = words.get("month", words.after("of", end))
        return self._with_year(month[1], month[0] + 1, number.number) if month else None

    def _month_and_day(self, i: int) -> Day | None:
        words = self.words
        named = words.get("month", i)
        if named is None:
            return None
        month, end = named
        number = self._day_number(words.after("det", end + (words.plain(end) == ".")))
        if number is None:
            return None
        is_time = any(words.is_a(kind, number.end) for kind in ("am", "pm", "oclock"))
        return None if is_time else self._with_year(number.end, month + 1, number.number)

    def _with_year(self, j: int, month: int, day: int) -> Day:
        """The day with this month and day of the month, in the year named at token `j`, or else the
        next such date.
        """
        words = self.words
        k = words.after("of", j + (words.plain(j) == ","))
        k += words.plain(k) == "." and words.kind(k + 1) == "number"
        year = words.plain(k)
        period = self._period(k)
        if period and period.unit == "mo12" and period.ahead > 0:
            return Day(period.end, "date", date(self.today.year + period.ahead, month, day))
        if len(year) == 4 and year[:2] in ("19", "20") and year.isdecimal():
            return Day(k + 1, "date", date(int(year), month, day))
        return Day(j, "monthday", self._next_date(month, day))

    def _day_of_month(self, i: int) -> Day | None:
        """The next day with the number at token `i` ("the 22nd", "le 15"), or the day in "the 10th
        of next month".
        """
        words = self.words
        number = self._day_number(i)
        if number is None or words.is_a("month", number.end) or words.is_a("unit", number.end):
            return None
        day, end, is_ordinal = number
        period = self._period(words.after("of", end))
        of_month = period is not None and period.unit == "mo1"
        # Whether nothing follows that the number could count, as in "on 3 servers"
        before_next_month = period is not None and of_month and period.ahead > 0
        before_time = words.is_a("by", end) or words.is_a("part", words.after("link", end))
        stands_alone = self.ends(end) or before_next_month or before_time
        # What makes a number a day: "on 22", "the 22nd", "day 22", "Monday 22"
        after_lead = any(words.is_a(kind, i - 1) for kind in ("det", "on", "by", "weekday"))
        after_on = words.language.flag("bare_day_number") and words.is_a("on", i - 1)
        unit = words.get("unit", i - 1)
        after_day = unit is not None and unit[0] == "d1"
        may_have_weekday = stands_alone and words.plain(end) not in DASHES
        weekday = words.get("weekday", words.start_of("weekday", i) if may_have_weekday else i)
        is_bare_day = after_on and stands_alone
        if not (is_bare_day or (is_ordinal and after_lead) or after_day or weekday):
            return None
        if period is not None and of_month:
            first = months_later(self.today.replace(day=1), period.ahead)
            return Day(period.end, "dom", first.replace(day=day))
        # "the 2nd of the two"
        if words.is_a("of", end) and words.is_a("det", words.after("of", end)):
            return None
        first = self.today.replace(day=1)
        while day > monthrange(first.year, first.month)[1] or first.replace(day=day) <= self.today:
            first = months_later(first, 1)
        # "Monday 9" is a time
        if weekday and not is_ordinal and first.replace(day=day).weekday() != weekday[0]:
            return None
        return Day(end, "dom", first.replace(day=day))

    def ends(self, i: int) -> bool:
        """Whether token `i` ends a clause, or is a word such as "at" before a clock time."""
        words = self.words
        return words.kind(i) in ("", "mark") or words.is_a("at", i) or words.is_a("conj", i)

    def _holiday(self, i: int) -> Day | None:
        holiday_name = self.words.get("holiday", i)
        if holiday_name is None:
            return None
        days = (holiday(holiday_name[0], self.today.year + ahead) for ahead in (0, 1))
        return Day(holiday_name[1], "holiday", next(day for day in days if day >= self.today))

    # Weeks, months and weekdays

    def _period(self, i: int) -> _Period | None:
        """The period at token `i`, such as "next week"."""
        words = self.words
        i = words.after("det", i)
        for kind, ahead in (("next_unit", 1), ("abbreviated_end", 0)):
            if named := words.get(kind, i):
                unit, end = named
                return _Period(unit, ahead, end)
        named = words.get("unit", words.after_any(("next", "next2", "this", "previous"), i))
        if named is None:
            return None
        unit, end = named
        if words.is_a("previous", i) or words.is_a("previous", end):
            return _Period(unit, -1, words.after("previous", end))
        later = words.after_any(("next", "next2"), end)
        if words.is_a("next2", i) or words.is_a("next2", end):
            return _Period(unit, 2, later)
        is_next = words.is_a("next", i) or later > end
        return _Period(unit, int(is_next), later)

    def _month(self, i: int) -> _Month | None:
        """The month, season or period of months at token `i`.

        Without a year, it is the current month or season of that name, or else the next one.
        """
        words = self.words
        period = self._period(i)
        named = words.get("month", i)
        if season := words.get("season", i):
            january, july = (
                self.now.replace(month=month, day=1).utcoffset() or timedelta(0) for month in (1, 7)
            )
            southern = 6 * (january > july)  # summer time is in January
            named = ((int(season[0]) - 1 + southern) % 12, season[1])
        if named:
            length = 3 if season else 1
            k = words.after("of", named[1])
            if len(words.plain(k)) == 4 and words.plain(k).isdecimal():
                return _Month(date(int(words.plain(k)), named[0] + 1, 1), length, k + 1)
            first = date(self.today.year - 1, named[0] + 1, 1)
            while months_later(first, length) <= self.today:
                first = months_later(first, 12)
            return _Month(first, length, named[1])
        if period is None or not period.unit.startswith("mo"):
            return None
        length = int(period.unit.removeprefix("mo"))
        months = period.ahead * length - (self.today.month - 1) % length
        return _Month(months_later(self.today.replace(day=1), months), length, period.end)

    def _in_month(self, i: int) -> Day | None:
        """The first day of the month or season at token `i` ("in June", "by spring"); its last day
        if it has begun.
        """
        words = self.words
        start = words.start_of("det", i)
        leads = ("in_month", "by", "this", "next")
        after_lead = any(words.start_of(kind, start) < start for kind in leads)
        if not after_lead or not (words.is_a("month", i) or words.is_a("season", i)):
            return None
        month = self._month(i)
        if month is None:
            return None
        last = months_later(month.first, month.months) - timedelta(days=1)
        has_begun = month.first <= self.today
        return Day(month.end, "month", last if has_begun else month.first)

    def _nth_weekday(self, i: int) -> Day | None:
        """The day in words such as "the last Monday of March" or "the 2nd Friday of May"; None for
        other words.
        """
        words = self.words
        number = self._day_number(i)
        if named := words.get("ordinal", i):
            nth = int(named[0])
            end = named[1]
        elif number and number.is_ordinal:
            nth = number.number
            end = number.end
        else:
            return None
        weekday = words.get("weekday", end) if nth else None
        month = self._month(words.after("of", weekday[1])) if weekday else None
        if weekday is None or month is None or month.months != 1:
            return None
        days = weekdays_of(month.first, weekday[0])
        if nth > len(days):
            return None
        # The last one is -1.
        return Day(month.end, "nth", days[nth - 1 if nth > 0 else nth])

    def _edge(self, i: int) -> Day | None:
        """The day that "end of June", "mid next week" or the like at token `i` means; None for
        other words.
        """
        words = self.words
        kinds = ("abbreviated_end", "end", "late", "start", "early", "mid")
        edge = next((kind for kind in kinds if words.is_a(kind, i)), None)
        if edge is None:
            return None
        j = words.after(edge, i)
        k = i if edge == "abbreviated_end" else words.after("of", j + (words.plain(j) == "-"))
        month = self._month(k)
        period = self._period(k)
        starts = edge in ("start", "early")
        past = period is not None and period.ahead < 0
        if month and words.kind(month.end) != "number":  # "start June 19" is a date
            first, length, end = month
            if starts and period and not past and first < self.today:
                first = months_later(first, length)
            if starts:
                day = first
            elif edge == "mid":
                day = months_later(first, length // 2) + timedelta(days=14 * (length % 2))
            else:
                day = months_later(first, length) - timedelta(days=1)
            return Day(end, "edge", day, past=past)
        if period is None or period.unit not in ("d7", "d14"):
            return None
        weekday = _MONDAY if starts else _WEDNESDAY if edge == "mid" else _FRIDAY
        day = self._in_week(weekday, period.ahead)
        if day < self.today:
            day += timedelta(days=7)
        return Day(period.end, "edge", day, past=past)

    def _in_week(self, day: int, ahead: int) -> date:
        """A day, 0 for Monday, of the week that is `ahead` weeks after the current one."""
        return self.today + timedelta(days=7 * ahead + day - self.today.weekday())

    def _next_period(self, i: int) -> Day | None:
        """The day in "next week on Tuesday" and the like. "Next month" alone means today's day of
        the month.
        """
        words = self.words
        period = self._period(i)
        if period is None or words.is_a("end", i):
            return None
        unit, ahead, end = period
        if unit == "d1" or length_of(unit).minutes:  # no longer than a day
            return None
        j = end + (words.plain(end) == ",")
        j = words.after("det", words.after_any(("on", "link"), j))
        weekday = words.get("weekday", j)
        number = self._day_number(j)
        is_this = words.after("this", words.after("det", i)) > i
        if unit == "d7" and weekday and (ahead or is_this):
            return Day(weekday[1], "weekday", self._in_week(weekday[0], ahead))
        if ahead < 1:
            return None
        if unit == "mo1" and number and number.is_ordinal:
            first = months_later(self.today.replace(day=1), ahead)
            return Day(number.end, "dom", first.replace(day=number.number))
        return Day(end, "period", length_of(unit).times(ahead).later(self.today))

    def _weekend(self, i: int) -> Day | None:
        words = self.words
        weekend = words.get("weekend", words.after_any(("next", "this", "det", "on"), i))
        if weekend is None:
            return None
        ahead = words.is_a("next", i) or words.is_a("next", weekend[1])
        return Day(words.after("next", weekend[1]), "weekday", self._in_week(5, ahead))

    def _weekday(self, i: int) -> Day | None:
        """The next such weekday after today, also for "next Friday"; another one if the words name
        another week.
        """
        words = self.words
        second = words.is_a("next2", i) and not words.is_a("after", i)  # not "after next Friday"
        leads = ("next", "this", "previous", "next2") if second else ("next", "this", "previous")
        weekday = words.get("weekday", words.after_any(leads, i))
        after_stop_word = words.plain(i - 1) in words.language.stops and not words.kinds_at(i - 1)
        is_verb = words.is_a("past", i) and after_stop_word  # "we sat"
        if weekday is None or is_verb:
            return None
        number, end = weekday
        has_dot = words.plain(end) == "." and words.glued(end)
        if has_dot and words.kind(end + 1) == "word" and words.glued(end + 1):  # Monday.com
            return None
        end += has_dot and words.kind(end + 1) != ""
        if counted := self._counted(number, end):
            return counted
        week = None if words.is_a("previous", i) else self._period(words.after("of", end))
        of_week = week is not None and week.unit == "d7" and week.ahead != 0
        if week and of_week and not words.is_a("weekday", week.end):
            return Day(week.end, "weekday", self._in_week(number, week.ahead))
        past_after = words.is_a("previous", end) and not words.is_a("next", end)
        past = words.is_a("previous", i) or past_after
        to = end + 1 if words.plain(end) in DASHES else words.after("to", end)
        last = words.get("weekday", to) if to > end else None
        # "from Thursday to Friday": the latter counts
        if last and last[0] != number and words.has("moved"):
            return None
        end = last[1] if last else words.after_any(("next", "this", "previous"), end)
        day = self._following(number) + timedelta(days=7 * (second - past))
        return Day(end, "weekday", day, past=past, is_range=bool(last))

    def _counted(self, weekday: int, end: int) -> Day | None:
        """The day in "Sunday week", "the Monday after next" or "the Friday before 20 March"; None
        for other words.
        """
        words = self.words
        unit = unit_at(self.words, end)
        day = self._following(weekday)
        if unit and unit[0].days >= 7:
            return Day(unit[1], "weekday", unit[0].later(day))
        if words.is_a("next2", end):
            return Day(words.after("next2", end), "weekday", day + timedelta(days=7))
        beside = words.after_any(("before", "after"), end)
        if beside == end:
            return None
        at = words.after("det", beside)
        anchor = self._digits(at) or self._day_and_month(at) or self._month_and_day(at)
        if anchor is None:
            return None
        ahead = (weekday - anchor.date.weekday()) % 7
        if not words.is_a("after", end):
            ahead -= 7
        elif ahead == 0:
            ahead = 7
        return Day(anchor.end, "relative", anchor.date + timedelta(days=ahead))

    def _following(self, weekday: int) -> date:
        return self.today + timedelta(days=(weekday - self.today.weekday()) % 7 or 7)

    def _near(self, i: int) -> Day | None:
        """The day in "tonight", "tomorrow" or "yesterday"; None for other words."""
        if tonight := self.words.get("tonight", i):
            return Day(tonight[1], "near", self.today, part=tonight[0])
        near = self.words.get("day", i)
        if near is None:
            return None
        days = int(near[0])
        return Day(near[1], "near", self.today + timedelta(days=days), past=days < 0)
