"""Shapes that several calls share: common query parameters, and the parts of which answers are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    model_serializer,
)
from pydantic_core import CoreSchema

from memtypes.model.memory import Memory, Model
from memtypes.model.scope import Name
from memtypes.model.types import MEMORY_CLASSES


def _integer(text: object) -> object:
    return int(text) if isinstance(text, str) and re.fullmatch(r"-?[0-9]{1,18}", text) else text


def _boolean(text: object) -> object:
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


QueryFlag: TypeAlias = Annotated[bool, Field(strict=True), BeforeValidator(_boolean)]
QueryWhole: TypeAlias = Annotated[int, Field(strict=True), BeforeValidator(_integer)]


class InNamespace(Model):
    """The query of a call within a namespace."""

    namespace: Name


class MaybeNamespace(Model):
    """The query of a call that may name its namespace elsewhere: in a batch's body, or in a backup's id."""

    namespace: Name | None = None


def _is_empty(value: object) -> bool:
    return not value


Redactions: TypeAlias = Annotated[Mapping[str, int] | None, Field(exclude_if=_is_empty)]
"""Secrets that were removed, by kind; left out when there were none."""


class MemoryAnswer(RootModel[Memory]):
    """A memory: every common field and those of its type, null ones too, without its tenant."""

    @model_serializer(mode="plain")
    def members(self) -> dict[str, Any]:
        """The memory as JSON."""
        return self.root.model_dump(mode="json", exclude={"tenant"})

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """A choice of the five types."""
        shapes = [_without_tenant(handler, kind) for kind in MEMORY_CLASSES.values()]
        return {"description": "A memory of any type.", "anyOf": shapes}


def _without_tenant(handler: GetJsonSchemaHandler, kind: type[Memory]) -> dict[str, Any]:
    schema = dict(handler.resolve_ref_schema(handler(kind.__pydantic_core_schema__)))
    properties = {name: content for name, content in schema["properties"].items() if name != "tenant"}
    return {**schema, "title": f"{kind.__name__}Memory", "properties": properties, "required": sorted(properties)}
