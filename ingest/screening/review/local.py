"""The built-in reviewers: local and deterministic. They read what a text says, never what it asks to be given."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.screening.prefilter import objection
from ingest.screening.review.consensus import IMPORTANCE, NOVELTY, RELEVANCE
from ingest.screening.review.likeness import likenesses
from ingest.screening.review.panel import ReviewFailed, UnderReview
from memtypes.model.policy import MemoryType
from memtypes.model.review import Vote
from memtypes.ports.memory_store import MemoryStore

_WORD = re.compile(r"[^\W\d_]+")
_WEIGHTS: tuple[tuple[re.Pattern[str], int, str], ...] = (
    (
        re.compile(r"\b(?:decid|decision|agreed|chose|must|never|always|require|deadline|commit)\w*", re.IGNORECASE),
        2,
        "a decision",
    ),
    (
        re.compile(
            r"\b(?:fail|error|outage|incident|bug|broke|crash|critical|security|allerg|emergency)\w*", re.IGNORECASE
        ),
        2,
        "a fault",
    ),
    (
        re.compile(
            r"\b(?:prefer|favou?rite|likes?|loves?|hates?|birthday|married|lives?|works?|born|name)\b", re.IGNORECASE
        ),
        1,
        "a person",
    ),
    (re.compile(r"\b(?:because|therefore|so that|in order to|due to|cause)\w*", re.IGNORECASE), 1, "a reason"),
    (re.compile(r"\b(?:remind|remember|don't forget|todo|need to|have to)\b", re.IGNORECASE), 1, "an intention"),
    (re.compile(r"\d|\b[A-Z]\w+ [A-Z]\w+"), 1, "a name or a number"),
)
_LEAST_WORDS = 3
_NOISE_SHARE = 0.4


def _vote(name: str, score: float, reason: str, *, trivial: bool | None = None) -> Vote:
    return Vote(reviewer=name, ok=True, scores={name: min(10.0, max(1.0, score))}, trivial=trivial, reason=reason)


@dataclass(frozen=True, slots=True)
class ImportanceReviewer:
    """How much would be lost without it: decisions, faults, people, reasons; filler is trivial."""

    name: str = IMPORTANCE

    async def vote(self, under: UnderReview) -> Vote:
        """Its vote; a text that says nothing is trivial."""
        trifle = objection(under.text)
        if trifle in {"filler", "no words"}:
            return _vote(self.name, 1, trifle, trivial=True)
        found = [(weight, what) for pattern, weight, what in _WEIGHTS if pattern.search(under.text)]
        score = 4 + sum(weight for weight, _ in found) + (1 if under.type is MemoryType.PROCEDURAL else 0)
        says = ", ".join(what for _, what in found) or "a plain statement"
        return _vote(self.name, score, f"holds {says}", trivial=False)


@dataclass(frozen=True, slots=True)
class RelevanceReviewer:
    """Pattern or noise: whether it reads as language, and states something."""

    name: str = RELEVANCE

    async def vote(self, under: UnderReview) -> Vote:
        """Its vote; what has hardly any words, or the same one over and over, is noise."""
        text = under.text.strip()
        words = [word.lower() for word in _WORD.findall(text)]
        letters = sum(map(str.isalnum, text)) / max(1, len("".join(text.split())))
        filler = objection(text) in ("filler", "no words")
        if filler or (words and len(words) > 8 and len(set(words)) / len(words) < 0.2):
            return _vote(self.name, 2, "noise: it states nothing", trivial=True)
        if letters < _NOISE_SHARE:
            return _vote(self.name, 3, "noise: mostly signs", trivial=True)
        if len(words) < _LEAST_WORDS and text.isascii():
            return _vote(self.name, 4, "too few words to say something", trivial=False)
        return _vote(self.name, 6 + min(2, len(set(words)) // 12), "it states something", trivial=False)


@dataclass(frozen=True, slots=True)
class NoveltyReviewer:
    """How far it is from what is stored: 10 less the likeness of the nearest memory of its type."""

    store: MemoryStore
    name: str = NOVELTY

    async def vote(self, under: UnderReview) -> Vote:
        """Its vote. Raises ReviewFailed without an embedding, and what the store raises."""
        if under.dense is None:
            raise ReviewFailed("novelty needs an embedding, and there is none")
        nearest = under.nearest
        if nearest is None:
            (nearest,) = await likenesses(self.store, under.scope, [(under.type, under.dense)])
        score = round(1 + 9 * (1 - max(0.0, nearest)), 2)
        return _vote(self.name, score, f"the nearest memory is {nearest:.2f} alike")
