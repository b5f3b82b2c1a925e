"""Embedding every memory again: the operator's call."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from typing_extensions import TypedDict

from api.auth.keys import Role
from api.http.endpoint import Call, answer
from api.wiring.container import Services
from memtypes.model.errors import Conflict
from memtypes.model.policy import MemoryType


class ReembedAnswer(TypedDict):
    """How many memories of each type, of all tenants, were embedded again."""

    types: dict[MemoryType, int]
    total: int


_POST = Call(
    "Embed every memory again into new collections, and switch to them; the store stands still meanwhile",
    "Admin",
    {200: ReembedAnswer},
    role=Role.ADMIN,
    may_fail=(409, 503),
)


@post("/v1/admin/reembed", opt=_POST.opt(), status_code=200)
async def post_reembed(services: NamedDependency[Services]) -> Response[bytes]:
    """The counts, once the new collections are current."""
    if services.reembedding is None:
        raise Conflict("this service has no embedded store")
    counts = await services.reembedding.run(stop_engine=True)
    return answer({"types": counts, "total": sum(counts.values())})
