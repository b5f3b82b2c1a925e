"""Screens messages captured from conversations: drops trivial or repeated ones, and finds the types
of the others.

Texts that a caller writes explicitly pass unchanged. Each message is judged in its conversation.
After the message, each of its sentences is submitted as a part. A part is stored as a separate
fact, task or how-to if it is worth keeping and its type differs from that of the message, such as a
request within a report. If the message is not worth keeping, a part is stored only if the message
is a question and the part is not. Parts of a repeated message or of a tool's output, and the steps
of a procedure, are not stored.
"""

from __future__ import annotations

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
    Rejection,
    ReviewMode,
    Submission,
    UntypedDraft,
    with_type,
)
from ingest.screening.text_features import TOOLS, is_machine
from memtypes.model.episodic import EventType
from memtypes.model.ids import normalise
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import IntentionType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.ports.erasure import Erasable
from memtypes.search.vectors import Embedding

RECENT = 100
MAX_SCOPES = 1_000

DUPLICATE = "duplicate of one of the last 100 messages"
NO_PART = "part of a message"

SURE = 0.6
"""Minimum probability of its type at which a sentence is stored in addition to its message."""

_PARTS = frozenset((MemoryType.PROSPECTIVE, MemoryType.SEMANTIC, MemoryType.PROCEDURAL))
"""The memory types of parts that are stored. Events are not among them: the whole message tells
what happened.
"""

_EVENTS = {"user": EventType.USER_QUERY, "assistant": EventType.AGENT_RESPONSE}

MAX_STEP = 10_000

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
        """Whether a recent message of the namespace has the same text and day, but another place
        (session, turns).
        """
        normalised = normalise(text)
        recent = self._texts.get(_key(scope), ())
        return any(
            (other, on) == (normalised, day) and other_place != place
            for other, on, other_place in recent
        )

    def add(self, scope: Scope, text: str, day: date, place: Place) -> None:
        """Remember a message, unless it is sent again from the same `place` (session and turns)."""
        texts = self._texts.setdefault(_key(scope), deque(maxlen=RECENT))
        entry = (normalise(text), day, place)
        if entry not in texts:
            texts.append(entry)

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


def _key(scope: Scope) -> tuple[str, str]:
    return scope.tenant, scope.namespace


@dataclass(frozen=True, slots=True)
class Prefilter:
    """Screening step that rejects trivial or repeated messages, and finds the memory types of the
    others.

    Submissions other than messages captured from conversations pass unchanged.
    """

    judge: Judge
    embedder: Embedder
    clock: Clock
    recent: RecentTexts = field(default_factory=RecentTexts)

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission with its type, embedding and judgement, or a rejection. Raises Overloaded
        or Unavailable.
        """
        said = submission.said
        if said is None or not isinstance(submission.draft, UntypedDraft):
            return submission
        if said.part:
            return await self._screen_part(submission, said)
        said.conversation.last = None
        if submission.review is not ReviewMode.SKIP and self._repeats(scope, submission.draft):
            return Rejection(DUPLICATE, submission.draft)
        text = submission.draft.content
        embedding, judgement, kinds = await self._judged(said, text)
        said.conversation.add(said.role, text, embedding)
        said.conversation.last = judgement.worth
        if judgement.objection and submission.review is not ReviewMode.SKIP:
            return Rejection(f"trivial: {judgement.objection}", submission.draft, embedding)
        typed = _typed(submission, said, kinds, embedding)
        said.conversation.last_type = typed.draft.type
        said.conversation.last_steps = getattr(typed.draft, "steps", ())
        return replace(typed, judgement=judgement)

    async def _screen_part(
        self, submission: Submission, said: CapturedMessage
    ) -> Submission | Rejection:
        """Screen a sentence of the last message. Returns a rejection unless it is stored as a
        memory by itself.
        """
        text = submission.draft.content
        talk = said.conversation
        worth = said.conversation.last
        stored = worth is not None and worth >= WORTH_KEEPING
        step = any(text.endswith(step) or text in step for step in talk.last_steps)
        if step or said.role.casefold() in TOOLS or worth is None or not (stored or talk.asks):
            return Rejection(NO_PART)
        embedding, judgement, kinds = await self._judged(said, text)
        typed = _typed(submission, said, kinds, embedding)
        kind = typed.draft.type
        sure = kind in _PARTS and kinds[MemoryType(kind)] >= SURE
        separate = kind is not talk.last_type if stored else "?" not in text
        if sure and separate and judgement.worth >= WORTH_KEEPING:
            return replace(typed, judgement=judgement)
        return Rejection(NO_PART)

    def _repeats(self, scope: Scope, draft: UntypedDraft) -> bool:
        day = (draft.created_at or self.clock()).date()
        place = (draft.source.thread_id, tuple(draft.source.turns)) if draft.source else (None, ())
        repeated = self.recent.holds(scope, draft.content, day, place)
        if not repeated:
            self.recent.add(scope, draft.content, day, place)
        return repeated

    async def _judged(
        self, said: CapturedMessage, text: str
    ) -> tuple[Embedding, Judgement, Mapping[MemoryType, float]]:
        (embedding,) = await self.embedder.embed_documents([text])
        position = None if said.part else MessagePosition(said.role, said.conversation, said.later)
        role = position.role if position else "user"

        def judge() -> tuple[Judgement, Mapping[MemoryType, float]]:
            model_input = self.judge.input_of(text, embedding)
            return self.judge.judged(model_input, position), self.judge.kinds(model_input, role)

        return embedding, *await offload([text], judge)


def _typed(
    submission: Submission,
    said: CapturedMessage,
    kinds: Mapping[MemoryType, float],
    embedding: Embedding,
) -> Submission:
    """`submission` with its likeliest type (never WORKING); fields of the type follow from the text
    and the role.
    """
    classified = Classification.likeliest(kinds, embedding, lasting=True)
    fields = dict[str, Any]()
    match classified.type:
        case MemoryType.EPISODIC:
            fields = {
                "speaker": said.role,
                "event_type": _EVENTS.get(said.role, EventType.OBSERVATION),
            }
        case MemoryType.PROSPECTIVE:
            intention = IntentionType.COMMITMENT if is_machine(said.role) else IntentionType.TODO
            # Its session has ended
            fields = {"intention_type": intention, "visibility": Visibility.NAMESPACE}
        case MemoryType.SEMANTIC:
            fields = {"confidence": round(classified.confidence, 2)}
        case MemoryType.PROCEDURAL:
            steps = steps_in(submission.draft.content)
            fields = {"steps": [step for step in steps if len(step) <= MAX_STEP]}
    return with_type(submission, classified, fields)
