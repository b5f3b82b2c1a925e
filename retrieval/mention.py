"""Whether the query names who said a thing."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memtypes.ports import Candidate


def mention(query: str, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
    """1 for each candidate whose speaker the query names as a whole word, else 0; shape (candidates,)."""
    speakers = [candidate.payload.get("speaker") for candidate in candidates]
    named = {speaker for speaker in set(speakers) if speaker and names(query, speaker)}
    return np.array([1.0 if speaker in named else 0.0 for speaker in speakers])


def names(query: str, name: str) -> bool:
    """Whether `name` stands in `query`, in whatever case, not within a longer word."""
    return re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", query.casefold()) is not None
