"""Turns drafts into memories. No I/O.

A draft arrives in a `Submission`, in which screening records its results, such as the type of the
memory. The `Preparer` turns it into a `PendingWrite`: the memory with its deterministic id,
complete except for its dense vector.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from cachetools import LRUCache
from pydantic import ValidationError

from ingest.screening.submission import CapturedMessage, Submission, as_invalid
from memtypes.conversation_context import text_in_context
from memtypes.model.errors import InvalidRequest
from memtypes.model.ids import content_hash, memory_id
from memtypes.model.memory import Draft, Link, Memory, TokenCount
from memtypes.model.policy import POLICIES, MemoryType, Visibility
from memtypes.model.prospective import Prospective
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.model.types import DRAFT, MEMORY_CLASSES, AnyDraft
from memtypes.model.working import STORED_LIFE
from memtypes.ports.encoders import SparseEncoder
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import Embedding, InContext, SparseVector, Vectors
from memtypes.words import lexicon

MAX_AHEAD = timedelta(days=1)
"""How far created_at may be in the future: allows for time zones and clock skew, but not for typing
errors.
"""

MAX_TRACKED_SESSIONS = 20_000
"""Number of sessions, the most recently written ones, whose last sequence number is kept in
memory.
"""

CHANGEABLE = frozenset(
    {"content", "importance", "tags", "metadata", "links", "pinned", "expires_at"}
)
"""The fields that a caller may change in memories of every type, besides END, SUCCESSOR and the
type's own fields.
"""

END = "valid_to"
SUCCESSOR = "superseded_by"
"""Fields that a caller may change although drafts lack them: when a memory ends, and the id of what
replaces it.
"""

CountTokens: TypeAlias = Callable[[Memory], TokenCount]
"""Counts the tokens of a memory's content, and of its entry in a context."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VALUE = re.compile(
    r"\d|\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|dozen)\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    rf"\b({lexicon()['statements']['change'].replace(', ', '|')})\b", re.IGNORECASE
)


def check_draft(draft: Draft, now: datetime) -> None:
    """Raise InvalidRequest unless the times and the visibility of `draft` are possible at `now`.

    created_at may be at most MAX_AHEAD in the future, expires_at must be later than created_at, and
    visibility "session" needs a session_id.
    """
    if draft.created_at is not None and draft.created_at > now + MAX_AHEAD:
        message = f"must not be more than a day ahead of the clock, which says {rfc3339(now)}"
        raise InvalidRequest(message, path="created_at", got=rfc3339(draft.created_at))
    check_expiry(draft.created_at or now, draft.expires_at)
    if draft.visibility is Visibility.SESSION and draft.session_id is None:
        raise InvalidRequest(
            "session needs a session_id: without one nobody would see it", path="visibility"
        )


def check_links(links: Sequence[Link], ids: Container[str], path: str = "") -> None:
    """Raise InvalidRequest if a link is to an id that is not in `ids`. path: of the memory, "" or
    ending with a dot.
    """
    for index, link in enumerate(links):
        if link.to not in ids:
            raise InvalidRequest(
                "is no other memory of this namespace", path=f"{path}links[{index}].to", got=link.to
            )


def check_expiry(created_at: datetime, expires_at: datetime | None) -> None:
    """Raise InvalidRequest if `expires_at` is set and not after `created_at`."""
    if expires_at is not None and expires_at <= created_at:
        message = f"must be after created_at, which is {rfc3339(created_at)}"
        raise InvalidRequest(message, path="expires_at", got=rfc3339(expires_at))


class ArrivalOrder:
    """Gives sequence numbers that rise by one within a session, so that neighbouring turns have
    neighbouring numbers.

    A session's first number is the time in microseconds since 1970 (below 2**53 until the year
    2255). So it is higher than numbers that another process gave out earlier.
    """

    def __init__(self) -> None:
        self._last: LRUCache[Hashable, int] = LRUCache(MAX_TRACKED_SESSIONS)

    def next_number(self, at: datetime, session: Hashable) -> int:
        """The next sequence number of `session`. at: time of arrival, which gives a session's first
        number.
        """
        last = self._last.get(session)
        number = (at - _EPOCH) // timedelta(microseconds=1) if last is None else last + 1
        self._last[session] = number
        return number


