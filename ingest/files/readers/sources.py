"""What the given paths stand for: files in a fixed order, with their formats, and standard input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.files.readers.formats import SUFFIXES, Format, format_by_shape, format_of
from memtypes.model.errors import InvalidRequest

STDIN = "-"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read. path: None for standard input. name: as it is reported. size: in bytes, None if unknown."""

    path: Path | None
    name: str
    format: Format
    size: int | None


@dataclass(frozen=True, slots=True)
class Sources:
    """files: in the order in which they are read. skipped: names of files in folders that no reader is known for."""

    files: tuple[SourceFile, ...]
    skipped: tuple[str, ...]

    @property
    def size(self) -> int | None:
        """Bytes in all, or None when some file's size is unknown."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def find_sources(paths: tuple[str, ...], chosen: Format | None, *, by_shape: bool = False) -> Sources:
    """The files that `paths` stand for; folders are read through, sorted, without hidden entries.

    chosen: the format of everything, or None to go by the names; by_shape: by what they hold first.

    Raises InvalidRequest for a path that is not there and
    for a file whose format can't be told.
    """
    if not paths:
        raise InvalidRequest("at least one file or folder, or - for standard input, is needed", path="paths")
    tell = format_by_shape if by_shape else format_of
    files: list[SourceFile] = []
    skipped: list[str] = []
    for given in dict.fromkeys(paths):
        if given == STDIN:
            files.append(SourceFile(None, STDIN, chosen or Format.JSONL, None))
        elif Path(given).is_dir():
            for path in _walk(Path(given)):
                form = chosen or tell(path)
                if form is None:
                    skipped.append(_name(path))
                else:
                    files.append(_file(path, form))
        else:
            files.append(_given_file(Path(given), chosen or tell(Path(given))))
    return Sources(tuple(files), tuple(skipped))


def _given_file(path: Path, form: Format | None) -> SourceFile:
    if not path.exists():
        raise InvalidRequest(f"there is no file or folder {_name(path)}", path="paths", got=_name(path))
    if form is None:
        known = ", ".join(SUFFIXES)
        raise InvalidRequest(
            f"the format of {_name(path)} can't be told from its name (known: {known}); name it with --format",
            path="paths",
            got=_name(path),
        )
    return _file(path, form)


def _file(path: Path, form: Format) -> SourceFile:
    return SourceFile(path, _name(path), form, path.stat().st_size if path.is_file() else None)


def _name(path: Path) -> str:
    """The name of `path` as text that can be stored, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "replace")


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry
