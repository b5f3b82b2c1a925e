"""Synthetic texts and questions, with words as frequent as in conversations. A seed always gives
the same texts.

A text has 8 to 60 words: 40 % common words, most others from a dictionary, and some names that few
texts share, so that keyword search has something to match.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

_COMMON_TEXT = """
the a we it to and of in for that is was on with as this at be but not are from they have had one
can said there use
"""
_SYLLABLES_TEXT = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu bra cle dri flo gru"
_COMMON = tuple(_COMMON_TEXT.split())
_WORDS = tuple((Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split())
_SYLLABLES = tuple(_SYLLABLES_TEXT.split())
NAMES = 3_000
_FIRST_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_SPEAKERS = ("Ada", "Ben", "Cleo", "Dev", "Ema", "Finn")


@dataclass(frozen=True, slots=True)
class Turn:
    """A synthetic text, with a made-up speaker and time."""

    text: str
    speaker: str
    at: datetime


def turns(count: int, *, seed: int) -> Iterator[Turn]:
    """`count` turns with distinct texts, one minute apart in time."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        length = int(rng.integers(8, 60))
        text = _sentence(rng, length)
        speaker = _SPEAKERS[int(rng.integers(len(_SPEAKERS)))]
        yield Turn(f"{text} {name(seed)}-{index}.", speaker, _FIRST_TIME + timedelta(minutes=index))


def questions(count: int, *, seed: int) -> list[str]:
    """`count` distinct questions of 6 to 14 words."""
    rng = np.random.default_rng([seed, 1])
    return [
        f"What about {_sentence(rng, int(rng.integers(5, 13))).lower()} {index}?"
        for index in range(count)
    ]


def name(index: int) -> str:
    """Made-up name number `index`: three syllables."""
    syllables = []
    for _ in range(3):
        index, digit = divmod(index, len(_SYLLABLES))
        syllables.append(_SYLLABLES[digit])
    return "".join(syllables).capitalize()


def _sentence(rng: np.random.Generator, length: int) -> str:
    kinds = rng.random(length)
    words = [_word(rng, kind) for kind in kinds]
    return " ".join(words).capitalize()


def _word(rng: np.random.Generator, kind: float) -> str:
    if kind < 0.4:
        return _COMMON[int(rng.integers(len(_COMMON)))]
    if kind < 0.95:
        return _WORDS[int(rng.integers(len(_WORDS)))]
    return name(min(int(rng.zipf(1.3)), NAMES))
