"""The contract of Reader, tested on the default reader and on the one that tests script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from memtypes.encoders.prepared import TOKENIZER_FILE
from memtypes.encoders.reader import OnnxReader, ReaderSettings
from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act, Question, Reader, ReadStatement, StatementPair
from tests.fakes_reader import LASTING, FakeReader
from tests.tiny_reader import write_tiny_reader

pytestmark = pytest.mark.anyio

TODAY = date(2026, 11, 20)
QUESTION = Question("Where is the key?", TODAY)


def statement(text: str, kind: MemoryType = MemoryType.SEMANTIC) -> ReadStatement:
    return ReadStatement(text, TODAY, "user", kind)


@pytest.fixture(scope="module", params=["onnx", "fake"])
async def reader(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    onnx_directory: Path,
) -> AsyncIterator[Reader]:
    """The reader under test: a test runs once with each implementation."""
    opened: Reader
    if request.param == "fake":
        opened = FakeReader(
            acts=lambda pair: Act.DONE if "done" in pair.newer.text else Act.NOTHING,
            answers=lambda question, memory: 0.9 if question.text in memory.text else 0.1,
        )
    else:
        directory = write_tiny_reader(
            tmp_path_factory.mktemp("reader"), onnx_directory / TOKENIZER_FILE
        )
        opened = await OnnxReader.open(ReaderSettings(directory=directory))
    yield opened
    await opened.aclose()


async def test_each_pair_gets_a_probability_for_each_act(reader: Reader) -> None:
    pairs = [
        StatementPair(statement(f"The form is {state}."), statement("Send the form."))
        for state in ("done", "with Ada", "lost")
    ]
    readings = await reader.acts(pairs)
    assert len(readings) == len(pairs)
    for reading in readings:
        assert set(reading) == set(Act)
        assert sum(reading.values()) == pytest.approx(1)
        assert min(reading.values()) >= 0


async def test_each_statement_gets_a_probability_for_each_lasting_type(reader: Reader) -> None:
    texts = [statement("Send the form."), statement("The form is blue.")]
    readings = await reader.kinds(texts)
    assert len(readings) == len(texts)
    for reading in readings:
        assert set(reading) == set(LASTING)
        assert all(0 <= probability <= 1 for probability in reading.values())


async def test_each_memory_gets_a_probability(reader: Reader) -> None:
    memories = [statement(f"The key is in drawer {number}.") for number in range(5)]
    answers = await reader.answers(QUESTION, memories)
    assert len(answers) == len(memories)
    assert all(answer is not None and 0 <= answer <= 1 for answer in answers)


async def test_nothing_to_read_gives_no_readings(reader: Reader) -> None:
    assert await reader.acts([]) == []
    assert await reader.kinds([]) == []
    assert await reader.answers(QUESTION, []) == []
    assert await reader.answers(QUESTION, [], 10) == []


async def test_readings_are_in_the_order_of_the_texts(reader: Reader) -> None:
    memories = [statement(f"{'word ' * (at * 7 % 11)} number {at}") for at in range(20)]
    together = await reader.answers(QUESTION, memories)
    alone = [(await reader.answers(QUESTION, [memory]))[0] for memory in memories]
    assert together == alone


async def test_readings_are_repeatable_in_any_company(reader: Reader) -> None:
    memory = statement("The key hangs behind the door.")
    others = [statement("long text " * 40), statement("No."), memory]
    first = (await reader.answers(QUESTION, [memory]))[0]
    assert (await reader.answers(QUESTION, others))[2] == first


@pytest.mark.parametrize(
    "text",
    ["", " ", "\U0001f600" * 9, "\ud800 lone", "\x00", "a" * 100_000, "one two " * 20_000],
    ids=["empty", "blank", "emoji", "surrogate", "control", "one long word", "long"],
)
async def test_any_text_can_be_read(reader: Reader, text: str) -> None:
    answers = await reader.answers(Question(text or "?", TODAY), [statement(text)])
    assert answers[0] is not None
    (acts,) = await reader.acts([StatementPair(statement(text), statement(text))])
    assert sum(acts.values()) == pytest.approx(1)
    assert len(await reader.kinds([statement(text)])) == 1


async def test_concurrent_calls_get_their_own_readings(reader: Reader) -> None:
    memories = [statement(f"note {number} about the key") for number in range(12)]
    calls = [reader.answers(QUESTION, memories[at : at + 4]) for at in range(0, 12, 4)]
    together = [answer for answers in await asyncio.gather(*calls) for answer in answers]
    assert together == await reader.answers(QUESTION, memories)


async def test_a_closed_reader_is_unavailable(
    tmp_path: Path, onnx_directory: Path, reader: Reader
) -> None:
    closed: Reader = FakeReader()
    if isinstance(reader, OnnxReader):
        directory = write_tiny_reader(tmp_path, onnx_directory / TOKENIZER_FILE)
        closed = await OnnxReader.open(ReaderSettings(directory=directory))
    await closed.aclose()
    await closed.aclose()
    with pytest.raises(Unavailable):
        await closed.answers(QUESTION, [statement("late")])
    with pytest.raises(Unavailable):
        await closed.acts([StatementPair(statement("late"), statement("early"))])
    with pytest.raises(Unavailable):
        await closed.kinds([statement("late")])
