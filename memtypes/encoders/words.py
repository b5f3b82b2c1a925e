"""The words of a text, as a sparse index knows them: text in any script to lower-case words, in order.

Knows scripts and identifiers. Does not know stemming or weights.

- Words are split at anything that is neither letter, digit nor mark; accents are folded, so "Café" and "cafe" are one.
- A compound gives itself and its parts: `getUserName` gives getusername, get, user and name; `v1.2.3`, `foo_bar`,
  `dry-run` and `src/main.py` likewise. So both an exact and a loose mention find it.
- Scripts written without blanks (Han, kana, Thai and their neighbours), and Hangul with its attached particles, give
  each character and each pair of neighbours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

LONGEST = 64
"""A longer word is cut: nobody asks for the rest of a key or an encoded picture."""

# Thai, Lao and Tibetan; Myanmar; Khmer; kana; Han; Hangul.
_UNSPACED = (
    "\u0e01-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003134f"
)
# Marks are no word characters to `re`, yet they stand inside Hebrew, Arabic and Indic words.
_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u0900-\u0903\u093a-\u094f\u0962-\u0963\u0981-\u0dff\u200c\u200d"
)
_EMOJI = "\u2600-\u27bf\U0001f300-\U0001faff"

_POSSESSIVE = re.compile(r"(?<=\w)['\u2019][sS]\b")
_ACCENT = re.compile("[\u0300-\u036f]")
_COMPOUND = re.compile(rf"[\w{_MARKS}{_UNSPACED}]+(?:[./:@\\-][\w{_MARKS}{_UNSPACED}]+)*|[{_EMOJI}]")
_PIECE = re.compile(rf"(?P<run>[{_UNSPACED}]+)|(?:(?![{_UNSPACED}])[^\W_]|[{_MARKS}])+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")


def words(text: str) -> Iterator[str]:
    """The lower-case words of `text`, in order; a word that repeats comes as often as it stands there."""
    text = _POSSESSIVE.sub("", text if text.isascii() else _folded(text))
    humps = _HUMP.search(text) is not None  # looked for once: hardly any text has one
    for whole in _COMPOUND.findall(text):
        if whole.isalnum() and whole.isascii() and not (humps and _HUMP.search(whole)):
            yield whole.lower()[:LONGEST]
        elif _HAS_UNSPACED.search(whole):
            yield from _unspaced(whole)
        else:
            yield from _compound(whole)


def _folded(text: str) -> str:
    """NFKC without accents: the many forms of one letter become one."""
    return unicodedata.normalize("NFKC", _ACCENT.sub("", unicodedata.normalize("NFKD", text)))


def _compound(whole: str) -> Iterator[str]:
    """The compound and its parts; a single word, or an emoji, alone."""
    parts = [hump for piece in _PIECE.finditer(whole) for hump in _HUMP.split(piece.group())]
    if len(parts) != 1 and whole.strip("_"):
        yield whole.lower()[:LONGEST]
    for part in parts:
        yield part.lower()[:LONGEST]


def _unspaced(whole: str) -> Iterator[str]:
    """Each character and pair of the runs without blanks; the words between them as they are."""
    for piece in _PIECE.finditer(whole):
        run = piece["run"]
        if run is None:
            yield piece.group().lower()[:LONGEST]
            continue
        yield from run
        yield from (run[at : at + 2] for at in range(len(run) - 1))
