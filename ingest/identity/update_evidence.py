"""Computes features of two statements, which show whether the newer one gives a new value for the
same thing. Pure.

A text is split into words, each with a kind by its form: number, time, name or plain word. Two
texts are aligned by their stems. The features say how much of each text is also in the other,
whether the texts differ in one part only, which kinds of value were exchanged, and whether the
words before the verb, which name the subject, are the same.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import Stemmer

from memtypes.calendar import MONTHS, WEEKDAYS
from memtypes.words import lexicon

MAX_WORDS = 80
"""Maximum number of words of a text that are compared: later ones hardly matter, and alignment
takes quadratic time.
"""

_WORD = re.compile(
    r"[#@]?\d+(?:[.,:/-]\d+)*[%\w]*|[#@]?[^\W\d](?:[\w'\u2019./@_-]*\w)?|[?%\u20ac$\u00a3]"
)
_CLOCK = re.compile(r"\d{1,2}:\d\d")
_CODE = re.compile(r"[_/.@#\d]|[a-z][A-Z]")
_RESULT = re.compile(r"\d+(?::\d|/\d+)")
_POSSESSIVE = re.compile(r"['\u2019]s$")
_DIGITS = re.compile(r"^[\d.,]+")
_MARKUP = re.compile(r"^\s*(?:(?:[-*+>]|\d+[.)]|#{1,6})\s+)?(?:\[[ xX]\]\s+)?|[*`\"]|__")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d.,]*\d)")
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d{1,2})(?![\d.,]*\d)")
_SIGN_FIRST = re.compile(r"(?:\bUS)?([\u20ac$\u00a3]) ?(\d[\d.,]*)")
_HOUR = re.compile(
    r"(?<![\d:.])(?:(\d{1,2})(?::(\d\d))? ?(?:([ap])\.?m\b\.?|Uhr\b)|(\d):(?=\d\d\b))",
    re.IGNORECASE,
)
_KEY_VALUE = re.compile(r"\s*(\w\S*(?: \S+){0,3}?)\s*(?::\s|=)\s*(\S+(?: \S+){0,5})\s*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LONG = 5
"""Letters from which words with the same beginning count as forms of one word."""

_PRONOUN = _words("I I'm I've I'll I'd")
_DIGITS_OF = {
    word: digits
    for digits, words in lexicon()["en"]["number"].items()
    for word in words.split(", ")
    if " " not in word
}
_NUMBER_WORD = re.compile(rf"\b({'|'.join(_DIGITS_OF)})\b", re.IGNORECASE)
_UNITS = {
    unit: (base, float(factor))
    for base, factors in lexicon()["statements"]["unit"].items()
    for factor, units in factors.items()
    for unit in units.split(", ")
}
_QUANTITY = re.compile(
    rf"(?<![\w.,])(\d+(?:\.\d+)?)[ -]?({'|'.join(map(re.escape, _UNITS))})(?!\w)", re.IGNORECASE
)
_NUMBERS = frozenset(", ".join(lexicon()["en"]["number"].values()).split(", ")) | _words(
    "hundred thousand"
)
_TIMES = frozenset((*MONTHS, *WEEKDAYS, *(f"{day}s" for day in WEEKDAYS))) | {
    word
    for rows in lexicon().values()
    for names in (*rows.get("weekday", ()), *rows.get("month", ()))
    for word in names.split(", ")
    if len(word) >= _LONG  # short ones of other languages, such as "do", are English words, too
}
_FUNCTION = _words(lexicon()["statements"]["function"])
_VERBS = _words(lexicon()["statements"]["verb"])
_PAST = frozenset(lexicon()["en"]["past"].split(", "))
_NOT_PAST = frozenset(lexicon()["en"]["not_past"].split(", "))
_SENTENCE = _VERBS | _words("i i'm i've i'll i'd we we'll he she you they it it's")
_KINDS = ("number", "time", "name", "word")
_Marks: TypeAlias = Sequence[bool]
_SUBJECT = 3  # words that count as the subject of a text without a verb

_stem_word = lru_cache(maxsize=50_000)(Stemmer.Stemmer("english", 0).stemWord)


@dataclass(frozen=True, slots=True)
class Statement:
    """A text, split into words. A short "key: value" or "key = value" is read as "key is value".

    lower: the words in lower case, without possessive 's. stems: their stems. kinds: the kind of
    each word: number, time, name or word. verb: index of the first frequent verb after the first
    word. In a text without one, which may be a title, it is 3 (or the number of words), as if the
    first three were the subject. key: the key of a "key: value" in lower case, else empty.
    has_verb: whether the text has such a verb.
    """

    lower: tuple[str, ...]
    stems: tuple[str, ...]
    kinds: tuple[str, ...]
    verb: int
    key: str
    has_verb: bool

    @classmethod
    def from_text(cls, text: str) -> Statement:
        """The statement made of the first MAX_WORDS words of `text`."""
        key, plain = _key_and_text(_with_plain_quantities(_MARKUP.sub("", text)))
        words = _WORD.findall(plain)[:MAX_WORDS]
        lower = tuple(_POSSESSIVE.sub("", word.lower()) for word in words)
        kinds = tuple(_kind(word, at) for at, word in enumerate(words))
        verb = next((at for at, word in enumerate(lower) if at and word in _VERBS), None)
        subject_end = min(_SUBJECT, len(lower)) if verb is None else verb
        return cls(
            lower, tuple(map(_stem_word, lower)), kinds, subject_end, key, has_verb=verb is not None
        )

    @property
    def tells_an_event(self) -> bool:
        """Whether the text reports an event, which may happen again, rather than a lasting fact.

        Its verb or key is in the English past tense ("The server crashed at 3:10", "Paid: 40
        euros"), or its value is a result ("Score: 3:1").
        """
        if self.key:
            return _is_past(self.lower[self.verb - 1]) or any(map(_RESULT.fullmatch, self.lower))
        return (
            self.lower[self.verb] in _PAST if self.has_verb else any(map(_is_past, self.lower[1:]))
        )

    @property
    def weights(self) -> list[float]:
        """The weight of each word: 0.15 for a function word, 1.5 for a name, 1 for any other
        word.
        """
        return [
            0.15 if word in _FUNCTION else 1.5 if kind == "name" else 1.0
            for word, kind in zip(self.lower, self.kinds, strict=True)
        ]

    def content(self, start: int = 0, end: int | None = None) -> list[int]:
        """Indexes of the words from `start` to `end` (exclusive) that are no function words, such
        as "the" and "of".
        """
        return [at for at in range(len(self.lower))[start:end] if self.lower[at] not in _FUNCTION]

    def of_kind(self, kind: str) -> set[str]:
        """The words of this kind, such as "number", in lower case."""
        return {
            word for word, its_kind in zip(self.lower, self.kinds, strict=True) if its_kind == kind
        }

    def terms(self) -> set[str]:
        """The words and the pairs of adjacent words, where each name is the word "name", and each
        number "number".
        """
        pairs = zip(self.lower, self.kinds, strict=True)
        terms = [kind if kind in ("name", "number") else word for word, kind in pairs]
        return {*terms, *(f"{first} {second}" for first, second in pairwise(terms))}


def _is_past(word: str) -> bool:
    return word in _PAST or (word.endswith("ed") and word not in _NOT_PAST)


def _key_and_text(text: str) -> tuple[str, str]:
    """The key in lower case of a short "key: value" or "key = value", and the text with "is" in
    place of ":" or "=".

    For any other text the key is empty and the text unchanged. So it is if the part after the ":"
    has a frequent verb or a pronoun, because it is then a sentence that somebody said, as in
    "Marta: I like tea".
    """
    match = _KEY_VALUE.fullmatch(text)
    if match is None or not _SENTENCE.isdisjoint(_words(match[2].lower())):
        return "", text
    return match[1].lower(), f"{match[1]} is {match[2]}"


def _with_plain_quantities(text: str) -> str:
    """`text` with numbers, times and quantities in one notation, so that equal values have equal
    words.

    "8 PM" becomes 20:00, 12,50 becomes 12.50, "three" becomes 3, and 1 GB becomes 1024 mb.
    """
    if not any(character.isdigit() for character in text) and _NUMBER_WORD.search(text) is None:
        return text
    text = _NUMBER_WORD.sub(lambda word: _DIGITS_OF[word[0].lower()], text)
    text = _DECIMAL_COMMA.sub(
        r"\1.\2", _GROUPED.sub(lambda number: number[0].replace(",", ""), text)
    )
    text = _HOUR.sub(_in_24_hours, _SIGN_FIRST.sub(r"\2 \1", text))
    return _QUANTITY.sub(_in_base_unit, text)


def _in_24_hours(hour: re.Match[str]) -> str:
    if hour[4]:
        return f"0{hour[4]}:"
    of_day = int(hour[1]) if hour[3] is None else int(hour[1]) % 12 + 12 * (hour[3] in "pP")
    return f"{of_day:02}:{hour[2] or '00'}"


def _in_base_unit(quantity: re.Match[str]) -> str:
    base, factor = _UNITS[quantity[2].lower()]
    return f"{float(quantity[1]) * factor:.6f}".rstrip("0").rstrip(".") + f" {base}"


def _kind(word: str, at: int) -> str:
    if _CLOCK.fullmatch(word) or word.lower() in _TIMES:
        return "time"
    if word[0].isdigit() or word.lower() in _NUMBERS:
        return "number"
    if (at > 0 and word[0].isupper() and word not in _PRONOUN) or _CODE.search(word):
        return "name"
    return "word"


def features(newer: Statement, older: Statement, cosine: float, telling: float) -> dict[str, float]:
    """The values of the features that compare two statements, by feature name.

    cosine: similarity of their vectors. telling: log odds that `newer` reports a change, estimated
    from its words.
    """
    # Whether each word of `newer` is also in `older`, and each word of `older` in `newer`.
    in_older = _matches(newer.stems, older.stems)
    in_newer = _matches(older.stems, newer.stems)
    values = {
        "telling": telling,
        "cosine": cosine,
        **_overlap(newer, older, in_older, in_newer),
        **_values(newer, older, in_older, in_newer),
        **_form(newer, older),
        **_subjects(newer, older, in_older, in_newer),
    }
    return {name: float(value) for name, value in values.items()}


def _matches(stems: Sequence[str], other_stems: Sequence[str]) -> list[bool]:
    """For each of `stems`, whether it is in `other_stems`; of long stems only the first _LONG
    letters count.
    """
    all_stems = set(other_stems)
    prefixes = {stem[:_LONG] for stem in other_stems if _is_long(stem)}
    return [stem in all_stems or (_is_long(stem) and stem[:_LONG] in prefixes) for stem in stems]


def _is_long(stem: str) -> bool:
    """Whether stems that begin like `stem` count as the same: it is long, and not an id, date or
    number.
    """
    return len(stem) >= _LONG and stem.isalpha()


def _overlap(
    newer: Statement, older: Statement, in_older: _Marks, in_newer: _Marks
) -> dict[str, float]:
    """Features of how much of each text is also in the other, of their lengths, and of their first
    words.
    """
    shared = [older.kinds[at] for at in older.content() if in_newer[at]]
    return {
        "covered older": _share(older.weights, in_newer),
        "covered newer": _share(newer.weights, in_older),
        "shared": math.log1p(len(shared)),
        "shared name": "name" in shared,
        "question newer": "?" in newer.lower,
        "question older": "?" in older.lower,
        "length newer": math.log1p(len(newer.lower)),
        "length older": math.log1p(len(older.lower)),
        "same first word": newer.lower[:1] == older.lower[:1],
        "participle first": newer.lower[:1] != () and newer.lower[0].endswith("ed"),
    }


def _share(weights: Sequence[float], marked: _Marks) -> float:
    return sum(weight for weight, mark in zip(weights, marked, strict=True) if mark) / (
        sum(weights) or 1.0
    )


def _mean(marks: Iterable[bool], default: float) -> float:
    return sum(values) / len(values) if (values := list(marks)) else default


def _values(
    newer: Statement, older: Statement, in_older: _Marks, in_newer: _Marks
) -> dict[str, float]:
    """Features of the kinds of words (number, time, name, word) that only one text has, and of
    units that both have.
    """
    values: dict[str, float] = {
        "same unit": not _units(newer).isdisjoint(_units(older)),
        "same measure": not _beside_numbers(newer, -1).isdisjoint(_beside_numbers(older, -1)),
    }
    for kind in ("number", "time"):
        new = newer.of_kind(kind)
        old = older.of_kind(kind)
        values[f"{kind} in both"] = bool(new and old)
        values[f"{kind} changed"] = bool(new - old and old - new)
        values[f"{kind} shared"] = bool(new & old)
        values[f"{kind} newer only"] = bool(new and not old)
        values[f"{kind} older only"] = bool(old and not new)
    lost = [older.kinds[at] for at in older.content() if not in_newer[at]]
    gained = [newer.kinds[at] for at in newer.content() if not in_older[at]]
    lost_value = [older.kinds[at] for at in older.content(older.verb) if not in_newer[at]]
    for kind in _KINDS:
        values[f"{kind} lost"] = kind in lost
        values[f"{kind} gained"] = kind in gained
        values[f"{kind} exchanged"] = kind in lost_value and kind in gained
    return {**values, "lost": min(len(lost), 6) / 6, "gained": min(len(gained), 12) / 12}


def _units(statement: Statement) -> set[str]:
    """The units in a statement: stems right after numbers, and suffixes of numbers, such as "ms" in
    "20ms".
    """
    return _beside_numbers(statement, 1) | {
        _DIGITS.sub("", number) for number in statement.of_kind("number")
    } - {""}


def _beside_numbers(statement: Statement, step: int) -> set[str]:
    """Stems of the words, other than function words, right after (`step` 1) or right before (-1) a
    number.
    """
    numbers = {at for at, kind in enumerate(statement.kinds) if kind == "number"}
    return {statement.stems[at] for at in statement.content() if at - step in numbers}


def _form(newer: Statement, older: Statement) -> dict[str, float]:
    """Features of how well the words of both texts align and, if they differ in one place only, of
    that difference.
    """
    matcher = difflib.SequenceMatcher(None, older.stems, newer.stems, autojunk=False)
    codes = matcher.get_opcodes()
    changes = [code for code in codes if code[0] != "equal"]
    prefix = codes[0][2] if codes and codes[0][0] == "equal" else 0
    default = {
        "alignment": matcher.ratio(),
        "changes": min(len(changes), 5) / 5,
        "common beginning": sum(older.weights[:prefix]) / (sum(older.weights) or 1.0),
        **dict.fromkeys(
            ("one replaced", "one inserted", "one same kind", "one plain", "one long", "one first"),
            0.0,
        ),
        **dict.fromkeys(("one last", "one value", "same function words"), 0.0),
    }
    if len(changes) != 1:
        return default
    tag, start, end, new_start, new_end = changes[0]
    old_kinds = {older.kinds[at] for at in older.content(start, end)}
    new_kinds = {newer.kinds[at] for at in newer.content(new_start, new_end)}
    replaced = tag == "replace"
    old_function_words = _FUNCTION.intersection(older.lower[start:end])
    new_function_words = _FUNCTION.intersection(newer.lower[new_start:new_end])
    return {
        **default,
        "one replaced": replaced,
        "one inserted": not replaced,
        "one same kind": replaced and bool(old_kinds & new_kinds - {"word"}),
        "one plain": replaced and old_kinds == new_kinds == {"word"},
        "one long": min(max(end - start, new_end - new_start), 6) / 6 if replaced else 0.0,
        "one first": start <= len(older.stems) / 2 and end < len(older.stems),
        "one last": end == len(older.stems),
        "same function words": old_function_words == new_function_words,
        "one value": start >= older.verb
        and "word" not in old_kinds | new_kinds
        and bool(old_kinds & new_kinds),
    }


def _subjects(
    newer: Statement, older: Statement, in_older: _Marks, in_newer: _Marks
) -> dict[str, float]:
    """Features that compare the subjects of both texts (words before the verb), and their values
    (all other words).
    """
    old_subject = older.content(0, older.verb)
    new_subject = newer.content(0, newer.verb)
    old_stems = [older.stems[at] for at in old_subject]
    old_value = older.content(older.verb)
    verb = older.lower[older.verb] if older.verb < len(older.lower) else ""
    return {
        "subject in newer": _mean((in_newer[at] for at in old_subject), 0.5),
        "subject in older": _mean((in_older[at] for at in new_subject), 0.5),
        "same subject": bool(old_subject) and old_stems == [newer.stems[at] for at in new_subject],
        "no subject": not old_subject,
        "beginning in newer": _mean((in_newer[at] for at in older.content()[:2]), 0.0),
        "beginning in older": _mean((in_older[at] for at in newer.content()[:3]), 0.0),
        "value in newer": _mean((in_newer[at] for at in old_value), 0.5),
        "last word in newer": bool(older.lower)
        and in_newer[-1]
        and bool(older.content(len(older.lower) - 1)),
        "same verb": verb in newer.lower and verb not in ("is", "are"),
        "plain value": len(old_value) == 1 and older.kinds[old_value[0]] == "word",
    }


def has_same_form(evidence: Mapping[str, float]) -> bool:
    """Whether two texts differ only in one number or time after the verb. evidence: their features,
    by name.

    A different name does not count: its form does not tell whether it is a place, a person or a
    tool. Nor does a number with another function word ("was", "not", "from"), which may make it
    about another time, or negate it.
    """
    exchanged = evidence["number exchanged"] or evidence["time exchanged"]
    return bool(evidence["one value"] and evidence["same function words"] and exchanged)
