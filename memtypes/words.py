"""Splits a text into tokens, and finds phrases of its language in them, such as numbers, weekdays
or "next week".

The phrases of each language are a section of `lexicon.toml`. This module reads no clock and knows
no grammar.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain, pairwise, product
from typing import Any, Final

_TOKEN: Final = re.compile(
    r"""(?P<iso>\d{4}-\d\d-\d\d
        (?:[Tt]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\ ?(?:Z|[+-]\d\d:?\d\d)?)?(?![\d-]))
      | (?P<basic>\d{8}T\d{6}Z?)
      | (?P<date>\d{4}/\d{1,2}/\d{1,2}(?!\d)
        |\d{1,2}(?P<mark_>[./-])\d{1,2}(?P=mark_)\d{4}(?!\d)|\d{1,2}\.\d{1,2}\.\d\d(?![\d.]\d))
      | (?P<day>\d{1,2}\.\d{1,2}\.(?!\d))
      | (?P<clock>\d{1,2}:\d\d(?::\d\d)?(?![\d:]))
      | (?P<version>\d+(?:\.\d+){2,})
      | (?P<number>\d+(?:[.,]\d+)?)
      | (?P<word>[^\W\d_]+)
      | (?P<mark>\S)""",
    re.VERBOSE,
)
_JAPANESE: Final = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_LONGEST_PHRASE: Final = 6
_REACH: Final = 40  # number of tokens before a participle that may have its auxiliary
_STOP_WEIGHT: Final = 0.6
"""Weight of a stop word in the detection of a text's language. A word of _TIME_KINDS has weight
1.
"""
_TIME_KINDS: Final = frozenset(
    (
        "weekday",
        "month",
        "day",
        "tonight",
        "unit",
        "part",
        "clock",
        "number",
        "ordinal",
        "holiday",
        "by",
        "next",
        "start",
        "mid",
        "end",
        "task",
        "oclock",
        "season",
    )
)
_DAYS: Final = frozenset(("weekday", "day"))
_PARTS: Final = frozenset(("part",))
_SHORTEST_COMPOUND: Final = 9
_SHORTEST_WEEKDAY: Final = 4
_SHORTEST_WORD: Final = 3
_PLAIN_WORD: Final = re.compile(r"[^\W\u3040-\u30ff\u4e00-\u9fff]+|\w")
"""Japanese has no blanks: each of its characters is a word."""
_RULES: Final = frozenset(
    (
        "stop",
        "ones_first",
        "past_endings",
        "past_prefix",
        "past_words_before",
        "past_words_after",
        "infinitive",
        "auxiliary",
        "after_verb",
        "abbreviation",
        "first_person",
    )
)
"""Names of the rows in a language's section of the lexicon that do not list phrases."""
_CUES: Final = frozenset(("cause", "present", "order", "taste", "promise", "trait"))
"""Kinds of phrases in the lexicon that say nothing about times."""
_DUE_ONLY: Final = frozenset(
    (
        "in_month",
        "season",
        "early",
        "late",
        "event",
        "adnominal",
        "ahead",
        "previous_some",
        "next_some",
        "range",
        "range_to",
        "previous_unit",
        "this_unit",
    )
)
"""Kinds of phrases that only the parsers of due times and of times in queries use."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, date or punctuation mark of a text. kind: which of these. text: the token as
    written.

    start: its offset in the text, in characters. plain: the token in lower case without accents.
    glued: whether it follows another token without white space between them.
    """

    text: str
    kind: str
    start: int
    plain: str
    glued: bool


