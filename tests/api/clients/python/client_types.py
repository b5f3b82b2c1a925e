"""Generates the Python client's modules `answers` and `options` from the OpenAPI document.

datamodel-code-generator writes the code. Before that, the schemas get the form that a client needs.
An answer may come from a newer service, so it has no limits and no lists of allowed values, and a
member that may be left out has a default. A memory has the fields of all types. Options are the
optional members of a call's query and body; the client's methods take the others as arguments.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from api.http import openapi
from api.http.app import create_app
from tests.api.conftest import NOW
from tests.api.fake_services import fake_services

Schema: TypeAlias = dict[str, Any]
Components: TypeAlias = Mapping[str, Schema]

PACKAGE = Path(__file__).parents[4] / "api/clients/python/remembrancer_client"
HEADER = '''"""{subject}

Generated from the service's OpenAPI document by `make client-types`; not to be edited.
"""'''

NOT_CALLED_FROM_PYTHON = {
    "/docs",  # for people
    "/openapi.json",  # for generators of clients
    "/metrics",  # for Prometheus
    "/v1/hooks/claude-code",  # called by that program itself, as are the next two
    "/v1/hooks/codex",
    "/v1/hooks/vscode",
}


@dataclass(frozen=True)
class Options:
    """A typed dictionary of a call's options. operation: the call's operationId.

    arguments: optional members of the call that the client's method takes as arguments or sets
    itself.
    """

    name: str
    operation: str
    arguments: tuple[str, ...] = ()


OPTIONS = (
    Options("Scoped", "get_memory"),
    Options("RememberOptions", "post_memory"),
    Options("BatchOptions", "post_batch"),
    Options("UpdateOptions", "patch_memory"),
    Options("ListOptions", "list_memories"),
    Options("EraseOptions", "erase_memories"),
    Options("DecisionOptions", "list_decisions"),
    Options("DueOptions", "get_due"),
    Options("SearchOptions", "post_search"),
    Options("RecallOptions", "post_retrieve", ("format",)),
    Options("AgentOptions", "post_agent_context"),
    Options("WorkingOptions", "post_working"),
    Options("WorkingListOptions", "list_working"),
    Options("ClearOptions", "clear_working"),
    Options("PromptOptions", "prompt_submit"),
    Options("StopOptions", "session_stop"),
    Options("TodoOptions", "todo_created"),
    Options("DoneOptions", "todo_completed"),
    Options("ThreadOptions", "post_thread"),
    Options(
        "ReferenceOptions",
        "post_thread",
        ("key", "parent_id", "resource", "agent_id", "initial_context", "workflow_id"),
    ),
    Options("ThreadScope", "delete_thread"),
    Options("ThreadListOptions", "list_threads"),
    Options("ThreadPageOptions", "get_thread"),
    Options("TurnListOptions", "get_turns"),
    Options("AppendOptions", "post_turn"),
    Options("ReplaceOptions", "put_turns"),
    Options("ThreadContextOptions", "post_context"),
    Options("FlushOptions", "post_flush"),
    Options("ThreadClearOptions", "post_clear"),
    Options("WorkflowOptions", "post_workflow"),
    Options("EventOptions", "post_event"),
    Options("WorkflowListOptions", "list_workflows"),
    Options("StateOptions", "get_workflow"),
    Options("EventListOptions", "get_events"),
    Options("HistoryOptions", "get_workflow_history"),
    Options("ResumeOptions", "post_continue"),
    Options("ItemScope", "delete_item", ("path",)),
    Options("GetOptions", "get_item", ("path",)),
    Options("PutOptions", "put_item", ("path",)),
    Options("ItemSearchOptions", "search_items", ("prefix",)),
    Options("PathOptions", "list_item_paths"),
    Options("JobOptions", "run_job"),
)

ARGUMENTS = ("FeedbackOutcome", "NewTurn", "Role", "SessionMessage", "WorkflowEventType")
"""Components that no option has but that methods take as arguments."""


def service_document() -> Schema:
    """The service's OpenAPI document."""
    return openapi.document(create_app(fake_services(lambda: NOW), local_only=True))


def modules(document: Schema) -> dict[str, str]:
    """The texts of the generated modules, by file name."""
    answers = _generated(
        "Answers of the service.",
        _answers(document),
        "--output-model-type=msgspec.Struct",
        '--extra-template-data={"#all#": {"base_class_kwargs": {"frozen": true}}}',
        '--model-name-map={"MemoryAnswer": "Memory"}',
        '--aliases={"HistoryVersion.from": "since"}',
    )
    options = _generated(
        "Keyword arguments of the calls, as typed dictionaries.",
        _options(document),
        "--output-model-type=typing.TypedDict",
        "--enum-field-as-literal=all",
        "--use-type-alias",
        "--use-total-false-for-typed-dict",
        "--use-generic-container-types",
        '--import-overrides={"TypedDict": "typing"}',
    )
    return {"answers.py": answers, "options.py": options}


