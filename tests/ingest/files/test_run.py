"""File imports: counts, bad rows, retries, and resuming after the process was killed."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.files import run
from ingest.files.report import ImportReport, ProgressBar
from ingest.files.row_to_item import _GIVE_TEXT, RowOptions
from ingest.files.run import BATCH_ROWS, ImportRequest, WriteItems, run_import
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.errors import InvalidRequest, Overloaded, RemembrancerError, Unavailable
from memtypes.model.policy import MemoryType
from tests.ingest.doubles import Bench, ScriptedSink

pytestmark = pytest.mark.anyio


def request(*paths: Path | str, **fields: Any) -> ImportRequest:
    """A request to import facts from these paths."""
    return ImportRequest(
        tuple(map(str, paths)), "shop", **{"rows": RowOptions(MemoryType.SEMANTIC), **fields}
    )


def lines(contents: Sequence[str]) -> str:
    """JSON Lines text with a row for each of `contents`."""
    return "".join(json.dumps({"content": content}) + "\n" for content in contents)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    """The numbers of stored, merged, rejected and failed rows. Checks that they add up to the rows
    read.
    """
    numbers = tuple(report.counts[status] for status in WriteStatus)
    assert sum(numbers) == report.read
    return numbers[0], numbers[1], numbers[2], numbers[3]


def all_stored(_: int, items: list[dict[str, Any]]) -> list[WriteOutcome]:
    """One outcome for each item, which says that the item was stored."""
    return [WriteOutcome(WriteStatus.STORED, id="x") for _ in items]


def second_fails(nth: int, items: list[dict[str, Any]]) -> list[WriteOutcome]:
    """Outcomes that say that the items were stored, or that they failed at the second write."""
    return (
        [WriteOutcome(WriteStatus.FAILED, reason="full disk")] * len(items)
        if nth == 2
        else all_stored(nth, items)
    )


class Recorder(ProgressBar):
    """A progress display that records how it is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def start(self, total: int | None) -> None:
        """Record the number of bytes that the import will read; None if it is unknown."""
        self.calls.append(("start", total))

    def advance(self, position: int, rows: int) -> None:
        """Record the bytes read so far and the number of rows."""
        self.calls.append(("advance", position, rows))

    def finish(self) -> None:
        """Record that the import ended."""
        self.calls.append(("finish",))


async def test_every_row_is_counted_and_bad_rows_are_reported_with_their_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        lines(["one", "two", "one"]) + '{"content": ""}\n{\n{"content": "x", "mood": 1}\n'
    )
    bench = Bench()
    progress = Recorder()
    report = await run_import(request(path), bench.sink(), progress, bench.clock)
    assert (counts(report), report.exit_code, report.stopped) == ((2, 1, 3, 0), 1, None)
    assert [str(problem).removeprefix(f"{path}:") for problem in report.problems] == [
        (
            "4: rejected: content: String should have at least 1 character (the row has ''); "
            f"{_GIVE_TEXT}"
        ),
        (
            "5: rejected: is not JSON: Expecting property name enclosed in double quotes at "
            "character 2"
        ),
        (
            "6: rejected: mood: unknown field; rename fields with --map, or keep unknown ones "
            "with --extra-to-metadata"
        ),
    ]
    size = path.stat().st_size
    assert progress.calls == [("start", size), ("advance", size, 6), ("finish",)]
    sources = {memory.content: memory.source for memory in bench.store.memories().values()}
    assert sources["two"] is not None
    assert (sources["two"].file, sources["two"].line) == (str(path), 2)


async def test_a_clean_import_exits_with_zero(tmp_path: Path) -> None:
    """Every row of every format in a folder is stored; a file of unknown format is only listed as
    skipped.
    """
    (tmp_path / "a.json").write_text('{"memories": [{"content": "from json"}]}')
    (tmp_path / "b.csv").write_text("content,importance\nfrom csv,7\n")
    (tmp_path / "c.md").write_text("# Title\nfrom markdown\n")
    (tmp_path / "d.txt").write_text("from\ntext\n\nmore text\n")
    (tmp_path / "e.png").write_bytes(b"\x89PNG")
    bench = Bench()
    report = await run_import(request(tmp_path), bench.sink(), clock=bench.clock)
    assert (counts(report), report.exit_code) == ((5, 0, 0, 0), 0)
    assert json.loads(json.dumps(report.to_json()))["skipped"] == [str(tmp_path / "e.png")]
    assert json.loads(json.dumps(report.to_json()))["counts"] == {
        "stored": 5,
        "merged": 0,
        "rejected": 0,
        "failed": 0,
    }
    assert {memory.content for memory in bench.store.memories().values()} == {
        "from json",
        "from csv",
        "from markdown",
        "from\ntext",
        "more text",
    }


async def test_standard_input_is_read() -> None:
    """Rows are read from the request's stream; a request without a stream has no rows."""
    bench = Bench()
    stdin = io.BytesIO(lines(["one"]).encode())
    report = await run_import(request("-", stdin=stdin), bench.sink(), clock=bench.clock)
    assert counts(report) == (1, 0, 0, 0)
    assert (await run_import(request("-"), bench.sink())).read == 0


