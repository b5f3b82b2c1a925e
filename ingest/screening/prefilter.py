"""What is trivial in a captured stream: too short, filler, or said a moment ago.

Explicit writes are never dropped here for being short; see `ingest.writing.drafts.Submission.captured`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.screening.filler import ABROAD, FILLER
from ingest.screening.gates import Rejection
from ingest.writing.drafts import ReviewMode, Submission
from memtypes.model.ids import normalise
from memtypes.model.scope import Scope

SHORT = 50
"""Characters under which a captured text is trivial unless it states something."""

RECENT = 100
MAX_SCOPES = 1_000

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_STATES = re.compile(
    r"\d|https?://|[`/\\_=]|\b(?:prefer|always|never|allerg\w+|birthday|deadline|password|decid\w+|because|must|"
    r"name is|live in|works? (?:at|for|as)|remind|remember|don't|do not|use|uses|using|fail\w*|error|fixed|broke\w*|"
    r"moved?|hates?|loves?|likes?|"
    r"lives?|meeting|deploy\w*|bought|married|born|due|switch\w*|chose|agreed to|owns?|runs?)\b",
    re.IGNORECASE,
)
"""Words that make even a short text a statement worth keeping."""

_SENTENCE = re.compile(
    r"^(?:(?:the|my|our|his|her|their) \w+ [^!?]+|(?:I|we) "
    r"(?!see\b|know\b|agree\b|guess\b|hope\b|think so)\w+(?: \w+){2,}[^!?]*|"
    r"(?:I|we) (?:can't|won't|cannot|couldn't) \w+ [^!?]+|"
    r"(?!that|this|it|what|there)(?-i:[A-Z])\w+(?:'s \w+)? "
    r"(?:\w+(?:s|ed)|took|left|got|gave|made|ran|won|lost|led) [^!?]+)$",
    re.IGNORECASE,
)
"""A whole sentence about somebody or something, neither asked nor exclaimed."""

_CHATTED = re.compile(r"^[a-z]{3,} [a-z]{3,}(?:s|ed) [a-z]+ [^!?A-Z]+$")
"""The same as it is typed in a chat, without a capital."""

_ABROAD_WORDS = 3
"""Words besides filler from which a short sentence in another language states something."""

_FEW = 12
"""Words up to which a text may be nothing but filler."""

_WIDE = 3
"""Letters that a character of Chinese, Japanese or Korean stands for."""


def objection(text: str) -> str | None:
    """Why `text` alone is trivial; None when it is not."""
    found, plain = _WORD.findall(text), text.strip().replace("\u2019", "'")
    if not found:
        return "no words"
    if len(found) > _FEW and len(plain) >= SHORT:
        return None
    words = [word.lower().replace("\u2019", "'") for word in found]
    if len(words) <= _FEW and all(word in FILLER for word in words):
        return "filler"
    if _size(plain) < SHORT and not (_STATES.search(plain) or _SENTENCE.search(plain) or _states(plain, words)):
        return f"shorter than {SHORT} characters"
    return None


def _size(text: str) -> int:
    """Characters of `text`, as many as it would have in Latin letters."""
    return len(text) + (_WIDE - 1) * sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def _states(text: str, words: Sequence[str]) -> bool:
    """Whether a short text in another language, or one that was chatted, is more than filler; never a question."""
    if text[-1] in "!?\uff01\uff1f":
        return False
    said = [word for word in words if word not in FILLER]
    if ABROAD.intersection(words):
        return len(said) >= _ABROAD_WORDS
    return bool(said) and said[0] == words[0] and _CHATTED.match(text) is not None


@dataclass(slots=True)
class Recent:
    """The last texts that were stored from captured streams, by tenant and namespace; the oldest scopes are let go."""

    _said: OrderedDict[tuple[str, str], deque[str]] = field(default_factory=OrderedDict)

    def holds(self, scope: Scope, text: str) -> bool:
        """Whether `text` is among the last hundred of `scope`."""
        return normalise(text) in self._said.get((scope.tenant, scope.namespace), ())

    def add(self, scope: Scope, text: str) -> None:
        """Note that `text` was stored."""
        key = (scope.tenant, scope.namespace)
        self._said.setdefault(key, deque(maxlen=RECENT)).append(normalise(text))
        self._said.move_to_end(key)
        if len(self._said) > MAX_SCOPES:
            self._said.popitem(last=False)

    def count(self, scope: Scope) -> int:
        """How many texts of `scope` are remembered."""
        return len(self._said.get((scope.tenant, scope.namespace), ()))

    def forget(self, scope: Scope) -> None:
        """Remember nothing of `scope` from before."""
        self._said.pop((scope.tenant, scope.namespace), None)


@dataclass(frozen=True, slots=True)
class Prefilter:
    """The gate that drops what is trivial in captured streams."""

    recent: Recent = field(default_factory=Recent)

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission as it is, or why it is trivial."""
        if not submission.captured or submission.review is ReviewMode.SKIP:
            return submission
        text = submission.draft.content
        again = self.recent.holds(scope, text) and not _placed(submission)
        reason = "the same text is among the last stored" if again else objection(text)
        return Rejection(f"trivial: {reason}") if reason else submission


def _placed(submission: Submission) -> bool:
    """Whether it says which turns it comes from: sent again, it is then known by them and merged."""
    source = submission.draft.source
    return source is not None and bool(source.turns)
