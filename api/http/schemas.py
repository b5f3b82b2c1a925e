"""The JSON schemas of the OpenAPI document: pydantic's own, with the memory as answers show it."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from api.http.answers import MemoryAnswer
from memtypes.model.types import DRAFT, MEMORY_CLASSES

_REF = "#/components/schemas/{model}"
_CHANGEABLE = ("content", "importance", "tags", "metadata", "pinned", "expires_at")


class Schemas:
    """Collects the components that the shapes refer to."""

    def __init__(self) -> None:
        self._components: dict[str, dict[str, Any]] = {}
        self._answered: dict[Any, dict[str, Any]] = {}

    def components(self) -> dict[str, Any]:
        """Every component, by name."""
        return dict(sorted(self._components.items()))

    def accepted(self, adapter: TypeAdapter[Any]) -> dict[str, Any]:
        """The schema of what a caller sends."""
        return self._reference(adapter, "validation")

    def answered(self, shape: Any) -> dict[str, Any]:
        """The schema of what is sent back, made once a shape; every reference to a memory is to the real one."""
        if shape not in self._answered:
            self._answered[shape] = self._memory_answer() if shape is MemoryAnswer else self._sent_back(shape)
        return self._answered[shape]

    def _sent_back(self, shape: Any) -> dict[str, Any]:
        schema = self._reference(TypeAdapter(shape), "serialization")
        if MemoryAnswer.__name__ in self._components:
            self.answered(MemoryAnswer)
        return schema

    def _memory_answer(self) -> dict[str, Any]:
        """A reference to the memory of answers."""
        self._components[MemoryAnswer.__name__] = self._memory()
        return {"$ref": _REF.format(model=MemoryAnswer.__name__)}

    def inline(self, adapter: TypeAdapter[Any]) -> dict[str, Any]:
        """The schema itself, not a reference to it; what it refers to becomes components."""
        return self._collected(adapter.json_schema(ref_template=_REF))

    def changes(self) -> dict[str, Any]:
        """The body of a change: any of the fields that may change, by the rules of the types that have them."""
        drafts = self._collected(DRAFT.json_schema(ref_template=_REF))
        kinds = [self._components[one["$ref"].rsplit("/", 1)[1]] for one in drafts["oneOf"]]
        own = {name for kind in MEMORY_CLASSES.values() for name in kind.own_fields}
        names = [*_CHANGEABLE, *sorted(own)]
        properties = {name: _any_of([kind["properties"].get(name) for kind in kinds]) for name in names}
        return {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": properties}

    def _memory(self) -> dict[str, Any]:
        shapes = [self._without_tenant(TypeAdapter(kind)) for kind in MEMORY_CLASSES.values()]
        return {"description": "A memory of any type.", "anyOf": shapes}

    def _without_tenant(self, adapter: TypeAdapter[Any]) -> dict[str, Any]:
        schema = self._collected(adapter.json_schema(mode="serialization", ref_template=_REF))
        schema["properties"].pop("tenant")
        schema["required"] = sorted(schema["properties"])
        name = f"{schema['title']}Memory"
        self._components[name] = schema
        return {"$ref": _REF.format(model=name)}

    def _reference(self, adapter: TypeAdapter[Any], mode: JsonSchemaMode) -> dict[str, Any]:
        schema = self._collected(adapter.json_schema(mode=mode, ref_template=_REF))
        title = schema.get("title")
        if title is None:
            return schema
        self._components[title] = schema
        return {"$ref": _REF.format(model=title)}

    def _collected(self, schema: dict[str, Any]) -> dict[str, Any]:
        for name, definition in schema.pop("$defs", {}).items():
            self._components.setdefault(name, _with_short_source(definition))
        return schema


def _with_short_source(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema`, where a draft's source may also be the caller's name alone: pydantic can't see that in a validator."""
    source = schema.get("properties", {}).get("source")
    if source is None or "review" not in schema["properties"]:
        return schema
    short = {"type": "string", "maxLength": 256}
    return {**schema, "properties": {**schema["properties"], "source": {**source, "anyOf": [short, *source["anyOf"]]}}}


def _any_of(schemas: list[dict[str, Any] | None]) -> dict[str, Any]:
    distinct: list[dict[str, Any]] = []
    for schema in schemas:
        if schema is not None and schema not in distinct:
            distinct.append(schema)
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
