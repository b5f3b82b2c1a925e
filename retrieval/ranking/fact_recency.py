"""Which of the best candidates say how things stand now: what brings an earlier statement up to date goes before it.

A rule for questions for a present value alone ("how many ... do I have", "when is ..."). Knows who spoke when, and
whether a text gives a value or tells of a change (`gives_value`), not the texts themselves. It lifts among the few best
only, so what is found stays found; the order of the rest is left alone.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidates
from retrieval.ranking.order import best_few

FIRST = 5
"""Among so many of the best. More reach further, and cost more order where nothing was brought up to date."""

LEAST = 0.55
"""A later statement scores at least this much of the earlier one's, or it is about something else."""

_AHEAD = 1e-6
_ABOUT = (
    "date day time deadline number amount total budget price cost rate percentage size length address version limit "
    "target score status schedule year month"
).replace(" ", "|")
_VALUE = re.compile(
    rf"\b(how (many|much|old|long|often|far)\b|(what|which) (\w+ ){{0,2}}({_ABOUT})\b"
    rf"|(when|where)('s| is| are| am| do| does)\b"
    rf"|(what|which|who)('s| is| are) (my|our|his|her|their|\w+'s)\b"
    rf"|(what|which)('s| is| are) the (\w+ ){{0,3}}({_ABOUT})\b)",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\b(did|was|were|had|first|originally|initially|before|after|between|passed|ago|order|sequence|summar\w*|over time"
    r"|throughout|progress\w*|evolv\w*|across|different)\b",
    re.IGNORECASE,
)


def asks_for_value(query: str) -> bool:
    """Whether `query` asks for a value as it is now: a number, a time, a place, one thing that is somebody's."""
    return _VALUE.search(query) is not None and _PAST.search(query) is None


def lifts(found: Candidates, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """What lifts each candidate above those that it brings up to date, shape (candidates,), 0 and up.

    found: in the order of their ids. Both were said in a session by one speaker, and the later one gives a value.
    """
    places = best_few(scores, FIRST)
    places = places[found.columns.take(places).known("session_id")]
    light = found.columns.take(places)
    speakers, news, kinds = light.column("speaker"), light.column("gives_value") == 1, found.kinds[places]
    by_time = np.lexsort((light.column("seq"), light.column("created_at"))).tolist()
    lifted = scores.copy()
    for at, later in enumerate(by_time):
        if news[later]:
            for earlier in by_time[:at]:
                same = speakers[earlier] == speakers[later] and kinds[earlier] == kinds[later]
                if same and scores[places[later]] >= LEAST * scores[places[earlier]]:
                    lifted[places[later]] = max(lifted[places[later]], lifted[places[earlier]] + _AHEAD)
    return lifted - scores
