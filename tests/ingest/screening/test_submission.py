"""The errors of invalid drafts (memories that a caller submits)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingest.screening.submission import as_invalid, draft_of
from memtypes.model.errors import InvalidRequest


def invalid(fields: dict[str, Any]) -> InvalidRequest:
    """The error raised for a draft with `fields`."""
    with pytest.raises(ValidationError) as raised:
        draft_of(fields)
    return as_invalid(raised.value)


def test_the_path_leads_to_the_value_in_the_input() -> None:
    """The path in the error of an invalid draft leads to the wrong value, without the draft's type
    in front.
    """
    error = invalid({"type": "procedural", "content": "x", "steps": ["a", 5]})
    assert (error.path, error.got) == ("steps[1]", 5)
    assert str(error).startswith("steps[1]: ")


def test_several_problems_are_listed_up_to_five() -> None:
    """The error of an invalid draft lists the first five problems and counts the rest."""
    error = invalid({"content": "x"} | {f"x{number}": number for number in range(7)})
    assert str(error).count("unknown field") == 5
    assert str(error).endswith("; and 2 more")
