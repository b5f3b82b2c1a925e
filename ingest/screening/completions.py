"""One answer of a language model behind an OpenAI-compatible endpoint, as JSON of a schema.

The text that it is asked about is data: it goes into a member of a JSON object in the user's message, and never stands
where orders stand.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from memtypes.model.errors import RemembrancerError

MAX_ANSWER = 64 * 1024

_FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL | re.IGNORECASE)

ModelT = TypeVar("ModelT", bound=BaseModel)


class CompletionFailed(RemembrancerError):
    """The endpoint is away, too slow, or answered something else than was asked for; the text says which."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """url: up to and without /chat/completions. key: sent as a bearer token; None sends none."""

    url: str
    model: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked. orders: what to do. data: what to do it with. name, schema: of the answer."""

    orders: str
    data: Mapping[str, Any]
    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Completions:
    """Asks one endpoint. timeout_s: of the whole call."""

    http: httpx.AsyncClient
    endpoint: Endpoint
    timeout_s: float

    async def ask(self, question: Question) -> str:
        """The text of the answer. Raises CompletionFailed."""
        headers = {"Authorization": f"Bearer {self.endpoint.key}"} if self.endpoint.key else {}
        url = f"{self.endpoint.url.rstrip('/')}/chat/completions"
        with _translated():
            async with asyncio.timeout(self.timeout_s):
                async with self.http.stream("POST", url, json=self._request(question), headers=headers) as response:
                    response.raise_for_status()
                    return _message(await _body(response))

    def _request(self, question: Question) -> dict[str, Any]:
        schema = {"name": question.name, "strict": True, "schema": question.schema}
        return {
            "model": self.endpoint.model,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": question.orders},
                {"role": "user", "content": json.dumps(question.data, ensure_ascii=False)},
            ],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }


def answered(kind: type[ModelT], content: str) -> ModelT:
    """The answer in a model's text, raw or fenced. Raises CompletionFailed."""
    fenced = _FENCED.match(content)
    try:
        return kind.model_validate_json(fenced[1] if fenced else content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "answer"
        raise CompletionFailed(f"the endpoint's {where} can't be used: {first['msg']}") from error


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_ANSWER:
            raise CompletionFailed(f"the endpoint answered with more than {MAX_ANSWER} bytes")
    return body


def _message(body: bytes) -> str:
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CompletionFailed("the endpoint did not answer with a chat completion") from error
    if not isinstance(content, str):
        raise CompletionFailed("the endpoint's message holds no text")
    return content


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise CompletionFailed("the endpoint did not answer in time") from error
    except httpx.HTTPStatusError as error:
        raise CompletionFailed(f"the endpoint answered {error.response.status_code}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CompletionFailed(f"the endpoint can't be reached: {type(error).__name__}") from error
