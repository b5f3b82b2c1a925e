"""Anthropic's memory tool, backed by Remembrancer's items: `MemoryTool` and `AsyncMemoryTool`.

It needs the package's extra `anthropic`. Each file of the memory directory is an item. A directory
exists while it has files.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeAlias
from urllib.parse import unquote

from anthropic.lib.tools import ToolError
from anthropic.tools.memory import BetaAbstractMemoryTool, BetaAsyncAbstractMemoryTool
from anthropic.types.beta import (
    BetaMemoryTool20250818CreateCommand,
    BetaMemoryTool20250818DeleteCommand,
    BetaMemoryTool20250818InsertCommand,
    BetaMemoryTool20250818RenameCommand,
    BetaMemoryTool20250818StrReplaceCommand,
    BetaMemoryTool20250818ViewCommand,
)

from remembrancer_client.client import AsyncRemembrancer, Remembrancer
from remembrancer_client.errors import InvalidRequest
from remembrancer_client.groups.items import PAGE, Items
from remembrancer_client.request import Description

ROOT = "/memories"
MAX_LINES = 999_999

Steps: TypeAlias = Generator[Description[Any], Any, str]
"""Generator for a command of Claude: yields calls, is sent their answers (None: no item), returns
Claude's text.
"""


class MemoryTool(BetaAbstractMemoryTool):
    """Claude's memory directory: each file is stored as an item (a JSON value under a path and
    key).

    memory: client whose namespace the items are in. path: path of the items.
    """

    def __init__(self, memory: Remembrancer, path: Sequence[str] = ("claude-memory",)) -> None:
        super().__init__()
        self._connection = memory.connection
        self._files = _Files(memory.items, path)

    def execute(self, command: Any) -> str:
        """Run a command of Claude and return the text for Claude. Raises ToolError, whose message
        Claude reads.
        """
        steps = self._files.steps(command)
        answer = None
        try:
            while True:
                answer = self._connection.find(steps.send(answer))
        except StopIteration as end:
            return str(end.value)
        except InvalidRequest as error:
            raise ToolError(str(error)) from error

    def clear_all_memory(self) -> str:
        """Delete every file of the memory directory."""
        return self.execute(None)

    view = create = str_replace = insert = delete = rename = execute


class AsyncMemoryTool(BetaAsyncAbstractMemoryTool):
    """Claude's memory directory, stored through an async client. See `MemoryTool`."""

    def __init__(self, memory: AsyncRemembrancer, path: Sequence[str] = ("claude-memory",)) -> None:
        super().__init__()
        self._connection = memory.connection
        self._files = _Files(memory.items, path)

    async def execute(self, command: Any) -> str:
        """Run a command of Claude and return the text for Claude. Raises ToolError, whose message
        Claude reads.
        """
        steps = self._files.steps(command)
        answer = None
        try:
            while True:
                answer = await self._connection.find(steps.send(answer))
        except StopIteration as end:
            return str(end.value)
        except InvalidRequest as error:
            raise ToolError(str(error)) from error

    async def clear_all_memory(self) -> str:
        """Delete every file of the memory directory."""
        return await self.execute(None)

    view = create = str_replace = insert = delete = rename = execute


