"""What can become of a candidate, in the words of a receipt."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a candidate.

    The first three are decided by the budget, the next two by the ranking, the three after them before it.
    REMOVED: it was chosen, and deleted before its text was read.
    """

    INCLUDED = "included"
    OVER_TYPE_BUDGET = "over_type_budget"
    OVER_TOTAL = "over_total"
    BELOW_THRESHOLD = "below_threshold"
    DUPLICATE_OF = "duplicate_of"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    NOT_DUE = "not_due"
    REMOVED = "removed"
