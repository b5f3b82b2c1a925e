"""A text as its words: without what is written in several ways and says the same. Pure.

Case, spacing, punctuation, contractions, "the" and "an" go; every other word stays, in its place. So whoever did what,
when, how often and whether at all is told apart, which similar vectors are not (see benchmarks/LOG.md). What looks like
code, and a "no" with a pause behind it, is taken as it is written.
"""

from __future__ import annotations

import re

from memtypes.model.ids import normalise

_AS_WRITTEN = re.compile(r"[`{}<>=\\|@#*_~^/\[\]&]|(?<!\S)-{1,2}\w|\b(?:no|not|never)\s*[,.;:!\u2013\u2014-]")
_CONTRACTIONS = (
    (re.compile(r"\bcan't\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"\bcannot\b"), "can not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(i)'m\b"), r"\1 am"),
    (re.compile(r"\b(you|we|they)'re\b"), r"\1 are"),
    (re.compile(r"\b(i|you|we|they)'ve\b"), r"\1 have"),
    (re.compile(r"\b(i|you|we|they|he|she|it)'ll\b"), r"\1 will"),
    (re.compile(r"\b(he|she|it|that|there)'s\b"), r"\1 is"),
)
_WORD = re.compile(
    r"[-+]?[$\u20ac\u00a3]?\d+(?:[.,:-]\d+)*%?\w*|[^\W\d]+(?:['-]\w+)*|[^\w\s.,;:!\"'()\u2013\u2014\u2026-]"
)
_DROPPED = frozenset(["the", "an"])


def wording(text: str) -> tuple[str, ...]:
    """The words of `text` that tell it from others, in order; a question ends with its mark."""
    folded = normalise(text).casefold().replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"')
    if _AS_WRITTEN.search(folded):
        return (folded,)
    if "'" in folded or "cannot" in folded:
        for pattern, spelled_out in _CONTRACTIONS:
            folded = pattern.sub(spelled_out, folded)
    return tuple(word for word in _WORD.findall(folded) if word not in _DROPPED)