class _Files:
    """Claude's commands on files, stored as items. The key of a file's item is its path below
    `/memories`.

    Each command is a generator. It yields the calls that the sync or async tool makes, and returns
    the text for Claude.
    """

    def __init__(self, items: Items[Any], path: Sequence[str]) -> None:
        self._items = items
        self._path = list(path)

    def steps(self, command: Any) -> Steps:
        """The generator that runs `command`; if it is None, the generator that deletes every
        file.
        """
        steps: Steps = self._clear() if command is None else getattr(self, command.command)(command)
        return steps

    def view(self, command: BetaMemoryTool20250818ViewCommand) -> Steps:
        """Show a file with line numbers, or list the files below a directory."""
        key = _key(command.path)
        text = yield from self._read(key) if key else _no_file()
        if text is not None:
            lines = text.split("\n")
            shown = command.view_range
            if len(lines) > MAX_LINES:
                raise ToolError(f"File {command.path} exceeds maximum line limit of 999,999 lines.")
            first, last = shown if shown and len(shown) == 2 else (1, -1)
            numbered = _numbered(lines, max(1, first) - 1, len(lines) if last == -1 else last)
            return f"Here's the content of {command.path} with line numbers:\n{numbered}"
        files = yield from self._files_below(key)
        if key and not files:
            raise ToolError(f"The path {command.path} does not exist. Please provide a valid path.")
        header = f"Here're the files and directories up to 2 levels deep in {command.path}, "
        return (
            header
            + "excluding hidden items and node_modules:\n"
            + "\n".join(_listing(command.path, files))
        )

    def create(self, command: BetaMemoryTool20250818CreateCommand) -> Steps:
        """Write a new file."""
        key = _key(command.path)
        below = yield from self._files_below(key)
        if not key or below or (yield from self._read(key)) is not None:
            raise ToolError(f"Error: File {command.path} already exists")
        yield from self._check_parents(command.path, key)
        yield self._put(key, command.file_text)
        return f"File created successfully at: {command.path}"

    def str_replace(self, command: BetaMemoryTool20250818StrReplaceCommand) -> Steps:
        """Replace a text in a file. Raises ToolError unless it occurs exactly once."""
        text = yield from self._text_of(command.path)
        old = command.old_str
        new = command.new_str or ""
        positions = [match.start() for match in re.finditer(f"(?={re.escape(old)})", text)]
        if not positions:
            message = (
                f"No replacement was performed, old_str `{old}` did not appear verbatim in "
                f"{command.path}."
            )
            raise ToolError(message)
        if text.count(old) > 1:
            lines = ", ".join(str(text.count("\n", 0, position) + 1) for position in positions)
            message = (
                f"No replacement was performed. Multiple occurrences of old_str `{old}` in "
                f"lines: {lines}."
            )
            raise ToolError(f"{message} Please ensure it is unique")
        edited = text.replace(old, new)
        yield self._put(_key(command.path), edited)
        changed = text.count("\n", 0, positions[0])
        shown = _numbered(edited.split("\n"), max(0, changed - 2), changed + 3)
        return (
            "The memory file has been edited. Here is the snippet showing the change "
            f"(with line numbers):\n{shown}"
        )

    def insert(self, command: BetaMemoryTool20250818InsertCommand) -> Steps:
        """Insert a text after a line of a file."""
        lines = (yield from self._text_of(command.path)).split("\n")
        if lines[-1] == "":
            lines.pop()
        if not 0 <= command.insert_line <= len(lines):
            problem = f"Error: Invalid `insert_line` parameter: {command.insert_line}. "
            raise ToolError(
                f"{problem}It should be within the range of lines of the file: [0, {len(lines)}]"
            )
        lines.insert(command.insert_line, command.insert_text.rstrip("\n"))
        edited = "\n".join(lines)
        yield self._put(_key(command.path), edited if edited.endswith("\n") else edited + "\n")
        return f"The file {command.path} has been edited."

    def delete(self, command: BetaMemoryTool20250818DeleteCommand) -> Steps:
        """Delete a file, or all files below a directory."""
        key = _key(command.path)
        if not key:
            raise ToolError("Cannot delete the /memories directory itself")
        files = yield from self._files_at(command.path, key)
        for name in files:
            yield Items.delete.describe(self._items, self._path, name)
        return f"Successfully deleted {command.path}"

    def rename(self, command: BetaMemoryTool20250818RenameCommand) -> Steps:
        """Move a file, or all files below a directory."""
        source = _key(command.old_path)
        target = _key(command.new_path)
        if not source:
            raise ToolError("Cannot rename the /memories directory itself")
        existing = yield from self._files_below(target)
        if not target or existing or (yield from self._read(target)) is not None:
            raise ToolError(f"Error: The destination {command.new_path} already exists")
        yield from self._check_parents(command.old_path, source)
        files = yield from self._files_at(command.old_path, source)
        if f"{target}/".startswith(f"{source}/"):
            raise ToolError(f"Cannot move {command.old_path} into itself")
        yield from self._check_parents(command.new_path, target)
        for name, text in files.items():
            yield self._put(target + name[len(source) :], text)
        for name in files:
            yield Items.delete.describe(self._items, self._path, name)
        return f"Successfully renamed {command.old_path} to {command.new_path}"

    def _clear(self) -> Steps:
        files = yield from self._files_below("")
        for name in files:
            yield Items.delete.describe(self._items, self._path, name)
        return "All memory cleared"

    def _put(self, key: str, text: str) -> Description[Any]:
        return Items.put.describe(self._items, self._path, key, {"text": text}, index=["text"])

    def _read(self, key: str) -> Generator[Description[Any], Any, str | None]:
        """The text of a file; None if the file does not exist."""
        item = yield Items.get.describe(self._items, self._path, key)
        return None if item is None else str(item.value["text"])

    def _text_of(self, path: str) -> Steps:
        """The text of a file. Raises ToolError if the file does not exist."""
        key = _key(path)
        text = yield from self._read(key) if key else _no_file()
        if text is None:
            directory = not key or (yield from self._files_below(key))
            problem = (
                "is not a file." if directory else "does not exist. Please provide a valid path."
            )
            raise ToolError(f"The path {path} {problem}")
        return text

    def _files_below(self, directory: str) -> Generator[Description[Any], Any, dict[str, str]]:
        """The texts of all files below a directory, by the key of the file. The keys are sorted."""
        files: dict[str, str] = {}
        offset = 0
        prefix = f"{directory}/" if directory else ""
        while True:
            page = yield Items.search.describe(self._items, self._path, limit=PAGE, offset=offset)
            files |= {
                item.key: item.value["text"] for item in page.items if item.path == self._path
            }
            if len(page.items) < PAGE:
                return {key: files[key] for key in sorted(files) if key.startswith(prefix)}
            offset += PAGE

    def _files_at(self, path: str, key: str) -> Generator[Description[Any], Any, dict[str, str]]:
        """The texts, by key, of the file at `path` or of all files below it. Raises ToolError if no
        file is there.
        """
        text = yield from self._read(key)
        files = (yield from self._files_below(key)) if text is None else {key: text}
        if not files:
            raise ToolError(f"Error: The path {path} does not exist")
        return files

    def _check_parents(self, path: str, key: str) -> Generator[Description[Any], Any, None]:
        """Raise ToolError if a parent directory of `key` is a file. path: path to name in the
        error's message.
        """
        parents = key.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            if (yield from self._read("/".join(parents[:depth]))) is not None:
                raise ToolError(
                    f"{path}: {ROOT}/{'/'.join(parents[:depth])} is a file, not a directory"
                )


