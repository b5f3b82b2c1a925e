"""Calls that list what the service decided by itself, with its reasons, and take it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.request import ApiRequest, InNamespace, QueryWhole
from api.wiring.container import AppServices
from ingest.upkeep.decisions import DecidedText, DecisionKind
from retrieval.answer import Answer


class DecisionQuery(InNamespace):
    """Which decisions to list: the newest, of one kind or of all."""

    kind: DecisionKind | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 100


class DecisionsAnswer(Answer):
    """Automatic decisions, newest first. An undo of a rejected text or merged wording, by its id, stores the text."""

    decisions: Sequence[DecidedText]


class UndoneAnswer(Answer):
    """Ids of the memories that an undo brought back."""

    restored: list[str]


@Endpoint("GET /v1/decisions", errors=(503,))
async def list_decisions(request: ApiRequest, services: AppServices, params: Params[DecisionQuery]) -> DecisionsAnswer:
    """What was replaced, contested, merged, promoted, forgotten or rejected.

    Each is taken back with POST /v1/memories/{id}/undo. POST /v1/memories/{id}/restore also brings a replaced
    memory back, but contested with its successor.
    """
    scope = request.scope_in(params.namespace)
    return DecisionsAnswer(decisions=await services.decisions.latest(scope, params.kind, params.limit))


@Endpoint("POST /v1/memories/{memory_id}/undo", role=Role.WRITER, errors=(404, 409, 429, 503))
async def post_undo(services: AppServices, namespace: QueryScope, memory_id: PathId) -> UndoneAnswer:
    """Take back a decision: of upkeep in the last 30 days, or of a write.

    Answers with the ids of the memories that this brought back: what was merged, replaced, forgotten or not stored, or
    the events that a promoted fact was made of.
    """
    return UndoneAnswer(restored=await services.decisions.undo(namespace, memory_id))
