"""Splits a text into sentences, the reasons stated in its questions, and the steps of a list.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from memtypes.words import languages, read_words

_END = re.compile(r"[.!?](?=\s|$)|[\n\u3002\uff01\uff1f]")
_LANGUAGES = languages().values()
_LISTED = "|".join(word for language in _LANGUAGES for word in language.listed("abbreviation"))
_STARTS = "|".join(
    sorted(word.capitalize() for language in _LANGUAGES for word in language.stops if len(word) > 1)
)
_MONTHS = "|".join(
    ", ".join(lang.rules["month"]) for lang in _LANGUAGES if lang.flag("dotted_days")
).replace(", ", "|")
_ABBREVIATION = re.compile(
    rf"""(?<![^\s("\[\u201c\u201e\u00ab])(?:
    [B-DF-HJ-NP-TV-XZ][b-df-hj-np-tv-xz]{{1,3}}\.  # Dr.
    |[^\W\d_]{{1,3}}\.(?=[^\S\n]+\d)  # no. 5
    |(?<=\S\ )\d{{1,2}}\.(?=[^\S\n]+(?:[^\W\d_A-Z\xc0-\xde]|(?i:{_MONTHS})\b))  # 3. und 5. Mai
    |(?:(?:[^\W\d_][.-]{{1,2}}[^\S\n]?){{1,4}}[^\W\d_]{{1,2}}|(?<!\d\s)[^\W\d_I]|(?i:{_LISTED}))
     \.(?!(?<=[ap]\.m\.)\s+[A-Z]|\s+(?:{_STARTS})\b)  # z. B. Berlin, J. Smith, approx. ten
    )""",
    re.VERBOSE,
)
"""Matches a word whose period ends no sentence; not an initial or abbreviation before a capitalised
stop word.
"""

_NUMBER = re.compile(r"(?:^|\s)(?P<number>\d{1,2})[.)]\s+")
_BULLET = re.compile(r"(?m)^\s*[-*\u2022]\s+(?P<step>\S.*)$")
_NEXT_SENTENCE = re.compile(r"[.!?]\s+(?=[A-Z])")

MAX_READ = 20_000
"""Maximum number of characters of a text that are searched for steps."""

MAX_STEPS = 200


def sentences_in(text: str) -> Iterator[str]:
    """Yield the sentences of `text`, as written. Steps numbered 1, 2, 3 ... within one line are one
    sentence.
    """
    steps = _step_numbers(text[:MAX_READ])
    one_line = steps and "\n" not in text[steps[0].end() : steps[-1].start("number")]
    within = {at for match in _ABBREVIATION.finditer(text) for at in range(*match.span())}
    within.update(range(steps[0].start("number"), steps[-1].end("number") + 1) if one_line else ())
    ends = [end.end() for end in _END.finditer(text) if end.start() not in within]
    cuts = pairwise([0, *ends, len(text)])
    return (sentence for start, end in cuts if (sentence := text[start:end].strip()))


def reasons_in(sentence: str) -> Iterator[str]:
    """Yield the clauses of a question that say why it is asked, without their conjunction.

    "Since we're on Postgres 15, can I use MERGE?" gives "we're on Postgres 15". Only questions have
    such clauses.
    """
    if not sentence.endswith(("?", "\uff1f")):
        return
    words = read_words(sentence)
    signs = (
        (at, token) for at, token in enumerate(words.tokens) if token.text in ",;\u2013\u2014-"
    )
    # A dash only between blanks
    marks = [at for at, token in signs if token.text in ",;" or not token.glued]
    for start, end in zip(
        [0, *(mark + 1 for mark in marks)], [*marks, len(words.tokens) - 1], strict=True
    ):
        reason = words.after("cause", start)
        if start < reason < end:
            yield words.span(reason, end)


def steps_in(text: str) -> list[str]:
    """The steps numbered 1, 2, 3 ... in `text`, or its bulleted lines if no step is numbered; [] if
    fewer than two.
    """
    text = text[:MAX_READ]
    if marks := _step_numbers(text):
        ends = [*(mark.start() for mark in marks[1:]), None]
        steps = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
        steps[-1] = _NEXT_SENTENCE.split(steps[-1].partition("\n")[0])[0].strip()
    else:
        steps = [match["step"].strip() for match in _BULLET.finditer(text)]
    return steps[:MAX_STEPS] if len(steps) >= 2 else []


def _step_numbers(text: str) -> list[re.Match[str]]:
    """Matches of the numbers 1, 2, 3 ... of steps, with the sign and the blanks after them; [] if
    only one.
    """
    marks: list[re.Match[str]] = []
    for match in _NUMBER.finditer(text):
        if int(match["number"]) == len(marks) + 1:
            marks.append(match)
    return marks if len(marks) > 1 else []