def _no_file() -> Generator[Description[Any], Any, str | None]:
    """Used in place of `_read` for the root directory, which is not a file: makes no call and
    returns None.
    """
    return None
    yield


def _key(path: str) -> str:
    """The part of `path` below `/memories`. Raises ToolError for a path outside this directory,
    also if URL-encoded.
    """
    if path != ROOT and not path.startswith(f"{ROOT}/"):
        raise ToolError(f"Path must start with /memories, got: {path}")
    names = [name for name in path[len(ROOT) :].split("/") if name not in ("", ".")]
    decoded = unquote(unquote("/".join(names))).replace("\\", "/")
    if ".." in decoded.split("/") or "\x00" in decoded:
        raise ToolError(f"Path {path} would escape /memories directory")
    return "/".join(names)


def _numbered(lines: list[str], first: int, last: int) -> str:
    return "\n".join(
        f"{number:6}\t{line}" for number, line in enumerate(lines[first:last], first + 1)
    )


def _listing(path: str, files: dict[str, str]) -> Iterator[str]:
    """Yield a line with size and path for the directory `path`, and for its entries up to two
    levels deep.
    """
    sizes: dict[str, int] = {}
    start = len(_key(path)) + 1 if _key(path) else 0
    for key, text in files.items():
        names = key[start:].split("/")
        size = len(text.encode())
        for depth in range(1, min(2, len(names)) + 1):
            directory = "/" if depth < len(names) else ""
            name = "/".join(names[:depth]) + directory
            if not any(part.startswith(".") or part == "node_modules" for part in names[:depth]):
                sizes[name] = sizes.get(name, 0) + size
    yield f"{_size(sum(len(text.encode()) for text in files.values()))}\t{path}"
    path = path.rstrip("/")
    for name in sorted(sizes, key=lambda name: name.rstrip("/").split("/")):
        yield f"{_size(sizes[name])}\t{path}/{name}"


def _size(count: int) -> str:
    """A number of bytes in a readable form, such as 512B or 5.5K."""
    unit = "B"
    size = float(count)
    for larger in ("K", "M", "G"):
        if size < 1024:
            break
        unit = larger
        size = size / 1024
    return f"{int(size)}{unit}" if size == int(size) else f"{size:.1f}{unit}"
