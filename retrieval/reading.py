"""Reads the best hits together with the query: a model that sees both texts orders them better than
similarity does.

The probabilities that it gives become the signal `reading` of a second ranking. Only the order of
the best hits changes; what is a hit, and what is shown at all, is decided without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.ports.encoders import SparseEncoder
from memtypes.ports.reader import Question, ReadStatement
from memtypes.search.candidates import TYPES
from retrieval.context.entries import EntryFields
from retrieval.dependencies import RetrieverParts
from retrieval.gather import Pool, Query
from retrieval.query.intent import Wish
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import RankedCandidates

READER_DEGRADED = "reader"
"""The entry in `degraded` which says that hits were to be read, and were not."""

SMALL_BUDGET = 1_000
"""Budget in tokens up to which `auto` reads: a larger one shows the best hits in any order."""

RIVAL_TERMS = 0.5
"""Share of the terms of the shorter text from which two memories may say two things of the same."""

_SPEAKER = "user"


@dataclass(frozen=True, slots=True)
class Readings:
    """Probabilities, by memory id, that hits answer the query; none if they were not read.

    reader: fingerprint of the model that read them. missed: whether they were to be read, and could
    not be.
    """

    probabilities: Mapping[str, float] = field(default_factory=dict)
    reader: str | None = None
    missed: bool = False


def wants_reading(query: Query, pool: Pool) -> bool:
    """Whether the best hits of `query` are to be read. A query for an overview is left out: no
    single memory answers it.
    """
    request = query.request
    if request.reader == "off" or not query.weights["reading"]:
        return False
    if request.reader == "always":
        return True
    is_small = not isinstance(request, RetrieveRequest) or request.allowance.total <= SMALL_BUDGET
    return is_small and pool.wish is Wish.OTHER


async def read_best(parts: RetrieverParts, query: Query, ranked: RankedCandidates) -> Readings:
    """Read the best hits. If not all of them can be read within the deadline, none counts, because
    the order would depend on which ones were.
    """
    request = query.request
    if parts.reader is None:
        return Readings(missed=request.reader == "always")
    best = {
        memory_id: TYPES[kind]
        for memory_id, kind in zip(
            ranked.hit_ids[: parts.read_hits],
            ranked.candidates.kinds[: ranked.hits].tolist(),
            strict=False,
        )
        if TYPES[kind] is not MemoryType.WORKING
    }
    if len(best) < 2:
        return Readings()
    texts = await parts.store.read_as(query.scope, best, EntryFields)
    memories = [_statement(memory) for memory in texts.values()]
    question = Question(request.query, query.times.as_of.date())
    try:
        answers = await parts.reader.answers(question, memories, request.reader_ms)
    except (Unavailable, Overloaded):
        return Readings(missed=True)
    read = {
        memory_id: answer
        for memory_id, answer in zip(texts, answers, strict=True)
        if answer is not None
    }
    if len(read) < len(texts):
        return Readings(missed=True)
    ranked_texts = [texts[memory_id] for memory_id in best if memory_id in texts]
    return Readings(keeping_newer_first(ranked_texts, read, parts.sparse), parts.reader.fingerprint)


def keeping_newer_first(
    ranked: Sequence[EntryFields], read: Mapping[str, float], sparse: SparseEncoder
) -> dict[str, float]:
    """The probabilities `read`, by id, raised so that a memory that ranks above an older one in
    nearly the same words stays above it: the reader does not know which of the two still holds.

    ranked: the memories, best first. sparse: gives the terms of their texts.
    """
    raised = dict(read)
    terms = [set(sparse.encode_document(memory.content).indices.tolist()) for memory in ranked]
    # From the last, so that what one memory is raised to raises those above it.
    for place in reversed(range(len(ranked))):
        newer = ranked[place]
        for below in range(place + 1, len(ranked)):
            older = ranked[below]
            shorter = min(len(terms[place]), len(terms[below]))
            shared = len(terms[place] & terms[below])
            is_rival = shorter > 0 and shared >= RIVAL_TERMS * shorter
            if is_rival and older.valid_from < newer.valid_from:
                raised[newer.id] = max(raised[newer.id], raised[older.id])
    return raised


def _statement(memory: EntryFields) -> ReadStatement:
    return ReadStatement(
        memory.content, memory.valid_from.date(), memory.speaker or _SPEAKER, memory.type
    )
