"""Writes the messages of a session as memories; sending a session again stores only what is missing.

Each message gets its own status. Unless it is noise, it becomes one memory of the type that a classifier gives it. A
sentence of the message that is clearly of another type becomes a second memory. A memory records the session and the
message's position in it as its source. So if the message is sent again, the memory is recognised and not stored twice.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from pydantic import Field, ValidationError

from ingest.screening.features import AHEAD, REACH, Conversation, Later
from ingest.screening.parts import reasons_in, sentences_in
from ingest.screening.prefilter import NO_PART
from ingest.screening.recall_guard import ALL_RECALLED, PART_RECALLED, RecallGuard
from ingest.screening.redaction.redactor import RedactedValue, SecretsRefused
from ingest.screening.submission import ReviewMode, Said, Submission, UntypedDraft, as_invalid
from ingest.writing.drafts import check_draft
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.conversation_context import CAPTURED, TURNS_BEFORE
from memtypes.model.episodic import said_on
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.memory import MAX_CONTENT, MAX_LABEL, Label, Model, Source, Whole, printable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.search.vectors import Embedding

EMPTY = "empty"

MAX_PARTS = 12
"""Maximum sentences of a message that are judged one by one; a longer message is a document, not something said."""

MIN_PART = 12
"""Minimum characters of a sentence that may become a memory by itself."""

_ASKED = 500
"""Characters of the message before a message in which the name of a secret is looked for, such as a question's."""
_ORDER = (WriteStatus.FAILED, WriteStatus.STORED, WriteStatus.MERGED, WriteStatus.REJECTED)
"""Statuses by precedence: if a message's text and sentences end differently, the first of these is its status."""


class SessionMessage(Model):
    """One message of a chat session. Its time is checked when it is written, so an invalid one fails only this message.

    timestamp: an ISO 8601 time; without an offset it is read as UTC. None stands for the time of writing.
    """

    role: Label
    content: str
    timestamp: str | None = None


class SaidBefore(Model):
    """The earlier messages of a session that is sent in several calls.

    count: number of all earlier messages, which is the position of the next message. messages: the last earlier
    messages, oldest first; they are read as context and not written.
    """

    count: Whole = Field(default=0, ge=0)
    messages: list[SessionMessage] = Field(default_factory=list, max_length=REACH)


NOTHING_BEFORE = SaidBefore()
"""The `before` of a session that is sent from its first message on."""


