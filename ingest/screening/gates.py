"""The place in the pipeline for what may change or refuse a draft before it is prepared and embedded.

Redaction, the pre-filter and classification are gates. They run in the order in which they are given, and each sees
what the one before it let through, so redaction comes first. A gate that can't do its work raises: the draft is then
reported as failed and not stored. Review comes after the embedding, which it needs: see `ingest.screening.review`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ingest.writing.drafts import Submission
from memtypes.model.scope import Scope


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a draft is not to be stored."""

    reason: str


class Gate(Protocol):
    """One check or change of a draft on its way in."""

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission to go on with, changed or not, or why it stops; a RemembrancerError when it can't tell."""
        ...


async def through_gates(gates: Sequence[Gate], scope: Scope, submission: Submission) -> Submission | Rejection:
    """What `gates` make of `submission`, one after the other; the first rejection ends it."""
    for gate in gates:
        verdict = await gate.examine(scope, submission)
        if isinstance(verdict, Rejection):
            return verdict
        submission = verdict
    return submission
