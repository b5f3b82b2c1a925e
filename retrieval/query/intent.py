"""Intent of a query, by plain rules on its words: tasks, instructions, the latest state, or a present value."""

from __future__ import annotations

import re

_TASK = re.compile(
    r"\b(to-?dos?|tasks?|remind(er)?s?|deadlines?|due|pending|follow[- ]?ups?|left to do|still (have|need) to"
    r"|what('s| is) (left|next|open)|(need|have|supposed|going) to do|plan(s|ned)? (for|to)|schedule[ds]?|promised?)\b",
    re.IGNORECASE,
)
_HOW_TO = re.compile(
    r"\b(how (do|can|could|should|would|to|did)|steps?|procedure|instructions?|walk me through|guide|set ?up|configure"
    r"|install|deploy|roll ?back|command (for|to)|way to)\b",
    re.IGNORECASE,
)
_LATEST = re.compile(
    r"\b(latest|newest|most recent(ly)?|currently|right now|these days|nowadays|as of (now|today)|up[- ]to[- ]date)\b",
    re.IGNORECASE,
)
_ATTRIBUTES = (
    "date day time deadline number amount total budget price cost rate percentage size length address version limit "
    "target score status schedule year month"
).replace(" ", "|")
_VALUE = re.compile(
    rf"\b(how (many|much|old|long|often|far)\b|(what|which) (\w+ ){{0,2}}({_ATTRIBUTES})\b"
    rf"|(when|where)('s| is| are| am| do| does)\b"
    rf"|(what|which|who)('s| is| are) (my|our|his|her|their|\w+'s)\b"
    rf"|(what|which)('s| is| are) the (\w+ ){{0,3}}({_ATTRIBUTES})\b)",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\b(did|was|were|had|first|originally|initially|before|after|between|passed|ago|order|sequence|summar\w*|over time"
    r"|throughout|progress\w*|evolv\w*|across|different)\b",
    re.IGNORECASE,
)


def is_task_like(query: str) -> bool:
    """Whether `query` asks for open tasks."""
    return _TASK.search(query) is not None


def is_how_to(query: str) -> bool:
    """Whether `query` asks how something is done."""
    return _HOW_TO.search(query) is not None


def asks_for_latest(query: str) -> bool:
    """Whether `query` asks for the present state of things."""
    return _LATEST.search(query) is not None


def asks_for_value(query: str) -> bool:
    """Whether `query` asks for a value as it is now: a number, a time, a place, or a possession of somebody."""
    return _VALUE.search(query) is not None and _PAST.search(query) is None
