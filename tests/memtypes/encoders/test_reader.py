"""The default reader: its cache, its deadline, its queue, and readers that lack something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from memtypes.encoders.prepared import MANIFEST_FILE, TOKENIZER_FILE
from memtypes.encoders.reader import OUTPUTS, OnnxReader, ReaderSettings, memory_text
from memtypes.encoders.setup.prepare_reader import RECIPE
from memtypes.model.errors import Overloaded, SetupRequired
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Question, ReadStatement, StatementPair
from tests.tiny_reader import write_tiny_reader

pytestmark = pytest.mark.anyio

TODAY = date(2026, 11, 20)
QUESTION = Question("Where is the key?", TODAY)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, onnx_directory: Path) -> Path:
    """A prepared reader of random weights."""
    return write_tiny_reader(tmp_path_factory.mktemp("reader"), onnx_directory / TOKENIZER_FILE)


@pytest.fixture
async def reader(directory: Path) -> AsyncIterator[OnnxReader]:
    """An open reader with an empty cache."""
    opened = await OnnxReader.open(ReaderSettings(directory=directory))
    yield opened
    await opened.aclose()


def memories(count: int, words: int = 1) -> list[ReadStatement]:
    return [
        ReadStatement(f"{'word ' * words} {number}", TODAY, "user", MemoryType.EPISODIC)
        for number in range(count)
    ]


async def test_what_is_not_read_before_the_deadline_has_no_answer(reader: OnnxReader) -> None:
    assert await reader.answers(QUESTION, memories(8), 0) == [None] * 8


async def test_what_was_read_before_needs_no_time(reader: OnnxReader) -> None:
    read = await reader.answers(QUESTION, memories(8))
    assert await reader.answers(QUESTION, memories(8), 0) == read


async def test_a_deadline_ends_the_wait_behind_others(reader: OnnxReader) -> None:
    others = asyncio.create_task(reader.answers(QUESTION, memories(400, words=60)))
    await asyncio.sleep(0)
    started = time.monotonic()
    late = [ReadStatement("behind the others", TODAY, "user", MemoryType.SEMANTIC)]
    assert await reader.answers(QUESTION, late, 20) == [None]
    assert time.monotonic() - started < 1
    assert not others.done()
    assert None not in await others


async def test_short_texts_are_read_first(reader: OnnxReader) -> None:
    """Of texts of very different lengths, a deadline loses the long ones, wherever they stand."""
    long = memories(300, words=60)
    short = [ReadStatement("by the door", TODAY, "user", MemoryType.SEMANTIC)]
    answers = await reader.answers(QUESTION, [*long, *short], 60)
    assert answers[-1] is not None
    assert None in answers


async def test_the_least_recently_used_readings_leave_the_cache(directory: Path) -> None:
    reader = await OnnxReader.open(ReaderSettings(directory=directory, cached=2))
    read = await reader.answers(QUESTION, memories(3))
    assert await reader.answers(QUESTION, memories(3), 0) == [None, *read[1:]]
    await reader.aclose()


async def test_pairs_beyond_the_queue_are_refused(directory: Path) -> None:
    """Calls that were accepted before get their readings; one call alone may be of any size."""
    reader = await OnnxReader.open(ReaderSettings(directory=directory, waiting=4))
    assert None not in await reader.answers(QUESTION, memories(9))
    other = Question("Who has it?", TODAY)
    first = asyncio.create_task(reader.answers(other, memories(4, words=50)))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="4 pairs waiting"):
        await reader.answers(Question("When?", TODAY), memories(1))
    assert None not in await first
    await reader.aclose()


async def test_closing_finishes_what_waits(directory: Path) -> None:
    reader = await OnnxReader.open(ReaderSettings(directory=directory))
    waiting = asyncio.create_task(reader.answers(QUESTION, memories(40)))
    await asyncio.sleep(0)
    await reader.aclose()
    assert None not in await waiting


async def test_an_order_of_texts_matters(reader: OnnxReader) -> None:
    """The second text has another token type than the first, so the model can tell them apart."""
    one, other = memories(2)
    there, back = await reader.acts([StatementPair(one, other), StatementPair(other, one)])
    assert there != back


async def test_kind_speaker_and_the_message_before_are_read(reader: OnnxReader) -> None:
    newer, older = memories(2)
    changed = [
        StatementPair(newer, older),
        StatementPair(replace(newer, before="What about the form?"), older),
        StatementPair(replace(newer, speaker="Ada"), older),
        StatementPair(newer, replace(older, speaker="Ada")),
        StatementPair(newer, replace(older, kind=MemoryType.PROSPECTIVE)),
    ]
    plain, *others = await reader.acts(changed)
    assert all(reading != plain for reading in others)


@pytest.mark.parametrize(
    ("days", "age"),
    [
        (-1, "today"),
        (0, "today"),
        (1, "yesterday"),
        (13, "13 days ago"),
        (14, "2 weeks ago"),
        (60, "2 months ago"),
        (699, "23 months ago"),
        (700, "1 years ago"),
    ],
)
def test_a_memory_is_read_with_its_age_and_its_speaker(days: int, age: str) -> None:
    memory = ReadStatement(
        "The key is at Ada's.", TODAY - timedelta(days=days), "June", MemoryType.SEMANTIC
    )
    assert memory_text(memory, TODAY) == f"{age}, June: The key is at Ada's."


async def test_an_older_memory_is_read_otherwise(reader: OnnxReader) -> None:
    (newer,) = memories(1)
    older = replace(newer, day=TODAY - timedelta(days=30))
    new, old = await reader.answers(QUESTION, [newer, older])
    assert new != old


async def test_a_reader_that_another_version_prepared_is_refused(
    tmp_path: Path, onnx_directory: Path
) -> None:
    """It may lack a model, or have learnt from texts in another form."""
    directory = write_tiny_reader(tmp_path, onnx_directory / TOKENIZER_FILE)
    manifest = directory / MANIFEST_FILE
    manifest.write_text(manifest.read_text("utf-8").replace(RECIPE, "int8-1"), "utf-8")
    with pytest.raises(SetupRequired, match="can't be read; run: python -m"):
        await OnnxReader.open(ReaderSettings(directory=directory))


@pytest.mark.parametrize("name", [*OUTPUTS, TOKENIZER_FILE, MANIFEST_FILE])
async def test_a_missing_file_is_an_error_with_the_command_that_restores_it(
    tmp_path: Path, onnx_directory: Path, name: str
) -> None:
    directory = write_tiny_reader(tmp_path, onnx_directory / TOKENIZER_FILE)
    (directory / name).unlink()
    with pytest.raises(SetupRequired) as caught:
        await OnnxReader.open(ReaderSettings(directory=directory))
    assert str(caught.value) == (
        f"no prepared reader in {directory} ({name} is missing); run: "
        f"python -m memtypes.encoders.setup.prepare_reader --dir {directory}"
    )
