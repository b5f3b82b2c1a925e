"""From a draft to a memory with everything but its dense vector. Knows no store and does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ingest.identity.update_cues import gives_value
from ingest.writing.submission import Submission
from memtypes.model.errors import InvalidRequest
from memtypes.model.ids import content_hash, memory_id
from memtypes.model.memory import Draft, Memory, TokenCount
from memtypes.model.policy import POLICIES, Visibility
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.model.types import MEMORY_CLASSES, AnyDraft
from memtypes.ports.encoders import SparseEncoder
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.piece import piece
from memtypes.search.vectors import InContext, SparseVector

MAX_AHEAD = timedelta(days=1)
"""How far ahead of the clock a created_at may lie: time zones and clocks that are off, but no typing errors."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where and when a draft came in. seq: its place in the order of arrival."""

    scope: Scope
    at: datetime
    seq: int


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A memory, the text of it that is embedded, and its sparse vector.

    submission: what it was made from. known: whether it is stored already, and so needs no embedding. before: what was
    said just before it, see `memtypes.conversation_context`.
    """

    memory: Memory
    text: str
    sparse: SparseVector
    submission: Submission | None = None
    known: bool = False
    before: str = ""

    @property
    def in_context(self) -> InContext:
        """What is embedded."""
        return InContext(self.text, self.before)


def check_draft(draft: Draft, now: datetime) -> None:
    """Return when the times of `draft` make sense at `now`; raise InvalidRequest when they don't."""
    if draft.created_at is not None and draft.created_at > now + MAX_AHEAD:
        message = f"must not lie more than a day ahead of the clock, which says {rfc3339(now)}"
        raise InvalidRequest(message, path="created_at", got=rfc3339(draft.created_at))
    check_expiry(draft.created_at or now, draft.expires_at)
    if draft.visibility is Visibility.SESSION and draft.session_id is None:
        raise InvalidRequest("session needs a session_id: without one nobody would see it", path="visibility")


def check_expiry(created_at: datetime, expires_at: datetime | None) -> None:
    """Return when `expires_at` is after `created_at` or absent; raise InvalidRequest when it isn't."""
    if expires_at is not None and expires_at <= created_at:
        message = f"must be after created_at, which is {rfc3339(created_at)}"
        raise InvalidRequest(message, path="expires_at", got=rfc3339(expires_at))


@dataclass(frozen=True, slots=True)
class Preparer:
    """Makes memories out of drafts and counts their tokens; its work is CPU only and safe in any thread."""

    sparse: SparseEncoder
    tokenizer: Tokenizer

    def prepare(self, draft: AnyDraft, arrival: Arrival) -> Prepared:
        """`draft` as the memory it becomes, under its deterministic id."""
        return self.finish(_as_memory(draft, arrival))

    def finish(self, memory: Memory) -> Prepared:
        """`memory` with its content's hash and its tokens counted anew, ready to be embedded."""
        tokens = TokenCount(
            count=self.tokenizer.count(memory.content),
            tokenizer=self.tokenizer.name,
            line=self.tokenizer.count(piece(memory)),
        )
        finished = memory.model_copy(
            update={
                "tokens": tokens,
                "content_hash": content_hash(memory.content),
                "gives_value": gives_value(memory.content),
            }
        )
        text = finished.embedding_text()
        return Prepared(finished, text, self.sparse.encode_document(text))


def own_defaults(draft: AnyDraft) -> dict[str, Any]:
    """The own fields that the type derives from the rest of `draft`, whether or not the caller gave them."""
    return MEMORY_CLASSES[draft.type].defaults(draft)


def _as_memory(draft: AnyDraft, arrival: Arrival) -> Memory:
    given = draft.model_dump(exclude_none=True)
    fields = {**_common(draft, arrival), **own_defaults(draft), **given}
    fields["source_sessions"] = _sessions(draft, fields.get("session_id"))
    memory = MEMORY_CLASSES[draft.type].model_validate(fields)
    identity = memory_id(arrival.scope, memory.type, memory.identity())
    return memory.model_copy(update={"id": identity})


def _common(draft: AnyDraft, arrival: Arrival) -> dict[str, Any]:
    scope, now = arrival.scope, arrival.at
    session_id = draft.session_id or scope.session_id
    created_at = draft.created_at or now
    return {
        "id": "",
        "tenant": scope.tenant,
        "namespace": scope.namespace,
        "session_id": session_id,
        "agent_id": draft.agent_id or scope.agent_id,
        "visibility": _visibility(draft, session_id),
        "seq": arrival.seq,
        "created_at": created_at,
        "updated_at": now,
        "valid_from": min(created_at, now),
        "content_hash": "",
        "tokens": TokenCount(count=0, tokenizer=""),
    }


def _visibility(draft: AnyDraft, session_id: str | None) -> Visibility:
    """The type's default, except that what no session wrote can't be kept to one."""
    return POLICIES[draft.type].visibility if session_id else Visibility.NAMESPACE


def _sessions(draft: AnyDraft, session_id: str | None) -> list[str]:
    given = getattr(draft, "source_sessions", [])
    return list(dict.fromkeys([*given, *([session_id] if session_id else [])]))
