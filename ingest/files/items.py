"""Turn rows of files into items as POST /v1/memories/batch takes them."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from ingest.files.readers.exports import as_metadata
from ingest.files.readers.rows import RawItem
from ingest.screening.submission import ReviewMode, as_invalid, draft_of
from ingest.writing.drafts import check_draft
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Source
from memtypes.model.policy import MemoryType
from memtypes.model.strict_json import MalformedJson, whole_value
from memtypes.model.types import MEMORY_CLASSES, AnyDraft

_METADATA = "metadata."
_REVIEWS = (ReviewMode.AUTO, ReviewMode.SKIP)
_HEADING_FIELDS = ("title", "concept", "procedure_name")
_MAX_HEADING = 500


class FieldShape(StrEnum):
    """How the value of a field is parsed from text."""

    TEXT = "text"
    SCALAR = "scalar"
    LIST = "list"
    OBJECT = "object"


def _shape(annotation: Any) -> FieldShape:
    origin = typing.get_origin(annotation)
    if origin in (typing.Annotated, typing.Union, types.UnionType):
        return _shape(typing.get_args(annotation)[0])
    if origin is list:
        return FieldShape.LIST
    if origin is dict or annotation is Source:
        return FieldShape.OBJECT
    return FieldShape.SCALAR if annotation in (int, float, bool) else FieldShape.TEXT


_DRAFTS = typing.get_args(typing.get_args(AnyDraft)[0])

SHAPES: Mapping[str, FieldShape] = types.MappingProxyType(
    {name: _shape(info.annotation) for draft in _DRAFTS for name, info in draft.model_fields.items()}
)
"""Every field of every draft."""

_TYPE_FIELDS = frozenset().union(*(kind.own_fields for kind in MEMORY_CLASSES.values()))
_COMMON_FIELDS = (frozenset(SHAPES) - _TYPE_FIELDS) | {"review"}


@dataclass(frozen=True, slots=True)
class RowOptions:
    """How rows become items.

    type, session_id, agent_id: for rows that have none; a row without any type is classified. mapping: foreign field
    names to ours, which may be metadata.KEY. extra_to_metadata: put fields that no memory has into metadata instead of
    rejecting the row.
    """

    type: MemoryType | None = None
    session_id: str | None = None
    agent_id: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    extra_to_metadata: bool = False


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raise InvalidRequest unless `mapping` leads to existing fields, each once."""
    targets = list(mapping.values())
    for foreign, target in mapping.items():
        if target not in SHAPES and not (target.startswith(_METADATA) and len(target) > len(_METADATA)):
            known = ", ".join(sorted(SHAPES))
            message = f"no memory has a field {target!r}; known are {known} and metadata.KEY"
            raise InvalidRequest(message, path="map", got=target)
        if targets.count(target) > 1:
            raise InvalidRequest(f"two fields are mapped to {target}", path="map", got=foreign)


def to_item(row: RawItem, options: RowOptions, now: datetime) -> dict[str, Any]:
    """The item for `row`, valid as a draft at `now`. Raises InvalidRequest."""
    fields = _mapped(row.fields, options.mapping)
    if row.textual:
        fields = read_cells(fields)
    fields = _with_defaults(fields, options)
    if row.heading is not None:
        fields = _with_heading(fields, row.heading)
    if options.extra_to_metadata:
        fields = _move_extra_to_metadata(fields)
    review = fields.pop("review") if fields.get("review") in _REVIEWS else None
    fields["source"] = _source(fields.get("source"), row)
    try:
        draft = draft_of(fields)
    except ValidationError as error:
        raise as_invalid(error) from error
    check_draft(draft, now)
    return fields if review is None else {**fields, "review": review}


def read_cells(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with texts parsed by the shape of their field.

    A text that does not parse stays as it is, and the draft's validation reports it.
    """
    return {name: _read_cell(SHAPES.get(name, FieldShape.TEXT), value) for name, value in fields.items()}


def _read_cell(shape: FieldShape, value: Any) -> Any:
    if shape is FieldShape.TEXT or not isinstance(value, str):
        return value
    text = value.strip()
    if shape is FieldShape.LIST:
        return _read_list(text)
    try:
        return whole_value(text.lower() if text.lower() in ("true", "false") else text)
    except MalformedJson:
        return value


def _read_list(text: str) -> Any:
    """A JSON list; else the parts between semicolons, or between commas if there is no semicolon."""
    if text.startswith("["):
        try:
            return whole_value(text)
        except MalformedJson:
            text = text.strip("[]")
    parts = text.split(";" if ";" in text else ",")
    return [part.strip() for part in parts if part.strip()]


def _mapped(row: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name not in mapping}
    metadata: dict[str, Any] = {}
    for foreign, target in mapping.items():
        if foreign not in row:
            continue
        if target.startswith(_METADATA):
            metadata[target.removeprefix(_METADATA)] = row[foreign]
        elif target in fields:
            raise InvalidRequest(f"has both {foreign} and {target}, to which {foreign} is mapped", path=target)
        else:
            fields[target] = row[foreign]
    return _with_metadata(fields, metadata)


def _with_metadata(fields: dict[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    metadata = fields.get("metadata") or {}
    if not added or not isinstance(metadata, dict):
        return fields
    return {**fields, "metadata": {**metadata, **added}}


def _with_defaults(fields: dict[str, Any], options: RowOptions) -> dict[str, Any]:
    defaults = {"type": options.type, "session_id": options.session_id, "agent_id": options.agent_id}
    missing = {name: str(value) for name, value in defaults.items() if value is not None and fields.get(name) is None}
    return {**fields, **missing}


def _with_heading(fields: dict[str, Any], heading: str) -> dict[str, Any]:
    """`fields` with the heading as title, concept or name; before the content if the type has none of these."""
    type_fields = _type_fields(fields.get("type"))
    name = next((name for name in _HEADING_FIELDS if name in type_fields), None)
    if name is None:
        return {**fields, "content": f"{heading}: {fields['content']}"}
    others = {key: value for key, value in fields.items() if key not in _HEADING_FIELDS}
    return {**others, name: heading[:_MAX_HEADING].strip()}


def _type_fields(type_name: Any) -> frozenset[str]:
    known = isinstance(type_name, str) and type_name in set(MemoryType)
    return MEMORY_CLASSES[MemoryType(type_name)].own_fields if known else frozenset()


def _move_extra_to_metadata(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with those that their type does not have in metadata."""
    allowed = _COMMON_FIELDS | _type_fields(fields.get("type"))
    extra = {name: value for name, value in fields.items() if name not in allowed}
    valid = {name: value for name, value in fields.items() if name in allowed}
    return _with_metadata(valid, as_metadata(extra)) if extra else fields


def _source(source: Any, row: RawItem) -> Any:
    """The row's place, with what the row says about its source itself."""
    place = {"file": row.file, "line": row.line}
    if source is None:
        return place
    if isinstance(source, str):
        return {**place, "caller": source}
    return {**place, **source} if isinstance(source, dict) else source
