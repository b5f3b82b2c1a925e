"""Chooses, by rules, the most important sentences of a conversation that fit into a number of tokens."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

_SENTENCE = re.compile(r"(?<=[.!?])(?<!\b\d\.)(?<!\b\d\d\.)\s+|(?<=[\u3002\uff01\uff1f])|\n+")  # not in "12. Juni"
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")  # a Chinese or Japanese character counts as a word
_ROLE = re.compile(r"^\w+: ")

_LEAST = 0.5  # part of the mean score below which a line is left out even if there is room for it


def sentences(text: str) -> list[str]:
    """The sentences and lines of `text`, without blank ones; each run of white space becomes one space."""
    split = (" ".join(sentence.split()) for sentence in _SENTENCE.split(text))
    return [sentence for sentence in split if sentence]


def most_important(
    lines: Sequence[str], cost: Callable[[str], int], limit: int, others: Sequence[str] = ()
) -> tuple[list[str], str]:
    """The lines with the rarest words that cost at most `limit` together, in their order; and the single best line.

    Weak lines are left out even if there is room; the best line is for callers to cut if no line fits. cost: of a line,
    in the unit of `limit`. others: more lines of the conversation, which only show which words are common in it.
    """
    scores = _scores(lines, others)
    least = _LEAST * math.fsum(scores) / len(lines)
    by_score = sorted(range(len(lines)), key=lambda place: (-scores[place], -place))
    selected: list[int] = []
    for place in by_score:
        needed = cost(lines[place])
        if needed <= limit and scores[place] >= least:
            selected.append(place)
            limit -= needed
    return [lines[place] for place in sorted(selected)], lines[by_score[0]]


def _scores(lines: Sequence[str], others: Sequence[str]) -> list[float]:
    """Importance of each of `lines`: how rare its words are in the conversation, so that "Thanks!" weighs little.

    The formula is sum(log((N + 1) / df)) / (words + mean words), where N is the number of lines and others, and df that
    of these with a word (Spärck Jones 1972); the divisor is the pivoted length normalisation of Singhal, Buckley and
    Mitra 1996 with slope 1/2. Words include numbers, but not a role ("user: ") at the start of the line.
    """
    words = [_WORD.findall(_ROLE.sub("", line).lower()) for line in (*lines, *others)]
    frequency = Counter(word for each in words for word in set(each))
    mean = max(1.0, sum(map(len, words)) / len(words))
    weight = {word: math.log((len(words) + 1) / count) for word, count in frequency.items()}
    return [math.fsum(map(weight.__getitem__, set(each))) / (len(each) + mean) for each in words[: len(lines)]]
