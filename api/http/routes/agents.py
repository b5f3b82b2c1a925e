"""Calls on language models and on agents: the registry of models, and an agent's whole context in one budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from litestar.params import JSONBody
from pydantic import Field, model_validator

from api.http.agent_contexts import AgentContextAnswer, AgentContextPost, AgentContexts
from api.http.endpoint import Endpoint, Params, PathId
from api.http.request import ApiRequest
from api.wiring.container import AppServices
from memtypes.llms.registry import Allocation, ModelCategory
from memtypes.model.errors import NotFound
from memtypes.model.memory import Model
from memtypes.model.scope import Name
from retrieval.answer import Answer


class ModelsQuery(Model):
    """Query parameters of the list of models. category: list only the models of this category."""

    category: ModelCategory | None = None


class ResolvePost(Model):
    """A model to choose by task (a category: fast, long or code), or to look up by name."""

    task: ModelCategory | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.task is None) == (self.name is None):
            raise ValueError("name a task (fast, long or code) or the name of a model, one of both")
        return self


class ModelAnswer(Answer):
    """A language model, or a family of models, that the service knows.

    context_window: tokens of input and output; null for an unknown model. max_output: null if only the window limits
    it. tokenizer: counts for the model. margin: share by which the model's own count may exceed the tokenizer's.
    source: where the numbers come from, with the date.
    """

    name: str
    provider: str
    context_window: int | None = Field(validation_alias="window")
    max_output: int | None
    categories: list[ModelCategory]
    tokenizer: str
    margin: float
    source: str | None


class ModelsAnswer(Answer):
    """The language models that the service knows: first those of the operator's file, then its own list."""

    models: list[ModelAnswer]


class ResolvedModel(Answer):
    """The chosen model, and how its context window is divided."""

    model: ModelAnswer
    allocation: Allocation | None = Field(description="Tokens for each part; null if the window is unknown.")


@Endpoint("GET /v1/models")
async def get_models(services: AppServices, params: Params[ModelsQuery]) -> ModelsAnswer:
    """The language models of the registry."""
    return ModelsAnswer.model_validate({"models": services.models().listed(params.category)}, from_attributes=True)


@Endpoint("POST /v1/models/resolve", errors=(404,))
async def resolve_model(services: AppServices, data: JSONBody[ResolvePost]) -> ResolvedModel:
    """A model for a task or by name, and the parts of its window.

    By name, or else the first of the task's category; the operator's models come first. An unknown name gets the
    defaults of its provider, if the name tells the provider.
    """
    registry = services.models()
    if data.name is not None:
        chosen = registry.find(data.name)
    else:
        models = registry.listed(data.task)
        if not models:
            raise NotFound(f"the registry has no model of the category {data.task}")
        chosen = models[0]
    return ResolvedModel.model_validate({"model": chosen, "allocation": chosen.allocation}, from_attributes=True)


@Endpoint("POST /v1/agents/{agent_id}/context", errors=(503,))
async def post_agent_context(
    request: ApiRequest, services: AppServices, agent_id: PathId, data: JSONBody[AgentContextPost]
) -> AgentContextAnswer:
    """An agent's whole context in one budget.

    Working items of no agent are included, unless the key is bound to agents.
    """
    scope = request.agent_scope(data.namespace, data.session_id, agent_id)
    return await AgentContexts(services).build(scope if scope.agents else replace(scope, agents=(agent_id, None)), data)
