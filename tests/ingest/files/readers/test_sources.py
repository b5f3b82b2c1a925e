"""Detection of file formats, and the files found under given paths."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.readers.sources import READERS, Format, export_format, find_sources
from memtypes.model.errors import InvalidRequest


def test_folders_are_walked_in_order(tmp_path: Path) -> None:
    """The files in a folder are found in sorted order, without hidden entries.

    Files of unknown format are listed as skipped, and sizes are summed.
    """
    for name in ("b.md", "a/z.jsonl", "a/.hidden.md", ".git/x.md", "c.png", "D.TXT"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1234")
    sources = find_sources((str(tmp_path),), None)
    assert [Path(file.name).relative_to(tmp_path).as_posix() for file in sources.files] == [
        "D.TXT",
        "a/z.jsonl",
        "b.md",
    ]
    assert [file.format for file in sources.files] == [Format.TEXT, Format.JSONL, Format.MARKDOWN]
    assert [Path(name).name for name in sources.skipped] == ["c.png"]
    assert sources.size == 12


def test_a_file_with_several_names_is_read_once(tmp_path: Path) -> None:
    """A file that is named twice, or to which links in a folder lead, is read once, under its first
    name.
    """
    (tmp_path / "CLAUDE.md").write_text("Run the tests.")
    (tmp_path / "AGENTS.md").symlink_to("CLAUDE.md")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "loop").symlink_to("..")
    sources = find_sources((str(tmp_path), str(tmp_path / "CLAUDE.md")), None)
    assert [Path(file.name).name for file in sources.files] == ["AGENTS.md"]


def test_a_chosen_format_applies_to_every_file(tmp_path: Path) -> None:
    """A chosen format applies to all files, also to names without a suffix.

    Without a choice, standard input is read as JSON Lines.
    """
    (tmp_path / "notes").write_text("x")
    sources = find_sources(("-", str(tmp_path / "notes"), "-"), Format.TEXT)
    assert (sources.files[0].name, sources.files[0].format) == ("-", Format.TEXT)
    assert len(sources.files) == 2
    assert sources.size is None
    assert find_sources(("-",), None).files[0].format is Format.JSONL
    assert find_sources((str(tmp_path),), Format.TEXT).skipped == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.md", "there is no file or folder"),
        ("notes", "can't be told"),
        ("chatgpt.zip", "import chats with `import chatgpt` or `import claude`"),
    ],
)
def test_missing_paths_and_unknown_formats_are_refused(
    tmp_path: Path, name: str, reason: str
) -> None:
    for file in ("notes", "chatgpt.zip"):
        (tmp_path / file).write_text("x")
    with pytest.raises(InvalidRequest, match=reason):
        find_sources((str(tmp_path / name),), None)


def test_a_request_without_paths_is_refused() -> None:
    """An import request must have at least one path."""
    with pytest.raises(InvalidRequest, match="at least one"):
        find_sources((), None)


@given(st.binary(max_size=200), st.sampled_from(list(Format)))
def test_readers_accept_any_bytes(data: bytes, form: Format) -> None:
    """For any bytes a reader returns rows and bad lines and raises no error."""
    for reading in READERS[form](io.BytesIO(data), "f"):
        assert reading.file == "f"


@pytest.mark.parametrize(
    ("name", "data", "origin"),
    [
        ("conversations.json", '[{"mapping": {}}]', Format.CHATGPT),
        ("conversations.json", '[{"uuid": "k", "chat_messages": []}]', Format.CLAUDE),
        ("all.json", '{"results": [{"memory": "x", "hash": "h"}]}', Format.MEM0),
        ("memory.jsonl", '{"type": "entity", "name": "Ann"}', Format.MCP),
        ("memory.json", '{"type": "relation", "from": "Ann"}', Format.MCP),
        ("note.md", "---\ntitle: x\n---\nText.", Format.NOTES),
        ("own.jsonl", '{"type": "semantic", "content": "x"}', None),
        ("x.txt", "text", None),
    ],
)
def test_exports_are_recognised_by_content(
    tmp_path: Path, name: str, data: str, origin: Format | None
) -> None:
    """Exports of other programs are recognised by their content. Other files have the format that
    their name tells.
    """
    assert export_format(name, data.encode()) is origin
    (tmp_path / name).write_text(data)
    form = find_sources((str(tmp_path),), None, by_content=True).files[0].format
    assert form == (origin or find_sources((str(tmp_path),), None).files[0].format)
