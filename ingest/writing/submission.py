"""What is handed in: a draft, whether a review is asked for, and what the gates have found out about it so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from memtypes.model.memory import Draft
from memtypes.model.policy import MemoryType
from memtypes.model.types import DRAFT, AnyDraft


class ReviewMode(StrEnum):
    """What is asked for.

    given: stored as it is, and classified when it has no type. auto: reviewed as well. skip: neither filtered nor
    reviewed, for imports.
    """

    GIVEN = "given"
    AUTO = "auto"
    SKIP = "skip"


class UntypedDraft(Draft):
    """A memory on its way in whose type is still to be found; it can have no type's own fields yet."""

    type: None = None


def draft_of(fields: Mapping[str, Any]) -> AnyDraft | UntypedDraft:
    """The draft that `fields` are; one without a type is still to be classified. Raises ValidationError."""
    return UntypedDraft.model_validate(fields) if fields.get("type") is None else DRAFT.validate_python(fields)


@dataclass(frozen=True, slots=True)
class Classified:
    """The type that a text was found to be of. confidence: 0-1. alternatives: the other types, likeliest first."""

    type: MemoryType
    confidence: float
    reason: str
    alternatives: tuple[tuple[MemoryType, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Submission:
    """captured: it comes from a stream that nobody chose word by word, so that the pre-filter may drop it.

    redactions: secrets taken out, by kind. classified: how the type was found; None when it was given.
    """

    draft: AnyDraft | UntypedDraft
    review: ReviewMode = ReviewMode.GIVEN
    captured: bool = False
    redactions: Mapping[str, int] = field(default_factory=dict)
    classified: Classified | None = None


def submission_from(item: Mapping[str, Any]) -> Submission:
    """What an item of a batch hands in: its fields, and the review that it may ask for. Raises ValidationError."""
    fields = {name: value for name, value in item.items() if name != "review"}
    return Submission(draft_of(fields), ReviewMode(item.get("review", ReviewMode.GIVEN)))


Submitted: TypeAlias = AnyDraft | UntypedDraft | Submission
"""A draft alone stands for a submission that asks for nothing."""


def submission_of(given: Submitted) -> Submission:
    """`given` as a submission."""
    return given if isinstance(given, Submission) else Submission(given)
