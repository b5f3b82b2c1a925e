"""Submissions (drafts on their way into the store), the gates that screen them, and the errors of
invalid drafts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from pydantic import ValidationError, model_validator

from ingest.screening.judge import Judgement
from ingest.screening.text_features import Conversation, Later
from memtypes.config import message_of
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Draft, Memory, Reviewed
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT, MEMORY_CLASSES, AnyDraft
from memtypes.search.vectors import Embedding

_MAX_MESSAGES = 5


class ReviewMode(StrEnum):
    """How a draft is screened before it is stored.

    given: no reviewers vote on it. auto: reviewers vote on whether it is stored. skip: no reviewers
    vote, and a message captured from a session is not dropped for being trivial or repeated;
    imports use this mode. In each mode, a draft without a memory type gets one.
    """

    GIVEN = "given"
    AUTO = "auto"
    SKIP = "skip"


class UntypedDraft(Draft):
    """A draft whose memory type screening has yet to find, so it has no type-specific fields."""

    type: None = None

    @model_validator(mode="before")
    @classmethod
    def _names_no_field_of_a_type(cls, fields: object) -> object:
        for kind, memory in MEMORY_CLASSES.items():
            type_fields = (
                memory.model_fields.keys() - Memory.model_fields.keys() - cls.model_fields.keys()
            )
            if isinstance(fields, Mapping) and (named := sorted(type_fields & fields.keys())):
                raise ValueError(f"{named[0]} is a field of the type {kind}: name the type")
        return fields


def draft_of(fields: Mapping[str, Any]) -> AnyDraft | UntypedDraft:
    """The draft with these `fields`; an untyped draft if they name no type. Raises ValidationError
    if invalid.
    """
    return (
        UntypedDraft.model_validate(fields)
        if fields.get("type") is None
        else DRAFT.validate_python(fields)
    )


@dataclass(frozen=True, slots=True)
class Classification:
    """The memory type found for a text, and the reason. confidence: 0-1. embedding: of the text, if
    it was computed.

    alternatives: the other types and their confidences, likeliest first. Writing reuses
    `embedding`.
    """

    type: MemoryType
    confidence: float
    reason: str
    alternatives: tuple[tuple[MemoryType, float], ...] = ()
    embedding: Embedding | None = field(default=None, repr=False, compare=False)

    @classmethod
    def likeliest(
        cls, shares: Mapping[MemoryType, float], embedding: Embedding, *, lasting: bool = False
    ) -> Classification:
        """The classification of a text as its likeliest memory type.

        shares: how likely each type is; scaled to sum to 1, these are the confidences. embedding:
        of the text. lasting: whether to exclude WORKING, for a text without a session whose end
        would remove it.
        """
        if lasting:
            shares = {kind: share for kind, share in shares.items() if kind != MemoryType.WORKING}
        total = sum(shares.values())
        ranked = sorted(
            ((kind, round(share / total, 4)) for kind, share in shares.items()),
            key=lambda pair: -pair[1],
        )
        (kind, confidence), *alternatives = ranked
        reason = f"it reads most like {kind} texts, then like {alternatives[0][0]} ones"
        return cls(kind, confidence, reason, tuple(alternatives), embedding)

    def as_type(self, kind: MemoryType) -> Classification:
        """The classification itself if it is of the type `kind`; otherwise that of a captured text
        which is stored as `kind`, although another type is likelier.
        """
        if kind is self.type:
            return self
        shares = {self.type: self.confidence, **dict(self.alternatives)}
        confidence = shares.pop(kind)
        reason = (
            "it is stored as it was said, and what it states by itself"
            if kind is MemoryType.EPISODIC
            else f"it reads like {self.type} texts, and states something lasting"
        )
        return Classification(kind, confidence, reason, tuple(shares.items()), self.embedding)


@dataclass(frozen=True, slots=True, eq=False)
class JudgedText:
    """A captured text as the trained models see it. kinds: the probability of what it states."""

    embedding: Embedding
    judgement: Judgement
    kinds: Mapping[MemoryType, float]


@dataclass(frozen=True, slots=True, eq=False)
class CapturedMessage:
    """A captured message's place in its conversation. role: the speaker's role, such as "user".

    conversation, later: the messages before and after it. preceding: the text of the last messages
    before it, as context of its embedding. previous: the content of the last one. sentences: those
    that may be statements of their own.
    part: whether the draft is only one sentence of the message submitted before it. statements:
    how the sentences that are stored were judged, by text; set when the message is screened, and
    shared with its parts.
    """

    role: str
    conversation: Conversation
    preceding: str = ""
    sentences: tuple[str, ...] = ()
    part: bool = False
    later: Later = field(default_factory=Later)
    statements: dict[str, JudgedText] = field(default_factory=dict)
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """A draft with the results of screening so far.

    said: place of a captured message in its conversation; None for any other draft. Nobody chose to
    store a captured message, so the pre-filter may drop it. redactions: number of secrets removed,
    by kind. classified: how the type was found; None if the caller gave it. judgement: how much the
    text matters, of captured messages and of drafts that ask for a review. embedding: of the
    content, if the pre-filter needed it. note: what was removed from the text, to tell the caller.
    """

    draft: AnyDraft | UntypedDraft
    review: ReviewMode = ReviewMode.GIVEN
    said: CapturedMessage | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)
    classified: Classification | None = None
    judgement: Judgement | None = None
    embedding: Embedding | None = field(default=None, repr=False, compare=False)
    note: str | None = None


def with_type(
    submission: Submission, classified: Classification, defaults: Mapping[str, Any]
) -> Submission:
    """`submission` with the memory type that was found for its draft. defaults: for fields that the
    draft lacks.
    """
    draft = submission.draft
    fields = {name: getattr(draft, name) for name in draft.model_fields_set - {"type"}}
    typed = DRAFT.validate_python({**defaults, **fields, "type": classified.type})
    return replace(submission, draft=typed, classified=classified)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A message that is not kept as a memory, with its embedding."""

    submission: Submission
    embedding: Embedding


