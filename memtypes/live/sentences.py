"""Chooses, by rules, the most important sentences of a conversation that fit into a number of
tokens.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

# Not in "12. Juni"
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\b\d\.)(?<!\b\d\d\.)\s+|(?<=[\u3002\uff01\uff1f])|\n+")
# A Chinese or Japanese character counts as a word
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
_ROLE = re.compile(r"^\w+: ")

# Share of the mean score below which a line is left out even if there is room for it
_MIN_SCORE = 0.5


def sentences(text: str) -> list[str]:
    """The sentences and lines of `text`, without blank ones; each run of white space becomes one
    space.
    """
    split = (" ".join(sentence.split()) for sentence in _SENTENCE.split(text))
    return [sentence for sentence in split if sentence]


def most_important(
    lines: Sequence[str], cost: Callable[[str], int], limit: int, background: Sequence[str] = ()
) -> tuple[list[str], str]:
    """The most important lines that cost at most `limit` together, in their order; and the single
    best line.

    Lines with rare words are important. Unimportant lines are left out even if there is room. If no
    line fits, callers can cut the best line. cost: returns the cost of a line, such as its tokens.
    background: further lines of the conversation, which count only for how rare a word is.
    """
    scores = _scores(lines, background)
    minimum = _MIN_SCORE * math.fsum(scores) / len(lines)
    by_score = sorted(range(len(lines)), key=lambda index: (-scores[index], -index))
    selected: list[int] = []
    for index in by_score:
        line_cost = cost(lines[index])
        if line_cost <= limit and scores[index] >= minimum:
            selected.append(index)
            limit -= line_cost
    return [lines[index] for index in sorted(selected)], lines[by_score[0]]


def _scores(lines: Sequence[str], background: Sequence[str]) -> list[float]:
    """Importance of each of `lines`: how rare its words are in the conversation, so that "Thanks!"
    scores low.

    The formula is sum(log((N + 1) / df)) / (words + mean words). N is the number of lines,
    background included, and df the number of lines with a word (Spärck Jones 1972). The divisor is
    the pivoted length normalisation of Singhal, Buckley and Mitra 1996 with slope 1/2. Words
    include numbers, but not a role ("user: ") at the start of a line.
    """
    line_words = [_WORD.findall(_ROLE.sub("", line).lower()) for line in (*lines, *background)]
    frequency = Counter(word for words in line_words for word in set(words))
    mean = max(1.0, sum(map(len, line_words)) / len(line_words))
    weight = {word: math.log((len(line_words) + 1) / count) for word, count in frequency.items()}
    return [
        math.fsum(map(weight.__getitem__, set(words))) / (len(words) + mean)
        for words in line_words[: len(lines)]
    ]
