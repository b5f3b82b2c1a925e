"""The words by which statements are read and their values told apart."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


ARTICLES = _set("a an the")
CUES = _set("now currently already instead anymore nowadays recently just")
DENIALS = _set("not no longer never")
SUPPORT = _set("do does did")

STATES = {
    verb: family
    for family, verbs in {
        "be": "is are am equals",
        "live": "lives live resides",
        "work": "works work",
        "cost": "costs cost",
        "weigh": "weighs",
        "start": "starts begins",
        "end": "ends expires",
        "have": "has have",
        "prefer": "prefers prefer",
        "use": "uses use",
        "run": "runs run",
    }.items()
    for verb in verbs.split()
}
"""The family of relations that a verb of state is of."""

MOVES = {
    "moved": _set("be live"),
    "relocated": _set("be live"),
    "changed": _set("be"),
    "rose": _set("be"),
    "dropped": _set("be"),
    "grew": _set("be"),
}
"""Verbs of change, before "to": "moved to Friday" is of a date, "moved to Rome" of a home."""

LEAVING = _set("switched moved migrated changed")
"""What goes "from" one value "to" another."""

PASSIVE = _set("is are was were has have been got")
CHANGED = _set(
    "raised increased lowered decreased cut reduced changed moved set updated extended postponed rescheduled renamed "
    "bumped upgraded downgraded shortened switched"
)
"""What may stand between a passive and "to": "was raised to"."""

JOINTS = _set("in at on to for as by until due set called named scheduled based located the a an about around of")
"""What may stand between the verb and the value: "is due on Friday"."""

GLUE = ARTICLES | _set("for in at as to on of with")
TIMES = _set(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december noon midnight am pm today tomorrow at on"
)
NUMBERS = _set("one two three four five six seven eight nine ten eleven twelve twenty hundred thousand")

UNIQUE = _set(
    "favourite favorite current default preferred primary main next only usual account address age alias birthday boss "
    "branch budget city colour color company country currency database deadline diet doctor editor email employer "
    "framework goal height host hostname job language lead leader limit location manager name nickname number "
    "occupation owner password phone plan port price priority profession provider rate region role salary school "
    "schedule size status surname team theme timezone title url version weight"
)
"""What is called so has one value, whatever that is: "my favourite colour is blue"."""

FAMILY = _set(
    "wife husband partner son daughter kid kids child children baby brother sister mother father mum mom dad parents "
    "grandma grandpa twins dog dogs cat cats horse rabbit pet pets boyfriend girlfriend fiance fiancee"
)
HEALTH = _set("asthma diabetes allergies allergy celiac adhd migraines epilepsy")
OWN = (FAMILY | UNIQUE | _set("office pronouns laptop car hometown")) - _set(
    "plan goal status location limit price version size schedule weight"
)
"""What somebody tells lastingly of: not what they have one of today and another one of tomorrow."""
