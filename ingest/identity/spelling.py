"""Decides whether two texts are the same but for spelling: "colour" and "color", "e-mail" and
"email", "log in" and "login", "Zürich" and "Zurich", or a slip such as "databse".

Both texts need the same words in the same order. A changed number, sign or name is no matter of
spelling, and neither is a changed ending: "deploy" and "deploys", "lives" and "lived".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Set
from typing import TypeAlias

from ingest.identity.duplicates import wording

IsWord: TypeAlias = Callable[[str], bool]
"""Whether a text in lower case is a common word, rather than a slip or a rare name."""

MIN_SLIP = 5
"""Minimum letters of a word in which one letter may be a slip: short words differ in one letter all
the time.
"""

_ENDING = 2
"""Number of last letters in which a difference is an ending, not a slip."""

_UMLAUTS = frozenset("äöüß")

_VARIANTS = [
    (re.compile(pattern), form)
    for pattern, form in (
        (r"(?<=[a-z]{3})our(?=\b|s\b|ed|ing|ful|able|ite|ably)", "or"),  # colour
        (r"(?<=[a-z]{3})is(?=(?:e|es|ed|ing|ation|ations|er|ers)\b)", "iz"),  # organise
        (r"(?<=[a-z]{2})ys(?=(?:e|es|ed|ing|er|ers)\b)", "yz"),  # analyse
        (r"(?<=[a-z]{2}[bct])re(?=s?\b)", "er"),  # centre
        (r"(?<=[a-z]{2}og)ue(?=s?\b)", ""),  # catalogue
        (r"(?<=[a-z]{2}[aeiou]l)l(?=(?:ed|ing|er|ers|ation|ations)\b)", ""),  # cancelled
        (r"(?<=[a-z]{3}en)c(?=es?\b)", "s"),  # licence
        (r"(?<=[a-z]{3})amme(?=s?\b)", "am"),  # programme
    )
]
"""British forms of endings, and the American ones."""


def same_but_for_spelling(first: str, second: str, is_word: IsWord | None = None) -> bool:
    """Whether both texts have the same words, spelled in another way.

    is_word: tells slips from words; None to allow none. A slip is one letter that is missing,
    added, wrong or in the other order, in a word that is no name, where only the other one is a
    common word. Texts of code are compared as they are.
    """
    if 1 in (len(wording(first)), len(wording(second))):
        return wording(first) == wording(second)
    names = {name.casefold() for text in (first, second) for name in _words_with_capitals(text)}
    plain = first.isascii() or second.isascii()  # written without accents
    first_words = [_canonical(word, names, plain=plain) for word in wording(first)]
    second_words = [_canonical(word, names, plain=plain) for word in wording(second)]
    if _joined(first_words) == _joined(second_words):
        return True
    if is_word is None or len(first_words) != len(second_words):
        return False
    for word, other in zip(first_words, second_words, strict=True):
        if word == other:
            continue
        may_be_slip = names.isdisjoint((word, other)) and _is_slip(word, other)
        if not may_be_slip or is_word(word) == is_word(other):
            return False
    return True


def slips(text: str, other: str, is_word: IsWord) -> int:
    """The number of words of `text` that are not in `other` and are no common words."""
    return sum(not is_word(word) for word in set(wording(text)) - set(wording(other)))


def _canonical(word: str, names: Set[str], *, plain: bool) -> str:
    # A German umlaut makes another word ("schon", "schön"), but in a name
    if plain and (word in names or _UMLAUTS.isdisjoint(word)):
        decomposed = unicodedata.normalize("NFD", word)
        word = "".join(char for char in decomposed if not unicodedata.combining(char))
    if any(char.isdigit() for char in word):
        return word
    word = word.replace("-", "") if word[:1].isalpha() else word
    for pattern, form in _VARIANTS:
        word = pattern.sub(form, word)
    return word


def _joined(words: list[str]) -> str:
    """The words as one text. Letters are joined, because "log in" is "login"; numbers are not."""
    return "".join(word if word.isalpha() else f" {word} " for word in words)


def _words_with_capitals(text: str) -> list[str]:
    """The words that may be names, as those at the beginning of a sentence are."""
    return [word for word in re.findall(r"[^\W\d_]+", text) if word != word.lower()]


def _is_slip(word: str, other: str) -> bool:
    """Whether two words differ by one slip within, neither in the first letter nor in the
    ending.
    """
    if word[:1] != other[:1] or word[-_ENDING:] != other[-_ENDING:]:
        return False
    longer, shorter = sorted((word, other), key=len, reverse=True)
    if len(shorter) < MIN_SLIP or not (word.isalpha() and other.isalpha()):
        return False
    start = 0
    while start < len(shorter) and longer[start] == shorter[start]:
        start += 1
    if len(longer) > len(shorter):
        return longer[start + 1 :] == shorter[start:]
    swapped = longer[start : start + 2] == shorter[start : start + 2][::-1]
    after = start + 2 if swapped else start + 1
    return longer[after:] == shorter[after:]
