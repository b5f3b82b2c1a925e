"""Gives an intention that names a time its due time. Knows no store."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio.to_thread

from ingest.screening.due.reading import Due, due_in
from ingest.screening.gates import Gate, Rejection
from ingest.writing.submission import Submission
from memtypes.model.prospective import ProspectiveDraft, TriggerType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock

TIMEZONE = "timezone"
"""The key of the metadata that may name the caller's zone, such as Europe/Berlin."""


class DueTimes(Gate):
    """Sets due_at, and due_text to the words that it was read from, where a due time is said but not set.

    Relative words count from created_at, or from the clock, in the zone that the metadata names, or in UTC. An
    intention that waits for an event or a context is left as it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:  # noqa: ARG002
        """The submission, its draft with its due time; the scope makes no difference."""
        draft = submission.draft
        if not isinstance(draft, ProspectiveDraft) or draft.due_at or draft.trigger_type is not TriggerType.TIME:
            return submission
        due = await anyio.to_thread.run_sync(self._due, draft)
        if due is None:
            return submission
        timed = draft.model_copy(update={"due_at": due.at, "due_text": due.text[:500]})
        return replace(submission, draft=timed)

    def _due(self, draft: ProspectiveDraft) -> Due | None:
        said_at, zone = draft.created_at or self._clock(), zone_of(draft.metadata.get(TIMEZONE))
        texts = (text for text in (draft.trigger_condition, draft.content, draft.title) if text)
        return next((due for text in texts if (due := due_in(text[:2_000], said_at, zone))), None)


def zone_of(name: object) -> ZoneInfo | None:
    """The zone of this name; None where there is none."""
    if not isinstance(name, str):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name that is no key, or that is a path
        return None
