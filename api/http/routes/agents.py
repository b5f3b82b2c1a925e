"""HTTP calls on language models (the service's registry of them), and for an agent's context in one
token budget.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from litestar.params import JSONBody
from pydantic import Field, model_validator

from api.http.agent_contexts import AgentContextAnswer, AgentContextBuilder, AgentContextPost
from api.http.endpoint import Endpoint, Params, PathId
from api.http.request import ApiRequest
from api.wiring.container import AppServices
from memtypes.llms.registry import Allocation, KnownModel
from memtypes.model.errors import NotFound
from memtypes.model.memory import StrictModel
from memtypes.model.scope import Name
from retrieval.answer import Answer

MAX_ALTERNATIVES = 5


class ModelsQuery(StrictModel):
    """Query parameters for listing language models. category: only models of this category, such as
    fast or code.
    """

    category: Name | None = None


class ResolvePost(StrictModel):
    """Asks for a language model, either by task or by name. task: a task or a category of the
    registry, such as code_review or fast.
    """

    task: Name | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.task is None) == (self.name is None):
            raise ValueError("give either task, such as code_review, or name, the name of a model")
        return self


class ModelAnswer(Answer):
    """A language model, or a family of models, that the service knows.

    context_window: tokens of input and output; null for an unknown model. max_output: null if only
    the window limits it. tokenizer: name of the tokenizer that counts tokens for the model. margin:
    share by which the model's own count may exceed the tokenizer's. source: where these numbers
    come from, with the date.
    """

    name: str
    provider: str
    context_window: int | None = Field(validation_alias="window")
    max_output: int | None
    categories: list[str]
    tokenizer: str
    margin: float
    source: str | None


class ModelTask(Answer):
    """A task for which a model can be chosen. needs: categories that a model must have. window:
    least context window; null for any. prefer: models in the order in which they are chosen.
    """

    name: str
    needs: list[str]
    window: int | None
    prefer: list[str]


class ModelsAnswer(Answer):
    """The language models that the service knows, and the tasks that its registry describes. Models
    of the operator's file precede the built-in ones.
    """

    models: list[ModelAnswer]
    tasks: list[ModelTask]


class ResolvedModel(Answer):
    """The language model that was chosen, and how its context window is divided among the parts of
    a call to it.

    alternatives: names of the next best models for the task, at most MAX_ALTERNATIVES, for when the
    chosen one does not answer; empty if a name was asked for.
    """

    model: ModelAnswer
    alternatives: list[str]
    allocation: Allocation | None = Field(
        description="Tokens for each part; null if the window is unknown."
    )


@Endpoint("GET /v1/models")
async def get_models(services: AppServices, params: Params[ModelsQuery]) -> ModelsAnswer:
    """List the language models that the service knows, and the tasks for which they can be
    chosen.
    """
    registry = services.models()
    tasks = [ModelTask(name=name, **task.model_dump()) for name, task in registry.tasks.items()]
    return ModelsAnswer.model_validate(
        {"models": registry.listed(params.category), "tasks": tasks}, from_attributes=True
    )


@Endpoint("POST /v1/models/resolve", errors=(404,))
async def resolve_model(services: AppServices, data: JSONBody[ResolvePost]) -> ResolvedModel:
    """Find a language model by task or name.

    For a task, the answer is the best model that has what the task needs: one that the task's entry
    prefers, else the first of the registry; models of the operator's file come before built-in
    ones. A name without a version, such as gemini-pro, stands for the newest model of its family.
    For an unknown name, the answer has the defaults of the model's provider, if the name reveals
    the provider. The `allocation` divides the model's context window among the parts of a prompt
    and the response.
    """
    registry = services.models()
    alternatives: list[KnownModel] = []
    if data.task is None:
        chosen = registry.find(data.name or "")
    else:
        models = registry.for_task(data.task)
        if not models:
            raise NotFound(f"no model of the registry has what the task {data.task!r} needs")
        chosen, *alternatives = models
    names = [model.name for model in alternatives[:MAX_ALTERNATIVES]]
    return ResolvedModel.model_validate(
        {"model": chosen, "allocation": chosen.allocation, "alternatives": names},
        from_attributes=True,
    )


@Endpoint("POST /v1/agents/{agent_id}/context", errors=(503,))
async def post_agent_context(
    request: ApiRequest, services: AppServices, agent_id: PathId, data: JSONBody[AgentContextPost]
) -> AgentContextAnswer:
    """Build an agent's whole context in one token budget.

    Items of working memory that belong to no agent are included, unless the API key is bound to
    agents.
    """
    scope = request.agent_scope(data.namespace, data.session_id, agent_id)
    if not scope.agents:
        scope = replace(scope, agents=(agent_id, None))
    return await AgentContextBuilder(services, scope, data).build()
