"""The HTTP call that counts the tokens of a text or a chat."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from litestar.params import JSONBody
from pydantic import Field, StringConstraints, model_validator

from api.http.endpoint import Endpoint
from api.wiring.container import AppServices
from memtypes.llms.counting import ChatMessage, Prompt, count_locally
from memtypes.model.memory import StrictModel
from memtypes.model.scope import Name
from memtypes.offload import offload
from retrieval.answer import Answer, OmittedIfNone
from retrieval.context.model_count import COUNT_DEGRADED
from retrieval.query.request import DEFAULT_TOKENIZER, Encoding

MAX_MESSAGES = 10_000


class MessagePost(StrictModel):
    """A message of a chat. role: such as system, user, assistant or tool."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    content: str


class CountPost(StrictModel):
    """What to count: either a text or the messages of a chat; for a language model or by a
    tokenizer, cl100k_base by default.
    """

    text: str | None = None
    messages: list[MessagePost] | None = Field(default=None, min_length=1, max_length=MAX_MESSAGES)
    model: Name | None = None
    tokenizer: Encoding | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.text is None) == (self.messages is None):
            raise ValueError("give either text or messages")
        if self.model is not None and self.tokenizer is not None:
            raise ValueError("give either model, whose tokenizer is used, or tokenizer")
        return self

    @property
    def prompt(self) -> Prompt:
        """What is counted."""
        if self.messages is None:
            return self.text or ""
        return [ChatMessage(message.role, message.content) for message in self.messages]


class CountAnswer(Answer):
    """Tokens of a text or a chat.

    tokens: the count. source: who counted: the model's provider, or this service with `tokenizer`.
    margin: share by which the model's own count may exceed `tokens`; 0 if these are exact. at_most:
    tokens with this margin. model: the model as the registry names it. unknown_model: true for one
    whose window is unknown, which gets the widest margin. local_tokens: the count of `tokenizer`,
    where the provider counted. degraded: "token_count" if the provider failed to count, else empty.
    """

    tokens: int
    tokenizer: str
    margin: float
    at_most: int
    source: Literal["local", "provider"]
    model: OmittedIfNone[str] = None
    unknown_model: OmittedIfNone[bool] = None
    local_tokens: OmittedIfNone[int] = None
    degraded: list[str] = Field(default_factory=list)


@Endpoint("POST /v1/tokens/count")
async def count_tokens(services: AppServices, data: JSONBody[CountPost]) -> CountAnswer:
    """Count the tokens of a text or a chat, and say by which tokenizer, and with which margin.

    If the registry names an endpoint of the model's provider that counts tokens, the provider
    counts. Else, or if it fails, a tokenizer of this service counts: the model's own, or a similar
    one, with a margin. A chat has the tokens that its format adds to each message.
    """
    prompt = data.prompt
    model = None if data.model is None else services.models().find(data.model)
    name = model.tokenizer if model else data.tokenizer or DEFAULT_TOKENIZER
    tokenizer = services.tokenizers[name]
    texts = [prompt] if isinstance(prompt, str) else [message.content for message in prompt]
    local = await offload(texts, lambda: count_locally(prompt, tokenizer))
    named = model.name if model else None
    unknown = (model is not None and model.window is None) or None
    degraded: list[str] = []
    counter = services.counter
    if counter is not None and data.model is not None and counter.counts(data.model):
        tokens = await counter.count(prompt, data.model)
        if tokens is not None:
            return CountAnswer(
                tokens=tokens,
                tokenizer=name,
                margin=0.0,
                at_most=tokens,
                source="provider",
                model=named,
                unknown_model=unknown,
                local_tokens=local,
            )
        degraded = [COUNT_DEGRADED]
    margin = model.margin if model else 0.0
    return CountAnswer(
        tokens=local,
        tokenizer=name,
        margin=margin,
        at_most=math.ceil(local * (1.0 + margin) - 1e-9),
        source="local",
        model=named,
        unknown_model=unknown,
        degraded=degraded,
    )
