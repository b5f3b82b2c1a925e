"""Turns of a thread and the form in which they are stored."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from memtypes.live.turns import MAX_TURN, FileReference, NewTurn, Turn, paths

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_turn_is_unchanged_after_encoding_and_decoding() -> None:
    """A turn is stored without its default values and its index. Read with that index, it equals
    the original.
    """
    turn = Turn("user", "hé", 2, NOW, files=["a"], metadata={"n": [1, None]}, index=7)
    assert Turn.from_json(turn.to_json(), 7) == turn
    assert (
        Turn("user", "hi", 1, NOW).to_json()
        == '{"role":"user","content":"hi","tokens":1,"at":"2026-03-01T12:00:00Z"}'
    )


def test_each_path_is_listed_once() -> None:
    """Each file path of a turn is listed once, in order of first appearance, whether given as
    string or as object.
    """
    assert paths(["b", FileReference(path="a"), "b"]) == ["b", "a"]


@pytest.mark.parametrize(
    "fields",
    [
        {"content": ""},
        {"content": "  "},
        {"content": "x" * (MAX_TURN + 1)},
        {"content": "\x00"},
        {"role": "The User"},
    ],
)
def test_invalid_turns_are_refused(fields: dict[str, str]) -> None:
    """Blank, long or unprintable content is refused, as are roles that are not lower-case words."""
    with pytest.raises(ValidationError):
        NewTurn.model_validate({"role": "user", "content": "hello", **fields})