async def test_importing_a_file_again_changes_nothing(tmp_path: Path) -> None:
    """Importing a file again, even without a journal, adds no memory, because ids are derived from
    the content.
    """
    path = tmp_path / "a.jsonl"
    path.write_text(lines(["one", "two"]))
    bench = Bench()
    await run_import(request(path), bench.sink(), clock=bench.clock)
    before = bench.store.memories()
    report = await run_import(request(path), bench.sink(), clock=bench.clock)
    assert (counts(report), report.exit_code) == ((0, 2, 0, 0), 0)
    assert bench.store.memories() == before


async def test_strict_stops_at_the_first_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines(["one"]) + "{\n" + lines(["two"]))
    bench = Bench()
    report = await run_import(
        request(path, path.parent, strict=True), bench.sink(), clock=bench.clock
    )
    assert (counts(report), report.exit_code) == ((1, 0, 1, 0), 1)
    assert report.stopped is not None
    assert report.stopped.startswith(f"stopped at the first bad row: {path}:2: rejected: ")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"rows": RowOptions(mapping={"a": "b"})}, "no memory has"),
        ({"paths": ("missing.md",)}, "there is no file"),
    ],
)
async def test_invalid_requests_are_refused_before_anything_is_read(
    fields: dict[str, Any], reason: str
) -> None:
    """A mapping to an unknown field, or a path that does not exist, raises InvalidRequest before
    any row is read.
    """
    import_request = ImportRequest(**{"paths": ("-",), "namespace": "shop", **fields})
    with pytest.raises(InvalidRequest, match=reason):
        await run_import(import_request, ScriptedSink(all_stored))


async def test_only_regular_files_in_folders_are_read(tmp_path: Path) -> None:
    """In a folder, dangling links, pipes and folders with a file suffix are skipped."""
    (tmp_path / "a.md").symlink_to(tmp_path / "nothing")
    (tmp_path / "dir.md").mkdir()
    (tmp_path / "b.txt").write_text("text")
    os.mkfifo(tmp_path / "c.txt")
    assert counts(await run_import(request(tmp_path), ScriptedSink(all_stored))) == (1, 0, 0, 0)


async def test_an_unreadable_file_is_one_bad_row(tmp_path: Path) -> None:
    """A file that cannot be read is one bad row, with the operating system's reason and no line
    number.
    """
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "a.txt").chmod(0)
    if os.access(tmp_path / "a.txt", os.R_OK):
        (tmp_path / "a.txt").unlink()
        (tmp_path / "a.txt").symlink_to("/proc/self/mem")
    report = await run_import(request(tmp_path / "a.txt"), ScriptedSink(all_stored))
    assert counts(report) == (0, 0, 1, 0)
    assert "a.txt: rejected: can't be read: " in str(report.problems[0])


def failing_with(error: RemembrancerError, times: int) -> WriteItems:
    """A sink (the function that writes items) that raises `error` on the first `times` writes and
    then stores.
    """

    def answer(nth: int, items: list[dict[str, Any]]) -> list[WriteOutcome]:
        if nth <= times:
            raise error
        return all_stored(nth, items)

    return ScriptedSink(answer)


@pytest.mark.parametrize("kind", [Unavailable, Overloaded])
async def test_an_unavailable_sink_is_retried(
    tmp_path: Path, kind: type[Unavailable | Overloaded]
) -> None:
    """A batch is retried while the store is unavailable.

    If the wait that it asks for is longer than an import's patience, the batch fails, with the
    reason.
    """
    (tmp_path / "a.txt").write_text("one\n\ntwo")
    assert counts(
        await run_import(request(tmp_path), failing_with(kind("away", retry_after_s=0), 20))
    ) == (2, 0, 0, 0)
    error = kind("away", retry_after_s=10_000)
    report = await run_import(request(tmp_path), failing_with(error, 1))
    assert (counts(report), report.exit_code) == ((0, 0, 0, 2), 1)
    assert {problem.reason for problem in report.problems} == {str(error)}


async def test_an_import_stops_after_three_failed_batches(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines([str(number) for number in range(5 * BATCH_ROWS)]))
    report = await run_import(request(tmp_path), failing_with(RemembrancerError("broken"), 99))
    assert counts(report) == (0, 0, 0, 3 * BATCH_ROWS)
    assert report.stopped == "stopped after 3 batches in which every row failed: broken"


async def test_an_invalid_item_does_not_keep_its_batch_from_being_stored(tmp_path: Path) -> None:
    """A batch that is refused as invalid is sent again in halves, until only the invalid item is
    left.

    Its reason names the field, without its place in the batch; on a line with several items, its
    number is reported.
    """

    def answer(nth: int, items: list[dict[str, Any]]) -> list[WriteOutcome]:
        if any(item["content"] == "bad" for item in items):
            raise InvalidRequest("the request is invalid\n  items[0].content: not that one")
        return all_stored(nth, items)

    (tmp_path / "a.json").write_text(
        json.dumps([{"content": content} for content in ("a", "b", "bad", "c", "d")])
    )
    report = await run_import(request(tmp_path), ScriptedSink(answer))
    assert counts(report) == (4, 0, 1, 0)
    reason = "the request is invalid: content: not that one"
    assert [str(problem) for problem in report.problems] == [
        f"{tmp_path}/a.json:1, row 3: rejected: {reason}"
    ]


