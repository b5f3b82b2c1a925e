"""Which reader reads what: the table of formats, and the file names that stand for them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from ingest.files.readers.csvfile import read_csv
from ingest.files.readers.exports.chats import read_chatgpt, read_claude
from ingest.files.readers.exports.memories import read_mcp, read_mem0
from ingest.files.readers.exports.notes import read_notes
from ingest.files.readers.exports.shape import LOOK, origin_of
from ingest.files.readers.jsonfile import read_json
from ingest.files.readers.jsonl import read_jsonl
from ingest.files.readers.markdown import read_markdown
from ingest.files.readers.plaintext import read_text
from ingest.files.readers.rows import Reader


class Format(StrEnum):
    """What can be imported."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    MARKDOWN = "markdown"
    TEXT = "text"
    CHATGPT = "chatgpt"
    CLAUDE = "claude"
    MEM0 = "mem0"
    MCP = "mcp"
    NOTES = "notes"


READERS: Mapping[Format, Reader] = MappingProxyType(
    {
        Format.JSON: read_json,
        Format.JSONL: read_jsonl,
        Format.CSV: read_csv,
        Format.MARKDOWN: read_markdown,
        Format.TEXT: read_text,
        Format.CHATGPT: read_chatgpt,
        Format.CLAUDE: read_claude,
        Format.MEM0: read_mem0,
        Format.MCP: read_mcp,
        Format.NOTES: read_notes,
    }
)

SUFFIXES: Mapping[str, Format] = MappingProxyType(
    {
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
)


def format_of(path: Path) -> Format | None:
    """The format that the name of `path` stands for, if it stands for one."""
    return SUFFIXES.get(path.suffix.lower())


def format_by_shape(path: Path) -> Format | None:
    """The format of another program's export, told from the beginning of the file; else by the name."""
    try:
        with path.open("rb") as stream:
            beginning = stream.read(LOOK)
    except OSError:
        return format_of(path)  # reading it will say what is wrong
    origin = origin_of(path.name, beginning)
    return Format(origin) if origin else format_of(path)
