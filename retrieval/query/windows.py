"""Windows of time named in words of any language of the lexicon: dates, months, weekdays, "two weeks ago", in UTC.

A question may look ahead ("what is due on Friday?"), back ("what broke on Friday?"), or tell nothing of it. A weekday,
or a month without a year, is then the next one, the latest one, or either, which gives two windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from memtypes.calendar import DAY, Window, holiday, length_at, unit_at
from memtypes.words import Words, read_words

_LEADS = ("in_month", "in", "of", "on", "by", "before", "after", "from", "this", "next", "previous", "early", "late")
"""Kinds of words before a month, season or year. Without one of them, "may", "march" and "fall" are verbs."""
_SOME = ("previous", "next", "previous_some", "next_some")
_RANGE_REACH = 8
"""Maximum number of tokens from "from" to the last time in "from the first of March to the tenth of April"."""
_MOST = 999
"""Highest count of a distance such as "12 days ago"."""


Windows: TypeAlias = tuple[Window, ...]
Found: TypeAlias = tuple[Windows, int]
"""The windows of a time, and the position after its words. There are several if the words may mean either."""


@dataclass(frozen=True, slots=True)
class TimeReader:
    """Reads the times that `words` name. now: in UTC. ahead: whether they speak of what is to come; None if unclear."""

    words: Words
    now: datetime
    ahead: bool | None

    @classmethod
    def of(cls, text: str, now: datetime) -> TimeReader:
        """The reader of `text`, said at `now` (in UTC), in the language of most of its words."""
        words, position, cues = read_words(text), 0, set[bool]()
        while position < len(words.tokens):
            if words.is_a("ahead", position):
                cues.add(True)
            elif words.is_a("past", position) or words.is_participle(position):
                cues.add(False)
            position = max(words.after("ahead", position), position + 1)
        return cls(words, now, cues.pop() if len(cues) == 1 else None)

    def times(self) -> Iterator[tuple[int, Windows]]:
        """Yield each named time: the offset of its first character in the text of `words`, and its windows."""
        position = 0
        while position < len(self.words.tokens):
            found = self._at(position)
            found = found and (self._range(position, found) or found)
            if found and found[0]:
                yield self.words.tokens[position].start, found[0]
            position = found[1] if found else position + 1

    def _at(self, i: int) -> Found | None:
        """The time whose words begin at token `i`, or None. Of several readings, the longest counts."""
        readers = (
            self._digits, self._day_and_month, self._month_and_day, self._edge, self._span, self._distance,
            self._weekday, self._near, self._holiday,
        ) if self.words.kind(i) != "word" or self.words.kinds_at(i) else (self._span,)  # fmt: skip
        best: Found | None = None
        for read in readers:
            try:
                found = read(i)
            except (ValueError, OverflowError):  # not in the calendar
                continue
            if found and (best is None or found[1] > best[1]):
                best = found
        return best

    # What stands around a time

    def _led(self, i: int, *more: str) -> bool:
        """Whether a word such as "in" stands before token `i`, or before its article. more: other kinds that count."""
        words, start = self.words, self.words.start_of("det", i)
        ends_range = any(words.is_a("range", at) for at in range(max(0, i - _RANGE_REACH), i))
        kinds = (*_LEADS, *more, *("to",) * ends_range)
        return any(words.start_of(kind, at) < at for kind in kinds for at in (i, start))

    def _begins_range(self, i: int) -> bool:
        """Whether "from" or "between" stands before token `i`; always in a language that has only words after it."""
        words, start = self.words, self.words.start_of("det", i)
        return any(words.start_of("range", at) < at for at in (i, start)) or words.language.flag("hour_signs")

    def _range(self, i: int, first: Found) -> Found | None:
        """The span from the time `first` at token `i` up to that after "to" or "and", as in "from March to May"."""
        words, (begins, end) = self.words, first
        joint = words.after_any(("to", "range_to"), end)
        last = self._at(words.after("det", joint)) if joint > end and self._begins_range(i) else None
        if not (last and last[0] and begins):
            return None
        turn = (7 if words.is_a("weekday", i) else 365 if self._month(i) or self._day_number(i) else 0) * DAY
        spans = list[Window]()
        for until in last[0]:
            early = [each.start for each in begins if each.start <= until.start]
            if not early and not turn:
                return None
            start = early[-1] if early else begins[0].start if self.ahead else begins[-1].start - turn
            spans.append(Window(start, until.end if early or not self.ahead else until.end + turn))
        return tuple(dict.fromkeys(spans)), last[1]

    def _which(self, i: int, end: int) -> tuple[str | None, int]:
        """The kind of "last" or "next" around the tokens from `i` to `end` ("mardi dernier"), and where all end."""
        for kind in ("previous", "next"):
            if self.words.start_of(kind, i) < i:
                return kind, end
            if not self.words.language.flag("minutes_first") and self.words.is_a(kind, end):
                return kind, self.words.after(kind, end)
        return None, end

    def _chosen(self, past: Window | None, coming: Window | None) -> Windows:
        """The window that the question speaks of: `past`, `coming`, or both if it is unclear."""
        chosen = {True: (coming,), False: (past,), None: (past, coming)}[self.ahead]
        return tuple(dict.fromkeys(window for window in chosen if window))

    def _placed(self, of_year: Callable[[int], Window], i: int, end: int) -> Found:
        """The latest or next of the windows that `of_year` makes for each year, for the words from `i` to `end`."""
        which, end = self._which(i, end)
        windows: list[Window] = []
        for year in range(self.now.year - 8, self.now.year + 9):
            try:
                windows.append(of_year(year))
            except (ValueError, OverflowError):  # 29 February, or beyond the calendar
                continue
        begun = [window for window in windows if (window.end if which == "previous" else window.start) <= self.now]
        to_come = [window for window in windows if (window.start if which == "next" else window.end) > self.now]
        if which:
            return tuple(begun[-1:] if which == "previous" else to_come[:1]), end
        return self._chosen(begun[-1] if begun else None, to_come[0] if to_come else None), end

    def _year_at(self, i: int) -> tuple[int, int] | None:
        """The year from 1900 to 2099 at token `i`, after words such as ", of", and the position after it; or None."""
        j = self.words.after("of", i + (self.words.plain(i) == ","))
        text = self.words.plain(j)
        return (int(text), j + 1) if len(text) == 4 and text.isdecimal() and text[:2] in ("19", "20") else None

    def _in_years(self, of_year: Callable[[int], Window], i: int, end: int, *, led: bool) -> Found | None:
        """The window of the year named at `end`; without one the latest or next, if words such as "in" lead to it."""
        if year := self._year_at(end):
            return (of_year(year[0]),), year[1]
        return self._placed(of_year, i, end) if led or self._which(i, end)[0] else None

    # Dates

    def _digits(self, i: int) -> Found | None:
        """The day at token `i` in digits: 2026-11-03, 3.11.2026, 3/11. A date with slashes may have either order."""
        words, text, kind = self.words, self.words.plain(i), self.words.kind(i)
        if kind == "iso":
            return (_day(*(int(part) for part in text[:10].split("-"))),), i + 1
        slashed = kind == words.kind(i + 2) == "number" and words.plain(i + 1) == "/"
        if kind not in ("date", "day") and not slashed:
            return None
        whole = words.span(i, i + 3) if slashed else text
        numbers = [int(part) for part in whole.replace("/", ".").replace("-", ".").strip(".").split(".")]
        if numbers[0] > 31:  # a year or, in two numbers such as the blood pressure 118/76, no date
            return ((_day(*numbers),), i + 1) if len(numbers) == 3 else None
        orders = [(numbers[1], numbers[0])] if numbers[1] <= 12 else []  # month, day
        if numbers[0] <= 12 and ("/" in whole or not orders):
            orders.append((numbers[0], numbers[1]))
        if kind == "date":
            year = numbers[2] + 2000 * (numbers[2] < 100)
            return tuple(_day(year, month, day) for month, day in sorted(orders)), i + 1
        found = [self._placed(lambda year, at=order: _day(year, *at), i, i + 1)[0] for order in sorted(orders)]  # type: ignore[misc]
        return (sum(found, ()), i + 1 + 2 * slashed) if self._led(i) else None

    def _day_number(self, i: int) -> tuple[int, int] | None:
        """The day of the month at token `i` ("3", "3rd", "3.", "third"), and the position after it; None if none."""
        words, ordinal = self.words, self.words.get("ordinal", i)
        if ordinal:
            return (int(ordinal[0]), ordinal[1]) if 0 < int(ordinal[0]) <= 31 else None
        text = words.plain(i)
        if words.kind(i) != "number" or not text.isdecimal() or not 0 < int(text) <= 31:
            return None
        marked = words.glued(i + 1) and words.plain(i + 1) in ("st", "nd", "rd", "th", ".", "er", "º")
        return int(text), i + 1 + marked

    def _day_and_month(self, i: int) -> Found | None:
        """The day at token `i` ("3 May"), or the days of a range ("3 to 8 May", "from the 3rd to the 8th"); or None."""
        words, number = self.words, self._day_number(i)
        if number is None:
            return None
        joint = number[1] + (words.plain(number[1]) in ("-", "\u2013"))
        joint = max(joint, words.after("det", words.after_any(("to", "and"), number[1])))
        last = (self._day_number(joint) if joint > number[1] else None) or number
        month = words.get("month", words.after("of", last[1]))

        def days(year: int, month: int) -> Window:
            first = Window.months(year, month, 1).start
            return Window(first.replace(day=number[0]), first.replace(day=last[0]) + DAY)

        if month:
            return self._in_years(lambda year: days(year, month[0] + 1), i, month[1], led=True)
        ordinal = number[1] > i + 1 or words.is_a("ordinal", i) or words.start_of("det", i) < i
        if last is number or not ordinal or not self._begins_range(i):
            return None
        spans = [days(self.now.year, self.now.month + step) for step in (-1, 0, 1)]
        begun = [each for each in spans if each.start <= self.now]
        return self._chosen(begun[-1], next(each for each in spans if each.end > self.now)), last[1]

    def _month_and_day(self, i: int) -> Found | None:
        words, month = self.words, self._month(i)
        number = self._day_number(words.after("det", month[1] + (words.plain(month[1]) == "."))) if month else None
        if month is None or number is None:
            return None
        end = words.after("day_word", number[1])
        if end == number[1] and any(words.is_a(kind, end) for kind in ("am", "pm", "unit")):
            return None
        return self._in_years(lambda year: _day(year, month[0] + 1, number[0]), i, end, led=True)

    def _month(self, i: int) -> tuple[int, int] | None:
        """The month at token `i`, 0 for January ("March", "3月"), and the position after it; None if there is none."""
        words, number = self.words, self.words.number(i)
        if number is None or not words.is_a("month_word", number[1]):
            return None if number else words.get("month", i)
        return (int(number[0]) - 1, words.after("month_word", number[1])) if number[0] in range(1, 13) else None

    def _holiday(self, i: int) -> Found | None:
        found = self.words.get("holiday", i)
        led = found is not None and (self._led(i, "at", "link") or self.words.is_a("this", i - 1))
        return found and self._in_years(
            lambda year: _day(*holiday(found[0], year).timetuple()[:3]), i, found[1], led=led
        )

    # Months, weeks and years

    def _span(self, i: int) -> Found | None:
        """The month, season, quarter, numbered week, year or period ("last week") at token `i`; None if none."""
        return self._named_span(i) or self._period(i, bare=False) or self._whole_year(i)

    def _named_span(self, i: int, *, led: bool = False) -> Found | None:
        """The month, season, quarter ("Q3") or week ("week 46") at token `i`. led: whether no year must follow."""
        words, month = self.words, self._month(i)
        if found := (month and (month[0] + 1, month[1])) or words.get("season", i):
            first, end = int(found[0]), found[1]
            end += words.plain(end) == "." and words.glued(end) and self._year_at(end + 1) is not None
            led = led or self._led(i, "link") or words.language.flag("hour_signs")
            return self._in_years(lambda year: Window.months(year, first, 1 if month else 3), i, end, led=led)
        ordinal = words.get("ordinal", i)
        unit = words.get("unit", ordinal[1] if ordinal else i)
        nth = int(ordinal[0]) if ordinal else 0
        if words.plain(i) == "q" and words.glued(i + 1) and words.plain(i + 1) in ("1", "2", "3", "4"):
            nth, unit = int(words.plain(i + 1)), ("mo3", i + 2)
        if unit and unit[0] == "mo3" and 1 <= nth <= 4:
            return self._in_years(lambda year: Window.months(year, 3 * nth - 2, 3), i, unit[1], led=True)
        week = i + 1 if words.plain(i) == "kw" or (unit and unit[0] == "d7") else 0
        if ordinal or not week or words.kind(week) != "number" or not words.plain(week).isdecimal():
            return None
        number = int(words.plain(week))
        of_week = datetime.fromisocalendar
        return self._in_years(lambda year: Window.period(of_week(year, number, 1), "d7", 0), i, week + 1, led=True)

    def _whole_year(self, i: int, *, led: bool = False) -> Found | None:
        """The year at token `i`, such as 2025. led: whether no word such as "in", or "year", must stand before it."""
        if self.words.kind(i) != "number" or not (year := self._year_at(i)):
            return None
        led = led or self.words.get("unit", i - 1) == ("mo12", i) or self._led(i)
        return ((Window.months(year[0], 1, 12),), year[1]) if led else None

    def _period(self, i: int, *, bare: bool) -> Found | None:
        """The week, weekend, month, quarter or year in words such as "last week". bare: whether "week" alone is one."""
        words = self.words
        which = next((kind for kind in ("previous", "next2", "next", "this") if words.is_a(kind, i)), None)
        j = words.after(which, i) if which else i
        weekend, kinds = words.get("weekend", j), (("previous_unit", -1), ("this_unit", 0), ("next_unit", 1))
        at, whole = next(((ahead, found) for kind, ahead in kinds if (found := words.get(kind, i))), (0, None))
        unit = whole or (("weekend", weekend[1]) if weekend else words.get("unit", j))
        if unit is None or unit[0] not in ("d7", "mo1", "mo3", "mo12", "weekend") or words.plain(i) == "past":
            return None
        end = unit[1]
        if which is None and not whole:
            which, end = self._which(i, end)
        ahead = {"previous": -1, "next": 1, "next2": 2}.get(which or "", at)
        if which is None and not whole and not bare:
            if not weekend or not self._led(i):
                return None
            this = Window.period(self.now, "weekend", 0)
            return self._chosen(this if this.start <= self.now else Window.period(self.now, "weekend", -1), this), end
        window = Window.period(self.now, unit[0], ahead)
        weekday = words.get("weekday", words.after_any(("on", "link"), end)) if unit[0] == "d7" else None
        if weekday:  # "next week on Tuesday"
            return (Window.day_of(window.start + weekday[0] * DAY),), weekday[1]
        return (window,), end

    def _edge(self, i: int) -> Found | None:
        """The third or half of a span in words such as "the end of June", "mid-April" or "the first half of 2026"."""
        words = self.words
        shares = {
            "start": (0, 1 / 3), "early": (0, 1 / 3), "mid": (1 / 3, 2 / 3), "late": (2 / 3, 1), "end": (2 / 3, 1),
        }  # fmt: skip
        kind = next((kind for kind in shares if words.is_a(kind, i)), None)
        ordinal, short = words.get("ordinal", i), words.get("abbreviated_end", i)
        if short:
            return (Window.period(self.now, short[0], 0).part(2 / 3, 1),), short[1]
        share, j = (shares[kind], words.after(kind, i)) if kind else ((0, 0), i)
        if ordinal and words.is_a("half", ordinal[1]) and int(ordinal[0]) in (1, 2, -1):
            share, j = ((0, 1 / 2) if int(ordinal[0]) == 1 else (1 / 2, 1)), words.after("half", ordinal[1])
        if j == i:
            return None
        k = words.after("of", j + (words.plain(j) == "-"))
        at = words.after("det", k)
        inner = self._named_span(at, led=True) or self._period(at, bare=k > j) or self._whole_year(at, led=True)
        return inner and (tuple(window.part(*share) for window in inner[0]), inner[1])

    # Days and distances

    def _distance(self, i: int) -> Found | None:
        """The time in "two weeks ago", "vor zwei Tagen", "in three days" or "the last ten days"; None for other words.

        A time at a distance has a tolerance of half a unit, at least a day, to each side.
        """
        words = self.words
        which = next((kind for kind in _SOME if words.is_a(kind, i)), None)
        before = which or next((kind for kind in ("ago_before", "in") if words.is_a(kind, i)), None)
        j = words.after(before, i) if before else i
        if before == "in" and words.is_a("next", words.after("det", j)):
            return self._distance(words.after("det", j))
        count, length = words.number(j), length_at(words, j)
        if count and not before:  # "les trois prochains jours"
            which = next((kind for kind in _SOME if words.is_a(kind, count[1])), None)
            unit_of = unit_at(words, words.after(which, count[1])) if which else None
            length = (unit_of[0].times(count[0]), unit_of[1]) if unit_of else length
        if length is None or length[0].minutes or (count and count[0] > _MOST) or (which and not count):
            return None
        end, unit = length[1], words.get("unit", length[1] - 1)
        years, months = divmod(length[0].months, 12)
        span = timedelta(days=length[0].days + 30 * months + 365 * years)
        if which:
            coming = Window(self.now, Window.day_of(self.now + span).end)
            return (coming if which.startswith("next") else Window(self.now - span, self.now),), end
        if before == "in" and (self.ahead is False or words.is_a("of", end)):
            return None
        if before is None and not words.is_a("ago", end):
            return None
        middle = self.now + span if before == "in" else self.now - span
        units = {"d1": 1.0, "mo1": 15.0, "mo3": 45.0, "mo12": 182.5}
        half = timedelta(days=units.get(unit[0] if unit else "d1", 3.5))
        return (Window(middle - half, middle + half),), words.after("ago", end)

    def _weekday(self, i: int) -> Found | None:
        """The weekday at token `i`, if "on" or the like leads to it, or a clause ends with it ("appelle-moi lundi")."""
        words, found = self.words, self.words.get("weekday", i)
        if found is None or (found[1] == i + 1 and len(words.plain(i)) < 4) or words.start_of("habit", i) < i:
            return None
        which, end = self._which(i, found[1])
        last = words.kind(end) in ("", "mark") and not words.is_a("ordinal", i)
        last |= words.language.flag("hour_signs") and words.plain(end) in words.language.stops
        if not (which or last or self._led(i, "link") or words.is_a("part", end)):
            return None
        past = Window.day_of(self.now - ((self.now.weekday() - found[0]) % 7 or 7) * DAY)
        coming = Window.day_of(self.now + ((found[0] - self.now.weekday()) % 7 or 7) * DAY)
        windows = {"previous": (past,), "next": (coming,)}.get(which or "") or self._chosen(past, coming)
        week = self._period(words.after("of", end), bare=False)
        if week and week[0][0].end - week[0][0].start == 7 * DAY:  # "Friday of last week"
            windows, end = (Window.day_of(week[0][0].start + found[0] * DAY),), week[1]
        return self._in_part(windows, end)

    def _near(self, i: int) -> Found | None:
        """The day or part of a day at token `i`: "yesterday", "hier soir", "this morning", "last night"."""
        words, today = self.words, Window.day_of(self.now)
        if tonight := words.get("tonight", i):
            return (today.hours(tonight[0]),), tonight[1]
        night = words.get("part", words.after("previous", i)) if words.is_a("previous", i) else None
        if night:
            return (Window.day_of(self.now - DAY).hours(night[0]),), night[1]
        found = words.get("day", i)
        if found is None or any(words.start_of(kind, found[1]) < i for kind in ("part", "greeting")):  # "por la mañana"
            return None
        return self._in_part((Window.day_of(self.now + int(found[0]) * DAY),), found[1])

    def _in_part(self, days: Windows, end: int) -> Found:
        """The part of the day that is named at token `end`, of each of `days`; the whole days if none is named."""
        part = self.words.get("part", end)
        return (tuple(day.hours(part[0]) for day in days), part[1]) if part else (days, end)


def _day(year: int, month: int, day: int) -> Window:
    return Window.day_of(datetime(year, month, day, tzinfo=UTC))
