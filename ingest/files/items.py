"""From a row of a file to an item as POST /v1/memories/batch takes it. Knows no file and no store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ingest.files.cells import SHAPES, read_cells
from ingest.files.readers.rows import RawItem
from ingest.writing.drafts import ReviewMode, check_draft, draft_of
from ingest.writing.validation import as_invalid
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.types import MEMORY_CLASSES

_METADATA = "metadata."
_REVIEWS = (ReviewMode.AUTO, ReviewMode.SKIP)
_HEADING_FIELDS = ("title", "concept", "procedure_name")


@dataclass(frozen=True, slots=True)
class RowOptions:
    """How rows are read.

    type, session_id, agent_id: for rows that name none; without a type it is found from the text. mapping: their name
    of a field to ours, which may be metadata.KEY. extra_to_metadata: keep fields that no memory has as metadata instead
    of rejecting the row.
    """

    type: MemoryType | None = None
    session_id: str | None = None
    agent_id: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    extra_to_metadata: bool = False


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Return when `mapping` leads to fields that exist, each once; raise InvalidRequest when it doesn't."""
    for theirs, ours in mapping.items():
        if ours not in SHAPES and not (ours.startswith(_METADATA) and len(ours) > len(_METADATA)):
            known = ", ".join(sorted(SHAPES))
            raise InvalidRequest(
                f"no memory has a field {ours!r}; known are {known} and metadata.KEY", path="map", got=ours
            )
        if list(mapping.values()).count(ours) > 1:
            raise InvalidRequest(f"two fields are mapped to {ours}", path="map", got=theirs)


def to_item(row: RawItem, options: RowOptions, now: datetime) -> dict[str, Any]:
    """The item that `row` stands for, valid as a draft at `now`. Raises InvalidRequest with what is wrong with it."""
    fields = _mapped(row.fields, options.mapping)
    if row.textual:
        fields = read_cells(fields)
    fields = _with_defaults(fields, options)
    if row.heading is not None:
        fields = _headed(fields, row.heading)
    if options.extra_to_metadata:
        fields = _extra_to_metadata(fields)
    review = fields.pop("review") if fields.get("review") in _REVIEWS else None
    fields["source"] = _source(fields.get("source"), row)
    try:
        draft = draft_of(fields)
    except ValidationError as error:
        raise as_invalid(error) from error
    check_draft(draft, now)
    return fields if review is None else {**fields, "review": review}


def _mapped(row: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name not in mapping}
    metadata: dict[str, Any] = {}
    for theirs, ours in mapping.items():
        if theirs not in row:
            continue
        if ours.startswith(_METADATA):
            metadata[ours.removeprefix(_METADATA)] = row[theirs]
        elif ours in fields:
            raise InvalidRequest(f"has both {theirs} and {ours}, to which {theirs} is mapped", path=ours)
        else:
            fields[ours] = row[theirs]
    return _with_metadata(fields, metadata)


def _with_metadata(fields: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    given = fields.get("metadata") or {}
    if not more or not isinstance(given, dict):
        return fields
    return {**fields, "metadata": {**given, **more}}


def _with_defaults(fields: dict[str, Any], options: RowOptions) -> dict[str, Any]:
    defaults = {"type": options.type, "session_id": options.session_id, "agent_id": options.agent_id}
    missing = {name: str(value) for name, value in defaults.items() if value is not None and fields.get(name) is None}
    return {**fields, **missing}


def _headed(fields: dict[str, Any], heading: str) -> dict[str, Any]:
    """`fields` with the heading where its type keeps one; a type that keeps none has it before the content."""
    own = _draft_fields(fields.get("type"))
    name = next((name for name in _HEADING_FIELDS if name in own), None)
    if name is None:
        return {**fields, "content": f"{heading}: {fields['content']}"}
    others = {key: value for key, value in fields.items() if key not in _HEADING_FIELDS}
    return {**others, name: heading[:500].strip()}


def _draft_fields(type_name: Any) -> frozenset[str]:
    known = isinstance(type_name, str) and type_name in set(MemoryType)
    return MEMORY_CLASSES[MemoryType(type_name)].own_fields if known else frozenset()


def _extra_to_metadata(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with those that its type does not have under metadata; one that may not stand there is renamed."""
    allowed = _COMMON | _draft_fields(fields.get("type"))
    extra = {name: value for name, value in fields.items() if name not in allowed}
    if not extra:
        return fields
    kept = {name: value for name, value in fields.items() if name in allowed}
    renamed = {f"original_{name}" if name in Memory.model_fields else name: value for name, value in extra.items()}
    return _with_metadata(kept, renamed)


_OWN = frozenset().union(*(kind.own_fields for kind in MEMORY_CLASSES.values()))
_COMMON = (frozenset(SHAPES) - _OWN) | {"review"}


def _source(given: Any, row: RawItem) -> Any:
    """Where the row stands, besides what it says of its source itself."""
    place = {"file": row.file, "line": row.line}
    if given is None:
        return place
    if isinstance(given, str):
        return {**place, "caller": given}
    return {**place, **given} if isinstance(given, dict) else given