@dataclass(frozen=True, slots=True)
class Language:
    """The words of a language, from its section of the lexicon. stops: its stop words.

    phrases: the meanings of each phrase, by its words. A meaning has a kind such as "weekday", a
    value such as 0 for "Monday", and the spelling that a text must use ("" for any). rules: the
    section's rows (TOML keys) by name, such as lists of endings and flags.
    """

    name: str
    phrases: Mapping[tuple[str, ...], Sequence[tuple[str, Any, str]]]
    stops: frozenset[str]
    rules: Mapping[str, Any]

    def means(self, plain: str, kinds: frozenset[str]) -> bool:
        """Whether the word `plain` (lower case, no accents) is a phrase of one of `kinds`, such as
        "weekday".
        """
        return any(kind in kinds for kind, _, _ in self.phrases.get((plain,), ()))

    def flag(self, name: str) -> bool:
        """Whether the language sets the flag `name`, such as "umlauts". The head of `lexicon.toml`
        lists the flags.
        """
        return bool(self.rules.get(name))

    def listed(self, rule: str) -> tuple[str, ...]:
        """Words or endings in the language's lexicon row `rule`, such as "past_endings"; empty if
        there is none.
        """
        return (
            tuple(word.strip() for word in self.rules[rule].split(","))
            if rule in self.rules
            else ()
        )


@dataclass(frozen=True, slots=True)
class Words:
    """The tokens of a text and their meanings. A position is the index of a token, and may lie
    outside the text.

    A kind is a name from the lexicon for a kind of phrase, such as "weekday", "ago" or "cause".
    """

    text: str
    tokens: Sequence[Token]
    language: Language
    _meanings: Sequence[Mapping[str, tuple[Any, int]]]

    def get(self, kind: str, position: int) -> tuple[Any, int] | None:
        """The value of the longest phrase of `kind` that begins at `position`, and the position
        after the phrase.

        The value is the one that the lexicon gives the phrase, such as 0 for "Monday". None if
        there is no phrase.
        """
        return self._meanings[position].get(kind) if 0 <= position < len(self._meanings) else None

    def is_a(self, kind: str, position: int) -> bool:
        """Whether a phrase of `kind`, such as "weekday", begins at token `position`."""
        return self.get(kind, position) is not None

    def has_meaning(self, position: int) -> bool:
        """Whether a number, a date or a phrase about times begins at `position`, that is, a phrase
        not in _CUES.
        """
        return self.kind(position) not in ("word", "mark", "") or not _CUES.issuperset(
            self.kinds_at(position)
        )

    def kinds_at(self, position: int) -> Collection[str]:
        """The kinds, such as "weekday", of the phrases of the lexicon that begin at token
        `position`.
        """
        return self._meanings[position].keys() if 0 <= position < len(self._meanings) else ()

    def after(self, kind: str, position: int) -> int:
        """Position after the phrase of `kind`, such as "weekday", at token `position`; `position`
        if there is none.
        """
        phrase = self.get(kind, position)
        return phrase[1] if phrase else position

    def after_any(self, kinds: Sequence[str], position: int) -> int:
        """The position after the longest phrase of one of `kinds` at token `position`; `position`
        if there is none.
        """
        return max(self.after(kind, position) for kind in kinds)

    def start_of(self, kind: str, end: int) -> int:
        """Start of the longest phrase of `kind`, such as "det", that ends before token `end`; `end`
        if none does.
        """
        return next(
            (i for i in range(max(0, end - _LONGEST_PHRASE), end) if self.after(kind, i) == end),
            end,
        )

    def has(self, kind: str) -> bool:
        """Whether the text contains a phrase of `kind`, such as "weekday"."""
        return any(kind in meanings for meanings in self._meanings)

    def plain(self, position: int) -> str:
        """The token at `position` in lower case, without accents; "" outside the text."""
        return self.tokens[position].plain if 0 <= position < len(self.tokens) else ""

    def kind(self, position: int) -> str:
        """The kind of the token at `position`, such as "word", "number" or "mark"; "" outside the
        text.
        """
        return self.tokens[position].kind if 0 <= position < len(self.tokens) else ""

    def glued(self, position: int) -> bool:
        """Whether the token at `position` follows another without white space between them."""
        return 0 <= position < len(self.tokens) and self.tokens[position].glued

    def is_capital(self, position: int) -> bool:
        """Whether a word with a capital letter is at `position`."""
        return self.kind(position) == "word" and self.tokens[position].text[0].isupper()

    def number(self, position: int) -> tuple[float, int] | None:
        """The number at `position`, such as 1.5 or twenty-five, and the position after it; None if
        there is none.
        """
        if self.kind(position) == "number":
            # A number at the end of a word is a name (v12), but not after a unit (1h15).
            named = (
                self.glued(position)
                and self.kind(position - 1) == "word"
                and not self.glued(position - 1)
            )
            return None if named else (float(self.plain(position).replace(",", ".")), position + 1)
        phrase = self.get("number", position)
        if phrase is None:
            return None
        value = float(phrase[0])
        end = phrase[1]
        ones_at = end + 1 if self.plain(end) == "-" else self.after("and", end)
        ones = self.get("number", ones_at) if value in (20, 30, 40, 50) else None
        if ones and float(ones[0]) < 10 and (ones_at > end or self.language.flag("adjacent_ones")):
            return value + float(ones[0]), ones[1]
        return value, end

    def is_participle(self, position: int) -> bool:
        """Whether the word at `position` has the form of a past verb: "asked", "bezahlt" after
        "wurde", "llegaron".
        """
        language = self.language
        token = self.tokens[position]
        excluded = self.is_a("not_past", position) or self.plain(position - 1) in ("be", "get")
        if excluded or token.kind != "word" or len(token.plain) < 4:
            return False
        word = token.text.casefold()
        if "past_prefix" in language.rules:
            auxiliaries = language.listed("auxiliary")
            has_auxiliary = any(
                self.plain(j) in auxiliaries for j in range(max(0, position - _REACH), position)
            )
            is_last = self.kind(position + 1) in ("", "mark") or self.is_a("conj", position + 1)
            has_form = word.startswith(language.listed("past_prefix")) and word.endswith(
                ("t", "en", "d")
            )
            return has_auxiliary and is_last and has_form
        auxiliaries = language.listed("past_words_before")
        has_auxiliary = (
            self.plain(position - 1) in auxiliaries or self.plain(position - 2) in auxiliaries
        )
        endings = language.listed("past_words_after") if has_auxiliary else ()
        return word.endswith((*language.listed("past_endings"), *endings))

    def span(self, first: int, last: int) -> str:
        """The text from the token at position `first` up to but not including the token at position
        `last`.
        """
        final = self.tokens[last - 1]
        return self.text[self.tokens[first].start : final.start + len(final.text)]