def _generated(subject: str, schemas: Mapping[str, Schema], *arguments: str) -> str:
    """The module that datamodel-code-generator makes of `schemas`. subject: for its docstring."""
    document = {
        "openapi": "3.1.0",
        "info": {"title": "", "version": ""},
        "paths": {},
        "components": {"schemas": schemas},
    }
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "schemas.json")
        source.write_text(json.dumps(document))
        generator = [
            *(sys.executable, "-m", "datamodel_code_generator"),
            f"--input={source}",
            "--input-file-type=openapi",
            "--target-python-version=3.10",
            "--output-datetime-class=datetime",
            "--use-schema-description",
            "--use-field-description",
            "--use-default",
            "--no-use-annotated",
            "--keep-model-order",
            "--disable-timestamp",
            f"--custom-file-header={HEADER.format(subject=subject)}",
            "--ignore-pyproject",
            "--no-formatters",
            *arguments,
        ]
        text = _output(generator, "")
    # TC002 moves the import of typing_extensions, which the client does not require, to type checks
    ruff = (sys.executable, "-m", "ruff", "--quiet")
    module = ("--stdin-filename", str(PACKAGE / "generated.py"), "-")
    rules = ("--extend-select=TC002", "--config=lint.flake8-type-checking.exempt-modules = []")
    fixes = ("--fix-only", "--unsafe-fixes")
    text = _output([*ruff, "check", *rules, *fixes, *module], text)
    return _output([*ruff, "format", *module], text)


def _output(command: Sequence[str], text: str) -> str:
    """What `command` prints when it reads `text`."""
    run = subprocess.run(command, input=text, check=True, stdout=subprocess.PIPE, text=True)
    return run.stdout


# Answers


def _answers(document: Schema) -> dict[str, Schema]:
    """Schemas of all answers that the client's methods return, by name."""
    components = document["components"]["schemas"]
    schemas: dict[str, Schema] = {}
    names = [
        name
        for _, operation in _operations(document)
        for status, response in operation["responses"].items()
        if status.startswith("2")
        for name in _references(response)
    ]
    while names:
        name = names.pop()
        if name not in schemas:
            schemas[name] = _answer(components[name], components)
            names.extend(_references(schemas[name]))
    schemas |= _by_format(schemas["RetrieveAnswer"])
    return dict(sorted(schemas.items()))


def _answer(schema: Schema, components: Components) -> Schema:
    """The schema of an answer, or of an object in one."""
    variants = _variants(schema, components)
    answer = _object(schema, components, closed=False)
    for name in answer["properties"].keys() - set(answer["required"]):
        in_all = all(name in variant["properties"] for variant in variants)
        default = _default(variants[0]["properties"][name]) if in_all else None
        member = answer["properties"][name]
        if default is None:
            member = _either(member, {"type": "null"})
        answer["properties"][name] = {**member, "default": default}
    # The generator's --use-default makes those with a default optional; a member that is not
    # required would be msgspec.UNSET instead
    return {**answer, "required": list(answer["properties"])}


def _default(schema: Schema) -> Any:
    """What a member that an answer leaves out is for the client; None for most."""
    empty = {"array": [], "object": {}, "boolean": False}
    return schema.get("default", empty.get(schema.get("type", "")))


def _by_format(answer: Schema) -> dict[str, Schema]:
    """The two forms of a retrieval's answer: with a text, and with a list of messages."""
    text, messages = answer["properties"]["context"]["anyOf"]
    return {
        "RetrieveAnswer": {**answer, "properties": {**answer["properties"], "context": text}},
        "MessagesAnswer": {**answer, "properties": {**answer["properties"], "context": messages}},
    }


# Options


def _options(document: Schema) -> dict[str, Schema]:
    """Schemas of the calls' options and of the objects in their bodies, by name."""
    components = document["components"]["schemas"]
    operations = {
        operation["operationId"]: (call, operation) for call, operation in _operations(document)
    }
    memory = components["Batch"]["properties"]["items"]["items"]
    schemas = {
        "NewMemory": {
            **_object(memory, components, closed=True),
            "description": "A memory to write in a batch.",
        }
    }
    for options in OPTIONS:
        call, operation = operations[options.operation]
        schemas[options.name] = {
            "description": _parameters(operation) or f"Options for `{call}`.",
            **_option_members(options, operation, components),
        }
    names = [*ARGUMENTS, *_references(list(schemas.values()))]
    while names:
        name = names.pop()
        if name not in schemas:
            schemas[name] = _component(components[name], components)
            names.extend(_references(schemas[name]))
    return dict(sorted(schemas.items()))


