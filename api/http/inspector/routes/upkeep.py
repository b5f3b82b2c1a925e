"""Inspector pages that list automatic decisions, which can be undone, and that run upkeep jobs, also as dry runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from litestar import Response
from litestar.response import Redirect
from pydantic import Field

from api.auth.keys import Role
from api.http.inspector.page import LivePage, go
from api.http.inspector.view import MemoryAddress, View, form_fields, read_address, read_form
from api.http.problems import checked
from api.http.request import ApiRequest, InNamespace
from api.wiring.container import AppServices
from ingest.upkeep.decisions import DecisionKind
from ingest.upkeep.planners import JobRequest, UpkeepJob

LISTED = 200
"""Maximum number of decisions, or of memories in the report of an upkeep job, that a page lists."""

JOBS: Mapping[UpkeepJob, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    UpkeepJob.EXPIRE: ("Delete what has expired.", (("expired_days", "Days that expired memories are kept", ""),)),
    UpkeepJob.FORGET: (
        "Take memories out of the view that are old or not used. They can be brought back for 30 days.",
        (
            ("inactive_days", "Not used for this many days", "180"),
            ("max_age_days", "Older than this many days", ""),
            ("keep_top", "Keep the best of each type", ""),
        ),
    ),
    UpkeepJob.PROMOTE: ("Make facts of what was said in several sessions.", (("min_sessions", "Sessions", "3"),)),
    UpkeepJob.COMPACT: (
        "Merge memories that say the same.",
        (("similarity", "Cosine from which two are compared, 0.5 to 1", "0.97"),),
    ),
}
"""For each upkeep job, a description for the user and its options as (name, label, initial value)."""


class DecisionsAddress(InNamespace):
    """Which decisions of the service about memories to list. kind: only this kind, such as merged; by default all."""

    kind: DecisionKind | None = None


class JobForm(InNamespace):
    """The form that runs an upkeep job with its options. apply: whether to change memories; by default a dry run."""

    job: UpkeepJob
    apply: bool = False
    expired_days: int | None = None
    inactive_days: int | None = None
    max_age_days: int | None = None
    keep_top: int | None = None
    min_sessions: int | None = None
    similarity: Annotated[float, Field(allow_inf_nan=False)] | None = None

    def request(self) -> JobRequest:
        """The request that runs the job with the form's options. Raises InvalidInput for an option out of its range."""
        options = self.model_dump(exclude={"job", "apply"}, exclude_none=True)
        return checked(JobRequest, {**options, "dry_run": not self.apply})


@View("GET /decisions")
async def decisions(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page that lists the service's newest decisions about memories, such as merges, each with its reason."""
    asked = read_address(request, DecisionsAddress)
    listed = await services.decisions.latest(request.scope_in(asked.namespace), asked.kind, LISTED)
    return await page.show("decisions.html", asked, decisions=listed, kinds=list(DecisionKind))


@View("POST /decisions/undo", role=Role.WRITER)
async def undo(request: ApiRequest, services: AppServices) -> Redirect:
    """Undo a decision of the service: a merge, replacement, contradiction, promotion, forgetting or rejection."""
    form = await read_form(request, MemoryAddress)
    await services.decisions.undo(request.scope_in(form.namespace), form.id.lower())
    return go("/decisions", namespace=form.namespace, done="undone")


@View("GET /upkeep", role=Role.ADMIN)
async def upkeep(request: ApiRequest, page: LivePage) -> Response[str]:
    """The page of the upkeep jobs, with a form for the options of each."""
    return await page.show("upkeep.html", read_address(request, InNamespace), jobs=JOBS, **_NO_REPORT)


@View("POST /upkeep", role=Role.ADMIN)
async def run_job(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """Run an upkeep job and show its report. After a dry run, the page has a button that applies the changes."""
    form = await read_form(request, JobForm)
    report = await services.upkeep.run_all(request.auth.tenant, form.job, form.request())
    listed = report.ids[:LISTED]
    values: dict[str, Any] = {
        "report": report,
        "listed": listed,
        "memories": await services.store.get(request.scope_in(form.namespace), listed),
        "options": await form_fields(request),
    }
    return await page.show("upkeep.html", form, jobs=JOBS, **values)


_NO_REPORT: dict[str, Any] = {"report": None, "listed": (), "memories": {}, "options": {}}
