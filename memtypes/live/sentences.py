"""Chooses, by rules, the most important sentences of a conversation that fit into a number of tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_WORD = re.compile(r"\b[^\W\d]\w{2,}")
_IMPORTANT = re.compile(
    r"\b(decid|agree|must|should|error|fail|fix|because|need|want|prefer|deadline|todo|never|always)", re.IGNORECASE
)

_MOST = 5
"""Maximum frequency of a word that counts for the score of a line; the frequency is the number of lines with it."""

_BONUS = float(_MOST)
"""Added to the score of a line about a decision, requirement or error, so that it ranks above all other lines."""


def sentences(text: str) -> list[str]:
    """The sentences and lines of `text`, without blank ones; each run of white space becomes one space."""
    split = (" ".join(sentence.split()) for sentence in _SENTENCE.split(text))
    return [sentence for sentence in split if sentence]


def most_important(lines: Sequence[str], cost: Callable[[str], int], limit: int) -> tuple[list[str], str]:
    """The best lines that cost at most `limit` together, in their order; and the best line, whatever it costs."""
    frequency = Counter(word for line in lines for word in set(_words(line)))
    by_score = sorted(range(len(lines)), key=lambda place: (-_score(lines[place], frequency), -place))
    selected: list[int] = []
    for place in by_score:
        needed = cost(lines[place])
        if needed <= limit:
            selected.append(place)
            limit -= needed
    return [lines[place] for place in sorted(selected)], lines[by_score[0]]


def _words(line: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(line)]


def _score(line: str, frequency: Counter[str]) -> float:
    """Importance of `line`: mean frequency of its words, plus _BONUS if it has a decision, requirement or error."""
    words = set(_words(line))
    if not words:
        return 0.0
    return sum(min(frequency[word], _MOST) for word in words) / len(words) + (
        _BONUS if _IMPORTANT.search(line) else 0.0
    )
