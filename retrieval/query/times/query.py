"""Times that a query names, as windows: "in March 2023", "last May", "two weeks ago", "the week before 3 May".

Reads the words by rule, in UTC, at the instant the question is asked. Knows nothing of memories: "two weeks before the
move" is told by an event, whose time whoever has memories must find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from retrieval.query.times.dates import RULES
from retrieval.query.times.relative import beside, event_of, lead_of
from retrieval.query.times.window import BEGINNING, Window

_WIDENING = re.compile(r"\b(since|after|before|until|till|by|as of)\s+(?:the\s+)?$")
_LEADING = 80
"""Characters before a time in which the words that place it are looked for: a query may name thousands of times."""

_SOME_DAY = datetime(2024, 2, 29, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ByEvent:
    """A time that is told by an event. event: its words."""

    event: str
    _lead: re.Match[str]

    def window(self, happened: datetime) -> tuple[Window, ...]:
        """The time, once it is known when the event was; none where the calendar does not reach. happened: in UTC."""
        try:
            return (beside(self._lead, Window.day_of(happened)),)
        except (ValueError, OverflowError):
            return ()


def windows_of(query: str, as_of: datetime) -> tuple[Window, ...]:
    """Every window that `query` names, in the order of its words; none for most queries. as_of: in UTC."""
    found = sorted(_found(query.casefold(), as_of), key=lambda one: one[0])
    return tuple(window for _, window in found)


def told_by_event(query: str) -> ByEvent | None:
    """The time that `query` tells by an event; None where it tells none, or names another."""
    lead = event_of(query.casefold())
    if lead is None or windows_of(query, _SOME_DAY):
        return None
    return ByEvent(query[slice(*lead.span("event"))] if len(query) == len(lead.string) else lead["event"], lead)


def names_time(query: str) -> bool:
    """Whether `query` names a time at all."""
    return bool(windows_of(query, _SOME_DAY)) or told_by_event(query) is not None


def _found(text: str, as_of: datetime) -> Iterator[tuple[int, Window]]:
    """Each window with the place of its words; words that one rule has read are not read by the next."""
    for pattern, read in RULES:
        taken: list[tuple[int, int]] = []
        for match in pattern.finditer(text):
            named = match.end("lead") if "lead" in pattern.groupindex else match.start()
            try:
                words, window = _placed(text[max(0, named - _LEADING) : named], read(match, as_of), as_of)
            except (ValueError, OverflowError):  # the 31st of June, a year of no calendar: it names no time
                continue
            taken.append((min(match.start(), named - words), match.end()))
            yield match.start(), window
        for start, end in taken:
            text = text[:start] + " " * (end - start) + text[end:]


def _placed(before: str, window: Window, as_of: datetime) -> tuple[int, Window]:
    """`window` as the words at the end of `before` place or widen it, and how many characters placed it."""
    lead = lead_of(before)
    if lead is not None:
        return len(before) - lead.start(), beside(lead, window)
    return 0, _opened(before, window, as_of)


def _opened(before: str, window: Window, as_of: datetime) -> Window:
    """`window` as the word before it widens it: since, after, before, until, by and as of leave one end open."""
    word = _WIDENING.search(before)
    if word is None:
        return window
    if word.group(1) in ("since", "after"):
        start = window.start if word.group(1) == "since" else window.end
        return Window(start, max(window.end, as_of))
    return Window(BEGINNING, window.start if word.group(1) == "before" else window.end)
