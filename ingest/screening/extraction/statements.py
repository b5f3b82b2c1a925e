"""One sentence as subject, relation and value: "The port is now 8080" states be(port) = 8080, as an update. Pure.

Reads short plain statements only. Relations are those that have one value at a time (lives in, works as, is set to);
others, such as likes or speaks, are not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memtypes.calendar import MONTHS, WEEKDAYS

MAX_WORDS = 40
"""Longer texts state more than one thing."""

_WORD = re.compile(r"\d+(?:[.,:/-]\d+)*[%\w]*|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*\d*")
_NOT = re.compile(r"n['\u2019]t\b")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


ARTICLES = _set("a an the")
_UPDATE_WORDS = _set("now currently already instead anymore nowadays recently just")
_DENIALS = _set("not no longer never")
_AUXILIARIES = _set("do does did")

_STATE_VERBS = {
    verb: relation
    for relation, verbs in {
        "be": "is are am equals", "live": "lives live resides", "work": "works work", "cost": "costs cost",
        "weigh": "weighs", "start": "starts begins", "end": "ends expires", "have": "has have",
        "prefer": "prefers prefer", "use": "uses use", "run": "runs run",
    }.items()
    for verb in verbs.split()
}  # fmt: skip
"""Verbs of state, with the relation that each expresses."""

_CHANGE_VERBS = {
    **dict.fromkeys(("moved", "relocated"), _set("be live")),
    **dict.fromkeys(("changed", "rose", "dropped", "grew"), _set("be")),
}
"""Verbs of change before "to", with their relations: "moved to Friday" is a date, "moved to Rome" a home."""

SWITCH_VERBS = _set("switched moved migrated changed")
"""Verbs that go "from" one value "to" another."""

_PASSIVE = _set("is are was were has have been got")
_PARTICIPLES = _set(
    "raised increased lowered decreased cut reduced changed moved set updated extended postponed rescheduled renamed "
    "bumped upgraded downgraded shortened switched"
)
"""Participles between a passive and "to": "was raised to"."""

_CONNECTORS = _set("in at on to for as by until due set called named scheduled based located the a an about around of")
"""Words between the verb and the value: "is due on Friday"."""

FUNCTION_WORDS = ARTICLES | _set("for in at as to on of with")
TIME_WORDS = frozenset((*WEEKDAYS, *MONTHS)) | _set("noon midnight am pm today tomorrow at on")
NUMBER_WORDS = _set("one two three four five six seven eight nine ten eleven twelve twenty hundred thousand")

SINGLE_VALUED = _set(
    "favourite favorite current default preferred primary main next only usual account address age alias birthday boss "
    "branch budget city colour color company country currency database deadline diet doctor editor email employer "
    "framework goal height host hostname job language lead leader limit location manager name nickname number "
    "occupation owner password phone plan port price priority profession provider rate region role salary school "
    "schedule size status surname team theme timezone title url version weight"
)
"""Nouns that have one value at a time, whatever it is: "my favourite colour is blue"."""

FAMILY = _set(
    "wife husband partner son daughter kid kids child children baby brother sister mother father mum mom dad parents "
    "grandma grandpa twins dog dogs cat cats horse rabbit pet pets boyfriend girlfriend fiance fiancee"
)
HEALTH = _set("asthma diabetes allergies allergy celiac adhd migraines epilepsy")
LASTING_SUBJECTS = (FAMILY | SINGLE_VALUED | _set("office pronouns laptop car hometown")) - _set(
    "plan goal status location limit price version size schedule weight"
)
"""Subjects about which a speaker states lasting facts."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a sentence states.

    relations: those that the verb can express. connectors: the words between the verb and the value. updated: whether
    it says that this is new. subject and connectors are case-folded; value is as written, without words such as "now".
    """

    subject: tuple[str, ...]
    relations: frozenset[str]
    connectors: tuple[str, ...]
    value: tuple[str, ...]
    updated: bool


def words_of(text: str) -> list[str]:
    """The words and numbers of `text`, with "n't" as the word "not"."""
    return _WORD.findall(_NOT.sub(" not", text))


def without_denials(words: Sequence[str]) -> tuple[list[str], bool]:
    """`words`, case-folded, without denials and update words, and whether there was a denial.

    Every word loses a final s, so that "does not like" compares equal to "likes".
    """
    folded = [word.casefold() for word in words]
    denied = any(word in _DENIALS for word in folded)
    dropped = _DENIALS | _UPDATE_WORDS | (_AUXILIARIES if denied else frozenset())
    return [word.removesuffix("s") for word in folded if word not in dropped], denied


def read_statement(text: str) -> Statement | None:
    """What `text` states; None for a question, a long text, and one without a known relation."""
    all_words = words_of(text)
    words = tuple(word for word in all_words if word.casefold() not in _UPDATE_WORDS)
    if "?" in text or not 3 <= len(words) <= MAX_WORDS:
        return None
    folded = [word.casefold() for word in words]
    relation = next((found for verb in range(1, len(words)) if (found := _relation(folded, verb))), None)
    if relation is None:
        return None
    value = next((at for at in range(relation.end, len(words)) if folded[at] not in _CONNECTORS), len(words))
    subject = tuple(word for word in folded[: relation.verb] if word not in ARTICLES)
    if not subject or value == len(words):
        return None
    updated = relation.updates or len(words) < len(all_words)
    return Statement(subject, relation.names, tuple(folded[relation.end : value]), words[value:], updated)


@dataclass(frozen=True, slots=True)
class _Relation:
    """A verb found in a sentence. verb: its index. end: index after it. names: its relations. updates: value is new."""

    verb: int
    end: int
    names: frozenset[str]
    updates: bool


def _relation(folded: Sequence[str], verb: int) -> _Relation | None:
    """The relation that the word at index `verb` expresses; None if it is no known verb."""
    participle = next(at for at in range(verb, len(folded) + 1) if at == len(folded) or folded[at] not in _PASSIVE)
    passive = verb < participle < len(folded) and folded[participle] in _PARTICIPLES
    if passive and "to" in folded[participle:]:
        return _Relation(verb, folded.index("to", participle), frozenset(["be"]), updates=True)
    word = folded[verb]
    if word in _CHANGE_VERBS:
        if "to" not in folded[verb:]:
            return None
        return _Relation(verb, folded.index("to", verb), _CHANGE_VERBS[word], updates=True)
    if word in _STATE_VERBS:
        return _Relation(verb, verb + 1, frozenset([_STATE_VERBS[word]]), updates=False)
    return None
