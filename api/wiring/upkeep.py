"""Puts together the upkeep that nobody has to ask for, as the settings have it."""

from __future__ import annotations

from api.auth.keybook import KeyBook
from api.auth.keys import DEFAULT_TENANT
from api.settings import Settings
from api.wiring.jobs import Job
from ingest.upkeep.jobs import Upkeep, UpkeepRound, round_requests

FIRST_S = 300.0
"""Seconds after a start before the first round: a service that has just started has other things to do."""

LIMIT_S = 600.0
"""A round is cut off after that; the next one goes on with what is left."""


def upkeep_jobs(settings: Settings, upkeep: Upkeep, keys: KeyBook) -> tuple[Job, ...]:
    """The one job that runs rounds for every tenant that has a key, and for the default one; none when it is off."""
    every_s = settings.upkeep_minutes * 60.0
    if not every_s:
        return ()
    requests = round_requests(
        expired_days=settings.expired_days,
        forget_days=settings.forget_days,
        promote=settings.promote,
        compact=settings.compact,
    )
    rounds = UpkeepRound(upkeep, lambda: {DEFAULT_TENANT, *(key.tenant for key in keys.known())}, requests)
    return (Job("upkeep", every_s, lambda _: rounds.run(), LIMIT_S, min(every_s, FIRST_S)),)