async def test_the_next_run_sends_failed_batches_again(tmp_path: Path) -> None:
    """If a batch of rows failed, the next run of the same import sends only this batch.

    The counts of finished batches come from the journal, so the second report covers all rows.
    """
    path = tmp_path / "a.jsonl"
    path.write_text("{\n" + lines([str(number) for number in range(3 * BATCH_ROWS)]))
    journal = tmp_path / "journal"

    first = await run_import(request(path, journal=journal), ScriptedSink(second_fails))
    assert counts(first) == (2 * BATCH_ROWS, 0, 1, BATCH_ROWS)
    sink = ScriptedSink(all_stored)
    second = await run_import(request(path, journal=journal), sink)
    assert counts(second) == (3 * BATCH_ROWS, 0, 1, 0)
    assert (second.resumed, second.problems, len(sink.written)) == (
        2 * BATCH_ROWS + 1,
        first.problems[:1],
        1,
    )
    assert list(journal.iterdir()) == []


async def test_each_destination_has_its_own_journal(tmp_path: Path) -> None:
    """Rows that were imported to one destination are still sent if the file is imported to another
    destination.
    """
    path = tmp_path / "a.jsonl"
    path.write_text(lines(["one"]) + lines(["two"]) * BATCH_ROWS)
    journal = tmp_path / "journal"

    await run_import(request(path, journal=journal, destination="one"), ScriptedSink(second_fails))
    assert (
        await run_import(
            request(path, journal=journal, destination="two"), ScriptedSink(all_stored)
        )
    ).resumed == 0
    same = request(path, journal=journal, destination="one")
    assert (await run_import(same, ScriptedSink(all_stored))).resumed == BATCH_ROWS


class Killed(BaseException):
    """The exception that simulates the death of the importing process."""


class KilledSink:
    """An import sink that raises Killed at its write number `at`, before or `after` the items are
    written.
    """

    def __init__(self, inner: WriteItems, at: int, *, after: bool) -> None:
        self.inner = inner
        self.left = at
        self.after = after

    async def __call__(self, items: list[dict[str, Any]]) -> Sequence[WriteOutcome]:
        """Write the items and return the outcomes. At the write number `at`, raise Killed."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        outcomes = await self.inner(items)
        if self.left == 0:
            raise Killed
        return outcomes


def without_seq(bench: Bench) -> dict[str, Any]:
    """The stored memories by id, with all sequence numbers set to 0.

    A resumed import gives other sequence numbers than one that was not interrupted.
    """
    return {
        memory_id: memory.model_copy(update={"seq": 0})
        for memory_id, memory in bench.store.memories().items()
    }


SMALL_BATCH = 16


@contextmanager
def small_batches() -> Iterator[None]:
    """A context in which file imports write batches of SMALL_BATCH rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "BATCH_ROWS", SMALL_BATCH)
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportReport, Bench]:
    """A file of four batches that was imported without interruption, the report of this import, and
    its bench.
    """
    path = tmp_path_factory.mktemp("import") / "a.jsonl"
    kinds = (
        MemoryType.EPISODIC if number % 16 else MemoryType.SEMANTIC
        for number in range(4 * SMALL_BATCH - 5)
    )
    rows = ({"type": kind, "content": f"memory {number}"} for number, kind in enumerate(kinds))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "{\n")
    complete = Bench()
    with small_batches():
        return (
            path,
            asyncio.run(run_import(request(path), complete.sink(), clock=complete.clock)),
            complete,
        )


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.booleans(), st.booleans())
def test_a_resumed_import_ends_with_the_same_store(
    uninterrupted: tuple[Path, ImportReport, Bench],
    at: int,
    after: bool,  # noqa: FBT001
    keep_journal: bool,  # noqa: FBT001
) -> None:
    """An import that is killed and run again stores the same memories as one that is not killed.

    It may be killed before or after any batch is written, and its journal may be deleted.
    """
    path, expected, complete = uninterrupted

    async def check(folder: Path) -> None:
        broken = Bench()
        import_request = request(path, journal=folder / "journal")
        with pytest.raises(Killed):
            await run_import(
                import_request, KilledSink(broken.sink(), at, after=after), clock=broken.clock
            )
        if not keep_journal:
            for file in (folder / "journal").iterdir():
                file.unlink()
        report = await run_import(import_request, broken.sink(), clock=broken.clock)
        assert without_seq(broken) == without_seq(complete)
        assert report.read == expected.read
        assert report.counts[WriteStatus.REJECTED] == expected.counts[WriteStatus.REJECTED] == 1
        assert report.resumed == ((at - 1) * SMALL_BATCH if keep_journal else 0)

    with TemporaryDirectory() as folder, small_batches():
        asyncio.run(check(Path(folder)))
