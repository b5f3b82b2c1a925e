"""Turn a row of a file into an item of POST /v1/memories/batch: the fields of the memory to store.

Fields are renamed by the caller's mapping, and the cells of a CSV file are parsed. The caller's
type, session and agent are filled in. The heading becomes the title, extra fields become metadata,
and the place in the file becomes the source. The item is validated like a draft of a memory, so a
bad row is found before it is sent.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ingest.files.readers.rows import FileRow, as_metadata
from ingest.screening.submission import ReviewMode, as_invalid, draft_of
from ingest.writing.drafts import check_draft
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import MAX_LABEL, Memory, Source
from memtypes.model.policy import MemoryType
from memtypes.model.strict_json import MalformedJson, whole_value
from memtypes.model.types import MEMORY_CLASSES, AnyDraft

_METADATA = "metadata."
_RENAME = "rename fields with --map, or keep unknown ones with --extra-to-metadata"
_GIVE_TEXT = (
    "give the row a text (--map FIELD=content takes that of another field), or remove the row"
)
_CORRECT = "correct the row and import the file again"
_REVIEWS = (ReviewMode.AUTO, ReviewMode.SKIP)


def _plain_type(annotation: Any) -> Any:
    """The class in a field's type `annotation`, without Annotated, "| None" and type parameters:
    list for list[str].
    """
    origin = typing.get_origin(annotation)
    if origin in (typing.Annotated, typing.Union, types.UnionType):
        return _plain_type(typing.get_args(annotation)[0])
    return origin or annotation


_FIELDS: Mapping[str, Any] = {
    name: _plain_type(field_info.annotation)
    for draft in typing.get_args(typing.get_args(AnyDraft)[0])
    for name, field_info in draft.model_fields.items()
}
"""For each field that a draft of any memory type has, the class of its value."""

_CLASSES = tuple(MEMORY_CLASSES.values())
_TITLE_FIELDS = {memory_class.title_field for memory_class in _CLASSES if memory_class.title_field}
_COMMON_FIELDS = {*_FIELDS, "review"}.difference(
    *(memory_class.own_fields for memory_class in _CLASSES)
)


@dataclass(frozen=True, slots=True)
class RowOptions:
    """Options for turning rows of a file into items of POST /v1/memories/batch.

    type, session_id, agent_id: used for rows that have none; a row without any type is classified.
    mapping: from field names in the file to fields of memories, or to metadata.KEY.
    extra_to_metadata: True makes unknown fields metadata; False rejects rows that have any.
    """

    type: MemoryType | None = None
    session_id: str | None = None
    agent_id: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    extra_to_metadata: bool = False


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raise InvalidRequest unless each value of `mapping` is a memory field or metadata.KEY, and
    none occurs twice.
    """
    targets = list(mapping.values())
    for foreign, target in mapping.items():
        if target not in _FIELDS and not (
            target.startswith(_METADATA) and len(target) > len(_METADATA)
        ):
            names = ", ".join(sorted(_FIELDS))
            message = f"no memory has a field {target!r}; known are {names} and metadata.KEY"
            raise InvalidRequest(message, path="map", got=target)
        if targets.count(target) > 1:
            raise InvalidRequest(
                f"two fields are mapped to {target}; map only one to it", path="map", got=foreign
            )


def to_item(row: FileRow, options: RowOptions, now: datetime) -> dict[str, Any]:
    """The item of POST /v1/memories/batch that stores `row`. Raises InvalidRequest if it is not
    valid at `now`.
    """
    fields = _renamed(row.fields, options.mapping)
    if row.textual:
        fields = {name: _parsed_cell(name, value) for name, value in fields.items()}
    for name in ("type", "session_id", "agent_id"):
        default = getattr(options, name)
        if default is not None and fields.get(name) is None:
            fields[name] = str(default)
    if row.heading is not None:
        _set_heading(fields, row.heading)
    if options.extra_to_metadata or row.extra_to_metadata:
        allowed = _COMMON_FIELDS | _class_of(fields).own_fields
        extra = {name: fields.pop(name) for name in list(fields) if name not in allowed}
        _add_metadata(fields, as_metadata(extra))
    fields["source"] = _source(fields.get("source"), row)
    draft_fields = {
        name: value for name, value in fields.items() if name != "review" or value not in _REVIEWS
    }
    try:
        check_draft(draft_of(draft_fields), now)
    except (ValidationError, InvalidRequest) as error:
        raise _explained(error, fields) from error
    return fields


def _explained(
    error: ValidationError | InvalidRequest, fields: Mapping[str, Any]
) -> InvalidRequest:
    """The error to raise for a row with these `fields`: its message names the field, the fault and
    the remedy.
    """
    details = error.errors() if isinstance(error, ValidationError) else []
    invalid = as_invalid(error) if isinstance(error, ValidationError) else error
    path = invalid.path
    value = invalid.got if invalid.path else fields.get("type")
    message = str(invalid) if str(invalid).startswith(path) else f"{path}: {invalid}"
    if any(detail["type"] == "extra_forbidden" for detail in details):
        return InvalidRequest(f"{message}; {_RENAME}", path=path)
    # A longer value is not shown: cut in two, a secret in it might not be recognised.
    shown = (
        f" (the row has {value!r})"
        if value is not None and len(details) < 2 and len(repr(value)) <= 60
        else ""
    )
    remedy = _GIVE_TEXT if path == "content" and not str(value or "").strip() else _CORRECT
    return InvalidRequest(f"{message}{shown}; {remedy}", path=path)


def _renamed(row: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name not in mapping}
    metadata: dict[str, Any] = {}
    for foreign, target in mapping.items():
        if foreign not in row:
            continue
        if target.startswith(_METADATA):
            metadata[target.removeprefix(_METADATA)] = row[foreign]
        elif target in fields:
            raise InvalidRequest(
                f"has both {foreign} and {target}, to which {foreign} is mapped; remove one",
                path=target,
            )
        else:
            fields[target] = row[foreign]
    _add_metadata(fields, metadata)
    return fields


def _add_metadata(fields: dict[str, Any], added: Mapping[str, Any]) -> None:
    metadata = fields.get("metadata") or {}
    if added and isinstance(metadata, dict):  # validation reports metadata of another kind
        fields["metadata"] = {**metadata, **added}


def _parsed_cell(name: str, value: Any) -> Any:
    """The text `value` parsed as field `name` requires: as JSON if possible, or a list with
    semicolons or commas.
    """
    kind = _FIELDS.get(name)
    if not isinstance(value, str):
        return str(value) if kind is str and isinstance(value, int | float) else value
    text = value.strip()
    is_json = text.startswith("[") if kind is list else kind in (int, float, bool, dict, Source)
    if is_json:
        with suppress(MalformedJson):
            return whole_value(text.lower() if text.lower() in ("true", "false") else text)
    if kind is not list:
        return value
    inner = text.strip("[]") if is_json else text
    return [entry.strip() for entry in inner.split(";" if ";" in inner else ",") if entry.strip()]


def _set_heading(fields: dict[str, Any], heading: str) -> None:
    """Make `heading` the title, or put it before the content of a type without titles. Other titles
    become metadata.
    """
    title_field = _class_of(fields).title_field
    if title_field is None:
        if "content" in fields:  # else validation reports that it is missing
            fields["content"] = f"{heading}: {fields['content']}"
        return
    titles = {name: fields.pop(name) for name in _TITLE_FIELDS & fields.keys()}
    _add_metadata(fields, {name: title for name, title in titles.items() if title != heading})
    fields[title_field] = heading[:MAX_LABEL].strip()


def _class_of(fields: Mapping[str, Any]) -> type[Memory]:
    return next(
        (
            memory_class
            for kind, memory_class in MEMORY_CLASSES.items()
            if kind == fields.get("type")
        ),
        Memory,
    )


def _source(source: Any, row: FileRow) -> Any:
    """The file and line of `row`, with the fields of its own `source`; a text there is the name of
    a caller.
    """
    location = {"file": row.file, "line": row.line}
    if source is None:
        return location
    if isinstance(source, str):
        return {**location, "caller": source}
    return {**location, **source} if isinstance(source, dict) else source
