"""HTTP calls that list the automatic decisions of the service, such as merges, with their reasons,
and undo them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.request import InNamespace, QueryWhole
from api.http.use_cases import valid_id
from api.wiring.container import AppServices
from ingest.upkeep.decisions import DecidedText, DecisionKind
from retrieval.answer import Answer


class DecisionQuery(InNamespace):
    """Which decisions of the service about memories to list: the newest `limit`. kind: by default
    any kind.
    """

    kind: DecisionKind | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 100


class DecisionsAnswer(Answer):
    """Automatic decisions, newest first.

    A text that was rejected, or merged into a memory, has an id too: POST /v1/memories/{id}/undo
    stores it as a memory.
    """

    decisions: Sequence[DecidedText]


class UndoneAnswer(Answer):
    """Ids of the memories that undoing a decision brought back."""

    restored: list[str]


@Endpoint("GET /v1/decisions", errors=(503,))
async def list_decisions(
    services: AppServices, namespace: QueryScope, params: Params[DecisionQuery]
) -> DecisionsAnswer:
    """List memories and texts that were replaced, retracted, contested, merged, promoted, forgotten
    or rejected, appointments that have lapsed, and tasks that a later text ended, moved or
    reopened, or may have ended.

    The service decides this by itself; what a caller retracted or opened again is listed, too.
    POST /v1/memories/{id}/undo undoes a decision. POST /v1/memories/{id}/restore only makes a
    replaced memory current again and marks it and its replacement as contested (contradicting each
    other).
    """
    return DecisionsAnswer(
        decisions=await services.decisions.latest(namespace, params.kind, params.limit)
    )


@Endpoint("POST /v1/memories/{memory_id}/undo", role=Role.WRITER, errors=(404, 409, 429, 503))
async def post_undo(
    services: AppServices, namespace: QueryScope, memory_id: PathId
) -> UndoneAnswer:
    """Undo an automatic decision about a memory.

    Decisions of upkeep jobs, such as forgetting, can be undone for 30 days. A forgotten memory is
    pinned, so that it is not forgotten again. The answer has the ids of the memories that came
    back: memories that were merged, replaced, forgotten or not stored, or the events from which a
    fact was made.
    """
    return UndoneAnswer(restored=await services.decisions.undo(namespace, valid_id(memory_id)))
