"""Upkeep that nobody has to ask for: the chosen jobs, for every tenant. Knows no schedule and no lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ingest.upkeep.executor import Upkeep
from ingest.upkeep.plan import Job, JobRequest


@dataclass(frozen=True, slots=True)
class Rounds:
    """The jobs of a round and what each is to do, in order. tenants: who there is now."""

    upkeep: Upkeep
    tenants: Callable[[], Collection[str]]
    requests: Mapping[Job, JobRequest]

    async def run(self) -> int:
        """How many memories a round was about; one that is cut off is taken up by the next. Raises Unavailable."""
        about = 0
        for tenant in sorted(self.tenants()):
            for job, request in self.requests.items():
                about += len((await self.upkeep.run_all(tenant, job, request)).ids)
        return about


def requests_of(
    *, expired_days: int, forget_days: int | None = None, promote: bool = False, compact: bool = False
) -> Mapping[Job, JobRequest]:
    """What a round does: expiry always, the rest only when it is asked for. forget_days: without use."""
    chosen = {Job.EXPIRE: JobRequest(dry_run=False, expired_days=expired_days)}
    if promote:
        chosen[Job.PROMOTE] = JobRequest(dry_run=False)
    if forget_days is not None:
        chosen[Job.FORGET] = JobRequest(dry_run=False, inactive_days=forget_days)
    if compact:
        chosen[Job.COMPACT] = JobRequest(dry_run=False)
    return chosen
