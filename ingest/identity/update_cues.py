"""Whether a text gives a value or tells of a change: what may bring something up to date that was said before. Pure."""

from __future__ import annotations

import re

_VALUE = re.compile(r"\d|\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|dozen)\b", re.IGNORECASE)
_CHANGE = re.compile(
    r"\b(now|no longer|instead|any ?more|recently|new|latest|final(ly|ized)?|(re|un)?schedul(ed|ing)|postpon\w+"
    r"|updat\w+|chang(ed|es|ing)|mov(ed|ing)|switch(ed|ing)|extend(ed|ing)|increas(ed|es|ing)|decreas(ed|es|ing)"
    r"|rais(ed|ing)|lower(ed|ing)|reduc(ed|ing)|adjust(ed|ing)|revis(ed|ing)|added|gr[eo]wn?|dropped|reached|bumped|cut"
    r"|renamed|expanded|upgraded|downgraded|replaced|cancel\w+)\b",
    re.IGNORECASE,
)


def gives_value(text: str) -> bool:
    """Whether `text` has a number, or a word that tells of a change."""
    return _VALUE.search(text) is not None or _CHANGE.search(text) is not None
