"""Client of an OpenAI-compatible endpoint that asks a language model for JSON of a given schema.

The text to judge is data: it is sent as a JSON object in the user message, never as part of the
instructions.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from memtypes.circuit_breaker import CircuitBreaker
from memtypes.model.errors import RemembrancerError

MAX_RESPONSE = 64 * 1024

BREAKER_CALLS = 3
"""Failed calls after which an endpoint is not asked for a while: each one delays a write, or an
append that flushes.
"""

BREAKER_WINDOW = 5
"""Number of latest calls that count. Few, so that an endpoint that hangs after many good answers is
found out as soon.
"""

BREAKER_OPEN_S = 30.0
"""Seconds until an endpoint that failed is tried again, which delays one call."""

MAX_BRACES = 100
"""Maximum number of braces of a model's message that are tried as the start of its answer."""

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class CompletionFailed(RemembrancerError):
    """The endpoint is unreachable, too slow, or gave an invalid answer; the message says which."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A question to a language model, which answers with JSON.

    instructions: the system message. data: sent as the user message, as JSON. name, schema: of the
    answer.
    """

    instructions: str
    data: Mapping[str, Any]
    name: str
    schema: Mapping[str, Any]


def endpoint_breaker(clock: Callable[[], float] = time.monotonic) -> CircuitBreaker:
    """A circuit breaker for a language model's endpoint. clock: in monotonic seconds."""
    return CircuitBreaker(clock, BREAKER_CALLS, BREAKER_WINDOW, BREAKER_OPEN_S)


@dataclass(frozen=True, slots=True)
class CompletionClient:
    """Sends requests to a language model behind an OpenAI-compatible endpoint.

    url: without /chat/completions. key: sent as a bearer token, unless it is None. timeout_s: of a
    whole request. breaker: while it is open, requests fail at once. An endpoint whose answers are
    invalid is up, so only missing answers open it.
    """

    http: httpx.AsyncClient
    url: str
    model: str
    key: str | None
    timeout_s: float
    breaker: CircuitBreaker = field(default_factory=endpoint_breaker)

    @property
    def host(self) -> str:
        """Host, port and path of the endpoint, without user and password."""
        parts = urlsplit(self.url)
        return f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    async def complete(self, request: CompletionRequest, answer_type: type[AnswerT]) -> AnswerT:
        """The language model's answer to `request`, parsed as `answer_type`. Raises
        CompletionFailed.
        """
        schema = {"name": request.name, "strict": True, "schema": request.schema}
        body = {
            "model": self.model,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": request.instructions},
                {"role": "user", "content": json.dumps(request.data, ensure_ascii=False)},
            ],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }
        if not self.breaker.allow():
            raise CompletionFailed("the endpoint failed lately and is not asked for some seconds")
        try:
            answer = await self._post(body)
        except CompletionFailed:
            self.breaker.record(success=False)
            raise
        self.breaker.record(success=True)
        return parse_answer(answer_type, _message(answer))

    async def _post(self, body: Mapping[str, Any]) -> bytes:
        """The endpoint's answer to a chat completion request. Raises CompletionFailed."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = f"{self.url.rstrip('/')}/chat/completions"
        try:
            async with asyncio.timeout(self.timeout_s):
                async with self.http.stream("POST", url, json=body, headers=headers) as response:
                    response.raise_for_status()
                    return await _body(response)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise CompletionFailed("the endpoint did not answer in time") from error
        except httpx.HTTPStatusError as error:
            raise CompletionFailed(f"the endpoint answered {error.response.status_code}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CompletionFailed(
                f"the endpoint can't be reached: {type(error).__name__}"
            ) from error


def parse_answer(answer_type: type[AnswerT], content: str) -> AnswerT:
    """The JSON object in a model's message, parsed as `answer_type`. Raises CompletionFailed.

    Models write prose or their thoughts before the object, or put it in a code block. The last
    object that is a valid answer counts, as a model comes to its verdict in the end.
    """
    objects = _objects_in(content)
    for text in reversed(objects):
        with suppress(ValidationError):
            return answer_type.model_validate_json(text)
    try:
        return answer_type.model_validate_json(objects[-1] if objects else content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "answer"
        raise CompletionFailed(f"the endpoint's {where} is invalid: {first['msg']}") from error


def _objects_in(content: str) -> list[str]:
    """The JSON objects in `content` that are in no other object, in order.

    After MAX_BRACES braces that begin no object it stops, so that its time stays linear.
    """
    decoder = json.JSONDecoder()
    objects: list[str] = []
    start = content.find("{")
    for _ in range(MAX_BRACES):
        if start < 0:
            break
        end = start + 1
        # A brace of the prose; or an object nested too deeply
        with suppress(ValueError, RecursionError):
            _, end = decoder.raw_decode(content, start)
            objects.append(content[start:end])
        start = content.find("{", end)
    return objects


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_RESPONSE:
            raise CompletionFailed(f"the endpoint answered with more than {MAX_RESPONSE} bytes")
    return body


def _message(body: bytes) -> str:
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CompletionFailed("the endpoint did not answer with a chat completion") from error
    if not isinstance(content, str):
        raise CompletionFailed("the endpoint's message has no text")
    return content