def plain(word: str) -> str:
    """`word` in lower case, without accents."""
    folded = word.casefold()
    if folded.isascii():
        return folded
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


def read_words(text: str) -> Words:
    """Split `text` into tokens, and look up the phrases that begin at each in the lexicon of the
    text's language.

    The language is the one with the most time words and stop words in the text; English if there
    are none.
    """
    text = unicodedata.normalize("NFC", text.replace("\u2019", "'"))
    tokens = _tokens(text)
    japanese = _JAPANESE.search(text) is not None
    candidates = [
        language for language in languages().values() if language.flag("hour_signs") or not japanese
    ]
    language = max(candidates, key=lambda candidate: _score(tokens, candidate))
    tokens = [piece for token in tokens for piece in _split(token, language)]
    return Words(
        text, tokens, language, [_meanings(tokens, start, language) for start in range(len(tokens))]
    )


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind = "date" if match.lastgroup == "mark_" else match.lastgroup or "mark"
        glued = match.start() > 0 and not text[match.start() - 1].isspace()
        tokens.append(Token(match[0], kind, match.start(), plain(match[0]), glued))
    return tokens


def _score(tokens: Sequence[Token], language: Language) -> float:
    """How many words of the language the tokens have, by which the language of a text is
    detected.
    """
    time_words = (
        len(token.plain) > 1 and language.means(token.plain, _TIME_KINDS) for token in tokens
    )
    compounds = (
        sum(bool(_cut(token, language)) for token in tokens)
        if "ones_first" in language.rules
        else 0
    )
    accents = not language.flag("no_accents")
    stops = (
        t.plain in language.stops and (accents or t.plain == t.text.casefold()) for t in tokens
    )
    return sum(time_words) + compounds + _STOP_WEIGHT * sum(stops)


