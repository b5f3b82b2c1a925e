"""What a question is after, as far as it moves budget between the types: a few plain rules on its words."""

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


def is_task_like(query: str) -> bool:
    """Whether `query` asks for what is to be done."""
    return _TASK.search(query) is not None


def is_how_to(query: str) -> bool:
    """Whether `query` asks for how something is done."""
    return _HOW_TO.search(query) is not None
