"""The file formats that can be imported, and the search for the files to import below given
paths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from ingest.files.readers.chats import read_chatgpt, read_claude
from ingest.files.readers.csv_files import read_csv
from ingest.files.readers.json_files import read_json, read_jsonl
from ingest.files.readers.memory_dumps import read_langgraph, read_mcp, read_mem0, read_zep
from ingest.files.readers.notes import read_notes, read_obsidian
from ingest.files.readers.rows import Reader
from ingest.files.readers.text_files import read_markdown, read_text
from memtypes.model.errors import InvalidRequest

STDIN = "-"


class Format(StrEnum):
    """File formats that can be imported; `READERS` maps each of them to its reader."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    MARKDOWN = "markdown"
    TEXT = "text"
    CHATGPT = "chatgpt"
    CLAUDE = "claude"
    MEM0 = "mem0"
    ZEP = "zep"
    LANGGRAPH = "langgraph"
    MCP = "mcp"
    NOTES = "notes"
    OBSIDIAN = "obsidian"


READERS: Mapping[Format, Reader] = {
    Format.JSON: read_json,
    Format.JSONL: read_jsonl,
    Format.CSV: read_csv,
    Format.MARKDOWN: read_markdown,
    Format.TEXT: read_text,
    Format.NOTES: read_notes,
    Format.CHATGPT: read_chatgpt,
    Format.CLAUDE: read_claude,
    Format.MEM0: read_mem0,
    Format.MCP: read_mcp,
    Format.ZEP: read_zep,
    Format.LANGGRAPH: read_langgraph,
    Format.OBSIDIAN: read_obsidian,
}

SUFFIXES: Mapping[str, Format] = {
    ".json": Format.JSON,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
}

EXPORTS = tuple(form for form in Format if form not in SUFFIXES.values())
"""Formats of other programs' exports. All but Obsidian's notes are recognised by a file's name and
beginning.
"""

BEGINNING = 64 * 1024
"""Bytes at the start of a file by which an export is recognised."""

_MCP_RECORD = re.compile(rb'^\s*\{[^\n]*"type"\s*:\s*"(?:entity|relation)"')
_SIGNATURES = (
    (Format.CHATGPT, (re.compile(rb'"mapping"\s*:\s*\{'),)),
    (Format.CLAUDE, (re.compile(rb'"chat_messages"\s*:\s*\['), re.compile(rb'"uuid"\s*:'))),
    (
        Format.LANGGRAPH,
        tuple(re.compile(rb'"%s"\s*:' % name) for name in (b"namespace", b"key", b"value")),
    ),
    (
        Format.ZEP,
        (
            re.compile(rb'"fact"\s*:\s*"'),
            re.compile(rb'"(?:valid_at|invalid_at|source_node_uuid)"\s*:'),
        ),
    ),
    (
        Format.MEM0,
        (re.compile(rb'"memory"\s*:\s*"'), re.compile(rb'"(?:hash|user_id|created_at)"\s*:')),
    ),
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read; standard input if `path` is None. name: for reports and as `source`. size: in
    bytes.
    """

    path: Path | None
    name: str
    format: Format
    size: int | None


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that an import reads, in order. skipped: names of files in folders whose format is
    unknown.
    """

    files: tuple[SourceFile, ...]
    skipped: tuple[str, ...]

    @property
    def size(self) -> int | None:
        """Bytes of all files together; None if the size of a file is unknown."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def find_sources(
    paths: tuple[str, ...], chosen: Format | None, *, by_content: bool = False
) -> Sources:
    """Find the files to import at `paths`. Folders are searched recursively, sorted by name,
    without hidden entries.

    chosen: the format of every file; None detects it by the file's name. by_content: detect it by
    the file's beginning first, then by its name. Raises InvalidRequest for a path that does not
    exist or cannot be read, and for a file in `paths` of unknown format; in a folder, such files
    are skipped.
    """
    if not paths or "" in paths:
        raise InvalidRequest(
            "at least one file or folder, or - for standard input, is needed", path="paths"
        )
    detect = partial(format_of, by_content=by_content)
    files: list[SourceFile] = []
    skipped: list[str] = []
    for name in dict.fromkeys(paths):
        path = Path(name)
        try:
            if name == STDIN:
                files.append(SourceFile(None, STDIN, chosen or Format.JSONL, None))
            elif not path.is_dir():
                files.append(_named_file(path, chosen or detect(path)))
            else:
                formats = {entry: chosen or detect(entry) for entry in _walk(path)}
                files += [_file(entry, form) for entry, form in formats.items() if form is not None]
                skipped += [_name(entry) for entry, form in formats.items() if form is None]
        except OSError as error:
            raise InvalidRequest(
                f"{_name(path):.200} can't be read: {error}", path="paths"
            ) from error
    # Links may lead to one file
    distinct = {file.path and file.path.resolve(): file for file in reversed(files)}
    return Sources(tuple(reversed(distinct.values())), tuple(skipped))


def format_of(path: Path, *, by_content: bool) -> Format | None:
    """The format that the suffix of `path` stands for; with `by_content`, first the one recognised
    by its beginning.
    """
    if by_content:
        with suppress(OSError), path.open("rb") as stream:  # reading it will report the error
            if form := export_format(path.name, stream.read(BEGINNING)):
                return form
    return SUFFIXES.get(path.suffix.lower())


def export_format(name: str, beginning: bytes) -> Format | None:
    """The export format of a file with this name and these first bytes; None if it is no known
    export.
    """
    suffix = Path(name).suffix.lower()
    if suffix in (".md", ".markdown"):
        return Format.NOTES
    if suffix not in (".json", ".jsonl", ".ndjson"):
        return None
    if _MCP_RECORD.match(beginning):
        return Format.MCP
    return next(
        (form for form, marks in _SIGNATURES if all(mark.search(beginning) for mark in marks)), None
    )


def _named_file(path: Path, form: Format | None) -> SourceFile:
    name = _name(path)
    if not path.exists():
        raise InvalidRequest(f"there is no file or folder {name}", path="paths", got=name)
    if form is None:
        is_archive = path.suffix.lower() == ".zip"
        suffixes = ", ".join(SUFFIXES)
        advice = (
            "import chats with `import chatgpt` or `import claude`"
            if is_archive
            else "name it with --format"
        )
        message = f"the format of {name} can't be told from its name (known: {suffixes}); {advice}"
        raise InvalidRequest(message, path="paths", got=name)
    return _file(path, form)


def _file(path: Path, form: Format) -> SourceFile:
    return SourceFile(path, _name(path), form, path.stat().st_size if path.is_file() else None)


def _name(path: Path) -> str:
    """`path` as valid Unicode text for reports and sources, even if its bytes are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry
