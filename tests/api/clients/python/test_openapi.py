"""The Python client's methods compared with the service's OpenAPI document."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest

from remembrancer_client.calls import Call, Each
from remembrancer_client.client import AnyClient
from remembrancer_client.groups.admin import Admin
from remembrancer_client.groups.items import Items
from remembrancer_client.groups.memories import Memories
from remembrancer_client.groups.threads import Threads
from remembrancer_client.groups.workflows import Workflows
from remembrancer_client.groups.working import Hooks, Working
from remembrancer_client.request import Lines, Pages, Request, Upload
from tests.api.clients.python.client_types import NOT_CALLED_FROM_PYTHON, service_document

GROUPS: list[Any] = [Memories, Working, Hooks, Threads, Workflows, Items, Admin]
FIXED_BY_THE_METHOD = {"format", "cursor", "after", "confirm", "namespace", "items", "agent_id"}
"""Options that a method sets itself or takes by another name."""
LEFT_OUT = {"Threads.open_all": {"key", "parent_id", "resource", "initial_context", "workflow_id"}}
"""Options of the API that a method leaves out because they do not fit its purpose."""
Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    """The OpenAPI document of the service."""
    return service_document()


def methods() -> Iterator[tuple[str, Call[Any, Any] | Each[Any, Any]]]:
    """The name of each client method, such as `Memories.search`, and the object that describes its
    HTTP calls.
    """
    for group in GROUPS:
        for name, member in vars(group).items():
            if isinstance(member, Call | Each):
                yield f"{group.__name__}.{name}", member


def described(method: Call[Any, Any] | Each[Any, Any], group: type[Any]) -> Request[Any]:
    """The HTTP request that a client method makes. Each required argument has its parameter's name
    as its value.
    """
    parameters = list(inspect.signature(method.describe).parameters.values())[1:]
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    values = {p.name: [] if p.name in ("items", "lines", "path") else p.name for p in required}
    description = method.describe(group(None, "n"), **values)
    if isinstance(description, Upload):
        description.add(b"{}")
        part = description.remaining()
        assert part is not None
        return part
    if isinstance(description, Pages):
        return description.first
    request = description.request if isinstance(description, Lines) else description
    assert isinstance(request, Request)
    return request


def calls() -> dict[str, tuple[Request[Any], set[str]]]:
    """The HTTP request and the names of all arguments of each client method, by a name such as
    `Memories.search`.
    """
    requests = {}
    for name, method in methods():
        group = next(group for group in GROUPS if group.__name__ == name.partition(".")[0])
        hints = get_type_hints(
            method.describe, {**method.describe.__globals__, "Unpack": typing.Unpack}
        )
        options = next(
            (typing.get_args(hint)[0] for hint in hints.values() if _is_unpacked(hint)), None
        )
        keys = set(get_type_hints(options)) if options else set()
        parameters = inspect.signature(method.describe).parameters.values()
        keys |= {
            parameter.name
            for parameter in parameters
            if parameter.kind is not parameter.VAR_KEYWORD
        } - {"self"}
        requests[name] = described(method, group), keys
    return requests


def _is_unpacked(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Unpack


def operation(document: Document, request: Request[Any]) -> tuple[str, dict[str, Any]]:
    """The path and the operation in the OpenAPI document to which `request` is sent."""
    exact = document["paths"].get(request.path)
    if exact is not None:
        return request.path, exact[request.method.lower()]
    for path, item in document["paths"].items():
        if (
            re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.path)
            and request.method.lower() in item
        ):
            return path, item[request.method.lower()]
    raise AssertionError(f"{request.method} {request.path} is not in the document")


@pytest.mark.slow
def test_the_client_has_a_method_for_every_call_of_the_service(document: Document) -> None:
    """Each operation in the OpenAPI document has a client method, so a new operation needs a new
    method.
    """
    wrapped = {
        (request.method.lower(), operation(document, request)[0]) for request, _ in calls().values()
    }
    offered = {
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if path not in NOT_CALLED_FROM_PYTHON and not path.startswith(("/inspect", "/mcp"))
    }
    assert offered - wrapped == set()


def test_client_methods_have_exactly_the_options_of_their_calls(document: Document) -> None:
    """With listed exceptions, a client method takes exactly the body fields and query parameters of
    its operation.
    """
    for name, (request, options) in calls().items():
        _, item = operation(document, request)
        fields = {p["name"] for p in item.get("parameters", []) if p["in"] != "header"}
        body = (
            item.get("requestBody", {})
            .get("content", {})
            .get("application/json", {})
            .get("schema", {})
        )
        fields |= members(document, body)
        if request.key is not None:
            fields.add("idempotency_key")
        uploads = request.media_type == "application/x-ndjson"
        assert options - fields - ({"items", "lines"} if uploads else set()) == set(), name
        fields -= (
            FIXED_BY_THE_METHOD
            | LEFT_OUT.get(name, set())
            | ({"idempotency_key"} if uploads else set())
        )
        assert fields - options == set(), name


def members(document: Document, schema: dict[str, Any]) -> set[str]:
    """Names of the members in any variant of a schema."""
    if "$ref" in schema:
        return members(
            document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        )
    forms = [form for key in ("anyOf", "oneOf", "allOf") for form in schema.get(key, [])]
    return set(schema.get("properties", {})).union(*(members(document, form) for form in forms))


def test_every_call_has_the_answer_type_of_the_document(document: Document) -> None:
    """Each method decodes its answer into the type that the document names for the operation."""
    renamed = {
        "Memory": "MemoryAnswer",
        "MessagesAnswer": "RetrieveAnswer",
        "NoneType": "",
        "dict": "",
    }
    for name, (request, _) in calls().items():
        _, item = operation(document, request)
        answer = typing.get_origin(request.answer) or request.answer
        names = re.findall(
            r"schemas/(\w+)", str([r for code, r in item["responses"].items() if code[0] == "2"])
        )
        expected = renamed.get(answer.__name__, answer.__name__)
        assert expected in (names or [""]), name


def test_both_clients_offer_every_group() -> None:
    """The sync and the async client have an attribute for each group of calls."""
    offered = {type(member) for member in vars(AnyClient(None, "n")).values()}
    assert offered >= set(GROUPS) - {Memories}
    assert issubclass(AnyClient, Memories)
