"""A finished retrieval: its answer, and everything from which the answer was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from memtypes.model.scope import Scope
from memtypes.ports.encoders import Tokenizer
from memtypes.search.candidates import Candidates
from retrieval.answer import RetrieveAnswer
from retrieval.context.choice import Choice
from retrieval.context.render import ShownMemory
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import RankedCandidates


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """A finished retrieval with everything that its receipt records.

    request: with the tokenizer and the budgets that were used. first: the request of the first
    choice if a provider counted more tokens than allowed, and memories were chosen again among
    those; else None. as_of: the time that the request asks about. weights: of the signals.
    embedder: fingerprint of the encoder. reader: that of the model that read the best hits, if they
    were read. ended: memories that had expired or were superseded at
    `as_of`. shown: memories in the context, working items first.
    """

    scope: Scope
    request: RetrieveRequest
    first: RetrieveRequest | None
    as_of: datetime
    weights: Mapping[str, float]
    embedder: str
    reader: str | None
    tokenizer: Tokenizer
    ranked: RankedCandidates
    ended: Candidates
    choice: Choice
    shown: tuple[ShownMemory, ...]
    answer: RetrieveAnswer
