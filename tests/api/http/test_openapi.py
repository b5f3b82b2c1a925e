"""The OpenAPI document: it describes every route, and generated calls conform to it."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from litestar.routes import HTTPRoute
from pydantic import create_model
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.python import asgi
from schemathesis.python.asgi import ASGIClient
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api.http.app import create_app
from api.http.openapi import PydanticSchemas, document
from tests.api.fake_services import fake_services

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
"""All checks that apply. That valid data is accepted is not checked: a schema cannot say "not
blank".
"""

EDGE_CASES = 150
"""The most calls at the edges of an operation's schema. POST /v1/memories has over 2,000, many
alike for each type.
"""


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Encode a generated body of type application/x-ndjson.

    A text is sent unchanged, any other value as one line of JSON.
    """
    return value.encode(errors="replace") if isinstance(value, str) else json.dumps(value).encode()


APP = create_app(fake_services(lambda: datetime(2026, 3, 1, 12, tzinfo=UTC)))
SERVED = sorted(
    (route.path_format, method)
    for route in APP.routes
    if isinstance(route, HTTPRoute) and not route.path.startswith("/inspect")
    for method in route.methods - {"OPTIONS", "HEAD"}
)
"""Path and method of each call that the application serves, but for the inspector's pages."""
CLIENT = ASGIClient(cast("Any", APP))
CLIENT.trust_env = False  # else each call looks for proxies
# A body that is too large is refused before it is read, whatever else is wrong with it.
CONFIG = schemathesis.Config.from_dict(
    {
        "request-timeout": 60.0,
        "checks": {
            "negative_data_rejection": {"expected-statuses": [400, 404, 405, 413, 415, 422]}
        },
    }
)


@pytest.fixture(scope="session")
def schema() -> schemathesis.BaseSchema:
    """The OpenAPI document that the application serves."""
    return schemathesis.openapi.from_asgi("/openapi.json", APP, config=CONFIG)


class SameThread:
    """Replaces schemathesis's portal, which runs calls in a thread of its own. It runs them in the
    test's thread.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function with these arguments, await its result if it is async, and return the
        result.
        """

        async def result() -> Any:
            returned = function(*arguments)
            return await returned if inspect.isawaitable(returned) else returned

        return self.loop.run_until_complete(result())


@pytest.fixture(scope="module")
def same_thread() -> Iterator[None]:
    """Run the calls that schemathesis generates in the thread of the tests."""
    portal = SameThread()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asgi, "_get_portal", lambda: portal)
        yield
    portal.loop.close()


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def check(case: schemathesis.Case[Any]) -> None:
    """Make a generated call, and check status and body of the answer against the OpenAPI
    document.
    """
    case.call_and_validate(session=CLIENT, checks=CHECKS)


@pytest.mark.slow
@pytest.mark.usefixtures("same_thread")
@pytest.mark.parametrize(("path", "method"), SERVED)
def test_application_conforms_to_its_document(
    schema: schemathesis.BaseSchema, path: str, method: str
) -> None:
    """Answers to generated calls have a status and body that the document describes.

    The calls are generated here and not by `schema.parametrize`, which generates all of them in
    every worker.
    """
    (generated,) = get_all_tests(
        schema=schema.include(path=path, method=method),
        test_func=check,
        settings=None,
        given_kwargs=None,
    )
    assert isinstance(generated, Ok), generated
    test: Any = generated.ok()[1]
    edges = test.hypothesis_explicit_examples
    test.hypothesis_explicit_examples = edges[:: len(edges) // EDGE_CASES + 1]
    test()


def test_every_route_is_in_the_document() -> None:
    """The document lists every path and method that the application serves, but for the inspector's
    pages.
    """
    paths = document(APP)["paths"]
    assert set(SERVED) == {
        (path, method.upper()) for path, operations in paths.items() for method in operations
    }


@pytest.mark.anyio
async def test_docs_page_works_offline(client: httpx.AsyncClient) -> None:
    """The page of API documentation loads no script and names no URL of another server."""
    page = (await client.get("/docs")).text
    assert "<script" not in page
    assert "src=" not in page
    assert "https://" not in page
    for path in ("/v1/retrieve", "/v1/memories/{memory_id}", "RetrieveRequest"):
        assert path in page


@pytest.mark.anyio
async def test_document_lists_role_and_problems(client: httpx.AsyncClient) -> None:
    """For POST /v1/memories the OpenAPI document names the required role and every error status."""
    described = (await client.get("/openapi.json")).json()
    call = described["paths"]["/v1/memories"]["post"]
    assert "writer" in call["description"]
    assert call["responses"].keys() >= {
        "200",
        "201",
        "400",
        "401",
        "403",
        "413",
        "415",
        "422",
        "429",
        "503",
    }
    (episodic, *_) = described["components"]["schemas"]["MemoryAnswer"]["anyOf"]
    assert "content" in episodic["properties"]
    assert "tenant" not in episodic["properties"]


def test_two_schemas_cannot_share_a_name() -> None:
    """If two schemas have the same name, building the OpenAPI document fails instead of dropping
    one of them.
    """
    schemas = PydanticSchemas()
    schemas.reference(create_model("Twin", value=(int, 1)), "validation")
    with pytest.raises(ValueError, match="named Twin"):
        schemas.reference(create_model("Twin", value=(str, "")), "validation")
