"""Writes the messages of a session as memories; sending a session again stores only what is
missing.

Each message gets its own status. Unless it is noise, it becomes one memory of the type that a
classifier gives it. A sentence of the message that is clearly of another type becomes a second
memory. A memory records the session and the message's position in it as its source. So if the
message is sent again, the memory is recognised and not stored twice.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TypeAlias

from pydantic import ConfigDict, Field, ValidationError

from ingest.screening.prefilter import NO_PART
from ingest.screening.recall_guard import ALL_RECALLED, PART_RECALLED, RecallGuard
from ingest.screening.redaction.redactor import RedactedValue, SecretsRefused
from ingest.screening.sentences import reasons_in, sentences_in
from ingest.screening.submission import (
    CapturedMessage,
    RejectionCause,
    ReviewMode,
    Submission,
    UntypedDraft,
    as_invalid,
)
from ingest.screening.text_features import AHEAD, REACH, Conversation, Later, is_machine
from ingest.writing.drafts import check_draft
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.conversation_context import TURNS_BEFORE
from memtypes.model.episodic import said_on
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.memory import (
    MAX_CONTENT,
    MAX_LABEL,
    Label,
    Reviewed,
    Source,
    StrictModel,
    Whole,
    printable,
)
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.search.vectors import Embedding

EMPTY = "empty"
ROLE_EXCLUDED = "texts of this role are not stored here"

_CAUSES = {
    EMPTY: RejectionCause.EMPTY,
    ROLE_EXCLUDED: RejectionCause.RULES,
    ALL_RECALLED: RejectionCause.RECALLED,
}
"""Why a message is rejected before it is screened; for any other reason it has a refused secret."""

MAX_PARTS = 12
"""Maximum sentences of a message that are judged one by one; a longer message is a document, not
something said.
"""

MIN_PART = 12
"""Minimum characters of a sentence that may become a memory by itself."""

_QUESTION = 500
"""Last characters of the previous message that are searched for the name of a secret ("What is the
password?").
"""
_ORDER = (WriteStatus.FAILED, WriteStatus.STORED, WriteStatus.MERGED, WriteStatus.REJECTED)
"""Statuses by precedence: if a message's text and sentences end differently, the first of these is
its status.
"""


class SessionMessage(StrictModel):
    """One message of a chat session. Its time is checked when it is written, so an invalid one
    fails only this message.

    timestamp: an ISO 8601 time; without an offset it is read as UTC. None stands for the time of
    writing. Other members that clients keep with a message are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    role: Label
    content: str
    timestamp: str | None = None


class SaidBefore(StrictModel):
    """The earlier messages of a session that is sent in several calls.

    count: number of all earlier messages, which is the position of the next message. messages: the
    last earlier messages, oldest first; they are read as context and not written.
    """

    model_config = ConfigDict(extra="ignore")

    count: Whole = Field(default=0, ge=0)
    messages: list[SessionMessage] = Field(default_factory=list, max_length=REACH)


NOTHING_BEFORE = SaidBefore()
"""The `before` of a session that is sent from its first message on."""


@dataclass(frozen=True, slots=True)
class MessageOutcome:
    """The result of writing one message: its text, and the sentences that are stored as memories by
    themselves.

    status: if text and sentences end differently, the first of failed, stored, merged and rejected
    that occurs. reason: why it was rejected, merged or failed, or that text was removed which only
    repeats recalled memories. ids, types: of the memories in which the message is stored.
    ended, moved: ids of the tasks that it ended or moved. retracted: ids of the facts that it says
    were wrong. reviewed: the decision on the message, or on the part of it that decided `status`;
    None if there was no review. redactions: numbers of removed secrets, by kind.
    """

    status: WriteStatus
    reason: str | None = None
    ids: tuple[str, ...] = ()
    types: tuple[MemoryType, ...] = ()
    ended: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    retracted: tuple[str, ...] = ()
    reviewed: Reviewed | None = None
    redactions: dict[str, int] = field(default_factory=dict)


Redacted: TypeAlias = RedactedValue[SessionMessage] | MessageOutcome
"""A message without secrets; its outcome if it must not be stored."""


@dataclass(frozen=True, slots=True)
class SessionWriter:
    """Writes the messages of sessions as memories.

    guard: finds text that repeats memories which this service showed to the agent; it is not stored
    again. shown: ids of memories that are known to have been shown to the session.
    """

    ingestor: Ingestor
    guard: RecallGuard
    shown: Collection[str] = ()

    async def write(
        self,
        scope: Scope,
        messages: Sequence[SessionMessage],
        review: ReviewMode,
        before: SaidBefore = NOTHING_BEFORE,
    ) -> list[MessageOutcome]:
        """Write messages as memories; return an outcome for each message, in order.

        Text that this service had recalled into the session is not stored again. scope: names the
        session. review: whether messages are judged before they are stored. before: the earlier
        messages, if `messages` do not begin the session. Raises Unavailable if the store is
        unreachable before anything is written.
        """
        session, screened = await self._opened(scope, messages, review, before)
        texts = [text for _, text in session.messages]
        by_user = [
            position for position, message in enumerate(messages) if not is_machine(message.role)
        ]
        new_texts = await self.guard.without_recalled(scope, texts, self.shown, by_user)
        prepared = await offload(
            texts,
            lambda: [
                session.prepare(index, message, new_text)
                if isinstance(message, RedactedValue)
                else message
                for index, (message, new_text) in enumerate(zip(screened, new_texts, strict=True))
            ],
        )
        for entry in prepared:
            if isinstance(entry, MessageOutcome) and entry.status is WriteStatus.REJECTED:
                cause = _CAUSES.get(entry.reason or "", RejectionCause.REFUSED)
                self.ingestor.counts.reject(cause)
        submissions = [
            submission for entry in prepared if isinstance(entry, list) for submission in entry
        ]
        # Two calls at once may have the same messages: the second judges what the first has left
        async with self.ingestor.locks.session_lock(scope):
            outcomes = iter(await self.ingestor.write(scope, submissions))
        return [
            entry
            if isinstance(entry, MessageOutcome)
            else _combined([next(outcomes) for _ in entry], cut=new_text != text)
            for entry, text, new_text in zip(prepared, texts, new_texts, strict=True)
        ]

    async def _opened(
        self,
        scope: Scope,
        messages: Sequence[SessionMessage],
        review: ReviewMode,
        before: SaidBefore,
    ) -> tuple[_Session, list[Redacted]]:
        """The session in which `messages` were said, with those before them as context, and the
        messages without secrets.
        """
        all_messages = [*before.messages, *messages]
        contents = [message.content for message in all_messages]
        redacted = await offload(contents, lambda: self._redact_all(scope.tenant, all_messages))
        now = self.ingestor.clock()
        texts = [_text(entry) for entry in redacted]
        first = len(before.messages)
        session = _Session(
            scope.session_id or "",
            review,
            now,
            messages=[
                (message.role, text) for message, text in zip(messages, texts[first:], strict=True)
            ],
            lines=[
                _line(entry.value, now) if isinstance(entry, RedactedValue) else ""
                for entry in redacted
            ],
            median_length=statistics.median([len(text) for text in texts if text] or [0]),
            first_position=before.count,
        )
        earlier = [entry.value for entry in redacted[:first] if isinstance(entry, RedactedValue)]
        if earlier:
            embeddings = await self.ingestor.embedder.embed_documents(
                [message.content for message in earlier]
            )
            session.add_context(earlier, embeddings)
        return session, redacted[first:]

    def _redact_all(self, tenant: str, messages: Sequence[SessionMessage]) -> list[Redacted]:
        """Redact each message, given the end of the previous one: what follows "What is the
        password?" is a secret.
        """
        redacted: list[Redacted] = []
        for message in messages:
            previous = _text(redacted[-1]) if redacted else ""
            redacted.append(self._redact(tenant, message, previous[-_QUESTION:]))
        return redacted

    def _redact(self, tenant: str, message: SessionMessage, previous: str) -> Redacted:
        """`message` without secrets; if its text or role must not be stored, the outcome that says
        why.

        previous: the end of the message before it, without secrets.
        """
        redactor = self.ingestor.redactor
        if not message.content.strip():
            return MessageOutcome(WriteStatus.REJECTED, EMPTY)
        if message.role.casefold() in redactor.rules(tenant).never_keep_roles:
            return MessageOutcome(WriteStatus.REJECTED, ROLE_EXCLUDED)
        try:
            fields = {"role": message.role, "content": printable(message.content)}
            clean = redactor.clean(tenant, [{"text": previous}, fields])
        except SecretsRefused as error:
            return MessageOutcome(WriteStatus.REJECTED, str(error))
        except (ValueError, Unavailable) as error:
            return MessageOutcome(WriteStatus.FAILED, f"content: {error}")
        role = clean.value[1]["role"][:MAX_LABEL]  # a marker may be longer than the secret
        return RedactedValue(
            message.model_copy(update={**clean.value[1], "role": role}), clean.counts
        )


@dataclass(frozen=True, slots=True)
class _Session:
    """Makes drafts of memories from the messages of one session; messages of the same day form one
    conversation.

    messages: role and text of each message. lines: the same as text with the day, preceded by the
    earlier messages. median_length: median number of characters of a message. first_position:
    position of the first of `messages` in the session. conversations: the messages so far of each
    day, as context for judging the next one.
    """

    id: str
    review: ReviewMode
    now: datetime
    messages: Sequence[tuple[str, str]]
    lines: Sequence[str]
    median_length: float
    first_position: int
    conversations: defaultdict[date, Conversation] = field(
        default_factory=lambda: defaultdict(Conversation)
    )

    def add_context(
        self, messages: Sequence[SessionMessage], embeddings: Sequence[Embedding]
    ) -> None:
        """Add earlier messages, with the embedding of each, as context for judging later ones; they
        are not stored.
        """
        for message, embedding in zip(messages, embeddings, strict=True):
            self.conversations[_time(message, self.now).date()].add(
                message.role, message.content, embedding
            )

    def prepare(
        self, index: int, clean: RedactedValue[SessionMessage], text: str
    ) -> list[Submission] | MessageOutcome:
        """Return the drafts to write for message number `index`; the message's outcome if there is
        nothing to write.

        clean: the message without secrets. text: its content, without passages that repeat what the
        agent was shown.
        """
        if not text.strip():
            return MessageOutcome(WriteStatus.REJECTED, ALL_RECALLED)
        try:
            submissions = list(self._submissions(index, clean, text))
            for submission in submissions:
                check_draft(submission.draft, self.now)
        except ValidationError as error:
            return MessageOutcome(WriteStatus.FAILED, str(as_invalid(error)))
        except InvalidRequest as error:
            return MessageOutcome(WriteStatus.FAILED, f"{error.path}: {error}")
        return submissions

    def _submissions(
        self, index: int, clean: RedactedValue[SessionMessage], text: str
    ) -> Iterator[Submission]:
        """Make drafts of a message's text (several if it is long), each followed, if review is
        AUTO, by what may be its statements: the whole text, and its sentences.
        """
        fields = {
            "session_id": self.id,
            "created_at": _as_utc(clean.value.timestamp),
            "source": Source.of_message(self.id, self.first_position + index),
        }
        following = [message for message in self.messages[index + 1 :] if message[1].strip()]
        later = Later(following[:AHEAD], len(following), self.median_length)
        position = len(self.lines) - len(self.messages) + index
        preceding = " ".join(filter(None, self.lines[max(0, position - TURNS_BEFORE) : position]))
        previous = self.messages[index - 1][1] if index else ""
        for piece in _pieces(text):
            draft = UntypedDraft.model_validate({**fields, "content": piece})
            conversation = self.conversations[(draft.created_at or self.now).date()]
            sentences = (
                tuple(_sentences_and_reasons(piece)) if self.review is ReviewMode.AUTO else ()
            )
            said = CapturedMessage(
                clean.value.role,
                conversation,
                preceding,
                sentences,
                previous=previous,
                later=later,
            )
            yield Submission(draft, self.review, said, clean.counts)
            for sentence in (piece, *sentences) if self.review is ReviewMode.AUTO else ():
                draft = UntypedDraft.model_validate({**fields, "content": sentence, "seq": 0})
                yield Submission(
                    draft, self.review, replace(said, preceding="", part=True), clean.counts
                )


def _text(message: Redacted) -> str:
    """The text of a message; "" if it must not be stored."""
    return message.value.content if isinstance(message, RedactedValue) else ""


def _time(message: SessionMessage, now: datetime) -> datetime:
    """The time of `message` in UTC; `now` if it has none, or an invalid one."""
    try:
        return datetime.fromisoformat(_as_utc(message.timestamp) or "").astimezone(UTC)
    except ValueError:
        return now


def _line(message: SessionMessage, now: datetime) -> str:
    """The message with its day and role, as the text that is embedded before the next message."""
    return said_on(_time(message, now), message.role, message.content)


def _as_utc(value: str | None) -> str | None:
    """`value` with "Z" appended if it is a time without an offset; otherwise `value` itself."""
    try:
        return (
            value
            if value is None or datetime.fromisoformat(value).tzinfo is not None
            else f"{value}Z"
        )
    except ValueError:
        return value


def _pieces(content: str) -> Iterator[str]:
    """`content` in pieces that each fit into one memory, cut at a blank or line break where
    possible.
    """
    while content:
        end = len(content)
        if end > MAX_CONTENT:
            last_blank = max(
                content.rfind(blank, MAX_CONTENT // 2, MAX_CONTENT) for blank in (" ", "\n")
            )
            end = MAX_CONTENT if last_blank < 0 else last_blank
        if piece := content[:end].strip():
            yield piece
        content = content[end:]


def _sentences_and_reasons(content: str) -> list[str]:
    """The sentences of a message, and the reasons stated in its questions, that may become memories
    by themselves.

    A message's only sentence is left out, because the whole message is stored anyway. Empty if the
    message has more than MAX_PARTS sentences.
    """
    sentences = [sentence for sentence in sentences_in(content) if len(sentence) >= MIN_PART]
    if len(sentences) > MAX_PARTS:
        return []
    reasons = [
        reason
        for sentence in sentences
        for reason in reasons_in(sentence)
        if len(reason) >= MIN_PART
    ]
    return [*(sentences if len(sentences) > 1 else ()), *reasons]


def _combined(outcomes: Sequence[WriteOutcome], *, cut: bool) -> MessageOutcome:
    """Combine the outcomes of a message's text (the first of `outcomes`) and of its sentences into
    one outcome.

    cut: whether text was removed from the message because it repeated memories that this service
    had recalled.
    """
    counted = [outcomes[0], *(outcome for outcome in outcomes[1:] if outcome.reason != NO_PART)]
    decisive = min(counted, key=lambda outcome: _ORDER.index(outcome.status))
    reason = "; ".join(filter(None, (decisive.reason, PART_RECALLED if cut else None)))
    stored = [outcome for outcome in counted if outcome.id is not None]
    ids = dict.fromkeys(outcome.id or "" for outcome in stored)
    types = dict.fromkeys(outcome.memory.type for outcome in stored if outcome.memory is not None)
    redactions = {
        kind: count for outcome in reversed(outcomes) for kind, count in outcome.redactions.items()
    }
    return MessageOutcome(
        decisive.status,
        reason or None,
        tuple(ids),
        tuple(types),
        ended=_each(outcome.ended for outcome in outcomes),
        moved=_each(outcome.moved for outcome in outcomes),
        retracted=_each(outcome.retracted for outcome in outcomes),
        reviewed=decisive.reviewed or outcomes[0].reviewed,
        redactions=redactions,
    )


def _each(lists: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Each id of `lists` once, in order."""
    return tuple(dict.fromkeys(each for ids in lists for each in ids))
