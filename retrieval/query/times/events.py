"""When an event was: the time of the memory that tells of it best."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from memtypes.search.candidates import Candidates
from retrieval.ranking.maxsim import token_weights
from retrieval.ranking.order import by_text
from retrieval.ranking.signals import reference_times

ALIKE = 0.6
"""From which mean cosine of an event's tokens a memory tells of it.

Of events that a conversation has, nine in ten reach it; of those of others one in five (see benchmarks/LOG.md).
"""


def time_of(found: Candidates) -> datetime | None:
    """When it was what `found` are the candidates for, in UTC; None where none of them tells of it."""
    if found.late is None or not found.late.size:
        return None
    order = by_text(found.ids)
    ordered, met = found.take(order), np.maximum(np.nan_to_num(found.late[order]), 0.0).astype(np.float64)
    alike = met @ token_weights(met)
    best = int(alike.argmax())
    if alike[best] < ALIKE:
        return None
    told: datetime = reference_times(ordered)[best].astype(datetime)
    return told.replace(tzinfo=UTC)
