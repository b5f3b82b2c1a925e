"""Tells appointments from deadlines. An appointment happens at its time with or without us: a
meeting, a flight, a visit of the plumber. When its time is over, nothing is left to do. A deadline
or a reminder stays to be done when its time has passed.

A linear model decides by the words of the text, so it needs no encoder.
`benchmarks.training.appointments` trains it.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cache

import numpy as np

from ingest.screening.text_features import read
from memtypes.linear_model import LinearModel

FILE = "appointments.npz"
APPOINTMENT = "appointment"

SURE = 0.7
"""Minimum probability at which a task is an appointment. Below, it stays open when its time has
passed: an open task that is over costs less than one that is forgotten.
"""

LENGTH = timedelta(hours=2)
"""How long an appointment at a time of day is taken to last. One of which only the day is known is
over when that day is.
"""

_LAST = datetime.max.replace(tzinfo=UTC) - timedelta(days=3)
"""Later due times have no later end in the calendar."""


def is_appointment(text: str) -> bool:
    """Whether the task that `text` states is an appointment."""
    model = _model()
    (row,) = model.probabilities(read(text).features[np.newaxis])
    return bool(row[model.classes.index(APPOINTMENT)] >= SURE)


def over_at(due_at: datetime, zone: tzinfo | None, *, to_the_minute: bool) -> datetime:
    """When an appointment at `due_at` is over, in UTC. zone: of the speaker, where a day ends
    (default: UTC). to_the_minute: whether the time of day is known.
    """
    if due_at > _LAST:
        return due_at
    if to_the_minute:
        return due_at + LENGTH
    next_day = due_at.astimezone(zone or UTC).date() + timedelta(days=1)
    return datetime.combine(next_day, time(), zone or UTC).astimezone(UTC)


@cache
def _model() -> LinearModel:
    return LinearModel.load(__package__, FILE)
