"""Screens messages captured from conversations: drops trivial or repeated ones, and finds the types
of the others.

Texts that a caller writes explicitly pass unchanged, unless the caller asks for a review: then a
trivial text is rejected before any reviewer is asked. Each message is judged in its conversation.
After the message, its text and each of its sentences are submitted as parts. A part is stored as a
fact, task or how-to of its own if it is worth keeping and its type differs from that of the
message, such as a request within a report. A message that states a fact and a task is stored as an
event, as it was said, and both as parts: so the task can end while the fact holds. A change that is
told as an event is stored as an event and as a fact. If the message is not worth keeping, a part is
stored only if the message is a question and the part is not. Parts of a repeated message or of a
tool's output, and the steps of a procedure, are not stored.

A reader, if there is one, also says what a text states. It knows English alone, so its share in the
judgement is the smaller, the less English the text is.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, TypeAlias

from cachetools import LRUCache

from ingest.screening.judge import WORTH_KEEPING, Judge, Judgement, MessagePosition
from ingest.screening.sentences import steps_in
from ingest.screening.submission import (
    CapturedMessage,
    Classification,
    JudgedText,
    Rejection,
    RejectionCause,
    ReviewMode,
    Submission,
    UntypedDraft,
    with_type,
)
from ingest.screening.text_features import TOOLS, is_machine, speaker_of
from memtypes.model.episodic import EventType
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.ids import normalise
from memtypes.model.memory import Decision, Reviewed, Tier
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import IntentionType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.model.types import AnyDraft
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.ports.erasure import Erasable
from memtypes.ports.reader import Kinds, Reader, ReadStatement
from memtypes.search.vectors import Embedding

RECENT = 100
MAX_SCOPES = 1_000

DUPLICATE = "duplicate of one of the last 100 messages"
"""Of the same session. What another session says again is evidence, and is merged when it is
written.
"""

NO_PART = "part of a message"

SURE = 0.45
"""Minimum probability of its type at which a sentence is stored in addition to its message."""

STATED = 0.3
"""Minimum probability at which a captured text is taken to state a fact, a task or a how-to. A fact
that is more probably an event is stored as both.
"""

READ_SHARE = 0.5
"""Share of the reader in the judgement of what an English text states."""

_PARTS = frozenset((MemoryType.PROSPECTIVE, MemoryType.SEMANTIC, MemoryType.PROCEDURAL))
"""The memory types of parts that are stored. Events are not among them: the whole message tells
what happened.
"""

_EVENTS = {"user": EventType.USER_QUERY, "assistant": EventType.AGENT_RESPONSE}

MAX_STEP = 10_000

_log = logging.getLogger(__name__)

Place: TypeAlias = tuple[str | None, tuple[int, ...]]
"""The session of a message, and the positions of its turns in it."""


@dataclass(slots=True)
class RecentTexts(Erasable):
    """The last RECENT captured messages of each of the MAX_SCOPES namespaces used last, to
    recognise repetitions.

    They are kept without memory ids, so erasing one memory erases all messages of its namespace.
    """

    _texts: LRUCache[tuple[str, str], deque[tuple[str, date, Place]]] = field(
        default_factory=lambda: LRUCache(MAX_SCOPES)
    )

    def holds(self, scope: Scope, text: str, day: date, place: Place) -> bool:
        """Whether a recent message of the same session has the same text and day, but other
        turns.
        """
        session, turns = place
        said = (normalise(text), day, session)
        recent = self._texts.get(_key(scope), ())
        return any(
            (other, on, other_session) == said and other_turns != turns
            for other, on, (other_session, other_turns) in recent
        )

    def add(self, scope: Scope, text: str, day: date, place: Place) -> None:
        """Remember a message, unless it is sent again from the same `place` (session and turns)."""
        texts = self._texts.setdefault(_key(scope), deque(maxlen=RECENT))
        entry = (normalise(text), day, place)
        if entry not in texts:
            texts.append(entry)

    def forget(self, scope: Scope, text: str, day: date, place: Place) -> None:
        """Forget a message that was not stored: the next message with its text is no repetition."""
        texts = self._texts.get(_key(scope))
        entry = (normalise(text), day, place)
        if texts is not None and entry in texts:
            texts.remove(entry)

    # See the class
    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002
        """Forget all messages of the namespace of `scope`, whatever `memory_id` is. Returns how
        many there were.
        """
        return len(self._texts.pop(_key(scope), ()))

    # See the class
    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002
        """Number of messages remembered for the namespace of `scope`, whatever `memory_id` is."""
        return len(self._texts.get(_key(scope), ()))


def place_of(draft: AnyDraft | UntypedDraft) -> Place:
    """The session of a captured message, and the positions of its turns in it."""
    return (draft.source.thread_id, tuple(draft.source.turns)) if draft.source else (None, ())


def _key(scope: Scope) -> tuple[str, str]:
    return scope.tenant, scope.namespace


@dataclass(frozen=True, slots=True)
class Prefilter:
    """Screening step that rejects trivial or repeated messages, and finds the memory types of the
    others.

    Of other submissions, those that ask for a review are rejected if they are trivial; all others
    pass unchanged.
    """

    judge: Judge
    embedder: Embedder
    clock: Clock
    recent: RecentTexts = field(default_factory=RecentTexts)
    reader: Reader | None = None

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission with its type, embedding and judgement, or a rejection. Raises Overloaded
        or Unavailable.
        """
        said = submission.said
        if said is None and submission.review is ReviewMode.AUTO:
            return await self._screen_explicit(submission)
        if said is None or not isinstance(submission.draft, UntypedDraft):
            return submission
        if not said.part:
            return await self._screen_message(scope, submission, said)
        statement = said.statements.get(submission.draft.content)
        if statement is None:
            return Rejection(NO_PART, cause=RejectionCause.PART)
        return _typed(submission, said, statement, stated_by(statement.kinds))

    async def _screen_explicit(self, submission: Submission) -> Submission | Rejection:
        """Screen a text whose writer asks for a review: reject it if it is trivial."""
        text = submission.draft.content
        (embedding,) = await self.embedder.embed_documents([text])
        judgement = await offload(
            [text], lambda: self.judge.judged(self.judge.input_of(text, embedding))
        )
        if judgement.objection:
            return _trivial(judgement, submission.draft)
        return replace(submission, judgement=judgement, embedding=embedding)

    async def _screen_message(
        self, scope: Scope, submission: Submission, said: CapturedMessage
    ) -> Submission | Rejection:
        """Screen a message, and choose the sentences of it that are stored by themselves."""
        text = submission.draft.content
        said.statements.clear()
        imported = submission.review is ReviewMode.SKIP
        if not imported and self._repeats(scope, submission.draft):
            return Rejection(DUPLICATE, submission.draft, cause=RejectionCause.DUPLICATE)
        position = MessagePosition(said.role, said.conversation, said.later)
        (message,) = await self._judged([text], said.role, position, said.previous)
        said.conversation.add(said.role, text, message.embedding)
        said.statements.update(await self._statements(said, text, message))
        if message.judgement.objection and not imported:
            return _trivial(message.judgement, submission.draft, message.embedding)
        kind = stated_by(message.kinds)
        by_sentence = {
            sentence: stated_by(statement.kinds) for sentence, statement in said.statements.items()
        }
        stated = list(by_sentence.values())
        # Several tasks end one by one
        has_tasks = stated.count(MemoryType.PROSPECTIVE) > 1
        if has_tasks or (kind in stated and len(set(stated)) > 1):
            # The sentences are stored as the facts, tasks and how-tos that they are
            return _typed(submission, said, message, MemoryType.EPISODIC)
        for sentence, sentence_kind in by_sentence.items():
            if sentence_kind is kind:
                del said.statements[sentence]
        likelier_event = message.kinds[MemoryType.EPISODIC] >= message.kinds[kind]
        if kind is MemoryType.SEMANTIC and likelier_event:
            # A change told as an event: what it states may end, and that it happened stays true
            said.statements[text] = message
            return _typed(submission, said, message, MemoryType.EPISODIC)
        return _typed(submission, said, message, kind)

    async def _statements(
        self, said: CapturedMessage, text: str, message: JudgedText
    ) -> dict[str, JudgedText]:
        """The sentences of a message that state a fact, a task or a how-to, by their text.

        Steps of a how-to are no statements of their own, and tools state nothing. Of a message that
        is not worth keeping, only a question may have statements: what it says beside the question.
        """
        kept = message.judgement.worth >= WORTH_KEEPING
        if said.role.casefold() in TOOLS or not (kept or "?" in text):
            return {}
        howto = stated_by(message.kinds) is MemoryType.PROCEDURAL
        steps = steps_in(text) if howto else []
        sentences = [
            sentence
            for sentence in said.sentences
            if not any(sentence.endswith(step) or sentence in step for step in steps)
            and (kept or "?" not in sentence)
        ]
        judged = await self._judged(sentences, said.role) if sentences else []
        return {
            sentence: statement
            for sentence, statement in zip(sentences, judged, strict=True)
            if statement.judgement.worth >= WORTH_KEEPING
            and (kind := stated_by(statement.kinds)) is not MemoryType.EPISODIC
            and statement.kinds[kind] >= SURE
        }

    def _repeats(self, scope: Scope, draft: AnyDraft | UntypedDraft) -> bool:
        day = (draft.created_at or self.clock()).date()
        place = place_of(draft)
        repeated = self.recent.holds(scope, draft.content, day, place)
        if not repeated:
            self.recent.add(scope, draft.content, day, place)
        return repeated

    async def _judged(
        self,
        texts: list[str],
        role: str,
        position: MessagePosition | None = None,
        previous: str = "",
    ) -> list[JudgedText]:
        """How the trained models judge `texts` of a speaker with this role. position: in the
        conversation; None to judge each by itself. previous: the message before them.
        """
        embeddings = await self.embedder.embed_documents(texts)
        read = await self._read(texts, role, previous)

        def judge() -> list[JudgedText]:
            inputs = [
                self.judge.input_of(text, embedding)
                for text, embedding in zip(texts, embeddings, strict=True)
            ]
            return [
                JudgedText(
                    embedding,
                    self.judge.judged(model_input, position),
                    _weighed(
                        self.judge.stated(model_input, role), kinds, model_input.reading.english
                    ),
                )
                for embedding, model_input, kinds in zip(embeddings, inputs, read, strict=True)
            ]

        return await offload(texts, judge)

    async def _read(self, texts: list[str], role: str, previous: str) -> list[Kinds]:
        """What the reader says that each text states; nothing if there is none or it is busy."""
        if self.reader is None:
            return [{}] * len(texts)
        today = self.clock().date()
        statements = [
            ReadStatement(text, today, speaker_of(role), MemoryType.WORKING, previous)
            for text in texts
        ]
        try:
            return await self.reader.kinds(statements)
        except (Unavailable, Overloaded) as error:
            _log.warning("%d texts were not read: %s", len(texts), error)
            return [{}] * len(texts)


