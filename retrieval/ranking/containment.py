"""Finds hits that repeat another hit: a captured message is stored whole, and some of its sentences
are stored as facts, steps and tasks, too. A short message may have only one, with the same text.

A sentence has the number 0 in its session, and the same turns as its source as the message has.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.model.memory import State
from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.columns import TERMS, Columns
from retrieval.columns import TURNS
from retrieval.ranking.signals import to_datetime64

_PROSPECTIVE = TYPES.index(MemoryType.PROSPECTIVE)


def messages_of(hits: Candidates, as_of: datetime) -> dict[int, int]:
    """For each hit that is a sentence of another hit, its position, with that of the message.

    Of a message and its sentence with the same text, the lower-ranked one is part of the other. But
    a task or a contested sentence always stands for its message, which does not show its state. No
    fact is part of a task.

    Replaced memories are left out. A contested sentence is only part of a contested message, which
    shows that it is contested. A long message is stored in pieces: if several may contain a
    sentence, it is part of the one that has all its terms.
    """
    columns = hits.columns
    numbers = columns.column("seq")
    from_turns = columns.has_value(TURNS) & ~_replaced(columns, as_of)
    sentences = np.flatnonzero(from_turns & (numbers == 0))
    if not len(sentences):
        return {}
    messages = np.flatnonzero(from_turns & (numbers > 0))
    sessions = columns.column("session_id")
    turns = columns.column(TURNS)
    tokens = columns.integers("tokens.count", 0)
    hashes = columns.column("content_hash")
    contested = _contested(columns, as_of)
    is_task = hits.kinds == _PROSPECTIVE
    terms = columns.column(TERMS)

    by_source: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for message in messages.tolist():
        by_source[sessions[message], turns[message]].append(message)
    has_state = contested | is_task
    found: dict[int, int] = {}
    standing_for: dict[int, int] = {}
    for sentence in sentences.tolist():
        containing = [
            message
            for message in by_source.get((sessions[sentence], turns[sentence]), ())
            if tokens[message] > tokens[sentence] or hashes[message] == hashes[sentence]
        ]
        if len(containing) > 1:
            containing = [
                message for message in containing if _has_terms(terms[message], terms[sentence])
            ]
        if len(containing) != 1:
            continue
        message = containing[0]
        same_text = hashes[message] == hashes[sentence] and not has_state[message]
        if same_text and (has_state[sentence] or sentence < message):
            standing_for.setdefault(message, sentence)
        elif contested[sentence] <= contested[message] and is_task[message] <= is_task[sentence]:
            found[sentence] = message
    # What is part of a message that another hit stands for is part of that hit
    parts = {part: standing_for.get(message, message) for part, message in found.items()}
    return parts | standing_for


def _has_terms(whole: NDArray[Any], part: NDArray[Any]) -> bool:
    return set(part.tolist()) <= {*whole.tolist(), 0}


def _restored(columns: Columns, as_of: datetime) -> NDArray[np.bool_]:
    restored: NDArray[np.bool_] = columns.column("state_until") <= to_datetime64(as_of)
    return restored


def _replaced(columns: Columns, as_of: datetime) -> NDArray[np.bool_]:
    ended: NDArray[np.bool_] = columns.column("valid_to") <= to_datetime64(as_of)
    return ended & ~_restored(columns, as_of)


def _contested(columns: Columns, as_of: datetime) -> NDArray[np.bool_]:
    return columns.where("state", State.CONTESTED.__eq__) & ~_restored(columns, as_of)
