"""Has a reader read new texts together with the stored memories that they could mean.

It runs before a write takes the lock of its namespace. The writer then makes the changes, as far
as the memories are still as they were read. A message that is not kept as a memory is read, too:
"done, off my plate" is worth no memory and ends a task.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import anyio.to_thread
import numpy as np

from ingest.identity.acts import (
    MIN_COSINE,
    Deeds,
    Told,
    could_mean,
    deeds_of,
    pair,
)
from ingest.identity.duplicates import is_public
from ingest.identity.stored import Neighbour
from ingest.screening.due.reading import TIMEZONE, due_in, zone_of
from ingest.screening.submission import Heard
from ingest.screening.text_features import speaker_of
from ingest.writing.drafts import PendingWrite
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore, RelatedSearch, SimilarSearch
from memtypes.ports.reader import Act, Reader
from memtypes.search.vectors import DenseVector

DEPTH = 8
"""Number of nearest tasks, and of nearest facts, among which a text is looked for."""

MAX_TEXT = 1_000
"""Maximum characters of a text that is read. A longer one is a document, not something said."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """A text to read, with the zone in which its days are read, and its vector."""

    told: Told
    vector: DenseVector
    zone: object


@dataclass(frozen=True, slots=True)
class Consultation:
    """Asks the reader what new texts do to stored memories. Without a reader they do nothing."""

    store: MemoryStore
    reader: Reader | None

    async def deeds(
        self,
        scope: Scope,
        now: datetime,
        entries: Sequence[PendingWrite],
        heard: Sequence[Heard],
    ) -> list[Deeds]:
        """What the texts of `entries`, about to be written, and those of `heard` do to memories, in
        the order in which they were said. Nothing if the reader does not answer.
        """
        if self.reader is None:
            return []
        texts = [*_texts_of(entries), *(_heard_text(scope, each, now) for each in heard)]
        texts = [text for text in texts if len(text.told.text) <= MAX_TEXT]
        if not texts:
            return []
        texts.sort(key=lambda text: text.told.said_at)
        stored = await self._near(scope, now, texts)
        meant = [
            could_mean(text.told, [*near, *_among(entries, text)], now)
            for text, near in zip(texts, stored, strict=True)
        ]
        pairs = [
            pair(text.told, memory)
            for text, memories in zip(texts, meant, strict=True)
            for memory in memories
        ]
        if not pairs:
            return []
        try:
            acts = iter(await self.reader.acts(pairs))
        except (Unavailable, Overloaded) as error:
            _log.warning("%d pairs of texts were not read: %s", len(pairs), error)
            return []
        deeds = [
            deeds_of(text.told, [(memory, next(acts)) for memory in memories])
            for text, memories in zip(texts, meant, strict=True)
        ]
        pending = zip(texts, deeds, strict=True)
        return [await _with_due(text, made) for text, made in pending if made.deeds]

    async def _near(
        self, scope: Scope, now: datetime, texts: Sequence[_Text]
    ) -> list[list[Neighbour]]:
        """For each text, the stored tasks near it, and facts if it states a fact."""
        searches: list[SimilarSearch] = []
        owners: list[int] = []
        for position, text in enumerate(texts):
            kinds = [MemoryType.PROSPECTIVE]
            if text.told.kind is MemoryType.SEMANTIC:
                kinds.append(MemoryType.SEMANTIC)
            for kind in kinds:
                searches.append(SimilarSearch(kind, text.vector, MIN_COSINE, DEPTH))
                owners.append(position)
        related = await self.store.related(scope, RelatedSearch(now, {}, searches))
        near: list[list[Neighbour]] = [[] for _ in texts]
        for owner, hits in zip(owners, related.similar, strict=True):
            for known_id, cosine in hits.items():
                if known_id in related.memories:
                    near[owner].append(Neighbour(related.memories[known_id].at(now), cosine))
        return near


def _texts_of(entries: Sequence[PendingWrite]) -> list[_Text]:
    """The texts of memories that are about to be written.

    A message is read as a whole. A sentence of it that is a memory of its own is read only if it is
    a fact, which may replace another one.
    """
    texts: list[_Text] = []
    for position, entry in enumerate(entries):
        memory = entry.memory
        is_part = entry.said is not None and entry.said.part
        is_fact = memory.type is MemoryType.SEMANTIC and is_public(memory)
        if entry.embedding is None or (is_part and not is_fact):
            continue
        if memory.type is MemoryType.WORKING:  # a note of work in progress tells nobody anything
            continue
        told = Told(
            memory.content,
            memory.created_at,
            _speaker(entry),
            memory.type,
            before=entry.said.previous if entry.said is not None else "",
            position=position,
            session_id=memory.session_id,
            source=memory.source,
            due_at=getattr(memory, "due_at", None),
        )
        texts.append(_Text(told, entry.embedding.dense, memory.metadata.get(TIMEZONE)))
    return texts


def _heard_text(scope: Scope, heard: Heard, now: datetime) -> _Text:
    draft = heard.submission.draft
    said = heard.submission.said
    told = Told(
        draft.content,
        draft.created_at or now,
        speaker_of(said.role if said is not None else None),
        MemoryType.WORKING,
        before=said.previous if said is not None else "",
        session_id=draft.session_id or scope.session_id,
        source=draft.source,
    )
    return _Text(told, heard.embedding.dense, draft.metadata.get(TIMEZONE))


def _speaker(entry: PendingWrite) -> str:
    if entry.said is not None:
        return speaker_of(entry.said.role)
    return speaker_of(getattr(entry.memory, "speaker", None))


def _among(entries: Sequence[PendingWrite], text: _Text) -> list[Neighbour]:
    """The memories of this write near `text`: a session may state a task and end it."""
    near: list[Neighbour] = []
    for position, entry in enumerate(entries):
        if entry.embedding is None or position == text.told.position:
            continue
        if entry.memory.type in (MemoryType.PROSPECTIVE, MemoryType.SEMANTIC):
            cosine = float(np.dot(entry.embedding.dense, text.vector))
            near.append(Neighbour(entry.memory, cosine))
    return near


async def _with_due(text: _Text, deeds: Deeds) -> Deeds:
    """`deeds` with the time that the text names, if it moves a task and is no task itself."""
    moves = any(deed.act is Act.MOVES and deed.sure for deed in deeds.deeds)
    told = deeds.told
    if not moves or told.due_at is not None:
        return deeds
    due = await anyio.to_thread.run_sync(due_in, told.text, told.said_at, zone_of(text.zone))
    return deeds if due is None else replace(deeds, told=replace(told, due_at=due.at))


def targets(deeds: Sequence[Deeds]) -> dict[str, MemoryType]:
    """The ids of the memories that the deeds are about, with a type of each."""
    return {
        deed.id: MemoryType.SEMANTIC
        if deed.act in (Act.REPLACES, Act.WRONG)
        else MemoryType.PROSPECTIVE
        for made in deeds
        for deed in made.deeds
    }
