"""Finds files of programs' past sessions, memories and notes to import, below a path or in their
usual places.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path

from ingest.files.readers.chats import CONVERSATIONS, ChatFile, export_streams
from ingest.files.readers.claude_code import ClaudeCodeLines
from ingest.files.readers.codex import CodexLines
from ingest.files.readers.sources import BEGINNING, READERS, Format, export_format
from ingest.files.readers.transcripts import TranscriptFile
from ingest.files.sessions import SessionFile
from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType


class PastSource(StrEnum):
    """The programs whose past sessions, memories or notes can be imported."""

    CLAUDE_CODE = "claude-code"
    CODEX = "codex"
    CHATGPT = "chatgpt"
    CLAUDE = "claude"
    MEM0 = "mem0"
    ZEP = "zep"
    LANGGRAPH = "langgraph"
    OBSIDIAN = "obsidian"
    MARKDOWN = "markdown"


AGENTS = (PastSource.CLAUDE_CODE, PastSource.CODEX)
"""Coding agents, which write a transcript while a session runs."""

CHATS = (PastSource.CHATGPT, PastSource.CLAUDE)
"""Chat programs, whose conversations a user downloads as an export. The export's `Format` has the
program's name.
"""

DUMPS = (PastSource.MEM0, PastSource.ZEP, PastSource.LANGGRAPH)
"""Memory services, whose memories a user exports to a file. The file's `Format` has the service's
name.
"""

_INSTRUCTIONS = frozenset(("claude.md", "claude.local.md", "agents.md"))
"""Names, in lower case, of files that tell agents how to work in a project."""

_MAX_LINES = 100
"""Maximum lines at the start of a transcript that are searched for the folder of its project."""


@dataclass(frozen=True, slots=True)
class MemoryFiles:
    """Files of one format whose rows become memories.

    folder: the folder of the project to which the files belong; None if they belong to no project.
    type: the type of the memories; None lets the classifier choose the type of each row.
    """

    folder: str | None
    paths: tuple[str, ...]
    format: Format
    type: MemoryType | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Finds the files that a user's agents, chat programs and note programs keep.

    home: the user's home folder. working: the current folder. environment: environment variables,
    which may name other folders (such as CODEX_HOME).
    """

    home: Path
    working: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def claude_code(self) -> Path:
        """The folder of Claude Code's settings and transcripts: CLAUDE_CONFIG_DIR, or ~/.claude."""
        return self._folder("CLAUDE_CONFIG_DIR", ".claude")

    def codex(self) -> Path:
        """The folder of Codex's settings and session logs (rollouts): CODEX_HOME, or ~/.codex."""
        return self._folder("CODEX_HOME", ".codex")

    def _folder(self, variable: str, name: str) -> Path:
        named = self.environment.get(variable)
        return Path(named).expanduser() if named else self.home / name

    def session_files(self, source: PastSource, path: Path | None) -> list[SessionFile]:
        """The session files of `source`, by default in its usual places. Raises InvalidRequest if
        `path` is missing.
        """
        if path is not None and not path.exists():
            raise InvalidRequest(f"there is no file or folder {path}", path="path", got=str(path))
        if source in CHATS:
            if path is None:
                downloads = sorted((self.home / "Downloads").glob("*"))
                files = [
                    file
                    for file in downloads
                    if file.suffix == ".zip" or file.name.startswith(CONVERSATIONS)
                ]
            else:
                files = [path] if path.is_file() else sorted(path.glob(f"{CONVERSATIONS}*.json"))
            form = Format(source)
            return [ChatFile(file, READERS[form]) for file in files if _chat_format(file) is form]
        if source is PastSource.CLAUDE_CODE:
            folder = path or self.claude_code()
            root = folder / "projects" if (folder / "projects").is_dir() else folder
            transcripts = (
                file
                for file in _files(root, ".jsonl")
                if "subagents" not in file.relative_to(root).parts
            )
            return [TranscriptFile(file, ClaudeCodeLines) for file in transcripts]
        folder = path or self.codex()
        inner = [
            root for name in ("sessions", "archived_sessions") if (root := folder / name).is_dir()
        ]
        logs = (file for root in inner or [folder] for file in _files(root, ".jsonl", ".jsonl.zst"))
        return [
            TranscriptFile(file, CodexLines)
            for file in logs
            if file == folder or file.name.startswith("rollout-")
        ]

    def memory_files(self, source: PastSource, path: Path | None) -> list[MemoryFiles]:
        """The files with memories or notes of program `source` at `path`, or in its usual places if
        `path` is None.

        Raises InvalidRequest if `path` does not exist, or if it is None and the program has no
        usual place.
        """
        if path is not None and not path.exists():
            raise InvalidRequest(f"there is no file or folder {path}", path="path", got=str(path))
        if source in DUMPS:
            if path is None:
                raise InvalidRequest(
                    f"{source} has no usual place; name the file that it was exported to",
                    path="path",
                )
            return [MemoryFiles(None, (str(path),), Format(source))]
        if source is PastSource.OBSIDIAN:
            vaults = [path] if path is not None else [*self._vaults()]
            return [
                MemoryFiles(str(vault.absolute()), (str(vault),), Format.OBSIDIAN)
                for vault in vaults
            ]
        return self._notes(path) if path is not None else self._usual_notes()

    def _vaults(self) -> Iterator[Path]:
        settings = [
            Path(self.environment.get("XDG_CONFIG_HOME") or self.home / ".config")
            / "obsidian"
            / "obsidian.json",
            self.home / "Library" / "Application Support" / "obsidian" / "obsidian.json",
        ]
        for file in settings:
            # None, or of another form
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                vaults = [
                    Path(vault["path"])
                    for vault in json.loads(file.read_text("utf-8"))["vaults"].values()
                ]
                yield from (vault for vault in vaults if vault.is_dir())

    def _notes(self, path: Path) -> list[MemoryFiles]:
        folder = path if path.is_dir() else path.parent
        relative = {file: file.relative_to(path).parts for file in _files(path, ".md")}
        files = [
            file
            for file, names in relative.items()
            if not any(name.startswith(".") for name in names)
        ]
        project = _claude_project(folder.parent) if folder.name == "memory" else None
        return _by_kind(project or str(folder.absolute()), files)

    def _usual_notes(self) -> list[MemoryFiles]:
        """Files with instructions for agents in the working folder and of the user, and Claude
        Code's project notes.
        """
        names = ("CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", ".claude/CLAUDE.md")
        of_user = [self.claude_code() / "CLAUDE.md", self.codex() / "AGENTS.md"]
        # Home is no project
        of_project = [file for name in names if (file := self.working / name) not in of_user]
        groups = _by_kind(str(self.working), of_project) + _by_kind(None, of_user)
        for memory in sorted((self.claude_code() / "projects").glob("*/memory/")):
            groups += _by_kind(_claude_project(memory.parent), [*_files(memory, ".md")])
        return groups

    def usual_folders(self, source: PastSource) -> str:
        """The usual places of program `source`, as text for messages to the user."""
        places = {
            PastSource.CLAUDE_CODE: self.claude_code() / "projects",
            PastSource.CODEX: self.codex() / "sessions",
            PastSource.OBSIDIAN: "the vaults that Obsidian knows",
            PastSource.MARKDOWN: f"{self.working} and {self.claude_code()}",
        }
        return str(places.get(source, self.home / "Downloads"))


