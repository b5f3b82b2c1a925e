"""Evaluation sets: folders with corpus.jsonl and queries.jsonl. Knows the files' format, and no store.

corpus.jsonl: {id, conversation, session?, timestamp?, speaker?, text, memory_type} a line, in the order of the session.
queries.jsonl: {id, conversation, text, category?, evidence, answerable, asked_at?, answer?} a line. A query searches
its own conversation only. Other members are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from memtypes.model.policy import POLICIES, MemoryType, Visibility
from memtypes.model.types import DRAFT, AnyDraft

CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"


class BadSet(Exception):
    """A set can't be read; the text names the file and the line."""


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """One memory of a corpus, as the file has it."""

    id: str
    text: str
    type: MemoryType
    session: str | None
    speaker: str | None
    timestamp: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """An answerable query: the ids that answer it, when it was asked, and the answer, where the file has it."""

    id: str
    conversation: str
    text: str
    category: str
    evidence: tuple[str, ...]
    asked_at: datetime | None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is searched together: a namespace. company: memories of other types, which answer no question here."""

    name: str
    corpus: tuple[CorpusEntry, ...]
    questions: tuple[Question, ...]
    company: tuple[CorpusEntry, ...] = ()

    @property
    def written(self) -> tuple[CorpusEntry, ...]:
        """Everything that is in the namespace."""
        return self.corpus + self.company


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A corpus in conversations with its answerable queries. dropped: queries without evidence or answer."""

    name: str
    conversations: tuple[Conversation, ...]
    dropped: int

    @property
    def types(self) -> tuple[MemoryType, ...]:
        """The types that occur, in the order of the types: the set's right ones."""
        present = {entry.type for conversation in self.conversations for entry in conversation.corpus}
        return tuple(kind for kind in MemoryType if kind in present)

    @property
    def questions(self) -> int:
        """How many queries count."""
        return sum(len(conversation.questions) for conversation in self.conversations)

    @property
    def memories(self) -> int:
        """How many lines the corpus has."""
        return sum(len(conversation.corpus) for conversation in self.conversations)


def find_sets(directory: Path, names: Sequence[str] = ()) -> list[Path]:
    """The set folders in `directory`, or those of `names`, sorted. Raises BadSet for a name that is none."""
    found = {path.name: path for path in sorted(directory.glob("*")) if _is_set(path)}
    for name in names:
        if name not in found:
            known = ", ".join(found) or "none"
            raise BadSet(f"{directory / name} has no {CORPUS} and {QUERIES}; sets here: {known}")
    if not found:
        raise BadSet(f"no folder in {directory} has {CORPUS} and {QUERIES}")
    return [found[name] for name in names] if names else list(found.values())


def read_set(folder: Path) -> EvaluationSet:
    """The set in `folder`. Raises BadSet with file and line for what is not in the format."""
    entries: dict[str, list[CorpusEntry]] = {}
    conversation_of: dict[str, str] = {}
    for place, row in _rows(folder / CORPUS):
        entry = _entry(row, place)
        if entry.id in conversation_of:
            raise BadSet(f"{place}: the id {entry.id!r} is there twice")
        conversation_of[entry.id] = row["conversation"]
        entries.setdefault(row["conversation"], []).append(entry)
    questions: dict[str, list[Question]] = {}
    dropped = 0
    for place, row in _rows(folder / QUERIES):
        question = _question(row, place)
        if question is None:
            dropped += 1
            continue
        _check_evidence(question, conversation_of, place)
        questions.setdefault(question.conversation, []).append(question)
    conversations = tuple(
        Conversation(name, tuple(corpus), tuple(questions.get(name, ()))) for name, corpus in entries.items()
    )
    return EvaluationSet(folder.name, conversations, dropped)


def to_draft(entry: CorpusEntry) -> AnyDraft:
    """`entry` as a caller would write it; visible in its whole namespace, because a query comes from no session."""
    fields: dict[str, Any] = {"type": entry.type.value, "content": entry.text}
    if entry.session:
        fields["session_id"] = entry.session
    if entry.timestamp:
        fields["created_at"] = entry.timestamp
    if entry.type is MemoryType.EPISODIC and entry.speaker:
        fields["speaker"] = entry.speaker
    if POLICIES[entry.type].visibility is Visibility.SESSION:
        fields["visibility"] = Visibility.NAMESPACE.value
    return DRAFT.validate_python(fields)


def _is_set(path: Path) -> bool:
    return (path / CORPUS).is_file() and (path / QUERIES).is_file()


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise BadSet(f"{place}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise BadSet(f"{place}: needs an object")
            yield place, row


def _entry(row: dict[str, Any], place: str) -> CorpusEntry:
    _need(row, ("id", "conversation", "text", "memory_type"), place)
    if row["memory_type"] not in set(MemoryType):
        raise BadSet(f"{place}: unknown memory_type {row['memory_type']!r}")
    return CorpusEntry(
        id=row["id"],
        text=row["text"],
        type=MemoryType(row["memory_type"]),
        session=row.get("session"),
        speaker=row.get("speaker"),
        timestamp=row.get("timestamp"),
    )


def _question(row: dict[str, Any], place: str) -> Question | None:
    """The query of `row`; None when it can't be scored."""
    _need(row, ("id", "conversation", "text"), place)
    evidence = row.get("evidence") or []
    if not evidence or not row.get("answerable", True):
        return None
    asked_at = row.get("asked_at")
    return Question(
        id=row["id"],
        conversation=row["conversation"],
        text=row["text"],
        category=row.get("category") or "none",
        evidence=tuple(dict.fromkeys(evidence)),
        asked_at=datetime.fromisoformat(asked_at) if asked_at else None,
        answer=str(row.get("answer") or ""),
    )


def _check_evidence(question: Question, conversation_of: dict[str, str], place: str) -> None:
    for evidence in question.evidence:
        if conversation_of.get(evidence) != question.conversation:
            raise BadSet(f"{place}: the evidence {evidence!r} is not in the conversation {question.conversation!r}")


def _need(row: dict[str, Any], names: Sequence[str], place: str) -> None:
    for name in names:
        if not isinstance(row.get(name), str) or not row[name]:
            raise BadSet(f"{place}: needs {name}, a text")
