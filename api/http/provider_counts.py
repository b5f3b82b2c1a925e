"""The count of a context by the provider of the model it is for, where the registry names an endpoint."""

from __future__ import annotations

from api.wiring.container import Services
from retrieval.answer import RetrieveAnswer


async def counted_by_provider(services: Services, model: str | None, found: RetrieveAnswer) -> RetrieveAnswer:
    """`found` with the provider's count; as it is where nobody is set to count, or the provider does not answer."""
    if model is None or services.counter is None or services.models().endpoint(model) is None:
        return found
    context = found.context
    text = context if isinstance(context, str) else "\n".join(message.content for message in context)
    counted = await services.counter.count(text, model)
    if not counted.exact:
        return found
    return found.model_copy(update={"metadata": found.metadata.model_copy(update={"model_tokens": counted.tokens})})