@dataclass(frozen=True, slots=True)
class MessageOutcome:
    """The result of writing one message: its text, and the sentences that are stored as memories by themselves.

    status: if text and sentences end differently, the first of failed, stored, merged and rejected that occurs. reason:
    why it was rejected, merged or failed, or that text was removed which only repeats recalled memories. ids, types: of
    the memories in which the message is stored. redactions: numbers of removed secrets, by kind.
    """

    status: WriteStatus
    reason: str | None = None
    ids: tuple[str, ...] = ()
    types: tuple[MemoryType, ...] = ()
    redactions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionWriter:
    """Writes the messages of sessions as memories.

    guard: finds text that repeats memories which this service showed to the agent; it is not stored again. shown: ids
    of memories that are known to have been shown to the session.
    """

    ingestor: Ingestor
    guard: RecallGuard
    shown: Collection[str] = ()

    async def write(
        self, scope: Scope, messages: Sequence[SessionMessage], review: ReviewMode, before: SaidBefore = NOTHING_BEFORE
    ) -> list[MessageOutcome]:
        """Write messages as memories; return an outcome for each message, in order.

        Text that this service had recalled into the session is not stored again. scope: names the session. review:
        whether messages are judged before they are stored. before: the earlier messages, if `messages` do not begin the
        session. Raises Unavailable if the store is unreachable before anything is written.
        """
        everything = [*before.messages, *messages]
        contents = [message.content for message in everything]
        cleaned = await offload(contents, lambda: self._cleaned_in_turn(scope.tenant, everything))
        earlier = [text.value for text in cleaned[: len(before.messages)] if isinstance(text, RedactedValue)]
        screened = cleaned[len(before.messages) :]
        readable = [text.value.content if isinstance(text, RedactedValue) else "" for text in screened]
        rests = await self.guard.without_recalled(scope, readable, self.shown)
        said = [(message.role, text) for message, text in zip(messages, readable, strict=True)]
        lengths = [len(text) for text in (*(message.content for message in earlier), *readable) if text]
        typical = statistics.median(lengths or [0])
        now = self.ingestor.clock()
        lines = [_line(message, now) for message in earlier]
        lines += [_line(text.value, now) if isinstance(text, RedactedValue) else "" for text in screened]
        session = _Session(scope.session_id or "", review, now, said, lines, typical, before.count)
        if earlier:
            heard = await self.ingestor.embedder.embed_documents([message.content for message in earlier])
            session.hear(earlier, heard)
        prepared = await offload(
            contents,
            lambda: [
                session.prepare(index, text, rest) if isinstance(text, RedactedValue) else text
                for index, (text, rest) in enumerate(zip(screened, rests, strict=True))
            ],
        )
        waiting = [draft for drafts in prepared if isinstance(drafts, list) for draft in drafts]
        outcomes = iter(await self.ingestor.write(scope, waiting))
        return [
            drafts
            if isinstance(drafts, MessageOutcome)
            else _combined([next(outcomes) for _ in drafts], cut=rest != content)
            for drafts, content, rest in zip(prepared, readable, rests, strict=True)
        ]

    def _cleaned_in_turn(
        self, tenant: str, messages: Sequence[SessionMessage]
    ) -> list[RedactedValue[SessionMessage] | MessageOutcome]:
        """`messages` without secrets, as `_cleaned` returns them: a question may say that its answer is a password."""
        cleaned: list[RedactedValue[SessionMessage] | MessageOutcome] = []
        for message in messages:
            asked = cleaned[-1].value.content if cleaned and isinstance(cleaned[-1], RedactedValue) else ""
            cleaned.append(self._cleaned(tenant, message, asked[-_ASKED:]))
        return cleaned

    def _cleaned(
        self, tenant: str, message: SessionMessage, asked: str
    ) -> RedactedValue[SessionMessage] | MessageOutcome:
        """`message` without secrets, which may span sentences; if its text or role must not be stored, its outcome.

        asked: the end of the message before it, without secrets.
        """
        redactor = self.ingestor.redactor
        if not message.content.strip():
            return MessageOutcome(WriteStatus.REJECTED, EMPTY)
        if message.role.casefold() in redactor.rules(tenant).never_keep_roles:
            return MessageOutcome(WriteStatus.REJECTED, "texts of this role are not stored here")
        try:
            fields = {"role": message.role, "content": printable(message.content)}
            clean = redactor.clean(tenant, [{"text": asked}, fields])
        except SecretsRefused as error:
            return MessageOutcome(WriteStatus.REJECTED, str(error))
        except (ValueError, Unavailable) as error:
            return MessageOutcome(WriteStatus.FAILED, f"content: {error}")
        role = clean.value[1]["role"][:MAX_LABEL]  # a marker may be longer than the secret
        return RedactedValue(message.model_copy(update={**clean.value[1], "role": role}), clean.counts)


