"""What a message states of the one who speaks and is likely to last: home, family, work, habits, allergies. Pure.

Meant to miss rather than to take what is passing. A sentence is taken whole and as it stands; one that is asked,
quoted, supposed, written to order, or about now is not. Relations are those of `statements`, for the few
subjects of which a message says something lasting.
"""

from __future__ import annotations

import re

from ingest.screening.extraction.parts import sentences_in
from ingest.screening.extraction.state_words import ARTICLES, FAMILY, HEALTH, OWN
from ingest.screening.extraction.statements import MAX_WORDS, Statement, read_statement, words_of

_NO_STATEMENT = re.compile(
    r"[?\"\u201c\u201d\u00ab]|:\s|\b(?:if|would|could|should|might|maybe|perhaps|wish|suppose|imagine|pretend|think|"
    r"guess|hope|said|says|told|today|tonight|tomorrow|yesterday|right now|at the moment|currently|for now|just|"
    r"about to|this (?:week|morning)|translate|write|rewrite|example|wenn|falls|heute|si|hoy|aujourd'hui)\b",
    re.IGNORECASE,
)
_OF_ONESELF = (
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
_TOLD = re.compile(f"(?:{'|'.join(_OF_ONESELF)})", re.IGNORECASE)
_CONTRACTED = re.compile(r"\b(?:(I|We)['\u2019](m|re|ve)|(do|ca)n['\u2019]t)\b", re.IGNORECASE)
_WHOLE = {"m": "am", "re": "are", "ve": "have", "do": "do not", "ca": "cannot"}


def facts_in(text: str) -> list[str]:
    """The sentences of `text` that state something lasting of the one who speaks."""
    return [one for one in sentences_in(text) if _lasting(one)]


def _lasting(sentence: str) -> bool:
    if _NO_STATEMENT.search(sentence) or len(words_of(sentence)) > MAX_WORDS:
        return False
    whole = _CONTRACTED.sub(_written_out, sentence)
    return _TOLD.match(whole) is not None or _stated(read_statement(whole))


def _written_out(found: re.Match[str]) -> str:
    return f"{found[1]} {_WHOLE[found[2].lower()]}" if found[1] else _WHOLE[found[3].lower()]


def _stated(said: Statement | None) -> bool:
    """Whether the relation is one that lasts, of the speaker or of what is theirs."""
    if said is None or said.updated:
        return False
    subject, *rest = said.subject
    if subject in ("my", "our") and rest:
        return rest[-1] in OWN and bool(said.families & {"be", "live", "work"})
    return subject in ("i", "we") and not rest and _of_speaker(said)


def _of_speaker(said: Statement) -> bool:
    """Whether "I" or "we" live somewhere, work somewhere, have somebody, or use something for a purpose."""
    value = [word.casefold() for word in said.value if word.casefold() not in ARTICLES]
    joints = set(said.joints)
    lives = "live" in said.families and bool(joints & {"in", "at", "on"})
    works = "work" in said.families and (
        bool(joints & {"at", "as"}) or ("for" in joints and said.value[0][0].isupper())
    )
    has = "have" in said.families and bool((FAMILY | HEALTH).intersection(value[:4]))
    uses = "use" in said.families and len(value) >= 3 and value[1] == "for"
    return lives or works or has or uses
