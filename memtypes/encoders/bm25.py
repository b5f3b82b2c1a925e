"""BM25 term weights: the document's half here, IDF in the store.

Knows words, stems and Robertson's formula. Does not know any collection: the average length is a constant, so that a
document's weights never change when others come.
"""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import Stemmer

from memtypes.encoders.words import words
from memtypes.model.errors import InvalidRequest
from memtypes.ports.encoders import SparseEncoder
from memtypes.search.vectors import SparseVector

VERSION = 1
"""Rises with every change that gives a text other terms or weights: what is stored then needs `reembed`."""

REMEMBERED = 200_000
"""Words whose term ids are kept: about 20 MB. The table starts anew when it is full."""

_ENGLISH = (
    "what when where which who whom whose how why do does did is are was were has have had can could will would should"
)
QUESTION_WORDS: Mapping[str, frozenset[str]] = MappingProxyType({"english": frozenset(_ENGLISH.split())})
"""The words of a question's form, by language: left out of queries, since they say nothing about what is sought.

Measured, R@10 with and without them: LoCoMo turns .645 and .607, observations .721 and .696, tldr .712 and .712. A
customary list of stop words costs tldr .026: there `from`, `all` and `to` are what tells one how-to from another.
"""


@dataclass(frozen=True, slots=True)
class Bm25Settings:
    """language: a Snowball stemmer's name. k1, b: Robertson's.

    average_length: of a document, in words; between the 15 of stated facts, the 30 of turns and the 75 of how-tos. A
    larger one gains up to .01 R@10 on those, and loses .03 on messages of 300 words.
    """

    language: str = "english"
    k1: float = 1.2
    b: float = 0.75
    average_length: float = 40.0


class Bm25Encoder(SparseEncoder):
    """Any text to terms and weights; may be used by several threads at once."""

    def __init__(self, settings: Bm25Settings | None = None) -> None:
        self._settings = settings or Bm25Settings()
        if self._settings.language not in Stemmer.algorithms():
            raise InvalidRequest(f"no stemmer for {self._settings.language!r}", got=self._settings.language)
        self._stemmer = Stemmer.Stemmer(self._settings.language, 0)  # 0: no cache of its own
        self._stemming = threading.Lock()  # a stemmer is not made for several threads
        self._terms: dict[str, int] = {}
        self._question_words = QUESTION_WORDS.get(self._settings.language, frozenset())

    @property
    def fingerprint(self) -> str:
        """Names the weights; equal only when what was indexed with one may be searched with the other."""
        used = self._settings
        return f"bm25-{VERSION}:{used.language}:k1={used.k1:g}:b={used.b:g}:avg={used.average_length:g}"

    def encode_query(self, text: str) -> SparseVector:
        """1 for each distinct term of the query, question words aside unless there is nothing else."""
        found = list(words(text))
        sought = [word for word in found if word not in self._question_words] or found
        return _vector(dict.fromkeys(self._terms_of(sought), 1.0))

    def encode_document(self, text: str) -> SparseVector:
        """BM25's saturated term frequency of each distinct term.

        tf (k1 + 1) / (tf + k1 (1 - b + b length / average)); Robertson and Zaragoza 2009.
        """
        counts = Counter(self._terms_of(words(text)))
        used = self._settings
        norm = used.k1 * (1 - used.b + used.b * counts.total() / used.average_length)
        return _vector({term: count * (used.k1 + 1) / (count + norm) for term, count in counts.items()})

    def _terms_of(self, found: Iterable[str]) -> list[int]:
        known = self._terms
        return [known.get(word) or self._learn(word) for word in found]

    def _learn(self, word: str) -> int:
        """The term id of a word that is new here: the CRC-32 of its stem, the same on every machine."""
        with self._stemming:
            term = zlib.crc32(self._stemmer.stemWord(word).encode("utf-8", "surrogatepass"))
            if len(self._terms) >= REMEMBERED:
                self._terms.clear()
            self._terms[word] = term
        return term


def _vector(weights: Mapping[int, float]) -> SparseVector:
    """The weights with their terms ascending. Words whose ids collide were counted as one term."""
    terms = sorted(weights)
    values = [weights[term] for term in terms]
    return SparseVector(np.array(terms, dtype=np.uint32), np.array(values, dtype=np.float32))
