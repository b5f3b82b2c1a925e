"""Which reader reads what: the table of formats, and the file names that stand for them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from ingest.readers.csvfile import read_csv
from ingest.readers.jsonfile import read_json
from ingest.readers.jsonl import read_jsonl
from ingest.readers.markdown import read_markdown
from ingest.readers.plaintext import read_text
from ingest.readers.rows import Reader


class Format(StrEnum):
    """What can be imported."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    MARKDOWN = "markdown"
    TEXT = "text"


READERS: Mapping[Format, Reader] = MappingProxyType(
    {
        Format.JSON: read_json,
        Format.JSONL: read_jsonl,
        Format.CSV: read_csv,
        Format.MARKDOWN: read_markdown,
        Format.TEXT: read_text,
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
