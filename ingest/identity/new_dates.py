"""Says whether a task is told again with another date, by its words alone. Pure.

"Call the bank on Friday", and days later "call the bank next Tuesday", are one task: apart from
their times, both texts have the same words, whatever their order and their function words. A task
that is told in other words needs a reader (see `acts`): in talk, most are.
"""

from __future__ import annotations

from datetime import timedelta

from ingest.identity.acts import text_hash
from ingest.identity.update_evidence import Statement
from memtypes.model.prospective import OPEN, Prospective

TOLD_AGAIN = timedelta(hours=1)
"""Minimum time between two texts that can be the same task. Of what is told at once with two times,
each is a task.
"""

_TIME = "time"


def has_new_date(newer: Prospective, older: Prospective) -> bool:
    """Whether `newer` states the open task `older` with another due time.

    Only times that the texts themselves name count. Tasks to which callers give times, such as the
    dates of a series, are tasks of their own. So they are after a caller has parted them.
    """
    both_are_open = newer.status in OPEN and older.open_at(newer.created_at)
    was_parted = text_hash(newer.content) in older.kept_from
    told_at_once = newer.created_at - older.created_at < TOLD_AGAIN
    if not both_are_open or was_parted or told_at_once or not _names_another_time(newer, older):
        return False
    words = _words(newer)
    return bool(words) and words == _words(older)


def _names_another_time(newer: Prospective, older: Prospective) -> bool:
    is_named = newer.due_text is not None and (older.due_text is not None or older.due_at is None)
    return is_named and newer.due_at != older.due_at


def _words(task: Prospective) -> frozenset[str]:
    """The stems of the words that say what is to do: without those of its due time, and without
    function words.
    """
    text = task.content
    if task.due_text is not None:
        before, _, after = text.partition(task.due_text)
        text = f"{before} {after}"
    statement = Statement.from_text(text)
    return frozenset(
        statement.stems[at] for at in statement.content() if statement.kinds[at] != _TIME
    )
