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
        ahead_at = words.after("in", i)
        ago_at = words.after("ago_before", i)
        if ago_at > i and (length := length_at(words, ago_at)):
            return self._ahead(length[0].times(-1), length[1])
        # "za tydzień"
        unit = unit_at(words, ahead_at) if words.language.flag("bare_unit") else None
        if ahead_at > i and (length := length_at(words, ahead_at) or unit):
            end = words.after("later", words.after("time_of", length[1]))
            bounded = (
                words.is_a("before", end)
                or words.is_a("after", end)
                or words.plain(end) in ("of", "or")
            )
            return None if bounded else self._ahead(length[0], end)
        weekday = words.get("weekday", i)
        j = weekday[1] if weekday else near[1] if near else i
        length = length_at(words, words.after("in", j)) if i < j < words.after("in", j) else None
        if length and weekday:
            return Day(length[1], "weekday", length[0].later(self._following(weekday[0])))
        if length and near:
            return self._ahead(length[0].plus(Length(days=float(near[0]))), length[1])
        length = length_at(words, i)
        for kind, sign in (("ago", -1), ("later", 1)):
            if length and length[1] < words.after(kind, length[1]) >= words.after(
                "after", length[1]
            ):
                return self._ahead(length[0].times(sign), words.after(kind, length[1]))
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
        kind = self.words.kind(i)
        text = self.words.plain(i)
        if kind in ("iso", "basic", "date"):
            return self._full_date(i)
        leads = ("on", "by", "weekday", "before", "det")
        after_lead = words.plain(i - 1) == ":" or any(words.is_a(lead, i - 1) for lead in leads)
        decimal = kind != "number" or "." not in text or words.language.flag("decimal_point")
        dotted = not decimal and words.is_a("on", i - 1)
        if (kind == "day" and after_lead) or dotted:
            day, month = text.strip(".").split(".")
            return Day(i + 1, "monthday", self._next_date(int(month), int(day)))
        slashed = words.plain(i + 1) == "/" and {kind, words.kind(i + 2)} == {"number"}
        if slashed and (after_lead or words.kind(i + 3) == "clock"):
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

    def _day_number(self, i: int) -> tuple[int, int, bool] | None:
        """The day of the month at token `i`, the next token's index, and whether it is an ordinal
        (1st, 2., first).
        """
        words = self.words
        ordinal = self.words.get("ordinal", i)
        leads = ("det", "on", "by") if words.language.flag("ordinal_after_on") else ("det",)
        after_lead = any(words.is_a(lead, i - 1) for lead in leads)
        if ordinal and 0 < int(ordinal[0]) <= 31 and (after_lead or words.is_a("of", ordinal[1])):
            return int(ordinal[0]), ordinal[1], True
        number = words.number(i)
        if (
            number is None
            or not number[0].is_integer()
            or not 1 <= number[0] <= 31
            or "." in words.plain(i)
        ):
            return None
        digits = words.kind(i) == "number"
        dotted = digits and words.language.flag("dotted_days") and words.plain(number[1]) == "."
        marked = (words.plain(number[1]) in _ORDINAL_MARKS or dotted) and words.glued(number[1])
        return int(number[0]), number[1] + marked, marked

    def _day_and_month(self, i: int) -> Day | None:
        """The day at token `i`, such as "8 May" or "the 3rd of May 2027"; of a range ("14-16
        September") the first.
        """
        words = self.words
        number = self._day_number(i)
        if number is None:
            return None
        if (words.plain(i + 1), words.plain(i + 3)) == ("月", "日"):
            return Day(i + 4, "monthday", self._next_date(number[0], int(words.plain(i + 2))))
        j = number[1]
        k = j + 1 if words.plain(j) in DASHES else words.after("to", j)
        j = last[1] if k > j and (last := self._day_number(k)) else j
        month = words.get("month", words.after("of", j))
        return self._with_year(month[1], month[0] + 1, number[0]) if month else None

    def _month_and_day(self, i: int) -> Day | None:
        month = self.words.get("month", i)
        if month is None:
            return None
        number = self._day_number(
            self.words.after("det", month[1] + (self.words.plain(month[1]) == "."))
        )
        if number is None or any(
            self.words.is_a(kind, number[1]) for kind in ("am", "pm", "oclock")
        ):
            return None
        return self._with_year(number[1], month[0] + 1, number[0])

    def _with_year(self, j: int, month: int, day: int) -> Day:
        """The day with this month and day of the month, in the year named at token `j`, or else the
        next such date.
        """
        words = self.words
        k = words.after("of", j + (words.plain(j) == ","))
        k += words.plain(k) == "." and words.kind(k + 1) == "number"
        year = words.plain(k)
        period = self._period(k)
        if period and period[0] == "mo12" and period[1] > 0:
            return Day(period[2], "date", date(self.today.year + period[1], month, day))
        if len(year) == 4 and year[:2] in ("19", "20") and year.isdecimal():
            return Day(k + 1, "date", date(int(year), month, day))
        return Day(j, "monthday", self._next_date(month, day))

    def _day_of_month(self, i: int) -> Day | None:
        """The next day with the number at token `i` ("the 22nd", "le 15"), or the day in "the 10th
        of next month".
        """
        words = self.words
        number = self._day_number(i)
        unit = self.words.get("unit", i - 1)
        if number is None or words.is_a("month", number[1]) or words.is_a("unit", number[1]):
            return None
        day, j, marked = number
        after_lead = any(words.is_a(kind, i - 1) for kind in ("det", "on", "by", "weekday"))
        month = self._period(words.after("of", j))
        of_month = month is not None and month[0] == "mo1" and month[1] > 0
        closed = (
            self.ends(j)
            or of_month
            or words.is_a("by", j)
            or words.is_a("part", words.after("link", j))
        )
        bare = words.language.flag("bare_day_number") and words.is_a("on", i - 1) and closed
        named = words.start_of("weekday", i) if closed and words.plain(j) not in DASHES else i
        weekday = words.get("weekday", named)
        if not (bare or (marked and after_lead) or (unit and unit[0] == "d1") or weekday):
            return None
        if month and month[0] == "mo1":
            return Day(
                month[2], "dom", months_later(self.today.replace(day=1), month[1]).replace(day=day)
            )
        if words.is_a("det", words.after("of", j)) and words.is_a("of", j):  # "the 2nd of the two"
            return None
        first = self.today.replace(day=1)
        while day > monthrange(first.year, first.month)[1] or first.replace(day=day) <= self.today:
            first = months_later(first, 1)
        # "Monday 9" is a time
        if weekday and not marked and first.replace(day=day).weekday() != weekday[0]:
            return None
        return Day(j, "dom", first.replace(day=day))

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

    def _period(self, i: int) -> tuple[str, int, int] | None:
        """The period at token `i`, such as "next week": unit, distance (-1 is last week), index of
        the next token.
        """
        words = self.words
        i = words.after("det", i)
        for kind, ahead in (("next_unit", 1), ("abbreviated_end", 0)):
            if period := words.get(kind, i):
                return period[0], ahead, period[1]
        j = words.after_any(("next", "next2", "this", "previous"), i)
        unit = words.get("unit", j)
        if unit is None:
            return None
        if words.is_a("previous", i) or words.is_a("previous", unit[1]):
            return unit[0], -1, words.after("previous", unit[1])
        later = words.after_any(("next", "next2"), unit[1])
        second = words.is_a("next2", i) or words.is_a("next2", unit[1])
        return unit[0], 2 if second else int(words.is_a("next", i) or later > unit[1]), later

    def _month(self, i: int) -> tuple[date, int, int] | None:
        """First day of the month, season or period at token `i`, its length in months, and the next
        token's index.

        Without a year, it is the current month or season of that name, or else the next one.
        """
        words = self.words
        period = self._period(i)
        named = self.words.get("month", i)
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
                return date(int(words.plain(k)), named[0] + 1, 1), length, k + 1
            first = date(self.today.year - 1, named[0] + 1, 1)
            while months_later(first, length) <= self.today:
                first = months_later(first, 12)
            return first, length, named[1]
        if period is None or not period[0].startswith("mo"):
            return None
        length = int(period[0][2:])
        months = period[1] * length - (self.today.month - 1) % length
        return months_later(self.today.replace(day=1), months), length, period[2]

    def _in_month(self, i: int) -> Day | None:
        """The first day of the month or season at token `i` ("in June", "by spring"); its last day
        if it has begun.
        """
        words = self.words
        start = self.words.start_of("det", i)
        after_lead = any(
            words.start_of(kind, start) < start for kind in ("in_month", "by", "this", "next")
        )
        month = (
            self._month(i)
            if after_lead and (words.is_a("month", i) or words.is_a("season", i))
            else None
        )
        if month is None:
            return None
        first, length, end = month
        return Day(
            end,
            "month",
            first if first > self.today else months_later(first, length) - timedelta(days=1),
        )

    def _nth_weekday(self, i: int) -> Day | None:
        """The day in words such as "the last Monday of March" or "the 2nd Friday of May"; None for
        other words.
        """
        words = self.words
        named = self.words.get("ordinal", i)
        number = self._day_number(i)
        nth, j = (
            (int(named[0]), named[1])
            if named
            else (number[0], number[1])
            if number and number[2]
            else (0, i)
        )
        weekday = words.get("weekday", j) if nth else None
        month = weekday and self._month(words.after("of", weekday[1]))
        days = weekdays_of(month[0], weekday[0]) if weekday and month and month[1] == 1 else []
        return (
            Day(month[2], "nth", days[nth - (nth > 0)])
            if month and days and nth <= len(days)
            else None
        )

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
        past = period is not None and period[1] < 0
        if month and words.kind(month[2]) != "number":  # "start June 19" is a date
            first, length, end = month
            if starts and period and not past and first < self.today:
                first = months_later(first, length)
            middle = months_later(first, length // 2) + timedelta(days=14 * (length % 2))
            last = months_later(first, length) - timedelta(days=1)
            return Day(
                end, "edge", first if starts else middle if edge == "mid" else last, past=past
            )
        if period is None or period[0] not in ("d7", "d14"):
            return None
        day = self._in_week(0 if starts else 2 if edge == "mid" else 4, period[1])
        return Day(
            period[2], "edge", day if day >= self.today else day + timedelta(days=7), past=past
        )

    def _in_week(self, day: int, ahead: int) -> date:
        """A day, 0 for Monday, of the week that is `ahead` weeks after the current one."""
        return self.today + timedelta(days=7 * ahead + day - self.today.weekday())

    def _next_period(self, i: int) -> Day | None:
        """The day in "next week on Tuesday" and the like. "Next month" alone means today's day of
        the month.
        """
        words = self.words
        period = self._period(i)
        if (
            period is None
            or length_of(period[0]).minutes
            or period[0] == "d1"
            or words.is_a("end", i)
        ):
            return None
        unit, ahead, end = period
        j = end + (words.plain(end) == ",")
        j = words.after("det", words.after_any(("on", "link"), j))
        weekday = words.get("weekday", j)
        number = self._day_number(j)
        if unit == "d7" and weekday and (ahead or words.after("this", words.after("det", i)) > i):
            return Day(weekday[1], "weekday", self._in_week(weekday[0], ahead))
        if ahead < 1:
            return None
        if unit == "mo1" and number and number[2]:
            return Day(
                number[1],
                "dom",
                months_later(self.today.replace(day=1), ahead).replace(day=number[0]),
            )
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
        weekday = words.get(
            "weekday", words.after_any(("next", "this", "previous", "next2")[: 3 + second], i)
        )
        verb = (
            words.is_a("past", i)
            and words.plain(i - 1) in words.language.stops
            and not words.kinds_at(i - 1)
        )
        if weekday is None or verb:  # "we sat"
            return None
        number, end = weekday
        dotted = words.plain(end) == "." and words.glued(end)
        if dotted and words.kind(end + 1) == "word" and words.glued(end + 1):  # Monday.com
            return None
        end += dotted and words.kind(end + 1) != ""
        if counted := self._counted(number, end):
            return counted
        week = None if words.is_a("previous", i) else self._period(words.after("of", end))
        if week and week[0] == "d7" and week[1] and not words.is_a("weekday", week[2]):
            return Day(week[2], "weekday", self._in_week(number, week[1]))
        past = words.is_a("previous", i) or (
            words.is_a("previous", end) and not words.is_a("next", end)
        )
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
        at = words.after("det", beside)
        anchor = (
            self._digits(at) or self._day_and_month(at) or self._month_and_day(at)
            if beside > end
            else None
        )
        if anchor is None:
            return None
        ahead = (weekday - anchor.date.weekday()) % 7
        ahead = ahead or 7 if words.is_a("after", end) else ahead - 7
        return Day(anchor.end, "relative", anchor.date + timedelta(days=ahead))

    def _following(self, weekday: int) -> date:
        return self.today + timedelta(days=(weekday - self.today.weekday()) % 7 or 7)

    def _near(self, i: int) -> Day | None:
        if tonight := self.words.get("tonight", i):
            return Day(tonight[1], "near", self.today, part=tonight[0])
        near = self.words.get("day", i)
        return near and Day(
            near[1], "near", self.today + timedelta(days=int(near[0])), past=int(near[0]) < 0
        )
