"""Appointments lapse, deadlines do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest.screening.due.appointments import LENGTH, is_appointment, over_at
from ingest.screening.due.reading import DueTimes
from ingest.screening.submission import Submission
from memtypes.model.prospective import ProspectiveDraft
from tests.ingest.doubles import SCOPE, draft

NOON = datetime(2026, 10, 6, 12, 0, tzinfo=UTC)


async def screened(content: str, **fields: Any) -> ProspectiveDraft:
    """The draft of a task after its due time was read, said at NOON."""
    submission = Submission(draft(content, type="prospective", **fields))
    result = await DueTimes(lambda: NOON).examine(SCOPE, submission)
    assert isinstance(result, Submission)
    assert isinstance(result.draft, ProspectiveDraft)
    return result.draft


@pytest.mark.parametrize(
    "text",
    [
        "Haircut at Lou's on Thursday at 16:30.",
        "Our flight to Oslo leaves on the 9th at 6:45.",
        "Call with the auditors tomorrow at 11.",
        "The electrician is coming on Friday morning.",
        "Elternabend am Dienstag um 19 Uhr in der Aula.",
    ],
)
def test_what_happens_at_its_time_is_an_appointment(text: str) -> None:
    assert is_appointment(text)


@pytest.mark.parametrize(
    "text",
    [
        "Send the signed lease back by Thursday.",
        "The grant application is due on the 9th.",
        "Remember to buy a present for Lou before Saturday.",
        "Renew the passport by the end of the month.",
        "Bis Freitag die Rechnung bezahlen.",
    ],
)
def test_what_stays_to_be_done_is_no_appointment(text: str) -> None:
    assert not is_appointment(text)


@pytest.mark.anyio
async def test_an_appointment_at_a_time_of_day_lapses_some_time_after_it_begins() -> None:
    task = await screened("Dentist on Thursday at 14:40.")
    assert task.due_at == datetime(2026, 10, 8, 14, 40, tzinfo=UTC)
    assert task.lapses_at == task.due_at + LENGTH


@pytest.mark.anyio
async def test_an_appointment_on_a_day_lapses_when_the_day_of_the_speaker_ends() -> None:
    zone = {"timezone": "Asia/Tokyo"}
    task = await screened("Wedding of Lou and Kim on Friday.", metadata=zone)
    assert task.lapses_at == datetime(2026, 10, 10, tzinfo=ZoneInfo("Asia/Tokyo"))


@pytest.mark.anyio
async def test_the_sentence_that_names_the_time_tells_whether_it_is_an_appointment() -> None:
    said = "and my own teeth: dentist on tues 13 october. Put that somewhere I cant ignore it"
    assert not is_appointment(said)
    assert (await screened(said)).lapses_at is not None
    said = "Send the lease back by Thursday. The meeting with the landlord went well."
    assert (await screened(said)).lapses_at is None


@pytest.mark.anyio
async def test_a_deadline_has_a_due_time_and_does_not_lapse() -> None:
    task = await screened("Send the signed lease back by Thursday.")
    assert task.due_at is not None
    assert task.lapses_at is None


@pytest.mark.anyio
async def test_a_caller_says_when_a_task_lapses() -> None:
    lapses_at = NOON + timedelta(days=9)
    task = await screened("Dentist on Thursday at 14:40.", lapses_at=lapses_at)
    assert task.lapses_at == lapses_at


def test_an_appointment_at_the_end_of_the_calendar_lapses_then() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert over_at(last, None, to_the_minute=True) == last
