"""Reads the times that a text mentions, each with its day, time of day, part of the day and zone,
in any word order.

A mention may be relative to another mention: "two hours before the show on Friday". A day without a
clock time gets an hour: 12 at noon, 15 in the afternoon, 18 in the evening, 20 at night, 17 at the
start, middle or end of a period such as a month, and 9 in all other cases. If the day is today and
this hour has passed, the next of 17:00, 20:00 and 23:59 is taken. A length of days ("in two days")
keeps the current time of day. "Midnight" is the end of the day that is named with it. "Before
Friday" means Friday. A word nearby such as "dinner" or "flight" decides between a.m. and p.m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo

from ingest.screening.due.clocks import Clocks, TimeOfDay
from ingest.screening.due.days import DASHES, Day, Days
from memtypes.calendar import Length, length_at, unit_at
from memtypes.words import Words

_HOURS = {"lunch": 12, "afternoon": 15, "eod": 17, "evening": 18, "night": 20}
_DATES = ("date", "monthday", "dom")
"""Values of `Day.kind` for days that are named by a date."""
_MOST = 20
"""Maximum number of times that are read from one text; bounds the work."""
_NEAR = 8
"""Maximum number of tokens between a time of day and the word for its event, such as "dinner"."""
_FURTHEST_ANCHOR = 6
"""Maximum number of tokens between "two hours before" and the time that it refers to."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A time that is named by the tokens `first` to `last` (exclusive) of a text.

    clock: the time of day. part: the part of the day, such as "evening". moved: whether it is the
    new time of something that was moved, as the 4 in "moved from 3 to 4 pm". hours: whether it is a
    range of hours ("from 9 am to 5 pm"); `clock` is then the first hour.
    """

    first: int
    last: int
    day: Day | None = None
    clock: TimeOfDay | None = None
    part: str | None = None
    zone: tzinfo | None = None
    moved: bool = False
    hours: bool = False

    @property
    def kind(self) -> str:
        """The form in which the mention names its day, such as "weekday" or "date"; "clock" if it
        names no day.
        """
        return self.day.kind if self.day else "clock"

    @property
    def instant(self) -> datetime | None:
        """The exact moment that the words name by themselves ("in 90 minutes"); None if they name
        none.
        """
        return self.day.instant if self.day else None


@dataclass(frozen=True, slots=True)
class MentionReader:
    """Reads the times that `words` mention. now: when they were said, in the speaker's time
    zone.
    """

    words: Words
    now: datetime
    days: Days
    clocks: Clocks

    @classmethod
    def at(cls, words: Words, now: datetime, home: tzinfo, *, month_first: bool) -> MentionReader:
        """The reader of `words`, said at `now` in the zone `home`. month_first: whether 3/4 is 4
        March, not 3 April.
        """
        return cls(
            words,
            now.astimezone(home),
            Days(words, now.astimezone(home), month_first),
            Clocks(words, home),
        )

    def mentions(self) -> list[Mention]:
        """All times that the text mentions, in order. "Two hours before 5 pm" is a single
        mention.
        """
        mentions: list[Mention] = []
        distances: list[tuple[int, int, Length]] = []
        position = 0
        while position < len(self.words.tokens) and len(mentions) + len(distances) < _MOST:
            distance = self._distance(position)
            mention = None
            if distance:
                distances.append((position, distance[1], distance[0]))
            elif not self.words.is_a("greeting", position):
                mention = self._mention(
                    position, led=any(position == end for _, end, _ in distances)
                )
                mentions += [mention] if mention else []
            end = (
                distance[1]
                if distance
                else mention.last
                if mention
                else self.words.after("greeting", position)
            )
            position = max(end, position + 1)
        return self._related(self._joined(mentions), distances)

    def instant_of(self, mention: Mention) -> datetime:
        """The instant of `mention`, in UTC. Raises ValueError or OverflowError if it is outside of
        the calendar.
        """
        if mention.instant:
            return mention.instant
        zone = mention.zone or self.now.tzinfo
        clock = mention.clock
        if clock is None:
            return self._usual_time(mention)
        to_seven = self.words.language.flag("afternoon_to_seven")
        part = mention.part or self._part_of_event(mention.first, clock)
        hour = clock.hour_of_day(part, to_seven=to_seven, now=self.now.hour)
        late = timedelta(days=hour // 24)
        wall = time(hour % 24, clock.minute)
        if mention.day:
            return datetime.combine(mention.day.date + late, wall, zone).astimezone(UTC)
        first = self.now.astimezone(zone).date() + late
        at = [datetime.combine(first + timedelta(days=ahead), wall, zone) for ahead in range(3)]
        # In UTC: datetimes of the same zone compare by their wall clocks, which a doubled hour
        # shows twice.
        instants = (day.replace(fold=fold).astimezone(UTC) for day in at for fold in (0, 1))
        return next(instant for instant in instants if instant > self.now.astimezone(UTC))

    def _part_of_event(self, at: int, clock: TimeOfDay) -> str | None:
        """The part of the day in which the nearest event usually is ("dinner at 8", "train at
        6:40"), or None.
        """
        positions = sorted(range(at - _NEAR, at + _NEAR), key=lambda i: abs(i - at))
        event = next((match[0] for i in positions if (match := self.words.get("event", i))), None)
        # Other hours are not in doubt
        if not 5 <= clock.hour < 12 or (event == "timetable" and not clock.digital):
            return None
        return "morning" if event == "timetable" else event

    def _usual_time(self, mention: Mention) -> datetime:
        day = mention.day.date if mention.day else self.now.date()
        if mention.kind == "offset" and not mention.part:
            return datetime.combine(day, self.now.time(), self.now.tzinfo).astimezone(UTC)
        usual = 17 if mention.kind == "edge" else _HOURS.get(mention.part or "", 9)
        hours = (time(usual), time(17), time(20), time(23, 59))
        instants = [datetime.combine(day, hour, self.now.tzinfo).astimezone(UTC) for hour in hours]
        later = (instant for instant in instants if instant > self.now.astimezone(UTC))
        return next(later, instants[0]) if day == self.now.date() else instants[0]

    # One mention

    def _mention(self, i: int, *, led: bool) -> Mention | None:
        """The time that the words at token `i` mention, or None. led: whether "at" or the like is
        before them.
        """
        words = self.words
        start = words.after_any(("at", "from", "by"), i)
        mention = self._extended(Mention(i, i), i, led=led)
        led = led or words.is_a("at", i)
        if mention is None and start > i:
            mention = self._extended(
                Mention(start, start), start, led=led or not words.is_a("from", i)
            )
        while mention:
            j, led_now = self._connected(mention.last)
            longer = self._extended(mention, j, led=led_now) or self._zoned(mention, j)
            if longer is None:
                return self._through(mention) if self._is_whole(mention, led=led) else None
            mention = longer
        return None

    def _through(self, mention: Mention) -> Mention:
        """`mention` extended to the end of a range of days ("1 April through 3 April"). Its day is
        the first one.
        """
        words = self.words
        j = mention.last
        k = words.after("to", j) if not words.has("moved") and mention.kind in _DATES else j
        until = self.days.at(words.after("det", k)) if k > j else None
        return replace(mention, last=until.end) if until and until.kind in _DATES else mention

    def _connected(self, i: int) -> tuple[int, bool]:
        """The position after up to four connecting words at token `i` ("on the"), and whether the
        last is like "at".
        """
        words = self.words
        led = False
        for _ in range(4):
            kind = next(
                (
                    word_kind
                    for word_kind in ("link", "on", "by", "of", "det")
                    if words.is_a(word_kind, i)
                ),
                None,
            )
            if words.is_a("at", i):
                i = words.after("at", i)
                led = True
            elif kind and not words.is_a("tonight", i) and not words.is_a("part", i):
                i = words.after(kind, i)
                led = False
            elif words.plain(i) in (",", "(", *DASHES):
                i += 1
            else:
                break
        return i, led

    def _extended(self, mention: Mention, j: int, *, led: bool) -> Mention | None:
        """`mention` with the day, clock time or part of the day at token `j` added; None if nothing
        can be added.
        """
        named_day = mention.day
        day = self.days.at(j)
        if (
            day
            and named_day
            and not (named_day.kind in ("weekday", "offset", "near") and day.kind in _DATES)
        ):
            same = (
                named_day.kind in _DATES
                and day.kind == "weekday"
                and day.date.weekday() == named_day.date.weekday()
            )
            day = replace(named_day, end=day.end) if same else None  # "2 April, Thursday"
        clock = (
            None
            if mention.clock or mention.instant
            else self.clocks.at(j, led=led) or self._range_start(j)
        )
        if clock and (day is None or clock.end > day.end):
            return self._with_clock(mention, clock)
        if day:
            past = day.past or (named_day is not None and named_day.past)
            day = replace(day, instant=day.instant or mention.instant, past=past)
            return replace(mention, last=day.end, day=day, part=mention.part or day.part)
        part = self.words.get("part", j)
        if part and mention.part in (None, "eod"):
            return replace(mention, part=part[0], last=part[1])
        return None

    def _range_start(self, j: int) -> TimeOfDay | None:
        """The time of day at token `j` if it begins a range ("2 to 4 pm", "between 9 and 11"); else
        None.
        """
        words = self.words
        clock = self.clocks.at(j, led=True)
        if clock is None or not clock.bare:
            return clock if clock and words.is_a("from", j - 1) else None
        until = self._until(clock.end)
        return clock if until and (not until.bare or words.is_a("from", j - 1)) else None

    def _until(self, j: int) -> TimeOfDay | None:
        """The time of day that ends a range of hours ("to 4 pm") at token `j`; None if there is no
        such range.
        """
        words = self.words
        k = j + 1 if words.plain(j) in DASHES else words.after("to", j)
        return self.clocks.at(words.after("det", words.after("at", k)), led=True) if k > j else None

    def _with_clock(self, mention: Mention, clock: TimeOfDay) -> Mention | None:
        """`mention` with the time of day `clock`; None if `clock` begins a range of bare numbers
        that falls ("4 to 2").

        The first time of a range counts; if the text moves something from one time to another, the
        second.
        """
        until = self._until(clock.end)
        if until is None:
            return replace(mention, clock=clock, last=clock.end)
        if clock.bare and until.bare and until.hour <= clock.hour:
            return None
        if until.sure and not clock.sure and clock.hour + 12 <= until.hour:
            clock = replace(clock, hour=clock.hour + 12)
        moved = self.words.has("moved")
        clock = until if moved else replace(clock, sure=clock.sure or until.sure, bare=False)
        return replace(mention, clock=clock, last=until.end, moved=moved, hours=not moved)

    def _zoned(self, mention: Mention, j: int) -> Mention | None:
        """`mention` with the zone at token `j` or right after it; None if none is there, or it
        cannot take one.
        """
        if mention.clock is None or mention.zone is not None:
            return None
        last = mention.last
        positions = (j, last, last + (self.words.kind(last) == "mark"))
        zone = next((zone for position in positions if (zone := self.clocks.zone(position))), None)
        return zone and replace(mention, zone=zone[0], last=zone[1])

    def _is_whole(self, mention: Mention, *, led: bool) -> bool:
        """Whether `mention` names a time: "four" does after "at" or with a day, "morning" only with
        a day.
        """
        words = self.words
        clock = mention.clock
        if clock is None:
            return mention.day is not None or mention.part == "eod"
        if not clock.bare or mention.day or mention.part or mention.zone:
            return True
        joined = words.glued(mention.last) and words.kind(mention.last) == "word"
        return led and not joined and not words.is_capital(mention.last)

    # Several mentions

    def _sentence(self, i: int) -> int:
        return sum(token.plain in (".", "!", "?", ";") for token in self.words.tokens[:i])

    def _joined(self, mentions: Sequence[Mention]) -> list[Mention]:
        """The mentions, with each time of day joined to the nearest day of its sentence, or to the
        text's only day.
        """
        joined = list(mentions)
        for clock in (mention for mention in mentions if mention.clock and not mention.day):
            days = [m for m in joined if m.day and not m.clock and not m.instant and not m.day.past]
            nearby = [
                day for day in days if self._sentence(day.first) == self._sentence(clock.first)
            ]
            best = min(
                nearby or days[: len(days) == 1],
                key=lambda day: abs(day.first - clock.first),
                default=None,
            )
            if best is not None:
                combined = replace(
                    clock,
                    first=best.first,
                    last=best.last,
                    day=best.day,
                    part=clock.part or best.part,
                )
                joined[joined.index(best)] = combined
                joined.remove(clock)
        return joined

    def _distance(self, i: int) -> tuple[Length, int] | None:
        """The length of the distance in time at token `i`, and the index of the token after it;
        None if there is none.

        "Two hours before" is a negative length, "the day after" a positive one.
        """
        words = self.words
        if words.is_a("day", i) or words.is_a("in", i):
            return None
        if words.is_a("eve", i):
            return Length(days=-1), words.after("of", words.after("eve", i))
        noun = words.after_any(("det", "on"), i)
        unit = unit_at(words, noun) if noun > i else None
        amount = length_at(words, i) or (unit if unit and unit[0].days in (1, 7) else None)
        if amount is None or words.is_a("next2", amount[1]):
            return None
        # Not "después del"
        if amount[1] < words.after("later", amount[1]) >= words.after("after", amount[1]):
            return None
        for kind, sign in (("before", -1), ("after", 1), ("from", 1)):
            if words.is_a(kind, amount[1]) and not (kind == "from" and amount[0].minutes):
                return amount[0].times(sign), words.after(kind, amount[1])
        return None

    def _related(
        self, mentions: list[Mention], distances: Sequence[tuple[int, int, Length]]
    ) -> list[Mention]:
        """The mentions, with each distance (such as "two hours before") applied to the mention that
        it refers to.

        That is the mention after the distance, if it follows closely, else the mention before it.
        distances: (first token, position after the last token, length) of each distance.
        """
        for start, end, length in distances:
            close = (m for m in mentions if 0 <= m.first - end <= _FURTHEST_ANCHOR)
            following = (m for m in close if self._sentence(m.first) == self._sentence(end))
            earlier = [m for m in mentions if m.last <= start] if self.days.ends(end) else []
            anchor = next(following, earlier[-1] if earlier else None)
            if anchor is None:
                continue
            at = (
                self.instant_of(anchor) + timedelta(minutes=length.minutes)
                if length.minutes
                else None
            )
            day = anchor.day.date if anchor.day else self.now.date()
            day = at.astimezone(self.now.tzinfo).date() if at else length.later(day)
            first = min(start, anchor.first)
            last = max(end, anchor.last)
            past = anchor.day is not None and anchor.day.past
            moved = replace(
                anchor, first=first, last=last, day=Day(last, "relative", day, at, past=past)
            )
            mentions[mentions.index(anchor)] = moved
        return mentions
