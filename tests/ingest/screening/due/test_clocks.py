"""Times of day and zones in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ingest.screening.due.clocks import Clocks
from memtypes.words import read_words

HOME = ZoneInfo("Europe/London")
WINTER = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at", "hour", "minute"),
    [
        ("half past four", 0, 4, 30),
        ("ten to nine", 0, 8, 50),
        ("half seven", 0, 7, 30),
        ("twelve noon", 1, 12, 0),
        ("5:30 pm", 0, 17, 30),
        ("9.40am", 0, 9, 40),
        ("0800 hours", 0, 8, 0),
        ("the 12 am bus", 1, 0, 0),
        ("um halb drei", 1, 2, 30),
        ("um fünf vor halb drei", 1, 2, 25),
        ("um dreiviertel acht", 1, 7, 45),
        ("kwart over elf", 0, 11, 15),
        ("om tien over half drie", 1, 2, 40),
        ("demain à 14h30", 2, 14, 30),
        ("huit heures moins le quart", 0, 7, 45),
        ("vingt heures trente", 0, 20, 30),
        ("a las ocho y cuarto", 2, 8, 15),
        ("alle otto meno un quarto", 1, 7, 45),
        ("Ci vediamo alle 9.50.", 3, 9, 50),
        ("o wpół do piątej rano", 1, 4, 30),
        ("spotkanie o siedemnastej", 2, 17, 0),
        ("jutro o dwudziestej pierwszej piętnaście", 2, 21, 15),
        ("kwadrans po szóstej rano", 0, 6, 15),
        ("às nove e meia", 1, 9, 30),
        ("meio-dia e quinze", 0, 12, 15),
        ("午後3時半", 0, 15, 30),
    ],
)
def test_times_of_day_are_read(text: str, at: int, hour: int, minute: int) -> None:
    """Times of day are read from digits and from words, with the minutes before or after the
    hour.
    """
    clock = Clocks(read_words(text), HOME).at(at, led=True)
    assert clock is not None
    assert (clock.hour, clock.minute) == (hour, minute)


@pytest.mark.parametrize("text", ["25:00", "13pm", "90 minutes", "3 days", "2時間"])
def test_other_numbers_are_not_read_as_times_of_day(text: str) -> None:
    assert Clocks(read_words(text), HOME).at(0, led=True) is None


@pytest.mark.parametrize(
    ("text", "at", "hours"),
    [
        ("CET", 0, 1),
        ("GMT+5:30", 0, 5.5),
        ("UTC-3", 0, -3),
        ("CET/CEST", 0, 1),
        ("9:00+05:30", 1, 5.5),
        ("9:00 -03:00", 1, -3),
        ("Europe/Oslo.", 0, 1),
        ("America/Argentina/Buenos_Aires", 0, -3),
        ("Eastern", 0, -5),
        ("Tokyo time", 0, 9),
        ("hora de Lima", 0, -5),
        ("ora di Roma", 0, 1),
        ("Tokioter Zeit am Dienstag", 0, 9),
        ("call with Denver, their time", 4, -7),
        ("our time", 0, 0),
    ],
)
def test_time_zones_are_read(text: str, at: int, hours: float) -> None:
    """Abbreviations, UTC offsets, zone names and places with the word "time" are read as time
    zones.

    The words "their time" mean the zone of a place that was named before.
    """
    zone = Clocks(read_words(text), HOME).zone(at)
    assert zone is not None
    assert WINTER.astimezone(zone[0]).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text", ["cat", "Paris", "east of here", "-10:00", "+5", "Europe/Nowhere", "Either/Or"]
)
def test_other_words_are_not_read_as_time_zones(text: str) -> None:
    """Lower-case words, cities without the word "time", lone offsets and unknown names are not time
    zones.
    """
    assert Clocks(read_words(text), HOME).zone(0) is None
