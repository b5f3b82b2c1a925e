"""Errors of calls name fields that the call has. The calls are made from the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from api.auth.keys import KeyBook, KeyEntry, Role, hashed
from api.http.app import create_app
from api.http.openapi import document
from api.wiring.container import Services
from tests.api.conftest import connect

pytestmark = pytest.mark.anyio

MEMORY = "6f1c1f5e-1f0a-5c53-9c5c-0d5d2f6a7b10"
UNFIT = ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "   ", "a\x00b", "x" * 600)
"""Texts that calls refuse in some of their fields: a secret, a blank, one with a control character
and a long one.
"""


@dataclass(frozen=True)
class Operation:
    """A call of the OpenAPI document. body: schema of its JSON body, None without one. schemas: all
    named schemas.
    """

    method: str
    path: str
    parameters: dict[str, Any]
    body: dict[str, Any] | None
    schemas: dict[str, Any]

    @property
    def fields(self) -> set[str]:
        """Names of the parameters and of the body's fields."""
        return {*self.parameters, *(self.properties(self.body) if self.body else ())}

    def properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The fields of an object's schema, those of all its variants."""
        schema = self.resolved(schema)
        variants = [self.properties(each) for each in schema.get("oneOf", schema.get("anyOf", []))]
        return {
            name: field
            for each in (*variants, schema.get("properties", {}))
            for name, field in each.items()
        }

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema, or the named one that it refers to."""
        return (
            self.resolved(self.schemas[schema["$ref"].rpartition("/")[2]])
            if "$ref" in schema
            else schema
        )

    def example(self, schema: dict[str, Any]) -> Any:
        """A small value of the schema: an object has its required fields only."""
        schema = self.resolved(schema)
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return self.example(
                    next(each for each in schema[choice] if each.get("type") != "null")
                )
        if "enum" in schema or "const" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        if schema.get("type") == "object":
            named = schema.get("properties", {})
            return {name: self.example(named[name]) for name in schema.get("required", ())}
        if schema.get("type") == "array":
            return [self.example(schema["items"])]
        text = "2026-03-02T12:00:00Z" if schema.get("format") == "date-time" else "user"
        numbers = {"integer": max(1, schema.get("minimum", 1)), "number": 1.0, "boolean": True}
        return numbers.get(schema.get("type", ""), text)

    def unfit(self, schema: dict[str, Any], text: str, depth: int = 5) -> Iterator[Any]:
        """Values of the schema with `text` in one place, which is at most `depth` schemas deep."""
        schema = self.resolved(schema)
        for variant in schema.get("oneOf", schema.get("anyOf", [])):
            yield from self.unfit(variant, text, depth - 1) if depth else ()
        if schema.get("type") == "string":
            yield text
        elif "items" in schema and depth:
            yield from ([value] for value in self.unfit(schema["items"], text, depth - 1))
        for name, field in schema.get("properties", {}).items() if depth else ():
            yield from (
                {**self.example(schema), name: value}
                for value in self.unfit(field, text, depth - 1)
            )

    def bodies(self, texts: Sequence[str]) -> list[Any]:
        """Bodies of the call: with the required fields alone, and with one of the unfit `texts` in
        each place.
        """
        if self.body is None:
            return [None]
        return [
            self.example(self.body),
            *(value for text in texts for value in self.unfit(self.body, text)),
        ]


def operations(services: Services) -> list[Operation]:
    """The calls with errors about fields, those under /v1."""
    described = document(create_app(services))
    return [
        Operation(
            method.upper(),
            path,
            {each["name"]: each for each in operation.get("parameters", [])},
            operation.get("requestBody", {})
            .get("content", {})
            .get("application/json", {})
            .get("schema"),
            described["components"]["schemas"],
        )
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1")
    ]


@pytest.mark.parametrize(("key", "texts"), [("key-of-two", ()), ("key-of-none", UNFIT)])
async def test_errors_name_fields_of_the_call(
    services: Services, key: str, texts: Sequence[str]
) -> None:
    """Each error of an invalid call is about a parameter of the call or a field of its body.

    A call is invalid because it names no agent with a key that is bound to two, or because of an
    unfit text.
    """
    entries = [
        KeyEntry(key="key-of-two", tenant="acme", role=Role.WRITER, agents=["ann", "bob"]),
        KeyEntry(key="key-of-none", tenant="acme", role=Role.ADMIN),
    ]
    services = replace(services, keys=KeyBook(hashed(entries)))
    async with connect(services, headers={"Authorization": f"Bearer {key}"}) as client:
        host = {"Authorization": "Bearer key-of-none"}
        namespace = {"namespace": "n"}
        thread = (await client.post("/v1/threads", json=namespace, headers=host)).json()["id"]
        await client.post("/v1/workflows", json={**namespace, "workflow_id": "w"}, headers=host)
        ids = {"thread_id": thread, "workflow_id": "w", "memory_id": MEMORY, "job": "forget"}
        for operation in operations(services):
            path = re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "ann"), operation.path)
            query = namespace if operation.parameters.get("namespace", {}).get("required") else {}
            for body in operation.bodies(texts):
                answer = await client.request(operation.method, path, params=query, json=body)
                for error in answer.json().get("errors", []) if answer.status_code == 422 else []:
                    first = re.split(r"[.\[]", error["path"])[0]
                    assert first in {*operation.fields, ""}, (
                        operation.method,
                        operation.path,
                        error,
                        body,
                    )
