"""Fields that all types of memory share: those of a draft, which a caller sends, and those of a
stored memory.

Each type adds its own fields in a module of its own; `memtypes.model.types` lists the five types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    field_validator,
    model_validator,
)

from memtypes.model.ids import normalise
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.scope import Name
from memtypes.model.times import Instant

MAX_CONTENT = 500_000
MAX_TAGS = 64
MAX_TAG = 128
MAX_LINKS = 1_000
MAX_EARLIER = 100
MAX_SOURCES = 100
MAX_METADATA_BYTES = 16 * 1024
MAX_LABEL = 500
"""Maximum characters of a title, concept or name. A default from the content's first line is cut to
this length.
"""

_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""A lone surrogate (Unicode's category Cs), or a control character (Cc) except tab, newline and
return.
"""


def printable(value: str) -> str:
    """Return `value` unchanged. Raises ValueError if it has a lone surrogate, or a control
    character such as NUL.
    """
    if match := _REFUSED.search(value):
        raise ValueError(
            f"must not contain control characters (U+{ord(match[0]):04X} at character "
            f"{match.start()})"
        )
    return value


def not_blank(value: str) -> str:
    """Return `value` unchanged. Raises ValueError if it is empty or only white space."""
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def check_json(value: object, max_bytes: int) -> None:
    """Raise ValueError unless `value` can be written as JSON of at most `max_bytes` bytes."""
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        raise ValueError(f"must be plain JSON: {error}") from error
    if size > max_bytes:
        raise ValueError(f"must have at most {max_bytes} bytes as JSON, has {size}")


def readable(value: str) -> str:
    """Return `value` unchanged. Raises ValueError if it is blank, or has a lone surrogate or
    control character.
    """
    return printable(not_blank(value))


Text = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_CONTENT), AfterValidator(readable)
]
"""The content of a memory: text of at most MAX_CONTENT characters that is not blank."""

Label = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_LABEL), AfterValidator(readable)
]
"""A name or title of at most MAX_LABEL characters."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=10_000), AfterValidator(printable)]
"""Text of at most 10,000 characters in a field that only one type of memory has, such as a
procedure's step.
"""

Tag = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TAG), AfterValidator(readable)]

Whole = Annotated[int, Strict()]
"""An integer in JSON: neither the string "5" nor true is accepted."""

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]

Flag = Annotated[bool, Strict()]

Importance = Annotated[Whole, Field(ge=1, le=10)]


def first_line(content: str) -> str:
    """The first non-blank line of `content`, cut to MAX_LABEL characters: the default for a
    memory's title.
    """
    return next(line.strip() for line in content.splitlines() if line.strip())[:MAX_LABEL].strip()


_CAPTURER = "session-stop"


class StrictModel(BaseModel):
    """Base of the pydantic models: instances are frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)


class Source(StrictModel):
    """Where a memory comes from: turns of a thread, a line of a file, or a caller (by a name that
    it chooses).

    captured: whether it is a message that was stored because its session ended.
    """

    thread_id: str | None = Field(default=None, max_length=256)
    turns: list[Whole] = Field(default_factory=list, max_length=1000)
    file: str | None = Field(default=None, max_length=4096)
    line: Whole | None = Field(default=None, ge=0)
    caller: str | None = Field(default=None, max_length=256)
    captured: Flag = False

    @classmethod
    def of_message(cls, session_id: str | None, position: int) -> Self:
        """The source of a captured message, by its position in the session."""
        return cls(thread_id=session_id, turns=[position], caller=_CAPTURER, captured=True)

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, fields: Any) -> Any:
        """Memories of before the field `captured` are known by their caller alone."""
        if isinstance(fields, dict) and fields.get("caller") == _CAPTURER:
            return {"captured": True, **fields}
        return fields


