"""What turns that left said, by rule: the sentences that carry most, in their order, within a number of tokens."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

from anyio import to_thread

from memtypes.live.turns import LARGE, Turn
from memtypes.ports.tokenizer import Tokenizer

_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_WORD = re.compile(r"\w{3,}")
_TELLING = re.compile(
    r"\b(decid|agree|must|should|error|fail|fix|because|need|want|prefer|deadline|todo|never|always)", re.IGNORECASE
)
MAX_SENTENCE = 300


class Summariser(ABC):
    """Says in few words what turns were about."""

    @abstractmethod
    async def summary(self, before: str, turns: Sequence[Turn], limit: int) -> str:
        """A text of at most `limit` tokens about `turns` and what `before`, the summary so far, said."""


class RuleSummariser(Summariser):
    """Chooses sentences by rule: the same turns give the same text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    async def summary(self, before: str, turns: Sequence[Turn], limit: int) -> str:
        """See the port."""
        if sum(len(turn.content) for turn in turns) < LARGE:
            return by_rule(before, turns, limit, self._tokenizer)
        return await to_thread.run_sync(by_rule, before, turns, limit, self._tokenizer)


def by_rule(before: str, turns: Sequence[Turn], limit: int, tokenizer: Tokenizer) -> str:
    """The lines that weigh most within `limit` tokens, in their order; the summary so far weighs like what is new."""
    lines = list(dict.fromkeys([*before.splitlines(), *(line for turn in turns for line in _lines(turn))]))
    common = Counter(word for line in lines for word in set(_words(line)))
    order = sorted(range(len(lines)), key=lambda place: (-_weight(lines[place], common), -place))
    taken: list[int] = []
    room = limit
    for place in order:
        cost = tokenizer.count(lines[place] + "\n") + 1
        if cost <= room:
            taken.append(place)
            room -= cost
    text = "\n".join(lines[place] for place in sorted(taken))
    if not text and lines:
        text = tokenizer.truncate(lines[order[0]], limit).strip()
    return text if tokenizer.count(text) <= limit else tokenizer.truncate(text, limit)


def _lines(turn: Turn) -> list[str]:
    sentences = [" ".join(one.split()) for one in _SENTENCE.split(turn.content)]
    return [f"{turn.role}: {one[:MAX_SENTENCE]}" for one in sentences if one]


def _words(line: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(line)]


def _weight(line: str, common: Counter[str]) -> float:
    """Mean commonness of its words, more for one that decides, asks for or warns of something."""
    words = set(_words(line))
    if not words:
        return 0.0
    return sum(min(common[word], 5) for word in words) / len(words) + (3.0 if _TELLING.search(line) else 0.0)
