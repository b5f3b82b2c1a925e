"""Submissions: drafts on their way in, the screening steps (gates) that they pass, and the errors of invalid fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from pydantic import ValidationError

from ingest.screening.features import Conversation, Later
from ingest.screening.judge import Judgement
from memtypes.config import message_of
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Draft
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT, AnyDraft
from memtypes.search.vectors import Embedding

_MAX_MESSAGES = 5


class ReviewMode(StrEnum):
    """How a draft is screened.

    given: stored without review; classified when it has no type. auto: also reviewed. skip: like given, but messages of
    a session are not filtered as trivial or repeated either; for imports.
    """

    GIVEN = "given"
    AUTO = "auto"
    SKIP = "skip"


class UntypedDraft(Draft):
    """A draft whose type is still to be found, so it has no type-specific fields."""

    type: None = None


def draft_of(fields: Mapping[str, Any]) -> AnyDraft | UntypedDraft:
    """The draft with these `fields`, untyped if they name no type. Raises ValidationError."""
    return UntypedDraft.model_validate(fields) if fields.get("type") is None else DRAFT.validate_python(fields)


@dataclass(frozen=True, slots=True)
class Classification:
    """The type found for a text. confidence: 0-1. alternatives: the other types, likeliest first.

    embedding: of the text, if the classifier needed it; writing uses it instead of embedding the text again.
    """

    type: MemoryType
    confidence: float
    reason: str
    alternatives: tuple[tuple[MemoryType, float], ...] = ()
    embedding: Embedding | None = field(default=None, repr=False, compare=False)

    @classmethod
    def likeliest(cls, shares: Mapping[MemoryType, float], embedding: Embedding) -> Classification:
        """The likeliest of the types with these shares; confidences are the shares scaled to sum to 1."""
        total = sum(shares.values())
        ranked = sorted(((kind, round(share / total, 4)) for kind, share in shares.items()), key=lambda pair: -pair[1])
        (kind, confidence), *others = ranked
        reason = f"it reads most like {kind} texts, then like {others[0][0]} ones"
        return cls(kind, confidence, reason, tuple(others), embedding)


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Where a captured text comes from. part: whether it is one sentence of the message submitted before it."""

    role: str
    conversation: Conversation
    part: bool = False
    later: Later = field(default_factory=Later)


@dataclass(frozen=True, slots=True)
class Submission:
    """A draft with what screening has found out about it.

    said: set for a captured message, which nobody chose to store, so the pre-filter may drop it. redactions:
    number of secrets removed, by kind. classified: None if the caller gave the type. judgement: made by the pre-filter.
    """

    draft: AnyDraft | UntypedDraft
    review: ReviewMode = ReviewMode.GIVEN
    said: Said | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)
    classified: Classification | None = None
    judgement: Judgement | None = None


def with_type(submission: Submission, classified: Classification, own: Mapping[str, Any]) -> Submission:
    """`submission` with a draft of the type that was found. own: values of this type's fields, unless they are set."""
    draft = submission.draft
    fields = {name: getattr(draft, name) for name in draft.model_fields_set - {"type"}}
    typed = DRAFT.validate_python({**own, **fields, "type": classified.type})
    return replace(submission, draft=typed, classified=classified)


Submitted: TypeAlias = AnyDraft | UntypedDraft | Submission
"""A submission, or a draft alone, which means a submission with the defaults."""


def submission_of(submitted: Submitted) -> Submission:
    """`submitted` itself, or a bare draft as a submission with the defaults."""
    return submitted if isinstance(submitted, Submission) else Submission(submitted)


def submission_from(item: Mapping[str, Any]) -> Submission:
    """The submission for an item of POST /v1/memories/batch: draft fields and a review mode. Raises ValidationError."""
    fields = {name: value for name, value in item.items() if name != "review"}
    return Submission(draft_of(fields), ReviewMode(item.get("review", ReviewMode.GIVEN)))


@dataclass(frozen=True, slots=True)
class Rejection:
    """The decision of a screening step not to store a draft, with the reason.

    draft: the draft without secrets, if it is to be listed so that a caller can store it after all; else None.
    """

    reason: str
    draft: AnyDraft | UntypedDraft | None = None


class ScreeningGate(Protocol):
    """A step that may change or reject a draft before it is embedded; review needs the embedding, so it is no gate.

    Redaction, the pre-filter, classification and due times are gates. They run in the order given, redaction first.
    """

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission, changed or not, or a rejection. Raises RemembrancerError if the gate cannot do its work."""
        ...


def as_invalid(error: ValidationError) -> InvalidRequest:
    """The InvalidRequest for `error`: the path and value of the first problem, and the messages of the first few."""
    details = error.errors(include_url=False)
    located = [(_path(detail["loc"]), message_of(detail)) for detail in details[:_MAX_MESSAGES]]
    messages = [f"{path}: {message}" if path else message for path, message in located]
    if len(details) > _MAX_MESSAGES:
        messages.append(f"and {len(details) - _MAX_MESSAGES} more")
    first = details[0]
    got = first["input"] if isinstance(first["input"], str | int | float | bool | None) else None
    return InvalidRequest("; ".join(messages), path=_path(first["loc"]), got=got)


def _path(location: Sequence[str | int]) -> str:
    """`location` as a path such as steps[2], without the type's name, which pydantic puts before a union's fields."""
    parts = list(location)
    if len(parts) > 1 and parts[0] in set(MemoryType):
        parts = parts[1:]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix(".")