class LinkType(StrEnum):
    """The relation of a memory to the memory that it links to."""

    REINFORCES = "reinforces"
    CONTRADICTS = "contradicts"
    EXTENDS = "extends"
    REFINES = "refines"
    DERIVED_FROM = "derived_from"


class Link(StrictModel):
    """A link from a memory to `to`, another memory of its namespace. strength: how certain or close
    the relation is.
    """

    to: Annotated[Name, AfterValidator(str.lower)]
    type: LinkType
    strength: Number = Field(default=1.0, ge=0.0, le=1.0)


class State(StrEnum):
    """Whether a memory still holds. current: it does. replaced: its validity has ended, so searches
    omit it by default.

    contested: a `contradicts` link connects it with a current memory, so one of the two is probably
    false. wrong: a later text says that it never was true; otherwise as replaced.
    """

    CURRENT = "current"
    CONTESTED = "contested"
    REPLACED = "replaced"
    WRONG = "wrong"


PAST: frozenset[State] = frozenset({State.REPLACED, State.WRONG})
"""The states of memories that do not hold any more."""


class UpkeepMark(StrictModel):
    """A decision about a memory by upkeep, the service's background jobs that promote, forget and
    merge memories.

    into: id of the memory that it was merged into. added: sessions that a fact got by a promotion;
    empty if the promotion made the fact. undone: a caller reversed the decision, so it is not made
    again.
    """

    job: Literal["promote", "forget", "compact"]
    at: Instant
    reason: str
    into: str | None = None
    added: list[str] = Field(default_factory=list, max_length=1_000)
    undone: Flag = False


class TokenCount(StrictModel):
    """Token counts of a memory by `tokenizer`. count: tokens of its content. line: tokens of its
    entry in a context.

    renderer: version of the rendering of that entry; empty in memories of earlier versions. `line`
    holds for this tokenizer and this rendering alone.
    """

    count: Whole = Field(ge=0)
    tokenizer: str
    line: Whole = Field(default=0, ge=0)
    renderer: str = ""


class Decision(StrEnum):
    """Result of a review, in which reviewers vote whether a text becomes a memory."""

    STORE = "store"
    REJECT = "reject"


class Tier(StrEnum):
    """How reliable a review is, by the number of valid votes. consensus: at least two, or that of
    the only reviewer.

    partial: one of several. fallback: none. If some reviewers are language models, only their votes
    are counted. prefilter: none was asked, because the pre-filter found the text trivial.
    """

    CONSENSUS = "consensus"
    PARTIAL = "partial"
    FALLBACK = "fallback"
    PREFILTER = "prefilter"


class Vote(StrictModel):
    """Vote of one reviewer on whether to remember a text. ok: whether the vote is valid and came in
    time.

    stand_in: whether a local reviewer voted in place of a language model that failed, whose vote is
    listed before. scores: a score from 1 to 10 for each aspect that the reviewer rates, such as
    novelty.
    """

    reviewer: str
    ok: bool
    stand_in: bool = False
    scores: dict[str, float] = Field(default_factory=dict)
    trivial: bool | None = None
    reason: str
    ms: float = 0.0


class Reviewed(StrictModel):
    """Result of a review of a text. importance, relevance, novelty: means of the votes' scores;
    None without scores. cause: why it was rejected: as trivial, or for its importance or relevance.
    """

    decision: Decision
    importance: float | None = None
    relevance: float | None = None
    novelty: float | None = None
    reason: str
    tier: Tier
    cause: Literal["trivial", "importance", "relevance"] | None = None
    votes: tuple[Vote, ...] = ()


_COMMON_WORDS = frozenset(
    {"state", "state_until", "state_reason", "dated", "earlier", "rewordings", "sources", "upkeep"}
)
"""Names of memory fields that are allowed as metadata keys, because callers use these common words
for other things.
"""


