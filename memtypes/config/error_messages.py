"""What pydantic finds wrong, in words for whoever sent it: they know no dictionaries, models or branches of unions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OBJECT = "must be an object"
_SAID = {
    "missing": "is required",
    "extra_forbidden": "unknown field",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "mapping_type": _OBJECT,
    "list_type": "must be a list",
    "too_short": "must have {min_length} or more entries, has {actual_length}",
    "too_long": "must have at most {max_length} entries, has {actual_length}",
}


def message_of(fault: Mapping[str, Any]) -> str:
    """The message of one entry of `ValidationError.errors()`."""
    said = _SAID.get(fault["type"])
    if said is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    return said.format_map(fault.get("ctx", {}))
