"""Hits that are sentences of another hit, found by the turns that they were taken from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.search.vectors import heaviest
from retrieval.ranking.containment import messages_of
from tests.builders import NOW, make_sparse
from tests.candidates import CandidateRow, make_candidates

PAST = rfc3339(NOW - timedelta(days=1))


def hit(seq: int, tokens: int, terms: list[int], **fields: Any) -> CandidateRow:
    """A hit from turn 4 of session s1; of a message, or with `seq` 0 of a sentence."""
    payload = {
        "seq": seq,
        "session_id": "s1",
        "source": {"turns": [4]},
        "tokens": {"count": tokens},
        "terms": heaviest(make_sparse(terms)),
        "state": "current",
        "content_hash": f"{seq}-{tokens}",
        **fields,
    }
    return CandidateRow(f"{seq}-{tokens}", MemoryType.SEMANTIC, None, None, payload)


def messages(*hits: CandidateRow) -> dict[int, int]:
    """For the position of each sentence among `hits`, that of its message."""
    return messages_of(make_candidates(hits), NOW)


MESSAGE = hit(7, 30, [1, 2, 3])
SENTENCE = hit(0, 5, [1, 2])


def test_a_sentence_belongs_to_the_message_of_its_turn() -> None:
    assert messages(SENTENCE, MESSAGE) == {0: 1}


@pytest.mark.parametrize(
    "fields",
    [{"session_id": "s2"}, {"source": {"turns": [5]}}, {"source": None}, {"source": {"turns": []}}],
    ids=str,
)
def test_a_sentence_of_another_turn_belongs_to_no_message(fields: dict[str, Any]) -> None:
    assert messages(hit(0, 5, [1], **fields), MESSAGE) == {}


def test_a_message_is_no_part_of_a_shorter_one() -> None:
    assert messages(hit(0, 40, [1]), MESSAGE) == {}


def test_of_several_pieces_the_one_with_all_terms_contains_a_sentence() -> None:
    other_piece = hit(8, 40, [1, 4, 5])
    assert messages(SENTENCE, MESSAGE, other_piece) == {0: 1}
    assert messages(hit(0, 5, [1]), MESSAGE, other_piece) == {}, "both have them"
    assert messages(hit(0, 5, [6]), MESSAGE, other_piece) == {}, "none has them"


def test_a_contested_sentence_belongs_to_a_contested_message_only() -> None:
    contested = hit(0, 5, [1], state="contested")
    assert messages(contested, MESSAGE) == {}
    assert messages(contested, hit(7, 30, [1], state="contested")) == {0: 1}
    assert messages(hit(0, 5, [1], state="contested", state_until=PAST), MESSAGE) == {0: 1}


def test_replaced_memories_contain_nothing_and_are_no_part() -> None:
    replaced: dict[str, Any] = {"state": "replaced", "valid_to": PAST}
    assert messages(hit(0, 5, [1], **replaced), MESSAGE) == {}
    assert messages(SENTENCE, hit(7, 30, [1, 2], **replaced)) == {}
    restored = hit(7, 30, [1, 2], **replaced, state_until=PAST)
    assert messages(SENTENCE, restored) == {0: 1}


def test_without_sentences_there_are_no_messages() -> None:
    assert messages() == {}
    assert messages(MESSAGE) == {}


def same(seq: int, kind: MemoryType, **fields: Any) -> CandidateRow:
    """A hit whose text is that of all others of the kind `same`."""
    row = hit(seq, 30, [1, 2, 3], content_hash="5a", **fields)
    return CandidateRow(f"{seq}-{kind}", kind, None, None, row.payload)


EVENT = same(7, MemoryType.EPISODIC)
FACT = same(0, MemoryType.SEMANTIC)


def test_of_a_message_and_a_sentence_with_its_text_the_better_ranked_contains_the_other() -> None:
    assert messages(EVENT, FACT) == {1: 0}
    assert messages(FACT, EVENT) == {1: 0}


def test_tasks_and_contested_facts_stand_for_the_event_with_their_text() -> None:
    assert messages(EVENT, same(0, MemoryType.PROSPECTIVE)) == {0: 1}
    assert messages(EVENT, same(0, MemoryType.SEMANTIC, state="contested")) == {0: 1}


def test_a_fact_is_no_part_of_a_task_that_contains_it() -> None:
    assert messages(same(7, MemoryType.PROSPECTIVE), FACT) == {}
    assert messages(same(7, MemoryType.PROSPECTIVE), SENTENCE) == {}
    assert messages(same(0, MemoryType.PROSPECTIVE), FACT, EVENT) == {2: 0}


def test_sentences_of_a_message_are_part_of_what_stands_for_it() -> None:
    sentence = hit(0, 5, [1, 2])
    assert messages(FACT, EVENT, sentence) == {1: 0, 2: 0}
