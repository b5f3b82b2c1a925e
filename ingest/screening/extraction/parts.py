"""Parts of a message that become memories of their own: requests, how-tos and facts about the speaker. Pure.

The rules are meant to miss rather than to cut wrongly. Parts are cut out as written: a request names itself, a how-to
has a purpose and at least two steps, and a fact is a plain statement, not asked, quoted, supposed or about now.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.screening.extraction.statements import (
    ARTICLES,
    FAMILY,
    HEALTH,
    LASTING_SUBJECTS,
    MAX_WORDS,
    Statement,
    read_statement,
    words_of,
)

_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
_REQUEST = re.compile(
    r"\b(?:remind (?:me|us)\b|(?:set|make|add|create) (?:me )?(?:an? )?(?:new )?reminder\b"
    r"|(?:do not|don't) let me forget\b"
    r"|(?:do not|don't) forget to\b|^to-?do:|(?<!you )(?<!he )(?<!she )(?<!they )remember to\b"
    r"|i (?:need|have|must) to remember to\b|note to self\b"
    r"|erinnere? mich\b|nicht vergessen\b|recu[ée]rda(?:me|nos)\b|no olvides\b|rappelle[sz]?[- ]moi\b|n'oublie"
    r"|忘れないで|リマインド)",
    re.IGNORECASE,
)
_ABOUT_THE_PAST = re.compile(
    r"\bremind me (?:what|who|which|how|why|where|when (?:did|was|is|were)|of what)\b", re.IGNORECASE
)
_OTHER_PHRASE = (
    r"(?:be (?:honest|fair|clear|sure)|sum up|whom|my|your|his|her|our|their|each|this|that|the|an?|me|us|you)\b"
)
"""Phrases that begin with "to" and are no purpose: "To be honest, ...", "To my surprise, ..."."""

_LEAD = re.compile(
    r"(?:^|(?<=[.!?]\s)|(?<=\n))[^\S\n]*(?:here(?:'s| is) )?"
    r"(?:(?:in order )?to|how (?:to|we|i)|(?:the )?steps (?:to|for)) "
    rf"(?P<what>(?!{_OTHER_PHRASE})[^.!?:\n]{{2,80}}):",
    re.IGNORECASE,
)
_IN_TURN = re.compile(
    rf"(?:in order )?to (?P<what>(?!{_OTHER_PHRASE})[^.!?:,\n]{{2,80}}), (?:you )?(?:first )?"
    r"(?P<steps>[^.!?\n]+\bthen\b[^.!?\n]+)[.!]?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?:^|\s)(?P<number>\d{1,2})[.)]\s+")
_BULLET = re.compile(r"\s*[-*\u2022]\s+(?P<step>\S.*)")
_NEXT_SENTENCE = re.compile(r"[.!?]\s+(?=[A-Z])")
_THEN = re.compile(r",?\s*(?:and )?\bthen\b\s*|,\s+", re.IGNORECASE)
_NO_FACT = re.compile(
    r"[?\"\u201c\u201d\u00ab]|:\s|\b(?:if|would|could|should|might|maybe|perhaps|wish|suppose|imagine|pretend|think|"
    r"guess|hope|said|says|told|today|tonight|tomorrow|yesterday|right now|at the moment|currently|for now|just|"
    r"about to|this (?:week|morning)|translate|write|rewrite|example|wenn|falls|heute|si|hoy|aujourd'hui)\b",
    re.IGNORECASE,
)
_SELF_DESCRIPTIONS = (
    r"please call me [A-Z][\w-]+[.!]?$|call me [A-Z][\w-]+[.!]?$",
    r"I am (?:allergic to \w+|lactose|intolerant|vegetarian|vegan|pescatarian|diabetic|coeliac|celiac|colou?r-?blind)",
    r"I am (?:deaf|left-handed|married|divorced|single|retired|\d{1,3} years old|(?:from|based in) [A-Z]\w+)",
    r"I am an? (?!bit|little|lot|huge|big)(?:\w+ ){0,2}\w+(?:er|or|ist|ian|ant|nurse|cook|chef|vet|pilot|clerk)[.!]?$",
    r"I (?:do not|never|cannot) (?:eat|drink|use|smoke|drive|fly|wear)\b",
    r"I always (?!get|see|have|thought|knew|wanted)\w+ ",
    r"I speak [A-Z]\w+|I was born (?:in|on) ",
    r"I prefer (?!the (?:first|second|third|last|other|latter|former)\b|this|that|it\b)\w+ \w+",
    r"ich (?:wohne|lebe) in |ich arbeite (?:bei|als|in) |ich heiße |ich bin (?:allergisch|vegetarier|veganer)",
    r"meine? \w+ heißt ",
    r"vivo en |me llamo |trabajo (?:en|como|para) |soy (?:alérgic|vegetarian|vegan)|mi \w+ se llama ",
    r"j'habite |je m'appelle |je travaille (?:chez|comme|à) |je suis (?:allergique|végétarien|végan)",
    r"m(?:on|a) \w+ s'appelle ",
)
_SELF_DESCRIPTION = re.compile(f"(?:{'|'.join(_SELF_DESCRIPTIONS)})", re.IGNORECASE)
_CONTRACTED = re.compile(r"\b(?:(I|We)['\u2019](m|re|ve)|(do|ca)n['\u2019]t)\b", re.IGNORECASE)
_EXPANDED = {"m": "am", "re": "are", "ve": "have", "do": "do not", "ca": "cannot"}

MAX_LISTS = 100
"""Maximum number of lists with steps that are read in one text."""

MAX_LIST = 20_000
"""Maximum characters that are read of one list with steps."""


@dataclass(frozen=True, slots=True)
class HowTo:
    """Instructions found in a text. text: as written. name: what they are for ("deploy")."""

    text: str
    name: str
    steps: tuple[str, ...]


def requests_in(text: str) -> list[str]:
    """The sentences of `text` that ask for a reminder."""
    sentences = (sentence for sentence in sentences_in(text) if _REQUEST.search(sentence))
    return [sentence for sentence in sentences if not _ABOUT_THE_PAST.search(sentence)]


def howtos_in(text: str) -> list[HowTo]:
    """The instructions in `text` that have a purpose and at least two steps."""
    return [*_lists(text), *_sentences_with_steps(text)]


def sentences_in(text: str) -> Iterator[str]:
    """The sentences of `text`, as written."""
    return (sentence for match in _SENTENCE.finditer(text) if (sentence := match[0].strip()))


def _lists(text: str) -> Iterator[HowTo]:
    """The how-tos of `text` in list form: "To deploy: 1. build 2. push", or with bullets."""
    for lead in itertools.islice(_LEAD.finditer(text), MAX_LISTS):
        rest = text[lead.end() : lead.end() + MAX_LIST]
        steps = _numbered(rest) or _bullets(rest)
        if len(steps) >= 2:
            end = rest.index(steps[-1], sum(map(len, steps[:-1]))) + len(steps[-1])
            yield HowTo((lead[0] + rest[:end]).strip(), lead["what"].strip(), tuple(steps))


def _numbered(rest: str) -> list[str]:
    """The steps numbered 1, 2, 3 ... at the start of `rest`; the last one ends with its line or sentence."""
    marks: list[re.Match[str]] = []
    for match in _NUMBER.finditer(rest):
        if int(match["number"]) == len(marks) + 1:
            marks.append(match)
    if not marks or rest[: marks[0].start()].strip():
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(rest)]
    steps = [rest[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    return [*steps[:-1], _NEXT_SENTENCE.split(steps[-1].partition("\n")[0])[0].strip()]


def _bullets(rest: str) -> list[str]:
    """The steps in the bulleted lines at the start of `rest`."""
    steps = []
    for line in rest.strip("\n ").split("\n"):
        match = _BULLET.fullmatch(line)
        if match is None:
            break
        steps.append(match["step"].strip())
    return steps


def _sentences_with_steps(text: str) -> Iterator[HowTo]:
    """The how-tos of `text` in one sentence: "To deploy, build the image, then push it"."""
    for sentence in sentences_in(text):
        match = _IN_TURN.fullmatch(sentence)
        if match is not None and not _REQUEST.search(sentence):
            yield HowTo(sentence, match["what"].strip(), tuple(filter(None, _THEN.split(match["steps"]))))


def facts_in(text: str) -> list[str]:
    """The sentences of `text` that state a lasting fact about the speaker: home, family, work, habits, allergies."""
    return [sentence for sentence in sentences_in(text) if _is_lasting(sentence)]


def _is_lasting(sentence: str) -> bool:
    if _NO_FACT.search(sentence) or len(words_of(sentence)) > MAX_WORDS:
        return False
    expanded = _CONTRACTED.sub(_expand, sentence)
    return _SELF_DESCRIPTION.match(expanded) is not None or _is_about_speaker(read_statement(expanded))


def _expand(match: re.Match[str]) -> str:
    return f"{match[1]} {_EXPANDED[match[2].lower()]}" if match[1] else _EXPANDED[match[3].lower()]


def _is_about_speaker(statement: Statement | None) -> bool:
    """Whether `statement` is a lasting fact about the speaker, or about their family or things."""
    if statement is None or statement.updated:
        return False
    subject, *rest = statement.subject
    if subject in ("my", "our") and rest:
        return rest[-1] in LASTING_SUBJECTS and bool(statement.relations & {"be", "live", "work"})
    return subject in ("i", "we") and not rest and _is_lasting_relation(statement)


def _is_lasting_relation(statement: Statement) -> bool:
    """Whether it states living or working somewhere, having family or a condition, or using something for a purpose."""
    relations, connectors = statement.relations, set(statement.connectors)
    value = [word.casefold() for word in statement.value if word.casefold() not in ARTICLES]
    lives = "live" in relations and bool(connectors & {"in", "at", "on"})
    for_company = "for" in connectors and statement.value[0][0].isupper()
    works = "work" in relations and (bool(connectors & {"at", "as"}) or for_company)
    has = "have" in relations and bool((FAMILY | HEALTH).intersection(value[:4]))
    uses = "use" in relations and len(value) >= 3 and value[1] == "for"
    return lives or works or has or uses
