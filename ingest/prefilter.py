"""What is trivial in a captured stream: too short, filler, or said a moment ago.

Explicit writes are never dropped here for being short; see `ingest.submission.Submission.captured`.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from ingest.gates import Rejection
from ingest.submission import ReviewMode, Submission
from memtypes.ids import normalise
from memtypes.scope import Scope

SHORT = 50
"""Characters under which a captured text is trivial unless it states something."""

RECENT = 100
MAX_SCOPES = 1_000

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_FILLER = frozenset(
    [
        "ok",
        "okay",
        "k",
        "kk",
        "thanks",
        "thank",
        "thx",
        "ty",
        "you",
        "u",
        "yes",
        "yeah",
        "yep",
        "yup",
        "no",
        "nope",
        "sure",
        "got",
        "it",
        "gotcha",
        "cool",
        "nice",
        "great",
        "good",
        "perfect",
        "awesome",
        "amazing",
        "wonderful",
        "fantastic",
        "excellent",
        "lovely",
        "wow",
        "oh",
        "ah",
        "hmm",
        "hm",
        "uh",
        "um",
        "haha",
        "lol",
        "hi",
        "hello",
        "hey",
        "bye",
        "goodbye",
        "morning",
        "night",
        "afternoon",
        "evening",
        "welcome",
        "please",
        "sorry",
        "right",
        "alright",
        "fine",
        "done",
        "understood",
        "noted",
        "agreed",
        "exactly",
        "absolutely",
        "definitely",
        "totally",
        "indeed",
        "well",
        "so",
        "very",
        "much",
        "a",
        "lot",
        "again",
        "that's",
        "thats",
        "that",
        "this",
        "is",
        "sounds",
        "looks",
        "lgtm",
        "will",
        "do",
        "i",
        "see",
        "and",
        "the",
        "to",
        "for",
        "all",
        "too",
        "really",
        "just",
        "later",
        "see",
        "have",
        "day",
        "your",
        "works",
        "work",
        "makes",
        "sense",
        "no",
        "problem",
        "worries",
        "np",
        "course",
        "of",
        "my",
        "pleasure",
        "it's",
        "its",
        "go",
        "ahead",
        "continue",
        "next",
        "one",
        "moment",
        "let",
        "me",
        "know",
        "hope",
        "helps",
        "cheers",
        "man",
        "dude",
        "friend",
        "everyone",
        "there",
        "how",
        "are",
        "doing",
        "what's",
        "up",
        "talk",
        "soon",
        "take",
        "care",
        "cc",
        "brb",
        "afk",
        "ack",
        "roger",
    ]
)
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
    r"(?!that|this|it|what|there)(?-i:[A-Z])\w+(?:'s \w+)? \w+(?:s|ed) [^!?]+)$",
    re.IGNORECASE,
)
"""A whole sentence about somebody or something, neither asked nor exclaimed."""


def objection(text: str) -> str | None:
    """Why `text` alone is trivial; None when it is not."""
    words = [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]
    if not words:
        return "no words"
    if len(words) <= 12 and all(word in _FILLER for word in words):
        return "filler"
    if len(text.strip()) < SHORT and not (_STATES.search(text) or _SENTENCE.search(text.strip())):
        return f"shorter than {SHORT} characters"
    return None


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
