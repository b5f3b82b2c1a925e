"""Less of a set, or more beside it: so many of its questions, and company of other types. Pure functions of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.sets.data import Conversation, CorpusEntry, EvaluationSet
from memtypes.model.policy import MemoryType


def limit_questions(whole: EvaluationSet, limit: int | None) -> EvaluationSet:
    """`whole` with at most `limit` queries, spread evenly over the file's order; None keeps all."""
    if limit is None or whole.questions <= limit:
        return whole
    every = [question for conversation in whole.conversations for question in conversation.questions]
    kept = {every[index * len(every) // limit].id for index in range(limit)}
    conversations = tuple(
        replace(one, questions=tuple(question for question in one.questions if question.id in kept))
        for one in whole.conversations
    )
    return replace(whole, conversations=conversations)


def in_company(whole: EvaluationSet, others: Sequence[EvaluationSet], count: int) -> EvaluationSet:
    """`whole` with up to `count` memories of each type that it does not have beside each conversation.

    They are spread evenly over `others`, and as old as the conversation, so that its questions can find them.
    """
    entries = [entry for other in others for part in other.conversations for entry in part.corpus]
    company: list[CorpusEntry] = []
    for kind in MemoryType:
        if kind not in whole.types:
            company += _spread([entry for entry in entries if entry.type is kind], count)
    return replace(whole, conversations=tuple(_joined_by(one, company) for one in whole.conversations))


def _joined_by(conversation: Conversation, company: Sequence[CorpusEntry]) -> Conversation:
    known = (entry.timestamp for entry in conversation.corpus if entry.timestamp)
    at = min(known, default=None)
    return replace(
        conversation, company=tuple(replace(entry, id=f"company:{entry.id}", timestamp=at) for entry in company)
    )


def _spread(entries: Sequence[CorpusEntry], count: int) -> list[CorpusEntry]:
    if len(entries) <= count:
        return list(entries)
    return [entries[index * len(entries) // count] for index in range(count)]
