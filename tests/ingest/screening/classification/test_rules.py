"""The scores of the classification rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.classification.rules import MAX_READ, score_by_rules
from memtypes.model.policy import MemoryType


@given(st.text(min_size=1, max_size=300))
def test_any_text_has_scores(text: str) -> None:
    """Every text gets scores without an error, and none is negative."""
    assert all(score >= 0 for score in score_by_rules(text).scores.values())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Gestern sind wir nach Graz gefahren", MemoryType.EPISODIC),
        ("recuérdame llamar al banco", MemoryType.PROSPECTIVE),
        ("D'abord ouvrez le menu, ensuite choisissez le réseau", MemoryType.PROCEDURAL),
        ("Mi chiamo Nora", MemoryType.SEMANTIC),
        ("昨日、友達と映画を見た", MemoryType.EPISODIC),
    ],
)
def test_clear_signs_count_in_other_languages(text: str, kind: MemoryType) -> None:
    """The expected type of each foreign sentence has the highest score, and a reason."""
    result = score_by_rules(text)
    assert max(result.scores, key=lambda one: result.scores[one]) is kind
    assert kind in result.reasons


def test_the_reason_is_that_of_the_heaviest_rule() -> None:
    """If several rules match for a type, the one with the largest weight gives the reason."""
    assert score_by_rules("Wow, I fell yesterday!").reasons[MemoryType.EPISODIC] == "it says when it happened"


def test_only_the_beginning_is_read() -> None:
    """Words after the first MAX_READ characters do not change the scores."""
    assert not any(score_by_rules(" " * MAX_READ + "remind me").scores.values())
