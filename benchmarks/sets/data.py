"""Reads evaluation sets: folders with the files corpus.jsonl and queries.jsonl, which have one JSON
object per line.

corpus.jsonl: {id, conversation, session?, timestamp?, speaker?, text, memory_type}, in the order of
the conversation. queries.jsonl: {id, conversation, text, category?, evidence, current_evidence?,
answerable, asked_at?, answer?}. `?`: may be missing. evidence: ids of the texts with the answer.
current_evidence: ids of those that are still true. A query searches only its own conversation.
Other JSON members are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from memtypes.model.policy import POLICIES, MemoryType, Visibility
from memtypes.model.types import DRAFT, AnyDraft

T = TypeVar("T")
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"


class BadSet(Exception):
    """An evaluation set is not in the expected format; the message names the file and the line."""


class CorpusEntry(msgspec.Struct, frozen=True):
    """A line of corpus.jsonl: a text that is stored as one memory."""

    id: Text
    conversation: Text
    text: Text
    memory_type: MemoryType
    session: str | None = None
    speaker: str | None = None
    timestamp: str | None = None


class Question(msgspec.Struct, frozen=True):
    """A line of queries.jsonl. evidence: ids of texts with the answer. current_evidence: ids of
    those still true.
    """

    id: Text
    conversation: Text
    text: Text
    evidence: tuple[str, ...] | None = ()
    category: str | None = None
    asked_at: datetime | None = None
    answerable: bool = True
    answer: Any = ""
    current_evidence: tuple[str, ...] | None = ()

    @property
    def label(self) -> str:
        """The question's category, or "none"."""
        return self.category or "none"


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """An evaluation set: texts by conversation, and questions about them, in the order of the
    conversations.

    Each conversation is stored and searched in its own namespace. dropped: number of questions that
    no text answers.
    """

    name: str
    corpus: Mapping[str, tuple[CorpusEntry, ...]]
    questions: tuple[Question, ...]
    dropped: int

    def entries(self) -> Iterator[CorpusEntry]:
        """The corpus entries of all conversations."""
        return chain.from_iterable(self.corpus.values())

    @property
    def memories(self) -> int:
        """The number of memories to store: one for each corpus entry."""
        return sum(map(len, self.corpus.values()))

    @property
    def types(self) -> list[MemoryType]:
        """The memory types that occur in the corpus."""
        present = {entry.memory_type for entry in self.entries()}
        return [kind for kind in MemoryType if kind in present]


def find_sets(directory: Path, names: Sequence[str] = ()) -> list[Path]:
    """Folders in `directory` of the sets `names`, or of all sets if it is empty. Raises BadSet if a
    set is missing.
    """
    sets = (
        path.parent
        for path in sorted(directory.glob(f"*/{CORPUS}"))
        if path.with_name(QUERIES).is_file()
    )
    folders = {folder.name: folder for folder in sets}
    for name in names:
        if name not in folders:
            existing = ", ".join(folders) or "none"
            raise BadSet(f"{directory / name} has no {CORPUS} and {QUERIES}; sets here: {existing}")
    if not folders:
        raise BadSet(f"no folder in {directory} has {CORPUS} and {QUERIES}")
    return [folders[name] for name in names] if names else list(folders.values())


def read_set(folder: Path) -> EvaluationSet:
    """The evaluation set in `folder`. Raises BadSet if it is malformed."""
    entries: dict[str, list[CorpusEntry]] = {}
    conversation_of: dict[str, str] = {}
    for location, entry in _rows(folder / CORPUS, CorpusEntry):
        if entry.id in conversation_of:
            raise BadSet(f"{location}: duplicate id {entry.id!r}")
        conversation_of[entry.id] = entry.conversation
        entries.setdefault(entry.conversation, []).append(entry)
    questions: dict[str, list[Question]] = {}
    dropped = 0
    for location, question in _rows(folder / QUERIES, Question):
        if not question.evidence or not question.answerable:
            dropped += 1
            continue
        for evidence in (*question.evidence, *(question.current_evidence or ())):
            if conversation_of.get(evidence) != question.conversation:
                raise BadSet(
                    f"{location}: evidence {evidence!r} is not in the conversation "
                    f"{question.conversation!r}"
                )
        questions.setdefault(question.conversation, []).append(question)
    in_order = tuple(question for name in entries for question in questions.get(name, ()))
    return EvaluationSet(
        folder.name, {name: tuple(corpus) for name, corpus in entries.items()}, in_order, dropped
    )


def to_draft(entry: CorpusEntry) -> AnyDraft:
    """The draft (content to store) for `entry`, visible in its whole namespace and not only in its
    session.
    """
    fields: dict[str, Any] = {"type": entry.memory_type.value, "content": entry.text}
    if entry.session:
        fields["session_id"] = entry.session
    if entry.timestamp:
        fields["created_at"] = entry.timestamp
    if entry.memory_type is MemoryType.EPISODIC and entry.speaker:
        fields["speaker"] = entry.speaker
    if POLICIES[entry.memory_type].visibility is Visibility.SESSION:
        fields["visibility"] = Visibility.NAMESPACE.value
    return DRAFT.validate_python(fields)


def limit_questions(dataset: EvaluationSet, limit: int | None) -> EvaluationSet:
    """`dataset` with at most `limit` evenly spaced questions; None keeps all."""
    total = len(dataset.questions)
    if limit is None or total <= limit:
        return dataset
    return replace(
        dataset,
        questions=tuple(dataset.questions[index * total // limit] for index in range(limit)),
    )


def _rows(path: Path, kind: type[T]) -> Iterator[tuple[str, T]]:
    """Yield ("FILE:LINE", parsed value of type `kind`) for each line of `path` that is not blank.
    Raises BadSet.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield f"{path}:{number}", msgspec.json.decode(line, type=kind)
            except msgspec.MsgspecError as error:
                raise BadSet(f"{path}:{number}: {error}") from error
