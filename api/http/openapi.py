"""The OpenAPI document that Litestar builds, completed with pydantic's schemas, and the HTML page
that shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass
from inspect import isclass
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Litestar, Router
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, spec
from litestar.plugins import OpenAPISchemaPlugin
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from api.http.endpoint import Endpoint

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator

_REF = "#/components/schemas/{model}"

_DESCRIBED_BY = {("SearchHit", "memory"): "MemoryAnswer"}
"""Models of the API that describe what retrieval answers as a plain JSON object."""


@dataclass
class PydanticSchema(spec.Schema):
    """A JSON schema made by pydantic, which Litestar writes into the document unchanged."""

    content: dict[str, Any] = field(default_factory=dict)

    def to_schema(self) -> dict[str, Any]:
        """The JSON object that Litestar writes into the document for this schema: `content`,
        unchanged.
        """
        return self.content


class _SchemaGenerator(GenerateJsonSchema):
    """Pydantic's schema generator. In answers, fields that may be left out are neither nullable nor
    required.
    """

    def generate_inner(self, schema: Any) -> dict[str, Any]:
        """The schema of a type or field; of a field that answers leave out instead of sending null,
        without null.
        """
        content = super().generate_inner(schema)
        return _without_null(content) if "serialization_exclude_if" in schema else content

    # Pydantic's signature
    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001
        """Whether the field is required: whether an answer always has it, or a request must have
        it.
        """
        if self.mode == "serialization" and field["type"] == "dataclass-field":
            return "serialization_exclude_if" not in field
        return super().field_is_required(field, total)


class PydanticSchemas(OpenAPISchemaPlugin):
    """Litestar plugin that lets pydantic make the JSON schemas of models and dataclasses.

    Litestar's own schemas lack the limits that validators check, and do not forbid unknown fields.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self.document: dict[str, Any] | None = None
        self._referenced: set[tuple[type[Any], JsonSchemaMode]] = set()

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether `value` is a pydantic model or a dataclass."""
        return isclass(value) and (issubclass(value, BaseModel) or is_dataclass(value))

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> spec.Schema:
        """A reference to the schema of the field type. Litestar sets `prefer_alias` to get a schema
        for requests.
        """
        mode: JsonSchemaMode = "validation" if schema_creator.prefer_alias else "serialization"
        return self.reference(field_definition.annotation, mode)

    def reference(self, model: type[Any], mode: JsonSchemaMode) -> spec.Schema:
        """Add the JSON schema of `model` to the components of the OpenAPI document; return a `$ref`
        to this schema.

        mode: "validation" for a model of requests, "serialization" for a model of answers.
        """
        if (model, mode) not in self._referenced:  # problems are answers of every call
            self._define(model.__name__, self.inline(model, mode))
            self._referenced.add((model, mode))
        return PydanticSchema(content={"$ref": _REF.format(model=model.__name__)})

    def inline(self, model: type[Any], mode: JsonSchemaMode) -> dict[str, Any]:
        """The schema of `model`, not a reference. Models that it refers to are added to the
        document's components.
        """
        schema = TypeAdapter(model).json_schema(
            mode=mode, ref_template=_REF, schema_generator=_SchemaGenerator
        )
        for name, definition in schema.pop("$defs", {}).items():
            self._define(name, definition)
        return schema

    def _define(self, name: str, schema: dict[str, Any]) -> None:
        if self.definitions.setdefault(name, schema) != schema:
            raise ValueError(f"two different schemas are named {name}")


class _NoRoutes(Router):
    """Keeps Litestar from adding its own documentation pages. `api.http.routes.service` serves them
    instead.
    """

    def register(self, value: Any) -> list[Any]:  # noqa: ARG002 - see the class
        return []


def openapi_config() -> OpenAPIConfig:
    """Litestar's OpenAPI settings: title, security schemes and operation ids."""
    return OpenAPIConfig(
        title="Remembrancer",
        version="1",
        description="A memory service for AI agents. Errors are RFC 9457 problems. Without "
        "configured keys the service "
        "listens on loopback only and needs none.",
        components=spec.Components(
            security_schemes={
                "bearer": spec.SecurityScheme(type="http", scheme="bearer"),
                "header": spec.SecurityScheme(
                    type="apiKey", security_scheme_in="header", name="X-API-Key"
                ),
            }
        ),
        operation_id_creator=lambda handler, method, _: (
            f"{'head_' * (method == HttpMethod.HEAD)}{handler.handler_name}"
        ),
        openapi_router=_NoRoutes("/", route_handlers=[]),
    )


def document(app: Litestar) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `app`. It is built at the first call and then kept in the plugin
    PydanticSchemas.
    """
    schemas = app.plugins.get(PydanticSchemas)
    if schemas.document is not None:
        return schemas.document
    specification = app.openapi_schema
    paths = specification.paths or {}
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or route.path_format not in paths:
            continue
        path_item = paths[route.path_format]
        path_item.head = None  # its answer is part of the GET's
        for method, (handler, _) in route.route_handler_map.items():
            if operation := getattr(path_item, method.lower()):
                _complete(operation, handler, schemas)
    content = specification.to_schema()
    content["components"]["schemas"] = dict(
        sorted({**content["components"]["schemas"], **schemas.definitions}.items())
    )
    for (model, member), described_by in _DESCRIBED_BY.items():
        properties = content["components"]["schemas"][model]["properties"]
        properties[member] = {"$ref": _REF.format(model=described_by)}
    content["paths"] = dict(sorted(content["paths"].items()))
    schemas.document = content
    return content


def _complete(
    operation: spec.Operation, handler: HTTPRouteHandler, schemas: PydanticSchemas
) -> None:
    """Complete `operation` with its query parameters and headers, its body's schema, and whether a
    body is required.
    """
    endpoint: Endpoint = handler.opt["endpoint"]
    operation.parameters = list(operation.parameters or [])
    if params := handler.opt["params"]:
        query = schemas.inline(params, "validation")
        if "description" in query and query["properties"].keys() != {"namespace"}:
            operation.description = f"{operation.description}\n\n{query['description']}"
        for name, content in query["properties"].items():
            schema = PydanticSchema(content=_without_null(content))
            required = name in query.get("required", [])
            operation.parameters.append(spec.Parameter(name, "query", schema, required=required))
    for name, description in endpoint.headers.items():
        text = spec.Schema(
            type=spec.OpenAPIType.STRING, min_length=1, max_length=256, pattern="^[!-~]+$"
        )
        operation.parameters.append(
            spec.Parameter(name, "header", text, description=description, required=False)
        )
    if endpoint.raw is not None:
        text = spec.Schema(
            type=spec.OpenAPIType.STRING,
            description="One item a line, as in the JSON body's `items`.",
        )
        bodies = {
            kind: schemas.reference(model, "validation") if model else text
            for kind, model in endpoint.raw.items()
        }
        content = {kind: spec.OpenAPIMediaType(body) for kind, body in bodies.items()}
        operation.request_body = spec.RequestBody(required=True, content=content)
    elif isinstance(operation.request_body, spec.RequestBody):
        # A missing body is read as an empty object, which is valid for some models
        with suppress(ValidationError):
            handler.parsed_fn_signature.parameters["data"].annotation.model_validate({})
            operation.request_body.required = False
    elif operation.responses is not None:
        operation.responses.pop("400", None)  # Litestar's own, of parameters, which are 422 here


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` without null as an alternative, for a value that is left out of a call or answer
    instead of null.
    """
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    members = {
        name: value
        for name, value in schema.items()
        if name != "anyOf" and (name, value) != ("default", None)
    }
    if len(options) == 1:
        return {**members, **options[0]}
    return {**members, "anyOf": options} if options else members


def page(openapi: Mapping[str, Any]) -> str:
    """The OpenAPI document `openapi` as one HTML page, which works offline: no scripts, no external
    fonts or styles.
    """
    tags: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    environment = Environment(
        loader=PackageLoader("api.http", "."), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("docs.html").render(tags=tags, **openapi)