def _by_kind(folder: str | None, files: Iterable[Path]) -> list[MemoryFiles]:
    """Divide the existing `files` into instructions for agents (imported as procedures) and other
    notes.
    """
    existing = [file for file in files if file.is_file()]
    instructions = tuple(str(file) for file in existing if file.name.lower() in _INSTRUCTIONS)
    notes = tuple(str(file) for file in existing if file.name.lower() not in _INSTRUCTIONS)
    groups = [
        MemoryFiles(folder, instructions, Format.MARKDOWN, MemoryType.PROCEDURAL),
        MemoryFiles(folder, notes, Format.NOTES),
    ]
    return [group for group in groups if group.paths]


def _claude_project(folder: Path) -> str | None:
    """The project folder (`cwd`) that Claude Code's transcripts in `folder` record; None if they
    record none.
    """
    for transcript in sorted(folder.glob("*.jsonl")):
        with suppress(OSError), transcript.open("rb") as stream:
            for line in islice(stream, _MAX_LINES):
                # A line of another form
                with suppress(ValueError, TypeError, LookupError, RecursionError):
                    if isinstance(cwd := json.loads(line)["cwd"], str) and cwd:
                        return cwd
    return None


def _files(root: Path, *endings: str) -> Iterator[Path]:
    if root.is_file():
        return iter([root])
    return (
        path for path in sorted(root.rglob("*")) if path.name.endswith(endings) and path.is_file()
    )


def _chat_format(path: Path) -> Format | None:
    """The format of the chat export at `path`; None if it is not a chat export or cannot be
    read.
    """
    with suppress(OSError), export_streams(path) as streams:
        for name, opened in streams[:1]:
            with opened() as stream:
                return export_format(name, stream.read(BEGINNING))
    return None
