"""Due times read from the words of a text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.due.reading import DueTimes, due_in, zone_of
from ingest.screening.submission import Rejection, Submission, UntypedDraft
from memtypes.model.prospective import ProspectiveDraft
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT, AnyDraft

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)
SCOPE = Scope("acme", "ann")

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "text",
    [
        "31 February",
        "at 25",
        "13pm",
        "buy 3 apples",
        "may be nice",
        "the 42nd",
        "the 32nd of March",
        "2026-13-01",
        "the evening dress",
        "25:00",
    ],
)
def test_other_words_give_no_due_time(text: str) -> None:
    """Numbers, ordinary words and impossible dates are not due times."""
    assert due_in(text, NOW) is None


def test_the_time_zone_decides_the_instant() -> None:
    """The words "3pm" give a different instant in each time zone, and in summer time a different
    one than in winter.
    """
    assert _at("tomorrow at 3pm", None) == datetime(2026, 3, 5, 15, tzinfo=UTC)
    assert _at("tomorrow at 3pm", ZoneInfo("Asia/Tokyo")) == datetime(2026, 3, 5, 6, tzinfo=UTC)
    assert _at("1 April at 3pm", ZoneInfo("Europe/Berlin")) == datetime(2026, 4, 1, 13, tzinfo=UTC)


def test_numbers_are_read_in_any_case() -> None:
    """Number words and units may be capitalised."""
    assert _at("Two Weeks From Monday", None) == datetime(2026, 3, 23, 9, tzinfo=UTC)


def _at(text: str, zone: ZoneInfo | None) -> datetime | None:
    due = due_in(text, NOW, zone)
    return due.at if due else None


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("tomorrow at 2:30 am", "2026-03-28T12:00+01:00", "2026-03-29T03:30+02:00"),
        ("in two weeks", "2026-03-20T08:15+01:00", "2026-04-03T08:15+02:00"),
        ("in 24 hours", "2026-03-28T12:00+01:00", "2026-03-29T13:00+02:00"),
        ("in two weeks", "2026-10-20T08:15+02:00", "2026-11-03T08:15+01:00"),
        ("tomorrow at 2:30 am", "2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),
        ("at 02:30", "2026-10-25T02:45+02:00", "2026-10-25T02:30+01:00"),
        ("at 02:30", "2026-10-25T02:45+01:00", "2026-10-26T02:30+01:00"),
    ],
)
def test_summer_time_changes_are_respected(text: str, now: str, expected: str) -> None:
    """Across a change to or from summer time, "in two weeks" keeps the time of day, and "in 24
    hours" is exact.

    A time of day that occurs twice in the night of the change means its next occurrence.
    """
    due = due_in(text, datetime.fromisoformat(now), BERLIN)
    assert due is not None
    assert due.at == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Erinnere mich morgen um 15 Uhr an den Zahnarzt", "2026-03-05 15:00"),
        ("heute Abend um 20 Uhr", "2026-03-04 20:00"),
        ("in zwei Wochen", "2026-03-18 11:00"),
        ("in einer halben Stunde", "2026-03-04 11:30"),
        ("nächsten Montag um 9:15 Uhr", "2026-03-09 09:15"),
        ("am 12. März um 10:30 Uhr", "2026-03-12 10:30"),
        ("bis 5.4.2026", "2026-04-05 09:00"),
        ("mañana a las 3 de la tarde", "2026-03-05 15:00"),
        ("dentro de dos semanas", "2026-03-18 11:00"),
        ("el 12 de abril de 2027", "2027-04-12 09:00"),
        ("demain à 15h30", "2026-03-05 15:30"),
        ("lundi prochain à 9h", "2026-03-09 09:00"),
        ("après-demain à midi", "2026-03-06 12:00"),
        ("明日の午後3時に電話する", "2026-03-05 15:00"),
        ("来週の月曜日に歯医者", "2026-03-09 09:00"),
        ("30分後にオーブンを確認", "2026-03-04 11:30"),
        ("4月12日 10時半", "2026-04-12 10:30"),
    ],
)
def test_german_spanish_french_and_japanese_times_are_read(text: str, expected: str) -> None:
    """Texts in these languages give the same times as English ones; the words for the time are kept
    as written.
    """
    due = due_in(text, NOW, BERLIN)
    assert due is not None
    assert due.at.astimezone(BERLIN).strftime("%Y-%m-%d %H:%M") == expected
    assert due.text in text


@pytest.mark.parametrize(
    "text",
    ["Guten Morgen zusammen", "buena mañana", "he runs 10 h", "Mars is a planet", "13月40日"],
)
def test_foreign_greetings_and_words_give_no_due_time(text: str) -> None:
    """Words of other languages that contain or resemble a time, such as "Guten Morgen", give no due
    time.
    """
    assert due_in(text, NOW, BERLIN) is None


@pytest.mark.parametrize(
    "text",
    [
        "The whole archive sits on Sunday.io these days",
        "You don't have to walk the dog tomorrow",
        "The dress rehearsal on Friday is cancelled",
        "We had the roof mended on 3 May",
        "The kiosk opens every morning at 7",
        "Bingo is on Thursdays at 8",
        "Luke 12:30 is carved above the door",
        "Tuesday Smith signs for the parcels",
        "Wir haben das Auto am Montag abgeholt",
        "La réunion de jeudi est annulée",
        "Ya no hace falta llamar el martes",
        "Ieri alle 9 ho pagato la multa",
        "Heute um 8:15 kam der Monteur",
        "This morning at 9 the lift got stuck",
        "El mercado está abierto el domingo de 9 a 14",
        "Op woensdag is het loket open van 9 tot 12 uur",
        "Poczta jest czynna w sobotę do 13",
        "W zeszły czwartek o 15 byliśmy u dentysty",
        "Answer the letter of February 20",
        "Sign the minutes of 2 March",
        "Send round the notes from Friday",
        "Die Rechnung vom 27. Februar bezahlen",
        "Responder al correo del 2 de marzo",
        "Rispondere alla mail del 27 febbraio",
        "Strawberries were cheap in May",
        "Every May we go to Corfu",
    ],
)
def test_times_of_other_things_give_no_due_time(text: str) -> None:
    """Times within names and quotations, of habits, of the past and of cancelled events give a task
    no due time.
    """
    assert due_in(text, NOW, BERLIN) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't forget the eggs tomorrow at 8", "2026-03-05 08:00"),
        ("Kim asked yesterday; send it by Friday noon", "2026-03-06 12:00"),
        ("Tidy the Monday.com board on 12 March", "2026-03-12 09:00"),
        ("The bill of 3 February is open, pay it by 2026-03-20", "2026-03-20 09:00"),
        ("call Lisbon on Friday at 9, their time", "2026-03-06 10:00"),
        ("standup is at 10:30 PST on Monday", "2026-03-09 19:30"),
        ("Montag kommt der Glaser", "2026-03-09 09:00"),
        ("Notes to Ines first thing Friday", "2026-03-06 09:00"),
        ("Lunch tomorrow is at 12:15, not the usual 12:00, don't be slow", "2026-03-05 12:15"),
        ("W piątek o wpół do dziewiątej rano badanie krwi", "2026-03-06 08:30"),
        ("Dziś o dziewiętnastej próba chóru", "2026-03-04 19:00"),
        ("Answer the letter of February 20 tomorrow at 10", "2026-03-05 10:00"),
        ("Jeudi 12 à 14h, visite de l'appartement", "2026-03-12 14:00"),
        ("Not Thursday: bring the keys on Friday", "2026-03-06 09:00"),
        ("Prepare the meeting of 12 March", "2026-03-12 09:00"),
        ("Diez días después del 20 de marzo llamar al banco", "2026-03-30 09:00"),
        ("Due settimane dopo il 15 marzo chiamare il notaio", "2026-03-29 09:00"),
    ],
)
def test_the_time_of_the_task_is_chosen(text: str, expected: str) -> None:
    """If a text names several times, the due time is the one at which the task itself is to be
    done.

    A time zone in the text is respected.
    """
    due = due_in(text, NOW, BERLIN)
    assert due is not None
    assert due.at.astimezone(BERLIN).strftime("%Y-%m-%d %H:%M") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call Ann tomorrow at 7", "2026-03-05 19:00"),
        ("Call Ann tomorrow at 8", "2026-03-05 08:00"),
        ("My flight leaves tomorrow at 6:40", "2026-03-05 06:40"),
        ("The train at 7:10 tomorrow, platform 3", "2026-03-05 07:10"),
        ("Wake me at 6 tomorrow", "2026-03-05 06:00"),
        ("Breakfast with Lee tomorrow at 7:30", "2026-03-05 07:30"),
        ("Dinner with Lee tomorrow at 8", "2026-03-05 20:00"),
        ("Konzert morgen um acht", "2026-03-05 20:00"),
        ("Cena con Marta mañana a las 9", "2026-03-05 21:00"),
    ],
)
def test_the_kind_of_event_tells_the_half_of_the_day(text: str, expected: str) -> None:
    """Flights and trains at 6:40, and breakfasts, are in the morning; dinners and concerts at 8 are
    in the evening.
    """
    due = due_in(text, NOW, BERLIN)
    assert due is not None
    assert due.at.astimezone(BERLIN).strftime("%Y-%m-%d %H:%M") == expected


# Made aware below
@given(st.text(max_size=80), st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_any_text_gives_a_due_time_or_none(text: str, now: datetime) -> None:
    """No text raises an error, and due times are in UTC."""
    due = due_in(text, now.replace(tzinfo=UTC))
    assert due is None or due.at.tzinfo is UTC


# Made aware below
@given(st.integers(1, 5_000), st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_in_n_minutes_is_exact_across_a_change_to_summer_time(minutes: int, now: datetime) -> None:
    aware = now.replace(tzinfo=UTC)
    due = due_in(f"in {minutes} minutes", aware, ZoneInfo("Europe/Berlin"))
    assert due is not None
    assert due.at - aware == timedelta(minutes=minutes)


async def test_the_due_time_of_a_task_is_read_from_its_text() -> None:
    """A task's due time is read from its text, in the time zone that the task's metadata names.

    `due_at` is the time, and `due_text` has the words that state it.
    """
    fields = {"content": "Call Ann tomorrow at 3pm", "metadata": {"timezone": "Europe/Berlin"}}
    draft = await _gated({"type": "prospective", **fields})
    assert isinstance(draft, ProspectiveDraft)
    assert (draft.due_at, draft.due_text) == (
        datetime(2026, 3, 5, 14, tzinfo=UTC),
        "tomorrow at 3pm",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "episodic", "content": "We meet tomorrow at 3pm"},
        {"type": "prospective", "content": "tomorrow", "due_at": "2027-01-01T00:00:00Z"},
        {
            "type": "prospective",
            "content": "tomorrow",
            "trigger_type": "event",
            "trigger_condition": "deploy",
        },
        {"type": "prospective", "content": "no time here"},
    ],
)
async def test_drafts_that_get_no_due_time_are_unchanged(fields: Mapping[str, object]) -> None:
    assert await _gated(fields) == DRAFT.validate_python(fields)


async def _gated(fields: Mapping[str, object]) -> AnyDraft:
    submission = Submission(DRAFT.validate_python(fields))
    gated = await DueTimes(lambda: NOW).examine(SCOPE, submission)
    assert not isinstance(gated, Rejection)
    assert not isinstance(gated.draft, UntypedDraft)
    return gated.draft


@pytest.mark.parametrize("name", [None, 3, "", "No/Where", "../../etc/passwd", "/etc/passwd"])
def test_invalid_zone_names_are_ignored(name: object) -> None:
    """A name in a task's metadata gives no time zone if it is unknown, is a file path or is not a
    string.
    """
    assert zone_of(name) is None
