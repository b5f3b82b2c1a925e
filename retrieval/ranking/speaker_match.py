"""Whether the query names who said a thing."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidates


def mention(query: str, found: Candidates) -> NDArray[np.float64]:
    """1 for each candidate whose speaker the query names as a whole word, else 0; shape (candidates,)."""
    return found.columns.where("speaker", lambda speaker: bool(speaker) and names(query, speaker)).astype(np.float64)


def names(query: str, name: str) -> bool:
    """Whether `name` stands in `query`, in whatever case, not within a longer word."""
    return re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", query.casefold()) is not None
