"""The inspector shows what later texts did to tasks, with both sides, and takes it back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from memtypes.ports.reader import Act, Acts, StatementPair
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.api.http.inspector.conftest import Visit, text_of
from tests.fakes_reader import FakeReader, surely

pytestmark = pytest.mark.anyio

TASK = "Send the lease back to the landlord."
DONE = "The lease went back to the landlord on Monday."
HALF_SURE = "The lease is with the landlord, I think."


def read(pair: StatementPair) -> Act | Acts:
    """What the texts of these tests do to any task."""
    if pair.newer.text == HALF_SURE:
        return surely(Act.DONE, 0.6)
    return Act.DONE if pair.newer.text == DONE else Act.NOTHING


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """A visitor of a service whose reader is scripted."""
    async with connect(fake_services(lambda: NOW, reader=FakeReader(read))) as client:
        yield Visit(client)


async def write_task(visit: Visit) -> str:
    """Write the task, told two months ago; return its id."""
    return await visit.write(TASK, "prospective", created_at="2026-01-01T09:00:00Z")


async def test_a_task_that_may_have_ended_is_open_beside_the_text_that_says_so(
    visit: Visit,
) -> None:
    await write_task(visit)
    await visit.write(HALF_SURE, "episodic")
    page = text_of(await visit.open("/due"))
    assert f"{TASK} said done" in page
    assert HALF_SURE in page


async def test_the_page_of_a_task_shows_what_ended_it_and_undoes_that(visit: Visit) -> None:
    task = await write_task(visit)
    await visit.write(DONE, "episodic")
    page = text_of(await visit.open("/memory", id=task))
    assert DONE in page
    assert "a later text reads as done (0.97)" in page
    assert "Undo the last" in page
    await visit.send("/decisions/undo", id=task)
    assert TASK in text_of(await visit.open("/due"))
    assert "Undo the last" not in text_of(await visit.open("/memory", id=task))


async def test_decisions_about_tasks_are_listed_and_undone_on_their_page(visit: Visit) -> None:
    task = await write_task(visit)
    await visit.write(DONE, "episodic")
    page = text_of(await visit.open("/decisions", kind="ended"))
    assert TASK in page
    assert "Open again" in page
    await visit.send("/decisions/undo", id=task)
    assert TASK not in text_of(await visit.open("/decisions", kind="ended"))
