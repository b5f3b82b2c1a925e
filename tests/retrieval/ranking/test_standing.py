"""Which of two candidates that are told alike stands first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from memtypes.model.policy import MemoryType
from memtypes.search.vectors import heaviest, numbered
from retrieval.ranking.standing import standing, standing_boosts
from tests.builders import make_sparse
from tests.candidates import CandidateRow, make_candidates


def fact(name: str, terms: Sequence[int], **fields: Any) -> CandidateRow:
    """A fact with these terms."""
    payload = {"content_hash": name, "terms": heaviest(make_sparse(sorted(terms))), **fields}
    return CandidateRow(name, MemoryType.SEMANTIC, 0.5, None, payload)


def boosts(rows: Sequence[CandidateRow], scores: Sequence[float], *query: int) -> list[float]:
    """What each candidate gains by its standing."""
    terms = numbered(np.array(query, np.uint32))
    gained: list[float] = standing_boosts(make_candidates(rows), np.array(scores), terms).tolist()
    return gained


SURE = {"confidence": 0.9}
UNSURE = {"confidence": 0.4}


def test_the_surer_of_two_facts_told_alike_is_raised_above_the_other() -> None:
    rows = [fact("a", [1, 2, 3, 4], **SURE), fact("b", [1, 2, 3, 5], **UNSURE)]
    gained = boosts(rows, [0.5, 0.6], 1, 2)
    assert gained[0] == pytest.approx(0.1, abs=1e-4)
    assert 0.5 + gained[0] > 0.6
    assert gained[1] == 0.0


@pytest.mark.parametrize(
    ("second", "query"),
    [
        (fact("b", [1, 5, 6, 7], **UNSURE), ()),  # it is about another thing
        (fact("b", [1, 2, 3, 5], **UNSURE), (5,)),  # the query names it
        (fact("b", [1, 2, 3, 5], confidence=0.8), ()),  # it is hardly less sure
    ],
)
def test_other_pairs_keep_their_order(second: CandidateRow, query: Sequence[int]) -> None:
    assert boosts([fact("a", [1, 2, 3, 4], **SURE), second], [0.5, 0.6], *query) == [0.0, 0.0]


def test_a_procedure_that_was_never_tried_stands_between_success_and_failure() -> None:
    tried: list[dict[str, Any]] = [
        {"success_rate": 1.0, "usage_count": 6},
        {},
        {"success_rate": 0.0, "usage_count": 6},
    ]
    rows = [
        CandidateRow(str(number), MemoryType.PROCEDURAL, None, None, fields)
        for number, fields in enumerate(tried)
    ]
    assert standing(make_candidates(rows)).tolist() == pytest.approx([7 / 8, 0.5, 1 / 8])
