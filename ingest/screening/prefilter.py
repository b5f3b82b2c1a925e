"""The pre-filter: rejects what is trivial in captured streams, that is, too short, filler, or a repetition.

Texts that a caller writes explicitly are never rejected here; see `ingest.screening.submission.Submission.captured`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from cachetools import LRUCache

from ingest.screening.submission import Rejection, ReviewMode, Submission
from memtypes.model.ids import normalise
from memtypes.model.scope import Scope

SHORT = 50
"""Characters below which a captured text is trivial unless it states something."""

RECENT = 100
MAX_SCOPES = 1_000

_COURTESIES = """
ok okay k kk thanks thank thx ty you u yes yeah yep yup no nope sure got it gotcha cool nice great good
perfect awesome amazing wonderful fantastic excellent lovely wow oh ah hmm hm uh um haha lol hi hello hey
bye goodbye morning night afternoon evening welcome please sorry right alright fine done understood noted
agreed exactly absolutely definitely totally indeed well so very much a lot again that's thats that this is
sounds looks lgtm will do i see and the to for all too really just later have day your works work makes
sense problem worries np course of my pleasure it's its go ahead continue next one moment let me know hope
helps cheers man dude friend everyone there how are doing what's up talk soon take care cc brb afk ack roger
danke dank vielen bitte ja nein genau klar alles super passt gut guten morgen tag abend nacht hallo tschüss
servus moin stimmt prima schön sehr gerne gern kein problem zusammen bis später dann verstanden mach ich das
ist auch
gracias vale perfecto sí si claro de nada hola buenos días dias buenas tardes noches genial muy bien muchas
por favor adiós luego hasta entendido bueno
merci beaucoup oui non d'accord c'est bon bonne bonjour salut ça marche va parfait très rien s'il te vous
plaît demain bientôt compris
grazie mille bene sì prego ciao perfetto certo buongiorno buonasera capito obrigado obrigada tudo bem sim
não bom dia boa noite tarde valeu beleza
ありがとうございます ありがとう はい いいえ 了解です 了解しました 了解 なるほど
おはようございます わかりました すみません こんにちは お疲れ様です 谢谢 好的 你好 明白了 没问题
"""
_FILLER = frozenset(_COURTESIES.split())
"""Words that say nothing by themselves, in the languages that are read."""

_FUNCTION_WORDS = """
ich mein meine nicht und der das ist wir mit ein eine im auf für über geht nur bin habe
el los las y en mi tengo soy vivo que con una es mis
je le les et mon ma est des une pour avec j'ai sans suis
il di mio mia sono ho per eu meu minha moro tenho com uma
"""
_FOREIGN = frozenset(_FUNCTION_WORDS.split())
"""Function words of German, Spanish, French, Italian and Portuguese that are not English words."""

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_SIGNS = re.compile(
    r"\d|https?://|[`/\\_=]|\b(?:prefer|always|never|allerg\w+|birthday|deadline|password|decid\w+|because|must|"
    r"name is|live in|works? (?:at|for|as)|remind|remember|don't|do not|use|uses|using|fail\w*|error|fixed|broke\w*|"
    r"moved?|hates?|loves?|likes?|"
    r"lives?|meeting|deploy\w*|bought|married|born|due|switch\w*|chose|agreed to|owns?|runs?)\b",
    re.IGNORECASE,
)
"""Words that make even a short text worth storing."""

_SENTENCE = re.compile(
    r"^(?:(?:the|my|our|his|her|their) \w+ [^!?]+|(?:I|we) "
    r"(?!see\b|know\b|agree\b|guess\b|hope\b|think so)\w+(?: \w+){2,}[^!?]*|"
    r"(?:I|we) (?:can't|won't|cannot|couldn't) \w+ [^!?]+|"
    r"(?!that|this|it|what|there)(?-i:[A-Z])\w+(?:'s \w+)? "
    r"(?:\w+(?:s|ed)|took|left|got|gave|made|ran|won|lost|led) [^!?]+)$",
    re.IGNORECASE,
)
"""A whole sentence about someone or something, not a question or an exclamation."""

_UNCAPITALISED = re.compile(r"^[a-z]{3,} [a-z]{3,}(?:s|ed) [a-z]+ [^!?A-Z]+$")
"""The same as typed in a chat, without a capital letter."""

_MIN_FOREIGN_WORDS = 3
"""Words other than filler from which a short sentence in another language states something."""

_MAX_FILLER_WORDS = 12
"""Words up to which a text can be filler."""

_WIDE = 3
"""Latin letters that a Chinese, Japanese or Korean character stands for."""


def objection(text: str) -> str | None:
    """Why `text` is trivial by itself; None if it is not."""
    found, plain = _WORD.findall(text), text.strip().replace("\u2019", "'")
    if not found:
        return "no words"
    if len(found) > _MAX_FILLER_WORDS and len(plain) >= SHORT:
        return None
    words = [word.lower().replace("\u2019", "'") for word in found]
    if len(words) <= _MAX_FILLER_WORDS and all(word in _FILLER for word in words):
        return "filler"
    if _latin_length(plain) < SHORT and not _is_statement(plain, words):
        return f"shorter than {SHORT} characters"
    return None


def _latin_length(text: str) -> int:
    """Length of `text` with each Chinese, Japanese or Korean character counted as three Latin letters."""
    return len(text) + (_WIDE - 1) * sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def _is_statement(text: str, words: Sequence[str]) -> bool:
    """Whether a short text states something. A question does only if it has a sign, such as a number."""
    if _SIGNS.search(text) or _SENTENCE.search(text):
        return True
    if text[-1] in "!?\uff01\uff1f":
        return False
    content = [word for word in words if word not in _FILLER]
    if _FOREIGN.intersection(words):
        return len(content) >= _MIN_FOREIGN_WORDS
    return bool(content) and content[0] == words[0] and _UNCAPITALISED.match(text) is not None


@dataclass(slots=True)
class RecentTexts:
    """The last texts that were stored from captured streams, for each of the most recently used namespaces."""

    _texts: LRUCache[tuple[str, str], deque[str]] = field(default_factory=lambda: LRUCache(MAX_SCOPES))

    def holds(self, scope: Scope, text: str) -> bool:
        """Whether `text` is among the last hundred texts stored in the namespace of `scope`."""
        return normalise(text) in self._texts.get(_key(scope), ())

    def add(self, scope: Scope, text: str) -> None:
        """Remember `text` as stored in the namespace of `scope`."""
        self._texts.setdefault(_key(scope), deque(maxlen=RECENT)).append(normalise(text))

    def count(self, scope: Scope) -> int:
        """Number of remembered texts of the namespace of `scope`."""
        return len(self._texts.get(_key(scope), ()))

    def forget(self, scope: Scope) -> int:
        """Forget all texts of the namespace of `scope`; return how many there were."""
        return len(self._texts.pop(_key(scope), ()))


def _key(scope: Scope) -> tuple[str, str]:
    return scope.tenant, scope.namespace


@dataclass(frozen=True, slots=True)
class Prefilter:
    """The gate that rejects trivial texts of captured streams."""

    recent: RecentTexts = field(default_factory=RecentTexts)

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission unchanged, or a rejection if it is captured and its text is trivial or a recent repetition."""
        if not submission.captured or submission.review is ReviewMode.SKIP:
            return submission
        text, source = submission.draft.content, submission.draft.source
        # A repetition that names its turns is recognised by them and merged.
        repeated = self.recent.holds(scope, text) and (source is None or not source.turns)
        reason = "the same text is among the last stored" if repeated else objection(text)
        return Rejection(f"trivial: {reason}", submission.draft) if reason else submission