def _split(token: Token, language: Language) -> Iterator[Token]:
    """Yield the two words of a compound such as Samstagabend, each character of Japanese, or else
    the token itself.
    """
    word = token.text
    cuts = [0, len(token.text)]
    if token.kind == "word" and _JAPANESE.search(word):
        cuts = list(range(len(word) + 1))
    else:
        cuts[1:1] = [cut for cut in [_cut(token, language)] if cut]
    for start, end in pairwise(cuts):
        yield Token(
            word[start:end],
            token.kind,
            token.start + start,
            plain(word[start:end]),
            token.glued or start > 0,
        )


def _cut(token: Token, language: Language) -> int:
    """The offset at which a compound of a day and a part of the day (Samstag-abend) is split; 0 for
    other tokens.
    """
    word = token.plain
    simple = len(word) < _SHORTEST_COMPOUND or (word,) in language.phrases
    if simple or token.kind != "word" or len(word) != len(token.text):
        return 0
    cuts = range(3, len(word) - 2)
    return next(
        (
            cut
            for cut in cuts
            if language.means(word[:cut], _DAYS) and language.means(word[cut:], _PARTS)
        ),
        0,
    )


def _meanings(
    tokens: Sequence[Token], start: int, language: Language
) -> Mapping[str, tuple[Any, int]]:
    """By kind, such as "weekday", the longest phrase at token `start`: its value in the lexicon,
    and its end.
    """
    meanings: dict[str, tuple[Any, int]] = {}
    for end in range(start + 1, min(start + _LONGEST_PHRASE, len(tokens)) + 1):
        for kind, value, exact in language.phrases.get(
            tuple(token.plain for token in tokens[start:end]), ()
        ):
            if not exact or exact == tokens[start].text.casefold():
                meanings[kind] = (value, end)
    return meanings


@dataclass(frozen=True, slots=True)
class _RelativeTimes:
    """Phrases of all languages for times that depend on when a text was written, as tuples of plain
    words. before_unit, units: words such as "next", and such as "week", which are one together.
    """

    weekdays: frozenset[str]
    phrases: frozenset[tuple[str, ...]]
    before_unit: frozenset[str]
    units: frozenset[str]


def has_relative_time(text: str) -> bool:
    """Whether `text` has words for a time that depend on when it was written, such as "today", "on
    Friday" or "next week". A weekday with a date beside it does not.

    It knows the words of all languages at once, and takes a tenth of the time of `read_words`.
    """
    relative = _relative_times()
    words = _PLAIN_WORD.findall(plain(text))
    for word, following in pairwise((*words, "")):
        is_weekday = word in relative.weekdays and not following[:1].isdigit()
        with_unit = word in relative.before_unit and following in relative.units
        if is_weekday or with_unit or not relative.phrases.isdisjoint([(word,), (word, following)]):
            return True
    return False


def has_first_person(text: str) -> bool:
    """Whether `text` has a word such as "I" or "my", of which one must know who said it. It knows
    the words of all languages at once.
    """
    first_person = _first_person()
    words = _PLAIN_WORD.findall(text)
    return any(word in first_person or plain(word) in first_person for word in words)


@cache
def _first_person() -> frozenset[str]:
    """Words such as "my", and those, such as "I", that are other words if they are not capitals."""
    words: set[str] = set()
    for language in languages().values():
        for word in language.rules["first_person"].split(","):
            spelled = word.strip()
            words.add(spelled.removeprefix("=") if spelled.startswith("=") else plain(spelled))
    return frozenset(words)


