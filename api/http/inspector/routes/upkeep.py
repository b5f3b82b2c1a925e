"""Inspector pages that list automatic decisions, which can be undone, and that run upkeep jobs,
also as dry runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from litestar.response import Redirect
from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Params
from api.http.inspector.page import Html, Page, redirect
from api.http.inspector.view import MemoryAddress, PageScope, View, form_fields
from api.http.problems import validated
from api.http.request import ApiRequest, InNamespace
from api.wiring.container import AppServices
from ingest.upkeep.decisions import DecisionKind
from ingest.upkeep.planners import JobRequest, UpkeepJob

LISTED = 200
"""Maximum number of decisions, or of memories in the report of an upkeep job, that a page lists."""

JOBS: Mapping[UpkeepJob, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    UpkeepJob.EXPIRE: (
        "Delete what has expired.",
        (("expired_days", "Days that expired memories are kept", ""),),
    ),
    UpkeepJob.FORGET: (
        (
            "Take memories out of the view that are old or not used. They can be brought back "
            "for 30 days."
        ),
        (
            ("inactive_days", "Not used for this many days", "180"),
            ("max_age_days", "Older than this many days", ""),
            ("keep_top", "Keep the best of each type", ""),
        ),
    ),
    UpkeepJob.PROMOTE: (
        "Make facts of what was said in several sessions.",
        (("min_sessions", "Sessions", "3"),),
    ),
    UpkeepJob.COMPACT: (
        "Merge memories that say the same.",
        (("similarity", "Cosine from which two are compared, 0.5 to 1", "0.97"),),
    ),
}
"""For each upkeep job, a description for the user and its options as (name, label, initial
value).
"""


class DecisionsAddress(InNamespace):
    """Which decisions of the service about memories to list. kind: only this kind, such as merged;
    by default all.
    """

    kind: DecisionKind | None = None


class JobForm(InNamespace):
    """The form that runs an upkeep job with its options. apply: whether to change memories; by
    default a dry run.
    """

    job: UpkeepJob
    apply: bool = False
    expired_days: int | None = None
    inactive_days: int | None = None
    max_age_days: int | None = None
    keep_top: int | None = None
    min_sessions: int | None = None
    similarity: Annotated[float, Field(allow_inf_nan=False)] | None = None

    def request(self) -> JobRequest:
        """The request that runs the job with the form's options. Raises InvalidInput for an option
        out of its range.
        """
        options = self.model_dump(exclude={"job", "apply"}, exclude_none=True)
        return validated(JobRequest, {**options, "dry_run": not self.apply})


@View("GET /decisions")
async def decisions(
    services: AppServices, page: Page, params: Params[DecisionsAddress], namespace: PageScope
) -> Html:
    """The page that lists the service's newest decisions about memories, such as merges, each with
    its reason.
    """
    newest = await services.decisions.latest(namespace, params.kind, LISTED)
    return await page.show("decisions.html", params, decisions=newest, kinds=list(DecisionKind))


@View("POST /decisions/undo", role=Role.WRITER)
async def undo(
    services: AppServices, params: Params[MemoryAddress], namespace: PageScope
) -> Redirect:
    """Undo a decision of the service: a merge, replacement, contradiction, promotion, forgetting or
    rejection.
    """
    await services.decisions.undo(namespace, params.id.lower())
    return redirect("/decisions", namespace=params.namespace, done="undone")


@View("GET /upkeep", role=Role.ADMIN)
async def upkeep(page: Page, params: Params[InNamespace]) -> Html:
    """The page of the upkeep jobs, with a form for the options of each."""
    return await page.show("upkeep.html", params, jobs=JOBS, report=None, options={})


@View("POST /upkeep", role=Role.ADMIN)
async def run_job(
    request: ApiRequest,
    services: AppServices,
    page: Page,
    params: Params[JobForm],
    namespace: PageScope,
) -> Html:
    """Run an upkeep job and show its report. After a dry run, the page has a button that applies
    the changes.
    """
    report = await services.upkeep.run_all(namespace.tenant, params.job, params.request())
    listed_ids = report.ids[:LISTED]
    memories = await services.store.get(namespace, listed_ids)
    options = await form_fields(request)
    return await page.show(
        "upkeep.html",
        params,
        jobs=JOBS,
        report=report,
        listed=listed_ids,
        memories=memories,
        options=options,
    )
