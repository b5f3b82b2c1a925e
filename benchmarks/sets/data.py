"""Evaluation sets: folders with corpus.jsonl and queries.jsonl, one object a line.

corpus.jsonl: {id, conversation, session?, timestamp?, speaker?, text, memory_type}, in the order of the session.
queries.jsonl: {id, conversation, text, category?, evidence, current_evidence?, answerable, asked_at?, answer?}. A query
searches its own conversation only. Other members are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from memtypes.model.policy import POLICIES, MemoryType, Visibility
from memtypes.model.types import DRAFT, AnyDraft

T = TypeVar("T")
CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"


class BadSet(Exception):
    """A set is not in the format; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """One memory of a corpus."""

    id: str
    text: str
    type: MemoryType
    session: str | None
    speaker: str | None
    timestamp: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """An answerable query. evidence: corpus ids that answer it; current_evidence: those that still hold."""

    id: str
    conversation: str
    text: str
    category: str
    evidence: tuple[str, ...]
    asked_at: datetime | None
    answer: str = ""
    current_evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is searched together, in one namespace. company: memories of other types that answer no question."""

    name: str
    corpus: tuple[CorpusEntry, ...]
    questions: tuple[Question, ...]
    company: tuple[CorpusEntry, ...] = ()

    @property
    def written(self) -> tuple[CorpusEntry, ...]:
        """All memories of the namespace."""
        return self.corpus + self.company


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A corpus in conversations with its answerable queries. dropped: number of the other queries."""

    name: str
    conversations: tuple[Conversation, ...]
    dropped: int

    @property
    def types(self) -> tuple[MemoryType, ...]:
        """The memory types of the corpus."""
        present = {entry.type for conversation in self.conversations for entry in conversation.corpus}
        return tuple(kind for kind in MemoryType if kind in present)

    @property
    def questions(self) -> int:
        """Number of answerable queries."""
        return sum(len(conversation.questions) for conversation in self.conversations)

    @property
    def memories(self) -> int:
        """Number of corpus entries."""
        return sum(len(conversation.corpus) for conversation in self.conversations)

    def asked(self) -> Iterator[tuple[Conversation, Question]]:
        """Every question with its conversation."""
        for conversation in self.conversations:
            for question in conversation.questions:
                yield conversation, question


def find_sets(directory: Path, names: Sequence[str] = ()) -> list[Path]:
    """The set folders in `directory`, sorted, or those of `names`. Raises BadSet if there is none."""
    folders = {path.name: path for path in sorted(directory.glob("*")) if _is_set(path)}
    for name in names:
        if name not in folders:
            known = ", ".join(folders) or "none"
            raise BadSet(f"{directory / name} has no {CORPUS} and {QUERIES}; sets here: {known}")
    if not folders:
        raise BadSet(f"no folder in {directory} has {CORPUS} and {QUERIES}")
    return [folders[name] for name in names] if names else list(folders.values())


def read_set(folder: Path) -> EvaluationSet:
    """The set in `folder`. Raises BadSet."""
    entries: dict[str, list[CorpusEntry]] = {}
    conversation_of: dict[str, str] = {}
    for place, row in _rows(folder / CORPUS):
        entry = _entry(row, place)
        if entry.id in conversation_of:
            raise BadSet(f"{place}: duplicate id {entry.id!r}")
        conversation_of[entry.id] = row["conversation"]
        entries.setdefault(row["conversation"], []).append(entry)
    questions: dict[str, list[Question]] = {}
    dropped = 0
    for place, row in _rows(folder / QUERIES):
        question = _question(row, place)
        if question is None:
            dropped += 1
            continue
        for evidence in (*question.evidence, *question.current_evidence):
            if conversation_of.get(evidence) != question.conversation:
                raise BadSet(f"{place}: evidence {evidence!r} is not in the conversation {question.conversation!r}")
        questions.setdefault(question.conversation, []).append(question)
    conversations = tuple(
        Conversation(name, tuple(corpus), tuple(questions.get(name, ()))) for name, corpus in entries.items()
    )
    return EvaluationSet(folder.name, conversations, dropped)


def to_draft(entry: CorpusEntry) -> AnyDraft:
    """The draft of `entry`, visible in its whole namespace because a query comes from no session."""
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


def limit_questions(whole: EvaluationSet, limit: int | None) -> EvaluationSet:
    """`whole` with at most `limit` queries, spread evenly over the file; None keeps all."""
    if limit is None or whole.questions <= limit:
        return whole
    kept = {question.id for question in _spread([question for _, question in whole.asked()], limit)}
    conversations = tuple(
        replace(part, questions=tuple(question for question in part.questions if question.id in kept))
        for part in whole.conversations
    )
    return replace(whole, conversations=conversations)


def in_company(whole: EvaluationSet, others: Sequence[EvaluationSet], count: int) -> EvaluationSet:
    """`whole` with up to `count` memories of each type that it lacks in every conversation, taken from `others`.

    They get the earliest timestamp of the conversation, so that its questions can find them.
    """
    entries = [entry for other in others for part in other.conversations for entry in part.corpus]
    company: list[CorpusEntry] = []
    for kind in MemoryType:
        if kind not in whole.types:
            company += _spread([entry for entry in entries if entry.type is kind], count)
    return replace(whole, conversations=tuple(_joined_by(part, company) for part in whole.conversations))


def _joined_by(conversation: Conversation, company: Sequence[CorpusEntry]) -> Conversation:
    earliest = min((entry.timestamp for entry in conversation.corpus if entry.timestamp), default=None)
    joining = (replace(entry, id=f"company:{entry.id}", timestamp=earliest) for entry in company)
    return replace(conversation, company=tuple(joining))


def _spread(values: Sequence[T], count: int) -> list[T]:
    return list(values) if len(values) <= count else [values[index * len(values) // count] for index in range(count)]


def _is_set(path: Path) -> bool:
    return (path / CORPUS).is_file() and (path / QUERIES).is_file()


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The object of each line, with its place in the file."""
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
                raise BadSet(f"{place}: must be an object")
            yield place, row


def _entry(row: dict[str, Any], place: str) -> CorpusEntry:
    _check_texts(row, ("id", "conversation", "text", "memory_type"), place)
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
    """The query of `row`; None if it is not answerable or has no evidence."""
    _check_texts(row, ("id", "conversation", "text"), place)
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
        current_evidence=tuple(row.get("current_evidence") or ()),
    )


def _check_texts(row: dict[str, Any], names: Sequence[str], place: str) -> None:
    for name in names:
        if not isinstance(row.get(name), str) or not row[name]:
            raise BadSet(f"{place}: {name} must be a non-empty text")
