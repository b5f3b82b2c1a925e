"""The gates in a row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ingest.screening.gates import Rejection, through_gates
from ingest.screening.submission import Submission
from memtypes.model.scope import Scope
from tests.ingest.doubles import SCOPE, draft

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class AddTag:
    """A gate that adds a tag."""

    tag: str

    async def examine(self, _scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission with the tag."""
        tags = [*submission.draft.tags, self.tag]
        return replace(submission, draft=submission.draft.model_copy(update={"tags": tags}))


@dataclass(frozen=True, slots=True)
class Reject:
    """A gate that rejects everything."""

    async def examine(self, _scope: Scope, _submission: Submission) -> Submission | Rejection:
        """A rejection."""
        return Rejection("no")


async def test_each_gate_sees_the_result_of_the_one_before() -> None:
    """Changes add up in the order of the gates."""
    screened = await through_gates((AddTag("a"), AddTag("b")), SCOPE, Submission(draft("x")))
    assert isinstance(screened, Submission)
    assert screened.draft.tags == ["a", "b"]


async def test_the_first_rejection_ends_screening() -> None:
    """Later gates do not run."""
    assert await through_gates((Reject(), AddTag("a")), SCOPE, Submission(draft("x"))) == Rejection("no")


async def test_without_gates_a_submission_is_unchanged() -> None:
    """The same object comes back."""
    submission = Submission(draft("x"))
    assert await through_gates((), SCOPE, submission) is submission