def _option_members(options: Options, operation: Schema, components: Components) -> Schema:
    """The schema of a call's options."""
    body = _body(operation, components)
    members = dict(body["properties"])
    required = set(body["required"])
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query":
            schema = _value(parameter["schema"], components, closed=True)
            members.setdefault(parameter["name"], schema)
            if parameter["required"]:
                required.add(parameter["name"])
        elif parameter["name"] == "Idempotency-Key":
            members["idempotency_key"] = {
                "type": "string",
                "description": parameter["description"],
            }
    arguments = (required | set(options.arguments)) - {"namespace"}
    properties = {name: members[name] for name in members if name not in arguments}
    return {**body, "properties": properties, "required": []}


def _parameters(operation: Schema) -> str:
    """What a call's description says of its query parameters: all but the first paragraph."""
    description: str = operation["description"]
    return description.partition("\n\n")[2]


def _body(operation: Schema, components: Components) -> Schema:
    """The schema of a call's JSON body; one without members if it has none."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return _object(_resolved(schema, components), components, closed=True)


def _component(schema: Schema, components: Components) -> Schema:
    """The schema of an object or an enumeration in a call."""
    if "enum" in schema:
        return _value(schema, components, closed=True)
    return _object(schema, components, closed=True)


# Both


def _object(schema: Schema, components: Components, *, closed: bool) -> Schema:
    """The schema of an object; if it has variants, such as the types of a memory, with the members
    of all of them. closed: see `_value`.
    """
    variants = _variants(schema, components)
    properties: dict[str, Schema] = {}
    for variant in variants:
        for name, member in variant.get("properties", {}).items():
            value = _value(member, components, closed=closed)
            if "description" in member:
                value["description"] = member["description"]
            properties[name] = _either(properties[name], value) if name in properties else value
    required = set.intersection(*(set(variant.get("required", [])) for variant in variants))
    described = {"description": schema["description"]} if "description" in schema else {}
    return {**described, "type": "object", "properties": properties, "required": sorted(required)}


def _value(schema: Schema, components: Components, *, closed: bool) -> Schema:
    """The schema of a value, without limits and defaults. closed: whether it can only be one of the
    listed values; an answer may have a value that only a newer service knows.
    """
    if "$ref" in schema:
        target = _resolved(schema, components)
        is_open = "enum" in target and not closed
        return {"type": target["type"]} if is_open else {"$ref": schema["$ref"]}
    variants = schema.get("anyOf") or schema.get("oneOf")
    if variants:
        return {"anyOf": [_value(variant, components, closed=closed) for variant in variants]}
    names = ("type", "format", "enum", "const") if closed else ("type", "format")
    value: Schema = {name: schema[name] for name in names if name in schema}
    if "items" in schema:
        value["items"] = _value(schema["items"], components, closed=closed)
    if schema.get("type") == "object":
        value |= _map(schema, components, closed=closed)
    return value


def _map(schema: Schema, components: Components, *, closed: bool) -> Schema:
    """The types of the keys and values of a JSON object that has any keys."""
    keys = schema.get("propertyNames", {})
    values = schema.get("additionalProperties", True)
    return {
        "additionalProperties": values is True or _value(values, components, closed=closed),
        **({"propertyNames": keys} if closed and "$ref" in keys else {}),
    }


def _either(first: Schema, second: Schema) -> Schema:
    """The schema of a value that has one of two schemas, with the description of the first."""
    forms: list[Schema] = []
    for schema in (first, second):
        value = {name: content for name, content in schema.items() if name != "description"}
        for form in value.get("anyOf", [value]):
            if form not in forms:
                forms.append(form)
    if {} in forms:  # any value
        forms = [{}]
    either = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {**either, "description": first["description"]} if "description" in first else either


def _variants(schema: Schema, components: Components) -> list[Schema]:
    """The objects that a schema allows; itself if it has no variants."""
    variants = schema.get("anyOf") or schema.get("oneOf") or [schema]
    return [_resolved(variant, components) for variant in variants]


def _resolved(schema: Schema, components: Components) -> Schema:
    return components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _operations(document: Schema) -> Iterator[tuple[str, Schema]]:
    """The method and path, and the operation, of each call that the client has."""
    for path, methods in document["paths"].items():
        if path not in NOT_CALLED_FROM_PYTHON:
            for method, operation in methods.items():
                yield f"{method.upper()} {path}", operation


def _references(value: Any) -> Iterator[str]:
    """Names of the components that a part of the document refers to."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for member in value.values():
            yield from _references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)


if __name__ == "__main__":
    for name, text in modules(service_document()).items():
        (PACKAGE / name).write_text(text)
