"""Submissions, the gates that screen them in turn, and paths of validation errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import ValidationError

from ingest.screening.submission import Rejection, Submission, as_invalid, draft_of, through_gates
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from tests.ingest.doubles import SCOPE, draft


def invalid(fields: dict[str, Any]) -> InvalidRequest:
    """The error raised for a draft with `fields`."""
    with pytest.raises(ValidationError) as raised:
        draft_of(fields)
    return as_invalid(raised.value)


def test_the_path_leads_to_the_value_in_the_input() -> None:
    """The path of an error omits the type's name, which pydantic puts in front."""
    error = invalid({"type": "procedural", "content": "x", "steps": ["a", 5]})
    assert (error.path, error.got) == ("steps[1]", 5)
    assert str(error).startswith("steps[1]: ")


def test_several_problems_are_listed_up_to_five() -> None:
    """The error lists five of them and counts the rest."""
    error = invalid({"content": "x"} | {f"x{number}": number for number in range(7)})
    assert str(error).count("unknown field") == 5
    assert str(error).endswith("; and 2 more")


@dataclass(frozen=True, slots=True)
class AddTag:
    """A gate that adds a tag."""

    tag: str

    async def examine(self, _scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission with another tag."""
        tags = [*submission.draft.tags, self.tag]
        return replace(submission, draft=submission.draft.model_copy(update={"tags": tags}))


@dataclass(frozen=True, slots=True)
class Reject:
    """A gate that rejects everything."""

    async def examine(self, _scope: Scope, _submission: Submission) -> Submission | Rejection:
        """A rejection."""
        return Rejection("no")


@pytest.mark.anyio
async def test_each_gate_sees_the_result_of_the_one_before() -> None:
    """Changes of several gates accumulate in the order of the gates."""
    screened = await through_gates((AddTag("a"), AddTag("b")), SCOPE, Submission(draft("x")))
    assert isinstance(screened, Submission)
    assert screened.draft.tags == ["a", "b"]


@pytest.mark.anyio
async def test_the_first_rejection_ends_screening() -> None:
    """Gates after the one that rejects are not called."""
    assert await through_gates((Reject(), AddTag("a")), SCOPE, Submission(draft("x"))) == Rejection("no")


@pytest.mark.anyio
async def test_without_gates_a_submission_is_unchanged() -> None:
    """Screening returns the same object."""
    submission = Submission(draft("x"))
    assert await through_gates((), SCOPE, submission) is submission