def _weighed(judged: Mapping[MemoryType, float], read: Kinds, english: float) -> Kinds:
    """The probability of what a text states, by the judge and the reader together."""
    share = READ_SHARE * english if read else 0.0
    return {
        kind: (1 - share) * probability + share * read.get(kind, 0.0)
        for kind, probability in judged.items()
    }


def _trivial(
    judgement: Judgement, draft: AnyDraft | UntypedDraft, embedding: Embedding | None = None
) -> Rejection:
    """The rejection of a trivial text, for which no reviewer is asked."""
    reason = f"trivial: {judgement.objection}"
    reviewed = Reviewed(
        decision=Decision.REJECT,
        importance=judgement.importance,
        reason=reason,
        tier=Tier.PREFILTER,
        cause="trivial",
    )
    return Rejection(reason, draft, embedding, reviewed, RejectionCause.TRIVIAL)


def stated_by(kinds: Mapping[MemoryType, float]) -> MemoryType:
    """What a captured text states, by the probability of each type (`Judge.stated`): the likeliest
    of a fact, a task and a how-to, if it is at least STATED; otherwise it only tells what happened.

    What changed is mostly told as something that happened, and is a fact all the same.
    """
    kind = max(_PARTS, key=kinds.__getitem__)
    return kind if kinds[kind] >= STATED else MemoryType.EPISODIC


def _typed(
    submission: Submission, said: CapturedMessage, judged: JudgedText, kind: MemoryType
) -> Submission:
    """`submission` with its judgement and the type `kind`; fields of the type follow from the text
    and the role.
    """
    classified = Classification.likeliest(judged.kinds, judged.embedding, lasting=True).as_type(
        kind
    )
    fields: dict[str, Any] = {}
    match kind:
        case MemoryType.EPISODIC:
            fields = {"event_type": _EVENTS.get(said.role, EventType.OBSERVATION)}
        case MemoryType.PROSPECTIVE:
            intention = IntentionType.COMMITMENT if is_machine(said.role) else IntentionType.TODO
            # Its session has ended
            fields = {"intention_type": intention, "visibility": Visibility.NAMESPACE}
        case MemoryType.PROCEDURAL:
            steps = steps_in(submission.draft.content)
            fields = {"steps": [step for step in steps if len(step) <= MAX_STEP]}
    fields["speaker"] = said.role
    return replace(with_type(submission, classified, fields), judgement=judged.judgement)