@dataclass(frozen=True, slots=True)
class _Session:
    """Makes drafts of memories from the messages of one session; messages of the same day form one conversation.

    messages: role and text of each message. lines: each with its day as well, after those of earlier messages. typical:
    median characters of a message. first: position of the first of `messages` in the session. conversations: what was
    said so far on each day, as context for judging a message.
    """

    id: str
    review: ReviewMode
    now: datetime
    messages: Sequence[tuple[str, str]]
    lines: Sequence[str]
    typical: float
    first: int
    conversations: defaultdict[date, Conversation] = field(default_factory=lambda: defaultdict(Conversation))

    def hear(self, messages: Sequence[SessionMessage], embeddings: Sequence[Embedding]) -> None:
        """Add earlier messages, with the embedding of each, as context for judging later ones; they are not stored."""
        for message, embedding in zip(messages, embeddings, strict=True):
            self.conversations[_time(message, self.now).date()].add(message.role, message.content, embedding)

    def prepare(self, index: int, clean: RedactedValue[SessionMessage], rest: str) -> list[Submission] | MessageOutcome:
        """Return the drafts to write for message number `index`; the message's outcome if there is nothing to write.

        clean: the message without secrets. rest: its text, without the passages that repeat what the agent was shown.
        """
        if not rest.strip():
            return MessageOutcome(WriteStatus.REJECTED, ALL_RECALLED)
        try:
            submissions = list(self._submissions(index, clean, rest))
            for submission in submissions:
                check_draft(submission.draft, self.now)
        except ValidationError as error:
            return MessageOutcome(WriteStatus.FAILED, str(as_invalid(error)))
        except InvalidRequest as error:
            return MessageOutcome(WriteStatus.FAILED, f"{error.path}: {error}")
        return submissions

    def _submissions(self, index: int, clean: RedactedValue[SessionMessage], rest: str) -> Iterator[Submission]:
        """Make drafts of a message's text (several if it is long), each followed by its sentences if review is AUTO."""
        fields = {
            "session_id": self.id,
            "created_at": _as_utc(clean.value.timestamp),
            "source": Source(thread_id=self.id, turns=[self.first + index], caller=CAPTURED),
        }
        following = [message for message in self.messages[index + 1 :] if message[1].strip()]
        later = Later(following[:AHEAD], len(following), self.typical)
        place = len(self.lines) - len(self.messages) + index
        preceding = " ".join(filter(None, self.lines[max(0, place - TURNS_BEFORE) : place]))
        for piece in _pieces(rest):
            draft = UntypedDraft.model_validate({**fields, "content": piece})
            conversation = self.conversations[(draft.created_at or self.now).date()]
            said = Said(clean.value.role, conversation, preceding, later=later)
            yield Submission(draft, self.review, said, clean.counts)
            for content in _parts(piece) if self.review is ReviewMode.AUTO else ():
                part = UntypedDraft.model_validate({**fields, "content": content, "seq": 0})
                yield Submission(part, self.review, replace(said, preceding="", part=True), clean.counts)


def _time(message: SessionMessage, now: datetime) -> datetime:
    """When `message` was said, in UTC; `now` if it has no time, or no valid one."""
    try:
        return datetime.fromisoformat(_as_utc(message.timestamp) or "").astimezone(UTC)
    except ValueError:
        return now


def _line(message: SessionMessage, now: datetime) -> str:
    return said_on(_time(message, now), message.role, message.content)


def _as_utc(value: str | None) -> str | None:
    """`value` with "Z" appended if it is a time without an offset; otherwise `value` itself."""
    try:
        return value if value is None or datetime.fromisoformat(value).tzinfo is not None else f"{value}Z"
    except ValueError:
        return value


def _pieces(content: str) -> Iterator[str]:
    """`content` in pieces that each fit into one memory, cut at a blank or line break where possible."""
    while content:
        end = len(content)
        if end > MAX_CONTENT:
            last = max(content.rfind(blank, MAX_CONTENT // 2, MAX_CONTENT) for blank in (" ", "\n"))
            end = MAX_CONTENT if last < 0 else last
        if piece := content[:end].strip():
            yield piece
        content = content[end:]


def _parts(content: str) -> list[str]:
    """The parts of a message that may become memories by themselves: sentences, and reasons stated in questions.

    If the message has only one sentence, this is not a part, because the whole message is stored anyway. Empty if the
    message has more than MAX_PARTS sentences.
    """
    sentences = [sentence for sentence in sentences_in(content) if len(sentence) >= MIN_PART]
    if len(sentences) > MAX_PARTS:
        return []
    reasons = [reason for sentence in sentences for reason in reasons_in(sentence) if len(reason) >= MIN_PART]
    return [*(sentences if len(sentences) > 1 else ()), *reasons]


def _combined(outcomes: Sequence[WriteOutcome], *, cut: bool) -> MessageOutcome:
    """Combine the outcomes of a message's text (the first of `outcomes`) and of its sentences into one outcome.

    cut: whether text was removed from the message because it repeated memories that this service had recalled.
    """
    whole, *rest = outcomes
    parts = [outcome for outcome in rest if outcome.reason != NO_PART]
    status = min((outcome.status for outcome in (whole, *parts)), key=_ORDER.index)
    first = next(outcome for outcome in (whole, *parts) if outcome.status is status)
    reason = "; ".join(filter(None, (first.reason, PART_RECALLED if cut else None)))
    stored = [outcome for outcome in (whole, *parts) if outcome.id is not None]
    ids = dict.fromkeys(outcome.id or "" for outcome in stored)
    types = dict.fromkeys(outcome.memory.type for outcome in stored if outcome.memory is not None)
    redactions = {kind: count for outcome in reversed(outcomes) for kind, count in outcome.redactions.items()}
    return MessageOutcome(status, reason or None, tuple(ids), tuple(types), redactions)