Submitted: TypeAlias = AnyDraft | UntypedDraft | Submission
"""What callers may submit: a `Submission`, or only a draft, for which the other fields have their
defaults.
"""


def submission_of(submitted: Submitted) -> Submission:
    """`submitted` itself if it is a submission; otherwise a new submission of this draft, with
    default settings.
    """
    return submitted if isinstance(submitted, Submission) else Submission(submitted)


class RejectionCause(StrEnum):
    """Why a text is not stored, as counted in the metrics.

    trivial, duplicate: for the pre-filter. part: a sentence of a message that is no statement by
    itself. rules: of the tenant. secret: of a kind that the tenant's rules refuse. recalled: it
    only repeats memories that were shown. empty: no text. The others: a review rejected it, since
    reviewers found it trivial, or because of its mean score.
    """

    TRIVIAL = "trivial"
    DUPLICATE = "duplicate"
    PART = "part"
    RULES = "rules"
    REFUSED = "secret"
    RECALLED = "recalled"
    EMPTY = "empty"
    REVIEW_TRIVIAL = "review_trivial"
    REVIEW_IMPORTANCE = "review_importance"
    REVIEW_RELEVANCE = "review_relevance"


@dataclass(frozen=True, slots=True)
class Rejection:
    """The decision of a screening step not to store a draft. reason: shown to the caller.

    draft: the draft without secrets, to list it among the rejected texts, which `undo` can store;
    None to not list it. embedding: of a message that is not worth keeping and may still say that
    something is done. reviewed: the decision, if it is about how much the text matters.
    """

    reason: str
    draft: AnyDraft | UntypedDraft | None = None
    embedding: Embedding | None = field(default=None, repr=False, compare=False)
    reviewed: Reviewed | None = None
    cause: RejectionCause = RejectionCause.RULES


class ScreeningGate(Protocol):
    """A screening step that may change or reject a draft before it is embedded.

    Redaction, the pre-filter, classification and due times are gates. They run in the order given,
    redaction first. Review is no gate, because it needs the embedding.
    """

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission, changed or not, or a rejection. Raises RemembrancerError if the gate
        cannot do its work.
        """
        ...


def as_invalid(error: ValidationError) -> InvalidRequest:
    """The error to raise for an invalid request: an InvalidRequest with the messages of `error`, at
    most _MAX_MESSAGES.

    Its `path` and `got` are the field and the value of the first problem in `error`.
    """
    details = error.errors(include_url=False)
    located = [(_path(detail["loc"]), message_of(detail)) for detail in details[:_MAX_MESSAGES]]
    messages = [f"{path}: {message}" if path else message for path, message in located]
    if len(details) > _MAX_MESSAGES:
        messages.append(f"and {len(details) - _MAX_MESSAGES} more")
    first = details[0]
    got = first["input"] if isinstance(first["input"], str | int | float | bool | None) else None
    return InvalidRequest("; ".join(messages), path=_path(first["loc"]), got=got)


def _path(location: Sequence[str | int]) -> str:
    """The location of a pydantic error as a path such as steps[2], without the memory type that
    pydantic puts first.
    """
    keys = location[1:] if len(location) > 1 and location[0] in set(MemoryType) else location
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(
        "."
    )