def check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return `metadata` unchanged. Raises ValueError if it has over 16 KiB as JSON, or a memory
    field as a key.
    """
    check_json(metadata, MAX_METADATA_BYTES)
    reserved = sorted(set(metadata) & (set(Memory.model_fields) - _COMMON_WORDS))
    if reserved:
        raise ValueError(f"must not name a memory's own fields ({', '.join(reserved)})")
    return metadata


Metadata = Annotated[dict[str, Any], AfterValidator(check_metadata)]
"""Fields that the caller adds to a memory or a turn, as a JSON object."""


class Draft(StrictModel):
    """A memory as a caller sends it: the fields that every type accepts."""

    content: Text
    session_id: Name | None = None
    agent_id: Name | None = None
    importance: Importance = 5
    tags: Annotated[list[Tag], AfterValidator(lambda tags: list(dict.fromkeys(tags)))] = Field(
        default_factory=list, max_length=MAX_TAGS
    )
    source: Source | None = None
    metadata: Metadata = Field(default_factory=dict)
    links: list[Link] = Field(default_factory=list, max_length=MAX_LINKS)
    pinned: Flag = False
    created_at: Instant | None = None
    expires_at: Instant | None = None
    visibility: Visibility | None = None
    seq: Whole | None = Field(
        default=None, ge=0, lt=2**53, description="Order in its session; by arrival if absent."
    )

    @field_validator("source", mode="before")
    @classmethod
    def _from_caller_name(cls, source: object) -> object:
        return {"caller": source} if isinstance(source, str) else source


class EarlierText(StrictModel):
    """An earlier content of an edited memory, which the memory had from `since` until `until`."""

    content: str
    since: Instant
    until: Instant


class Rewording(StrictModel):
    """A repetition of a memory in other words that was merged into it. id: identifies it in a
    request to undo this.
    """

    id: str
    content: str
    at: Instant
    reason: str
    session_id: str | None = None


def state_at(
    now: datetime, state: State, valid_to: datetime | None, state_until: datetime | None
) -> State:
    """The state of a memory at `now`, from its stored fields. state_until: from this time on, it is
    current again.
    """
    if state_until is not None and state_until <= now:
        return State.CURRENT
    if valid_to is not None and valid_to <= now:
        return state if state is State.WRONG else State.REPLACED
    return State.CURRENT if state in PAST else state


CURRENT_AGAIN: Mapping[str, Any] = MappingProxyType(
    {
        "valid_to": None,
        "superseded_by": None,
        "state": State.CURRENT,
        "state_until": None,
        "state_reason": None,
        "retracted_at": None,
    }
)
"""Values to set on a memory that nothing replaces or contests any more."""


class Memory(StrictModel):
    """A stored memory: the fields that all types of memory share.

    seq: its place in its session. valid_from, valid_to: when it holds; valid_to is None while no
    memory replaces it. superseded_by: id of the memory that replaced it. gives_value: whether its
    text has a number or tells of a change, None if not computed. evidence_count: how often it was
    stated. from_message: id of the captured message that it is a statement of, if that was stored;
    it may have been deleted since. own_fields: names of the fields of its type alone.
    """

    own_fields: ClassVar[frozenset[str]] = frozenset()
    title_field: ClassVar[str | None] = None
    """Name of the type's title field, which is the content's first line if the caller leaves it
    out; None if none.
    """

    id: str
    type: MemoryType
    tenant: str
    namespace: str
    session_id: str | None = None
    agent_id: str | None = None
    content: str
    importance: Importance = 5
    tags: list[str] = Field(default_factory=list)
    source: Source | None = None
    sources: list[Source] = Field(
        default_factory=list,
        max_length=MAX_SOURCES,
        description="Sources of repetitions that were merged into it.",
    )
    metadata: dict[str, Any] = Field(default_factory=dict)
    links: list[Link] = Field(default_factory=list, max_length=MAX_LINKS)
    pinned: Flag = False
    visibility: Visibility
    seq: Whole = 0
    created_at: Instant
    updated_at: Instant
    accessed_at: Instant | None = None
    access_count: Whole = Field(default=0, ge=0)
    valid_from: Instant
    valid_to: Instant | None = None
    expires_at: Instant | None = None
    superseded_by: str | None = None
    state: State = State.CURRENT
    state_until: Instant | None = Field(
        default=None,
        description="When the memory is current again: what replaced or contests it expires then.",
    )
    state_reason: str | None = Field(
        default=None,
        max_length=MAX_LABEL,
        description="Why the memory was replaced or is contested.",
    )
    retracted_at: Instant | None = Field(
        default=None, description="When a caller said that the memory is wrong."
    )
    dated: Flag = Field(
        default=False,
        description="Whether contexts say since when it holds: it replaced or contests another.",
    )
    earlier: list[EarlierText] = Field(default_factory=list, max_length=MAX_EARLIER)
    rewordings: list[Rewording] = Field(
        default_factory=list,
        max_length=MAX_EARLIER,
        description="Repetitions in other words that were merged into it.",
    )
    content_hash: str
    tokens: TokenCount
    gives_value: Flag | None = None
    evidence_count: Whole = Field(default=1, ge=1)
    restated_at: Instant | None = Field(
        default=None, description="When a fact was last said again."
    )
    source_sessions: list[str] = Field(default_factory=list)
    from_message: str | None = None
    reviewed: Reviewed | None = None
    upkeep: UpkeepMark | None = None

    @property
    def ended_by_upkeep(self) -> bool:
        """Whether a background job of upkeep ended the memory: it was forgotten, or merged into
        another memory.
        """
        return self.upkeep is not None and (
            self.upkeep.job == "forget" or self.upkeep.into is not None
        )

    @classmethod
    def defaults(cls, draft: Draft) -> dict[str, Any]:
        """Defaults that depend on `draft`: the content's first line for the title field, if the
        type has one.
        """
        return {cls.title_field: first_line(draft.content)} if cls.title_field else {}

    def content_with_title(self, separator: str) -> str:
        """Title, `separator` and content; only the content if there is no title or it is the
        content's first line.
        """
        title = getattr(self, self.title_field) if self.title_field else None
        return (
            f"{title}{separator}{self.content}"
            if title and title != first_line(self.content)
            else self.content
        )

    def identity(self) -> tuple[str | None, ...]:
        """The values from which the memory's id is computed: its content and, if it is private, its
        session.
        """
        private_to = self.session_id if self.visibility is Visibility.SESSION else None
        return (normalise(self.content), private_to)

    def embedding_text(self) -> str:
        """The text that is embedded and indexed for this memory."""
        return self.content

    def at(self, now: datetime) -> Self:
        """The memory with its state at `now`, computed from stored times: the state can change
        without a write.
        """
        state = state_at(now, self.state, self.valid_to, self.state_until)
        if self.state_until is not None and self.state_until <= now:
            return self.model_copy(update=CURRENT_AGAIN)
        return self if state is self.state else self.model_copy(update={"state": state})

    def edited(self, content: str, now: datetime) -> Self:
        """A copy with the new `content`. The old one is added to `earlier`, whose oldest texts may
        be dropped.
        """
        since = self.earlier[-1].until if self.earlier else self.valid_from
        earlier = [
            *self.earlier,
            EarlierText(content=self.content, since=min(since, now), until=now),
        ][-MAX_EARLIER:]
        while sum(len(text.content) for text in earlier) > MAX_CONTENT:
            del earlier[0]
        return self.model_copy(update={"content": content, "earlier": earlier})

    def to_payload(self) -> dict[str, Any]:
        """The memory as a JSON object, as stores keep it: without fields that are None, times as
        RFC 3339 text.
        """
        return self.model_dump(mode="json", exclude_none=True)

    def replace(self, **changes: Any) -> Self:
        """A copy of the memory with `changes`, new values by field name; the copy is validated."""
        return type(self).model_validate({**self.model_dump(), **changes})