@dataclass(frozen=True, slots=True, eq=False)
class PendingWrite:
    """A memory that is not written to the store yet, with what the stages of the write have
    computed for it.

    submission: the screened draft that the memory was made from; None for edited and restored
    memories. known: whether a stored memory, or one earlier in the same call, has this id. Such a
    write is usually merged, so it is embedded only if it turns out to be new. before: the
    conversation turns that are embedded with it as context. embedding: None until it is computed.
    """

    memory: Memory
    sparse: SparseVector
    submission: Submission | None = None
    known: bool = False
    before: tuple[Memory, ...] = ()
    embedding: Embedding | None = None

    @property
    def said(self) -> CapturedMessage | None:
        """Where a captured message was said; None for any other draft."""
        return None if self.submission is None else self.submission.said

    @property
    def in_context(self) -> InContext:
        """The memory's text to embed, with its conversation context."""
        if self.said is not None:
            return InContext(self.memory.embedding_text(), self.said.preceding)
        return text_in_context(self.memory, self.before)

    @property
    def needs_embedding(self) -> bool:
        """Whether the text must still be embedded: it has no embedding, and the write is not
        `known`.
        """
        return not self.known and self.embedding is None

    def embedding_by_screening(self) -> Embedding | None:
        """The embedding that screening computed; None if it is not that of the memory's text in its
        context.
        """
        if self.submission is None:
            return None
        embedding = self.submission.embedding
        classified = self.submission.classified
        if embedding is None and classified is not None:
            embedding = classified.embedding
        screened_alone = self.in_context == InContext(self.submission.draft.content)
        return embedding if screened_alone else None

    def vectors(self, embedding: Embedding) -> Vectors:
        """The vectors to store for the memory: its sparse vector, and the dense and token vectors
        of `embedding`.
        """
        return Vectors(embedding.dense, self.sparse, embedding.tokens)

    def record(self, embedding: Embedding) -> Record:
        """The store's record of the memory, with the vectors of `embedding`."""
        return Record.from_memory(self.memory, self.vectors(embedding))


@dataclass(frozen=True, slots=True)
class Preparer:
    """Makes memories from drafts and counts their tokens. It does CPU work only and is safe in any
    thread.
    """

    sparse: SparseEncoder
    count_tokens: CountTokens

    def prepare(self, draft: AnyDraft, scope: Scope, at: datetime, seq: int) -> PendingWrite:
        """Make a memory of `draft`, which arrived at the time `at` with the sequence number `seq`
        in its session.
        """
        memory_class = MEMORY_CLASSES[draft.type]
        session_id = draft.session_id or scope.session_id
        fields: dict[str, Any] = {
            "id": "",
            "tenant": scope.tenant,
            "namespace": scope.namespace,
            "session_id": session_id,
            "agent_id": draft.agent_id or scope.agent_id,
            # Without a session, session visibility would hide the memory from everybody.
            "visibility": POLICIES[draft.type].visibility if session_id else Visibility.NAMESPACE,
            "seq": seq,
            "created_at": draft.created_at or at,
            "updated_at": at,
            "valid_from": min(draft.created_at or at, at),
            "content_hash": "",
            "tokens": TokenCount(count=0, tokenizer=""),
            **memory_class.defaults(draft),
            **draft.model_dump(exclude_none=True),
        }
        if draft.type is MemoryType.WORKING:  # a note on the task at hand is never kept for good
            fields.setdefault("expires_at", at + STORED_LIFE)
        session = [session_id] if session_id else []
        fields["source_sessions"] = list(
            dict.fromkeys([*fields.get("source_sessions", ()), *session])
        )
        memory = memory_class.model_validate(fields)
        identity = memory_id(scope, memory.type, memory.identity())
        return self.prepare_memory(memory.model_copy(update={"id": identity}))

    def prepare_memory(self, memory: Memory) -> PendingWrite:
        """Compute a memory's content hash, token counts and sparse vector; return it with these,
        ready for writing.
        """
        computed = {
            "tokens": self.count_tokens(memory),
            "content_hash": content_hash(memory.content),
            "gives_value": gives_value(memory.content),
        }
        prepared = memory.model_copy(update=computed)
        return PendingWrite(prepared, self.sparse.encode_document(prepared.embedding_text()))


def gives_value(text: str) -> bool:
    """Whether `text` may update an earlier statement: it has a number or a phrase such as "moved"
    or "no longer".
    """
    return _VALUE.search(text) is not None or _CHANGE.search(text) is not None


def revised(memory: Memory, changes: dict[str, Any], now: datetime) -> Memory:
    """Return `memory` with the fields in `changes`, validated like a new draft, and with fields
    derived from these.

    None clears an optional field. The memory's heading (title, concept or name, by type) is derived
    from the new content if it is cleared or was never set by the caller. Raises InvalidRequest with
    the field's name.
    """
    allowed = CHANGEABLE | memory.own_fields
    for name, value in changes.items():
        if name not in allowed:
            reason = (
                "can't be changed"
                if name in type(memory).model_fields
                else "is no field of this type"
            )
            changeable = ", ".join(sorted({*allowed, END, SUCCESSOR}))
            raise InvalidRequest(f"{reason}; may be changed: {changeable}", path=name, got=value)
    old = {"type": memory.type, **memory.model_dump(include=set(allowed))}
    derived = {
        name for name, value in memory.defaults(_draft(old)).items() if old.get(name) == value
    }
    fields = {
        name: value
        for name, value in {**old, **changes}.items()
        if name in changes or name not in derived
    }
    draft = _draft(fields)
    check_expiry(memory.created_at, draft.expires_at)
    dumped = draft.model_dump(include=set(old))
    defaults = {
        name: value for name, value in memory.defaults(draft).items() if dumped.get(name) is None
    }
    after = memory.replace(**{**dumped, **defaults})
    if isinstance(memory, Prospective) and isinstance(after, Prospective):
        following = after.following(memory, now)
        after = after.model_copy(
            update={name: value for name, value in following.items() if name not in changes}
        )
    return after


def _draft(fields: dict[str, Any]) -> AnyDraft:
    try:
        return DRAFT.validate_python(fields)
    except ValidationError as error:
        raise as_invalid(error) from error
