"""Decides whether two texts say the same thing in other words, by their cosine and the words in
which they differ.

The vectors of "moved to Monday" and "moved to Tuesday" are hardly different. So texts that share
about half of their words (_SAME_FORM), and have different content words at one place, never say the
same. Nor do texts with different numbers, or of which only one has a negation.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from ingest.identity.duplicates import wording
from memtypes.words import lexicon

SAME_MEANING = 0.68
"""Minimum cosine at which two texts of different form count as saying the same.

Of the labelled pairs (`tests/data/paraphrases.jsonl`), 22 of the 28 that say the same in other
words are found, and 3 of the 37 that differ in one thing are wrongly taken for the same. From 0.66
to 0.70, it is 21 or 22, and 3; at 0.74, 18 and 2.
"""

_SAME_FORM = 0.55
"""Minimum share of words in the same order (`SequenceMatcher.ratio`) at which two texts have the
same form.
"""

_CONTENT = 4
"""Minimum number of letters of a content word."""

_NEGATIONS = frozenset(lexicon()["statements"]["negation"].split(", "))
_SUFFIX = re.compile(r"(?:'s|ing|ed|s)$")
_NUMBER = re.compile(r"\d[\d.,:]*")


def says_the_same(first: str, second: str, cosine: float) -> bool:
    """Whether both texts say the same thing, perhaps in other words. cosine: similarity of their
    vectors.
    """
    if _stems(first) == _stems(second):
        return True
    return cosine >= SAME_MEANING and not differ(first, second)


def differ(first: str, second: str) -> bool:
    """Whether the words of two texts show that they say different things, however near their
    vectors are.
    """
    first_words = _stems(first)
    second_words = _stems(second)
    if first_words == second_words:
        return False
    if _facts(first) != _facts(second):
        return True
    matcher = SequenceMatcher(None, first_words, second_words, autojunk=False)
    if matcher.ratio() < _SAME_FORM:
        return False
    return any(
        tag == "replace"
        and _has_content(first_words[start:end])
        and _has_content(second_words[other:last])
        for tag, start, end, other, last in matcher.get_opcodes()
    )


def _stems(text: str) -> list[str]:
    return [_SUFFIX.sub("", word) for word in wording(text)]


def _has_content(words: list[str]) -> bool:
    return any(len(word) >= _CONTENT for word in words)


def _facts(text: str) -> tuple[set[str], bool]:
    """The numbers in `text`, and whether it has a negation."""
    return set(_NUMBER.findall(text)), not _NEGATIONS.isdisjoint(wording(text))
