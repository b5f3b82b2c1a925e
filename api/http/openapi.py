"""The OpenAPI document, made from what each route says about itself, so that it can't say anything else."""

from __future__ import annotations

import http
import re
from collections.abc import Iterator, Mapping
from typing import Any

from litestar import Litestar
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from pydantic import TypeAdapter, ValidationError

from api.http.bodies import CHANGES
from api.http.endpoint import Call
from api.http.problems import PROBLEM_JSON, ProblemAnswer
from api.http.schemas import Schemas

_INFO = {
    "title": "Remembrancer",
    "version": "1",
    "description": "A memory service for AI agents. Errors are RFC 9457 problems. Without configured keys the service "
    "listens on loopback only and needs none.",
}
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def document(app: Litestar) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `app`'s routes; made when it is first asked for."""
    if "openapi" not in app.state:
        app.state["openapi"] = _document(app)
    made: dict[str, Any] = app.state["openapi"]
    return made


def _document(app: Litestar) -> dict[str, Any]:
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for path, method, call, name in described(app):
        paths.setdefault(path, {})[method.lower()] = _operation(call, name, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas.components(), "securitySchemes": _SECURITY},
    }


def described(app: Litestar) -> Iterator[tuple[str, str, Call, str]]:
    """(path, method, description, handler's name) of each route that describes itself."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            call = handler.opt.get("call")
            if isinstance(call, Call) and isinstance(handler, HTTPRouteHandler):
                (method,) = handler.http_methods - {HttpMethod.HEAD}  # of a GET's answer it is a part
                yield route.path_format, str(method), call, handler.handler_name


def _operation(call: Call, name: str, path: str, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": call.summary,
        "tags": [call.tag],
        "parameters": [*_path_parameters(path), *_query_parameters(call, schemas), *_headers(call)],
        "responses": {**_answers(call, schemas), **_problems(call, schemas)},
    }
    if call.body is not None:
        content = {kind: {"schema": _body(call, kind, schemas)} for kind in call.body_types}
        operation["requestBody"] = {"required": _needs_body(call), "content": content}
    if call.role is not None:
        operation["description"] = f"Role: {call.role}."
        operation["security"] = [{}, {"bearer": []}, {"header": []}]
    return operation


def _needs_body(call: Call) -> bool:
    """Whether anything must be sent: a body that is left out is an empty object."""
    assert call.body is not None  # noqa: S101 - the caller asks only for calls with a body
    try:
        call.body.validate_python({})
    except ValidationError:
        return True
    return False


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]


_TEXT = {"type": "string", "minLength": 1}


def _query_parameters(call: Call, schemas: Schemas) -> list[dict[str, Any]]:
    if call.query is None:
        return []
    schema = schemas.inline(TypeAdapter(call.query))
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(one)}
        for name, one in schema["properties"].items()
    ]


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` for a query: a parameter can be left out, but can't be null."""
    given = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default") or value is not None}
    rest.pop("anyOf", None)
    return {**rest, **given[0]} if len(given) == 1 else dict(schema)


def _headers(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
        }
        for name, text in call.headers.items()
    ]


def _body(call: Call, kind: str, schemas: Schemas) -> dict[str, Any]:
    if kind != "application/json":
        return {"type": "string", "description": "One item a line, as in the JSON body's `items`."}
    if call.body is CHANGES:
        return schemas.changes()
    assert call.body is not None  # noqa: S101 - the caller asks only for calls with a body
    return schemas.accepted(call.body)


def _answers(call: Call, schemas: Schemas) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, shape in call.answers.items():
        entry: dict[str, Any] = {"description": http.HTTPStatus(status).phrase}
        if shape is not None:
            entry["content"] = {call.answer_type: {"schema": schemas.answered(shape)}}
        answers[str(status)] = entry
    return answers


def _problems(call: Call, schemas: Schemas) -> dict[str, Any]:
    statuses = {422, 500, *call.may_fail}
    if call.body is not None:
        statuses |= {400, 408, 413, 415, 429}
    if call.role is not None:
        statuses |= {401, 403, 429}
    schema = schemas.answered(ProblemAnswer)
    return {
        str(status): {
            "description": http.HTTPStatus(status).phrase,
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
        for status in sorted(statuses - call.answers.keys())
    }
