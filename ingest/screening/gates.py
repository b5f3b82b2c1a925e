"""Gates: the steps of the pipeline that may change or reject a draft before it is embedded.

Redaction, the pre-filter, classification and due times are gates. They run in the order given, redaction first. A
gate that cannot do its work raises, and the draft is not stored. Review needs the embedding, so it is no gate but a
stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ingest.screening.submission import Submission
from memtypes.model.scope import Scope


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a draft is not stored."""

    reason: str


class ScreeningGate(Protocol):
    """One check or change of a draft."""

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission, changed or not, or a rejection. Raises RemembrancerError if the gate cannot do its work."""
        ...


async def through_gates(gates: Sequence[ScreeningGate], scope: Scope, submission: Submission) -> Submission | Rejection:
    """The submission after all `gates`, or the first rejection."""
    for gate in gates:
        verdict = await gate.examine(scope, submission)
        if isinstance(verdict, Rejection):
            return verdict
        submission = verdict
    return submission
