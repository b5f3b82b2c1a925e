"""Values out of text cells: what CSV and front matter hold as text, as the field's own kind of value.

A cell that does not read as what its field holds stays text, and the draft's validation says what is wrong with it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from memtypes.model.memory import Source
from memtypes.model.strict_json import MalformedJson, whole_value
from memtypes.model.types import AnyDraft


class Shape(StrEnum):
    """What a field's value looks like."""

    TEXT = "text"
    SCALAR = "scalar"
    LIST = "list"
    OBJECT = "object"


def _shape(annotation: Any) -> Shape:
    origin = typing.get_origin(annotation)
    if origin in (typing.Annotated, typing.Union, types.UnionType):
        return _shape(typing.get_args(annotation)[0])
    if origin is list:
        return Shape.LIST
    if origin is dict or annotation is Source:
        return Shape.OBJECT
    return Shape.SCALAR if annotation in (int, float, bool) else Shape.TEXT


def _shapes() -> dict[str, Shape]:
    drafts = typing.get_args(typing.get_args(AnyDraft)[0])
    return {name: _shape(field.annotation) for draft in drafts for name, field in draft.model_fields.items()}


SHAPES: Mapping[str, Shape] = types.MappingProxyType(_shapes())
"""Every field of every draft, with the shape of its value."""


def read_cells(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with each text read as its field's shape."""
    return {name: _read(SHAPES.get(name, Shape.TEXT), value) for name, value in fields.items()}


def _read(shape: Shape, value: Any) -> Any:
    if shape is Shape.TEXT or not isinstance(value, str):
        return value
    text = value.strip()
    if shape is Shape.LIST:
        return _list(text)
    try:
        return whole_value(text.lower() if text.lower() in ("true", "false") else text)
    except MalformedJson:
        return value


def _list(text: str) -> Any:
    """A JSON list; else the parts between semicolons, or between commas where there is no semicolon."""
    if text.startswith("["):
        try:
            return whole_value(text)
        except MalformedJson:
            text = text.strip("[]")
    parts = text.split(";" if ";" in text else ",")
    return [part.strip() for part in parts if part.strip()]
