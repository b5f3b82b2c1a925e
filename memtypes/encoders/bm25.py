"""BM25 encoder: splits a text into words, and gives each stem a weight, which the store multiplies
by the IDF.

The average document length is a constant, so a document's weights never depend on other documents.

How a text, in any script, becomes words:

- It is split at anything that is not a letter, digit or mark, and lower-cased without accents:
  "Café" matches "cafe".
- A compound gives itself and its parts, so that both match: `getUserName` gives getusername, get,
  user and name. Other compounds are `v1.2.3`, `foo_bar`, `dry-run` and `src/main.py`.
- Scripts without blanks (such as Han, kana and Thai) and Hangul give every character and every pair
  of adjacent characters.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import Stemmer

from memtypes.ports.encoders import SparseEncoder
from memtypes.search.vectors import SparseVector

VERSION = 1
"""Version of terms and weights. After a change, stored memories must be encoded again
(`remembrancer reembed`).
"""

CACHED_WORDS = 200_000
"""Number of words whose term ids are cached, in about 20 MB. The cache is cleared when it is
full.
"""

LANGUAGE = "english"
K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 40.0
"""Number of words of an average document; facts have 15 on average, turns 30, how-tos 75.

A larger value gains up to .01 recall at 10 on how-tos, and loses .03 on messages of 300 words.
"""

_QUESTION = (
    "what when where which who whom whose how why do does did is are was were has have had "
    "can could will would should"
)
QUESTION_WORDS = frozenset(_QUESTION.split())
"""Words that make a text a question; they are left out of queries.

Recall at 10 without and with these words: LoCoMo turns .645 and .607, LoCoMo observations .721 and
.696, tldr .712 and .712. A usual list of stop words costs .026 on tldr, where `from`, `all` and
`to` distinguish one how-to from another.
"""

MAX_WORD = 64
"""Maximum characters of a word; longer words, such as keys and encoded images, are truncated."""

# Thai, Lao and Tibetan; Myanmar; Khmer; kana; Han; Hangul.
_UNSPACED = (
    "\u0e01-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003134f"
)
# Marks are not word characters to `re`, but parts of Hebrew, Arabic and Indic words.
_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u0900-\u0903\u093a-\u094f\u0962-\u0963\u0981-\u0dff\u200c\u200d"
)
_EMOJI = "\u2600-\u27bf\U0001f300-\U0001faff"

_POSSESSIVE = re.compile(r"(?<=\w)['\u2019][sS]\b")
_ACCENT = re.compile("[\u0300-\u036f]")
_COMPOUND = re.compile(
    rf"[\w{_MARKS}{_UNSPACED}]+(?:[./:@\\-][\w{_MARKS}{_UNSPACED}]+)*|[{_EMOJI}]"
)
_PIECE = re.compile(rf"(?P<run>[{_UNSPACED}]+)|(?:(?![{_UNSPACED}])[^\W_]|[{_MARKS}])+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")


class Bm25Encoder(SparseEncoder):
    """Turns a text into term ids and their BM25 weights, without a model. Thread-safe."""

    fingerprint = f"bm25-{VERSION}:{LANGUAGE}:k1={K1:g}:b={B:g}:avg={AVERAGE_LENGTH:g}"
    """Text that identifies terms and weights. Documents and queries must be encoded under the same
    fingerprint.
    """

    def __init__(self) -> None:
        self._stemmer = Stemmer.Stemmer(LANGUAGE, 0)  # 0: without its cache
        self._stemming = threading.Lock()  # stemmers are not thread-safe
        self._terms: dict[str, int] = {}

    def encode_query(self, text: str) -> SparseVector:
        """Return weight 1 for each distinct term of a query, without QUESTION_WORDS unless it has
        no other words.
        """
        query = list(words(text))
        content = [word for word in query if word not in QUESTION_WORDS] or query
        return _vector(dict.fromkeys(self._terms_of(content), 1.0))

    def encode_document(self, text: str) -> SparseVector:
        """Return the saturated term frequency of each distinct term of a document.

        The formula is tf (k1 + 1) / (tf + k1 (1 - b + b length / average)); Robertson and Zaragoza
        2009.
        """
        counts = Counter(self._terms_of(words(text)))
        norm = K1 * (1 - B + B * counts.total() / AVERAGE_LENGTH)
        return _vector({term: count * (K1 + 1) / (count + norm) for term, count in counts.items()})

    def _terms_of(self, tokens: Iterable[str]) -> list[int]:
        return [self._terms.get(word) or self._learn(word) for word in tokens]

    def _learn(self, word: str) -> int:
        """Return and cache the term id of a word: the CRC-32 of its stem, the same on every
        machine.
        """
        with self._stemming:
            term = zlib.crc32(self._stemmer.stemWord(word).encode("utf-8", "surrogatepass"))
            if len(self._terms) >= CACHED_WORDS:
                self._terms.clear()
            self._terms[word] = term
        return term


def _vector(weights: Mapping[int, float]) -> SparseVector:
    """Sparse vector of `weights` by term id. Words with the same id (a CRC-32 collision) count as
    one term.
    """
    terms = sorted(weights)
    values = [weights[term] for term in terms]
    return SparseVector(np.array(terms, dtype=np.uint32), np.array(values, dtype=np.float32))


def words(text: str) -> Iterator[str]:
    """Yield the words of `text` in lower case, in order, with repetitions, as the module's
    docstring says.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _ACCENT.sub("", unicodedata.normalize("NFKD", text)))
    text = _POSSESSIVE.sub("", text)
    # CamelCase, checked once for the text, because few texts have it
    humps = _HUMP.search(text) is not None
    for compound in _COMPOUND.findall(text):
        if compound.isalnum() and compound.isascii() and not (humps and _HUMP.search(compound)):
            yield compound.lower()[:MAX_WORD]
        elif _HAS_UNSPACED.search(compound):
            for piece in _PIECE.finditer(compound):
                if run := piece["run"]:
                    yield from run
                    yield from (run[start : start + 2] for start in range(len(run) - 1))
                else:  # a word of another script
                    yield piece.group().lower()[:MAX_WORD]
        else:
            members = [
                member
                for piece in _PIECE.finditer(compound)
                for member in _HUMP.split(piece.group())
            ]
            if len(members) != 1 and compound.strip("_"):
                yield compound.lower()[:MAX_WORD]
            yield from (member.lower()[:MAX_WORD] for member in members)