@cache
def _relative_times() -> _RelativeTimes:
    by_kind: dict[str, set[tuple[str, ...]]] = {}
    for language in languages().values():
        for phrase, meanings in language.phrases.items():
            words = tuple(part for part in phrase if part.isalnum())
            letters = "".join(words)
            for kind, _, _ in meanings:
                # Short names of days are other words elsewhere: "so", "do", "sat", "mar"
                least = _SHORTEST_WEEKDAY if kind == "weekday" else _SHORTEST_WORD
                if len(letters) >= least or not letters.isascii():
                    by_kind.setdefault(kind, set()).add(words)

    def single(*kinds: str) -> frozenset[str]:
        return frozenset(words[0] for kind in kinds for words in by_kind[kind] if len(words) == 1)

    phrases = (by_kind[kind] for kind in ("day", "tonight", "ago", "weekend", "next_unit"))
    return _RelativeTimes(
        single("weekday"),
        frozenset(chain.from_iterable(phrases)),
        single("next", "previous", "this"),
        single("unit"),
    )


@cache
def lexicon() -> Mapping[str, Any]:
    """The contents of `lexicon.toml`: the words of each language, the places and the time zones."""
    return tomllib.loads(files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8"))


@cache
def phrase_kinds() -> Sequence[str]:
    """The kinds of phrases, such as "weekday" or "cause", of all languages, sorted; without those
    in _DUE_ONLY.
    """
    phrases = [
        meanings for language in languages().values() for meanings in language.phrases.values()
    ]
    return sorted({kind for meanings in phrases for kind, _, _ in meanings} - _DUE_ONLY)


@cache
def languages() -> Mapping[str, Language]:
    """Each language of the lexicon by its code, English first."""
    return {
        name: _language(name, rows)
        for name, rows in lexicon().items()
        if name not in ("statements", "places", "zones")
    }


def _language(name: str, rows: Mapping[str, Any]) -> Language:
    phrases: dict[tuple[str, ...], list[tuple[str, Any, str]]] = {}
    for kind, value, phrase in _entries(rows):
        spelled = phrase.removeprefix("=")
        exact = spelled.casefold().split(" ")[0] if phrase.startswith("=") else ""
        no_umlauts = (
            spelled.translate({0xE4: "ae", 0xF6: "oe", 0xFC: "ue"})
            if rows.get("umlauts")
            else spelled
        )
        for spelling in {spelled, no_umlauts}:
            texts = (token.text for token in _tokens(spelling))
            key = tuple(
                plain(word)
                for text in texts
                for word in (text if _JAPANESE.search(text) else [text])
            )
            phrases.setdefault(key, []).append((kind, value, exact))
    return Language(
        name,
        phrases,
        frozenset(plain(word.strip()) for word in rows.get("stop", "").split(",")),
        rows,
    )


def _entries(rows: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield kind, value and text of each phrase in `rows`, a language's section of the lexicon.

    The kind is a row's name, such as "weekday". The row has phrases, or a list or table of several
    groups of phrases. The value is the group's index or key, such as 0 for "Monday", or "" if the
    row has no groups.
    """
    for kind, row in rows.items():
        if kind in _RULES or isinstance(row, bool):
            continue
        groups = (
            {"": row}
            if isinstance(row, str)
            else dict(enumerate(row))
            if isinstance(row, list)
            else row
        )
        for value, phrases in groups.items():
            yield from (
                (kind, value, phrase.strip()) for phrase in phrases.split(",") if phrase.strip()
            )
    if "ones_first" in rows:  # fünfundzwanzig, vijfentwintig
        numbers = [
            (float(count), word.strip())
            for count, words in rows["number"].items()
            for word in words.split(",")
        ]
        ones = [(count, word) for count, word in numbers if 1 < count < 10] + [
            (1.0, rows["article"].split(",")[0])
        ]
        tens = [(count, word) for count, word in numbers if count in (20, 30, 40, 50)]
        yield from (
            ("number", a + b, unit + rows["ones_first"] + ten)
            for (a, unit), (b, ten) in product(ones, tens)
        )
