"""Upkeep on demand: what a job would do, and the job itself."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic reads the standard library's only from Python 3.12 on

from api.auth.keys import Role
from api.http.endpoint import Call, HttpRequest, answer, read_body
from api.wiring.container import Services
from ingest.upkeep.planners import JobRequest, UpkeepJob
from memtypes.model.errors import NotFound


class JobAnswer(TypedDict):
    """What a job did; a dry run, what it would do. ids: the memories that it is about."""

    job: UpkeepJob
    dry_run: bool
    ids: list[str]
    counts: dict[str, int]


JOB: TypeAdapter[JobRequest] = TypeAdapter(JobRequest)

_JOB = Call(
    "Run an upkeep job: promote, forget, expire or compact; a dry run unless told otherwise",
    "Admin",
    {200: JobAnswer},
    role=Role.ADMIN,
    body=JOB,
    may_fail=(404, 503),
)


@post("/v1/admin/jobs/{job:str}", opt=_JOB.opt(), status_code=200)
async def run_job(request: HttpRequest, services: NamedDependency[Services], job: FromPath[str]) -> Response[bytes]:
    """What it did, or would do."""
    if job not in set(UpkeepJob):
        raise NotFound(f"no job of this name; known are {', '.join(UpkeepJob)}")
    asked = await read_body(request, JOB)
    return answer(await services.upkeep.run_all(request.auth.tenant, UpkeepJob(job), asked))
